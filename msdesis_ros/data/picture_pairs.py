"""Which left picture belongs to which right one: two files, or two folders in natural order."""

from __future__ import annotations

import os
import re
from pathlib import Path

from msdesis_ros.core.errors import FileFormatError, UsageError

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff')


def find_pairs(
    *, left: str | os.PathLike[str], right: str | os.PathLike[str]
) -> tuple[tuple[Path, Path], ...]:
    """Return the (left, right) picture files.

    Two files are one pair. In two folders the n-th picture of one belongs to the n-th of the
    other, in natural order (frame_9 before frame_10), so there must be equally many. Raises
    UsageError where they cannot be paired, FileFormatError where nothing is there.
    """
    left, right = Path(left), Path(right)
    for path in (left, right):
        if not path.exists():
            raise FileFormatError(f'{path} does not exist; give a picture or a folder of pictures')
    if left.is_dir() != right.is_dir():
        folder, file = (left, right) if left.is_dir() else (right, left)
        raise UsageError(
            f'{folder} is a folder and {file} is a file; give two pictures, or two folders with '
            'equally many pictures'
        )
    if not left.is_dir():
        return ((left, right),)
    lefts, rights = _pictures(left), _pictures(right)
    if len(lefts) != len(rights):
        raise UsageError(
            f'{left} holds {len(lefts)} pictures and {right} holds {len(rights)}; they are paired '
            'one by one, so there must be equally many'
        )
    return tuple(zip(lefts, rights, strict=True))


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A sort key that compares runs of digits as numbers."""
    parts = re.split(r'(\d+)', name)
    return [(0, int(part), '') if part.isdecimal() else (1, 0, part) for part in parts]


def _pictures(folder: Path) -> list[Path]:
    pictures = [
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith('.')
    ]
    if not pictures:
        raise FileFormatError(
            f'{folder} holds no pictures; expected files ending in {", ".join(SUFFIXES)}'
        )
    return sorted(pictures, key=lambda path: natural_order(path.name))
