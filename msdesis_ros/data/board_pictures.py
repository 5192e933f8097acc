"""Folders with pictures of a calibration board: which left one belongs to which right one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msdesis_ros.core.boards import Board, BoardPair, BoardView
from msdesis_ros.core.errors import FileFormatError, ImageError, UsageError
from msdesis_ros.data.board_finder import board_finder, find_pair
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.picture_pairs import SUFFIXES, natural_order

_SIDE_WORDS = {'left': 'left', 'l': 'left', 'right': 'right', 'r': 'right'}
Key = tuple[str, ...]


class PictureFiles(NamedTuple):
    """The files of one moment under a name of their own; None where there is none of a side."""

    name: str
    left: Path | None
    right: Path | None


class Pictures(NamedTuple):
    """The pictures of one moment, H x W x 3 uint8 RGB; None where there is none of that side."""

    name: str
    left: np.ndarray | None
    right: np.ndarray | None


class FoundBoards(NamedTuple):
    """pairs: what each pair of pictures shows. image_size: (width, height) px of all of them."""

    pairs: tuple[BoardPair, ...]
    image_size: tuple[int, int]


def board_pictures(
    left: str | os.PathLike[str], right: str | os.PathLike[str] | None = None
) -> tuple[PictureFiles, ...]:
    """The pictures of two folders, paired by their names; never by their order.

    Names belong together that are the same but for a word for the side (left, right, l, r), or,
    where no two do, that hold the same numbers: left/frame_7.png and right/img-0007.png. One
    folder alone holds both sides, in sub-folders left and right or told apart by that word, as
    in left-0001.png (so the ROS calibrator stores them). Pictures without a partner are kept.

    Raises FileFormatError where there are no pictures, UsageError where names cannot be paired.
    """
    sides = _sides(Path(left), None if right is None else Path(right))
    for numbers_only in (False, True):
        keyed = {side: _keyed(paths, numbers_only) for side, paths in sides.items()}
        found = [table for table in keyed.values() if table is not None]
        if len(found) == 2 and set(found[0]) & set(found[1]):
            return _paired(*found)
    examples = ' and '.join(paths[0].name for paths in sides.values())
    raise UsageError(
        f'no left picture can be paired with a right one by their names (such as {examples}): '
        'give both the same name, or the same number, in a folder each'
    )


def read_pictures(files: Iterable[PictureFiles]) -> Iterator[Pictures]:
    """Read the files one pair at a time; FileFormatError for a damaged one."""
    for name, left, right in files:
        yield Pictures(
            name,
            None if left is None else read_rgb(left),
            None if right is None else read_rgb(right),
        )


def find_boards(
    pictures: Iterable[Pictures],
    board: Board,
    *,
    on_pair: Callable[[int], None] = lambda _: None,
) -> FoundBoards:
    """Look for the board in all pictures; `on_pair` is called with the number of pairs so far.

    Raises FileFormatError where there are no pictures, and what `each_board` raises.
    """
    pairs: list[BoardPair] = []
    size: tuple[int, int] | None = None
    for taken, pair in each_board(pictures, board):
        size = size or _size(taken)
        pairs.append(pair)
        on_pair(len(pairs))
    if size is None:
        raise FileFormatError('there are no pictures to look for a board in')
    return FoundBoards(tuple(pairs), size)


def each_board(pictures: Iterable[Pictures], board: Board) -> Iterator[tuple[Pictures, BoardPair]]:
    """The pictures, one pair at a time, each with what it shows of the board.

    Raises ImageError for pictures of different sizes, and what `board_finder` raises.
    """
    finder = board_finder(board)
    first: tuple[int, int] | None = None
    for taken in pictures:
        first = first or _size(taken)
        for side, picture in (('left', taken.left), ('right', taken.right)):
            if picture is not None and picture.shape[1::-1] != first:
                raise ImageError(
                    f'the {side} picture {taken.name} is {picture.shape[1]}x{picture.shape[0]} px '
                    f'and the first one {first[0]}x{first[1]} px; one calibration needs pictures '
                    'of one size'
                )
        if taken.left is not None and taken.right is not None:
            yield taken, find_pair(finder, board, taken.name, taken.left, taken.right)
        else:
            views = [None if p is None else finder.find(p) for p in (taken.left, taken.right)]
            yield taken, BoardPair(taken.name, *views)


def _size(taken: Pictures) -> tuple[int, int] | None:
    for picture in (taken.left, taken.right):
        if picture is not None:
            return int(picture.shape[1]), int(picture.shape[0])
    return None


def has_moved(pair: BoardPair, earlier: Iterable[BoardPair], *, by_px: float) -> bool:
    """Whether the board stands elsewhere than in all earlier pairs, by the mean of its corners.

    True where no corner is shared. A pair that shows no board has not moved.
    """
    view = pair.left or pair.right
    if view is None:
        return False
    for other in earlier:
        before = other.left if pair.left is not None else other.right
        if before is not None and _distance_px(view, before) < by_px:
            return False
    return True


def _distance_px(one: BoardView, other: BoardView) -> float:
    a, b = one.only(other.ids), other.only(one.ids)
    if len(a.ids) == 0:
        return float('inf')
    return float(np.linalg.norm(a.points_px - b.points_px, axis=1).mean())


def _sides(left: Path, right: Path | None) -> dict[str, list[Path]]:
    if right is None and (left / 'left').is_dir() and (left / 'right').is_dir():
        left, right = left / 'left', left / 'right'
    if right is not None and left.resolve() != right.resolve():
        return {'left': _pictures(left), 'right': _pictures(right)}
    sides: dict[str, list[Path]] = {'left': [], 'right': []}
    for path in _pictures(left):
        words = {_SIDE_WORDS[word] for word in _words(path) if word in _SIDE_WORDS}
        if len(words) == 1:
            sides[words.pop()].append(path)
    for side, paths in sides.items():
        if not paths:
            raise UsageError(
                f'{left} holds no pictures of the {side} eye: expected sub-folders left and '
                'right, or names such as left-0001.png and right-0001.png'
            )
    return sides


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileFormatError(f'{folder} is no folder; give the folder with the pictures')
    found = [
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in SUFFIXES and not path.name.startswith('.')
    ]
    if not found:
        raise FileFormatError(
            f'{folder} holds no pictures; expected files ending in {", ".join(SUFFIXES)}'
        )
    return sorted(found, key=lambda path: natural_order(path.name))


def _words(path: Path) -> list[str]:
    return re.findall(r'[0-9]+|[a-z]+', path.stem.lower())


def _keyed(paths: Iterable[Path], numbers_only: bool) -> dict[Key, Path] | None:
    """The pictures by what their names say of the moment; None where two say the same."""
    keyed: dict[Key, Path] = {}
    for path in paths:
        words = [word for word in _words(path) if word not in _SIDE_WORDS]
        words = [str(int(word)) if word.isdecimal() else word for word in words]
        key = tuple(word for word in words if word.isdecimal() or not numbers_only)
        if not key or key in keyed:
            return None
        keyed[key] = path
    return keyed


def _paired(lefts: Mapping[Key, Path], rights: Mapping[Key, Path]) -> tuple[PictureFiles, ...]:
    keys = [*lefts, *(key for key in rights if key not in lefts)]
    files = []
    for key in keys:
        left, right = lefts.get(key), rights.get(key)
        shown = left or right
        assert shown is not None
        # No two are alike: equal names have equal keys.
        files.append(PictureFiles(shown.name, left, right))
    return tuple(files)
