"""Two folders of pictures as rows of a list: what has one name is one pair."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.picture_pairs import SUFFIXES, natural_order
from msdesis_ros.offline.pair_list import PairRow

# How many names a message lists before it goes on with a number.
LISTED = 5


def pair_by_name(
    left: str | os.PathLike[str],
    right: str | os.PathLike[str],
    output_folders: Mapping[str, str | os.PathLike[str]],
) -> tuple[PairRow, ...]:
    """The pairs of two folders, in natural order, with a result in each of `output_folders`.

    A result has the name of its left picture with the suffix .png. `line` counts the pairs from 1;
    all paths are absolute.

    Raises:
        UsageError: one folder is given twice, or a name is in one folder alone (it is named).
        FileFormatError: a folder is missing or holds no pictures.
    """
    folders = [Path(os.path.abspath(side)) for side in (left, right)]
    if os.path.realpath(folders[0]) == os.path.realpath(folders[1]):
        raise UsageError(f'{folders[0]} is given for both eyes; expected two folders')
    names = [_picture_names(folder) for folder in folders]
    alone = [
        f'{_listed(names[i] - names[1 - i])} only in {folders[i]}'
        for i in (0, 1)
        if names[i] - names[1 - i]
    ]
    if alone:
        raise UsageError(
            f'the names of the pictures differ: {"; ".join(alone)}. A pair has one name in both '
            'folders; rename or remove these'
        )
    outputs = {kind: Path(os.path.abspath(folder)) for kind, folder in output_folders.items()}
    return tuple(
        PairRow(
            number,
            folders[0] / name,
            folders[1] / name,
            {kind: (folder / name).with_suffix('.png') for kind, folder in outputs.items()},
        )
        for number, name in enumerate(sorted(names[0], key=natural_order), start=1)
    )


def _picture_names(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise FileFormatError(f'{folder} is no folder; give one with pictures')
    names = {
        entry.name
        for entry in os.scandir(folder)
        if entry.is_file()
        and not entry.name.startswith('.')
        and os.path.splitext(entry.name)[1].lower() in SUFFIXES
    }
    if not names:
        raise FileFormatError(
            f'{folder} holds no pictures; expected files ending in {", ".join(SUFFIXES)}'
        )
    return names


def _listed(names: set[str]) -> str:
    first = sorted(names, key=natural_order)[:LISTED]
    more = len(names) - len(first)
    return ', '.join(first) + (f' and {more} more' if more else '')
