"""What `msdesis reconstruct` may be given, told apart by what lies there."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msdesis_ros.cli import rig_options
from msdesis_ros.cli.model_options import ModelChoice
from msdesis_ros.cli.rig_options import RectifyChoice
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.surface_folders import is_surface_folder, surface_folders
from msdesis_ros.offline.pair_list import read_pair_list
from msdesis_ros.offline.surface_sources import (
    FolderSource,
    MaskFiles,
    NamedPair,
    PairSource,
    SurfaceSource,
    pairs_below,
    pairs_of_folders,
    pairs_of_rows,
)


@dataclass(frozen=True, kw_only=True)
class Given:
    """The inputs of the command, as they were given.

    first, second: the arguments. picture: for a folder with a depth. mask: a picture or a folder.
    """

    first: Path
    second: Path | None = None
    picture: Path | None = None
    mask: Path | None = None

    def __post_init__(self) -> None:
        given = (self.first, self.second, self.picture, self.mask)
        rig_options.require_files(*(path for path in given if path is not None))

    @property
    def is_cloud(self) -> bool:
        """Whether it is a cloud to look at, without any frame."""
        return self.first.suffix.lower() == '.ply'


@contextlib.contextmanager
def open_source(given: Given, rigs: RectifyChoice, model: ModelChoice) -> Iterator[SurfaceSource]:
    """The frames of two pictures, two folders, a list, a folder of pairs, or folders with depth.

    Raises UsageError for what is none of these, FileFormatError for a folder or list without one.
    """
    rig_of = functools.lru_cache(maxsize=32)(rigs.rig)
    masks = MaskFiles(given.mask) if given.mask is not None else None
    folders = _folders_with_depth(given)
    if given.picture is not None and len(folders) != 1:
        raise UsageError(f'--picture goes with one folder that has depth.tiff, not {given.first}')
    pairs = [] if folders else _pairs(given)
    frames = len(folders) or len(pairs)
    if masks is not None and frames > 1 and not masks.path.is_dir():
        raise UsageError(f'{masks.path} is one mask for {frames} frames; give a folder of them')
    if folders:
        yield FolderSource(
            folders,
            rig_of=rig_of,
            picture=given.picture,
            calibration=rigs.calibration,
            alpha=rigs.alpha,
            masks=masks,
        )
        return
    with PairSource(
        pairs, open_backend=model.opened, rig_of=rig_of, alpha=rigs.alpha, masks=masks
    ) as source:
        yield source


def _folders_with_depth(given: Given) -> list[Path]:
    if given.second is not None or not given.first.is_dir():
        return []
    if is_surface_folder(given.first):
        return [given.first]
    return surface_folders(given.first)


def _pairs(given: Given) -> list[NamedPair]:
    first, second = given.first, given.second
    if second is not None:
        if first.is_dir() != second.is_dir():
            raise UsageError(
                f'{first} and {second} are a folder and a file; give two pictures, or two folders'
            )
        if first.is_dir():
            return pairs_of_folders(first, second)
        return [NamedPair(first.stem, first, second)]
    if first.is_dir():
        return pairs_below(first)
    if first.suffix.lower() != '.csv':
        raise UsageError(
            f'{first} alone is no pair; give LEFT and RIGHT, a folder, a list (.csv) or a cloud '
            '(.ply)'
        )
    listed = read_pair_list(first, input_root=first.parent)
    if listed.bad:
        bad = listed.bad[0]
        raise UsageError(f'{first}, line {bad.line}: {bad.reason}')
    return pairs_of_rows(listed.rows)
