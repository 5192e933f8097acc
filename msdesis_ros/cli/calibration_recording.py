"""The pictures of a recording that `msdesis calibrate` uses, kept as files beside the results."""

from __future__ import annotations

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
from msdesis_ros.data.images import write_image

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
    diagonal since all taken before, up to `max_pairs`, and writes them to OUT/pictures, so that
    `msdesis calibrate OUT/pictures` gives the same calibration. Raises UsageError for options
    out of range, MissingExtraError without ROS messages, CalibrationError where no board is seen.
    """
    if not every_s >= 0:
        raise UsageError(f'--every-s is {every_s:g}; expected 0 or more seconds')
    if max_pairs < 3:
        raise UsageError(f'--max-pairs is {max_pairs}; expected 3 or more')
    try:
        from msdesis_ros.ros.recorded_pairs import recorded_pairs
    except ImportError as error:
        raise MissingExtraError(
            f'the messages of ROS 2 are missing ({error}): pip install "msdesis_ros[ros]", or '
            'source the set-up of your distribution first'
        ) from error
    from msdesis_ros.data.stereo_recording import SIDES, StereoRecording

    recording = StereoRecording(path, left_topic=topics[0], right_topic=topics[1])
    if not recording.reader.finished:
        typer.echo(f'warning: {recording.sentence()}', err=True)
    for side in SIDES:
        for old in (out / 'pictures' / side).glob('[0-9]*.png'):
            old.unlink()
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
        files.append(_kept(taken, out / 'pictures', SIDES))
        if len(pairs) == max_pairs:
            break
    if not pairs:
        raise CalibrationError(
            f'none of {looked} pairs of {path} shows the {board} to both eyes; check its measures'
        )
    typer.echo(f'{len(pairs)} of {looked} pairs of {path} show the board at places of their own')
    return tuple(files), FoundBoards(tuple(pairs), size)


def _kept(taken: Pictures, folder: Path, sides: tuple[str, ...]) -> PictureFiles:
    paths = [folder / side / taken.name for side in sides]
    for path, picture in zip(paths, (taken.left, taken.right), strict=True):
        assert picture is not None
        write_image(path, picture)
    return PictureFiles(taken.name, *paths)
