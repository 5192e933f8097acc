"""The pictures of a recording that `msdesis calibrate` uses, kept as files beside the results."""

from __future__ import annotations

import json
import math
from pathlib import Path

import typer

from msdesis_ros.core.boards import Board, BoardPair
from msdesis_ros.core.errors import CalibrationError, MissingExtraError, UsageError
from msdesis_ros.data.board_pictures import (
    FoundBoards,
    PictureFiles,
    Pictures,
    each_board,
    has_moved,
)
from msdesis_ros.data.images import atomic_write, write_image
from msdesis_ros.data.stereo_recording import SIDES, StereoRecording

PICTURES, RECORD = 'pictures', 'recording.json'
# Views that differ by less say the same twice, and a recording has thousands of them.
LEAST_MOTION = 0.03


def boards_of_recording(
    path: Path,
    board: Board,
    *,
    topics: tuple[str, str],
    every_s: float,
    max_pairs: int,
    out: Path,
) -> tuple[tuple[PictureFiles, ...], FoundBoards]:
    """Choose the pairs in which both eyes see the board, each time at another place.

    Looks at a pair every `every_s`, takes those whose board moved by 3 % of the picture's
    diagonal since all taken before, up to `max_pairs`, and writes them to OUT/pictures (in place
    of those of an earlier recording: `require_own_pictures` comes before), so that
    `msdesis calibrate OUT/pictures` gives the same calibration. Raises MissingExtraError without
    ROS messages, CalibrationError where no board is seen.
    """
    try:
        from msdesis_ros.ros.recorded_pairs import recorded_pairs
    except ImportError as error:
        raise MissingExtraError(
            f'the messages of ROS 2 are missing ({error}): pip install "msdesis_ros[ros]", or '
            'source the set-up of your distribution first'
        ) from error

    recording = StereoRecording(path, left_topic=topics[0], right_topic=topics[1])
    if not recording.reader.finished:
        typer.echo(f'warning: {recording.sentence()}', err=True)
    for old in _pictures_in(out):
        old.unlink()
    with atomic_write(out / PICTURES / RECORD) as temporary:
        temporary.write_text(json.dumps({'recording': str(path)}) + '\n', encoding='utf-8')
    files: list[PictureFiles] = []
    pairs: list[BoardPair] = []
    looked = 0
    size: tuple[int, int] = (0, 0)
    stamped = recorded_pairs(recording, every_s=every_s)
    pictures = (Pictures(f'{n:06d}.png', each.left, each.right) for n, each in enumerate(stamped))
    for taken, pair in each_board(pictures, board):
        looked += 1
        assert taken.left is not None and taken.right is not None
        size = (taken.left.shape[1], taken.left.shape[0])
        by_px = LEAST_MOTION * math.hypot(*size)
        if pair.common is None or not has_moved(pair, pairs, by_px=by_px):
            continue
        pairs.append(pair)
        files.append(_kept(taken, out / PICTURES))
        if len(pairs) == max_pairs:
            break
    if not pairs:
        raise CalibrationError(
            f'none of {looked} pairs of {path} shows the {board} to both eyes; check its measures'
        )
    typer.echo(f'{len(pairs)} of {looked} pairs of {path} show the board at places of their own')
    return tuple(files), FoundBoards(tuple(pairs), size)


def require_own_pictures(out: Path) -> None:
    """Raise UsageError where OUT/pictures holds pictures that no recording was kept as."""
    there = _pictures_in(out)
    if there and not (out / PICTURES / RECORD).is_file():
        raise UsageError(
            f'{there[0]} and {len(there) - 1} more would be replaced by the pictures of the '
            'recording; choose another --out'
        )


def _pictures_in(out: Path) -> list[Path]:
    return sorted(p for side in SIDES for p in (out / PICTURES / side).glob('[0-9]*.png'))


def _kept(taken: Pictures, folder: Path) -> PictureFiles:
    paths = [folder / side / taken.name for side in SIDES]
    for path, picture in zip(paths, (taken.left, taken.right), strict=True):
        assert picture is not None
        write_image(path, picture)
    return PictureFiles(taken.name, *paths)
