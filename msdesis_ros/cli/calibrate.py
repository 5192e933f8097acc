"""`msdesis calibrate`: a stereo calibration from pictures of a board."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from msdesis_ros.cli import rig_options
from msdesis_ros.cli.calibration_recording import boards_of_recording, require_own_pictures
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.boards import Board, CharucoBoard, Checkerboard
from msdesis_ros.core.calibration_findings import calibration_warnings
from msdesis_ros.core.calibration_sanity import sanity_warnings
from msdesis_ros.core.camera_fit import DISTORTIONS, MIN_VIEWS
from msdesis_ros.core.camera_points import rectified_points
from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.core.stereo_fit import StereoFit, fit_stereo
from msdesis_ros.data.board_pictures import (
    FoundBoards,
    PictureFiles,
    board_pictures,
    find_boards,
    read_pictures,
)
from msdesis_ros.data.calibration_report import calibration_report
from msdesis_ros.data.calibration_writer import write_ros_camera_infos, write_stereo_calibration
from msdesis_ros.data.images import atomic_write, read_rgb, write_image
from msdesis_ros.data.rectification_picture import rectification_picture

OPENCV_FILE, ROS_FILES = 'stereo_calib.json', ('left.yaml', 'right.yaml')
CHECK_PICTURE, REPORT = 'rectification.png', 'report.json'
OUTPUT_FILES = (OPENCV_FILE, *ROS_FILES, CHECK_PICTURE, REPORT)


def calibrate(
    left: Path | None = typer.Argument(None, help='Folder with the left pictures, or with both.'),
    right: Path | None = typer.Argument(None, help='Folder with the right pictures.'),
    out: Path = typer.Option(..., '--out', help='Folder for the results.'),
    recording: Path | None = typer.Option(
        None, '--recording', help='Instead of folders: an MCAP file or rosbag2 folder.'
    ),
    left_topic: str = typer.Option('', '--left-topic', help='Default: found by its name.'),
    right_topic: str = typer.Option('', '--right-topic', help='Default: found by its name.'),
    every_s: float = typer.Option(
        0.5, '--every-s', help='Of a recording: look at a pair so often, s.'
    ),
    max_pairs: int = typer.Option(
        30, '--max-pairs', help='Of a recording: stop after so many pairs that show the board.'
    ),
    checkerboard: str | None = typer.Option(
        None, '--checkerboard', help='Inner corners across x down, such as 9x6.'
    ),
    charuco: str | None = typer.Option(
        None, '--charuco', help='Squares across x down of a ChArUco board, such as 11x8.'
    ),
    square_mm: float = typer.Option(..., '--square-mm', help='Side of a square, mm.'),
    marker_mm: float | None = typer.Option(
        None, '--marker-mm', help='ChArUco: side of a marker, mm.'
    ),
    dictionary: str = typer.Option(
        'DICT_4X4_50', '--dictionary', help='ChArUco: OpenCV name of the dictionary.'
    ),
    legacy_pattern: bool = typer.Option(
        False, '--legacy-pattern', help='ChArUco: printed by OpenCV before 4.6.'
    ),
    distortion: str = typer.Option(
        'plumb_bob',
        '--distortion',
        help='plumb_bob (k1 k2 p1 p2), plumb_bob_k3, or rational_polynomial.',
    ),
    alpha: float = typer.Option(
        -1.0, '--alpha', help='Of the rectification, as OpenCV has it: -1, or 0 to 1.'
    ),
    leave_out_outliers: bool = typer.Option(
        False, '--leave-out-outliers', help='Calibrate without the pictures that stand out.'
    ),
    hold_intrinsics: bool = typer.Option(
        False,
        '--hold-intrinsics',
        help='Keep what each eye says alone: for many pictures of one eye and few pairs.',
    ),
) -> None:
    """Calibrate a stereo endoscope from pictures of a checkerboard or ChArUco board.

    Example: msdesis calibrate pictures/left pictures/right --checkerboard 9x6 --square-mm 3
    --out out/calibration
    """
    board = board_from_options(
        checkerboard, charuco, square_mm, marker_mm, dictionary, legacy_pattern
    )
    _require_numbers(every_s=every_s, max_pairs=max_pairs, alpha=alpha, distortion=distortion)
    _require_pictures(left, right, recording)
    if recording is not None:
        require_own_pictures(out)
    # Wrong use costs nobody the results that are there; everything else replaces them.
    for name in OUTPUT_FILES:
        (out / name).unlink(missing_ok=True)
    if recording is not None:
        topics = (left_topic, right_topic)
        files, found = boards_of_recording(
            recording, board, topics=topics, every_s=every_s, max_pairs=max_pairs, out=out
        )
    else:
        assert left is not None
        files = board_pictures(left, right)
        found = _find(files, board)
    fit = fit_stereo(
        board.corners_mm,
        found.pairs,
        image_size=found.image_size,
        distortion=distortion,
        alpha=alpha,
        leave_out_outliers=leave_out_outliers,
        hold_intrinsics=hold_intrinsics,
    )
    # The gate comes before any file: what it refuses no program here would take.
    rig = StereoRig.from_cameras(*fit.calibration.cameras)
    warnings = (*calibration_warnings(fit), *sanity_warnings(rig.left, rig.right), *rig.warnings)
    _write(fit, rig, found, files, board, warnings, out)
    _print(fit, rig, warnings, out)


def board_from_options(
    checkerboard: str | None,
    charuco: str | None,
    square_mm: float,
    marker_mm: float | None,
    dictionary: str,
    legacy_pattern: bool,
) -> Board:
    """The board that the options describe; UsageError for none, two, or an impossible one."""
    if (checkerboard is None) == (charuco is None):
        raise UsageError('give one of --checkerboard and --charuco: the board in the pictures')
    if checkerboard is not None:
        return Checkerboard(*_across_and_down('--checkerboard', checkerboard), square_mm)
    assert charuco is not None
    if marker_mm is None:
        raise UsageError('--charuco needs --marker-mm, the side of its markers')
    sides = _across_and_down('--charuco', charuco)
    return CharucoBoard(*sides, square_mm, marker_mm, dictionary, legacy_pattern)


def _require_pictures(left: Path | None, right: Path | None, recording: Path | None) -> None:
    if recording is not None and left is not None:
        raise UsageError('give folders with pictures or --recording, not both')
    if recording is None and left is None:
        raise UsageError('give the folders with left and right pictures, or --recording FILE')
    rig_options.require_files(*(p for p in (left, right, recording) if p is not None))


def _require_numbers(*, every_s: float, max_pairs: int, alpha: float, distortion: str) -> None:
    if not 0 <= every_s < math.inf:
        raise UsageError(f'--every-s is {every_s:g}; expected 0 or more seconds')
    if max_pairs < MIN_VIEWS:
        raise UsageError(f'--max-pairs is {max_pairs}; expected {MIN_VIEWS} or more')
    rig_options.require_alpha(alpha)
    if distortion not in DISTORTIONS:
        raise UsageError(
            f'the distortion {distortion!r} is unknown; known are {", ".join(DISTORTIONS)}'
        )


def _across_and_down(option: str, text: str) -> tuple[int, int]:
    found = re.fullmatch(r'([1-9][0-9]{0,2})x([1-9][0-9]{0,2})', text)
    if not found:
        raise UsageError(f'{option} is {text!r}; expected across x down, such as 9x6')
    return int(found[1]), int(found[2])


def _find(files: Sequence[PictureFiles], board: Board) -> FoundBoards:
    """Look for the board with a progress bar, quiet where nobody looks on."""
    with progress_bar() as bar:
        task = bar.add_task('looking for the board', total=len(files))
        return find_boards(
            read_pictures(files), board, on_pair=lambda n: bar.update(task, completed=n)
        )


def _write(
    fit: StereoFit,
    rig: StereoRig,
    found: FoundBoards,
    files: Sequence[PictureFiles],
    board: Board,
    warnings: tuple[str, ...],
    out: Path,
) -> None:
    write_stereo_calibration(out / OPENCV_FILE, fit.calibration)
    write_ros_camera_infos(*(out / name for name in ROS_FILES), fit.calibration.cameras)
    _write_check_picture(fit, rig, found, files, out / CHECK_PICTURE)
    report = calibration_report(fit, board, warnings)
    with atomic_write(out / REPORT) as path:
        path.write_text(json.dumps(report, indent=2, allow_nan=False) + '\n', encoding='utf-8')


def _write_check_picture(
    fit: StereoFit,
    rig: StereoRig,
    found: FoundBoards,
    files: Sequence[PictureFiles],
    path: Path,
) -> None:
    """The pair whose rows fit worst of those that were used: the others look better."""
    worst = max(fit.used, key=lambda picture: picture.epipolar_px)
    pair = next(pair for pair in found.pairs if pair.name == worst.name)
    file = next(file for file in files if file.name == worst.name)
    assert file.left is not None and file.right is not None
    assert pair.left is not None and pair.right is not None
    views = Rectifier(rig).rectify(read_rgb(file.left), read_rgb(file.right))
    corners = (
        rectified_points(pair.left.points_px, rig.left),
        rectified_points(pair.right.points_px, rig.right),
    )
    lines = (
        f'{worst.name}: rows {worst.epipolar_px:.2f} px apart (RMS), '
        f'{worst.epipolar_max_px:.2f} px at most; the worst of {len(fit.used)} pairs',
        'One point of the scene must lie on one line in both views.',
    )
    write_image(path, rectification_picture(*views, corners=corners, title_lines=lines))


def _print(fit: StereoFit, rig: StereoRig, warnings: tuple[str, ...], out: Path) -> None:
    table = Table('picture', 'left px', 'right px', 'rows px', 'corners', 'state')
    for picture in fit.pictures:
        state = picture.state.replace('_', ' ') + (', stands out' if picture.outlier else '')
        figures = (picture.left_px, picture.right_px, picture.epipolar_px)
        shown = ('' if figure != figure else f'{figure:.3f}' for figure in figures)
        table.add_row(picture.name, *shown, str(picture.corners or ''), state)
    Console().print(table)
    for name, eye in (('left', fit.left), ('right', fit.right)):
        typer.echo(
            f'{name}: {len(eye.view_errors_px)} views, focal length '
            f'+- {eye.deviations["fx"]:.2f} px, the board covers {eye.coverage:.0%} of the picture'
        )
    typer.echo(
        f'{rig.summary}; {len(fit.used)} pairs: reprojection {fit.calibration.error_px:.3f} px, '
        f'rows {fit.epipolar_px:.3f} px (RMS); wrote {", ".join(OUTPUT_FILES)} to {out}'
    )
    for sentence in warnings:
        typer.echo(f'warning: {sentence}', err=True)
