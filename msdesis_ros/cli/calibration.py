"""`msdesis calibration`: look at stereo calibration files, check them, write them otherwise."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from msdesis_ros.cli import rig_options
from msdesis_ros.cli.calibration_table import table_rows
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.alignment import measure_vertical_offset
from msdesis_ros.core.errors import CalibrationError, UsageError
from msdesis_ros.core.quality import QualityLimits
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.board_pictures import board_pictures
from msdesis_ros.data.calibration_files import Unit, calibration_paths
from msdesis_ros.data.calibration_writer import (
    OPENCV_SUFFIXES,
    ROS_SUFFIXES,
    write_ros_camera_infos,
    write_stereo_calibration,
)
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.data.stored_calibration import (
    OPENCV,
    ROS,
    StoredCalibration,
    read_stored_calibration,
)

calibration_app = typer.Typer(
    no_args_is_help=True, help='Look at stereo calibration files, check and convert them.'
)
FileArgument = Annotated[str, typer.Argument(help=rig_options.CALIBRATION_HELP)]
SizeOption = Annotated[
    str | None,
    typer.Option('--size', help='Of the pictures, where the file does not say: 1280x1024.'),
]


@calibration_app.command('show')
def show(
    file: FileArgument,
    unit: rig_options.UnitOption = None,
    size: SizeOption = None,
) -> None:
    """Show what a calibration says, in words and millimetres, and what is strange about it.

    Example: msdesis calibration show stereo_calib.json
    """
    stored = _read(file, unit, size)
    table = Table('', 'left', 'right')
    for title, *values in table_rows(stored):
        table.add_row(Text(title), *(Text(value) for value in values))
    Console().print(table)
    left, right = stored.cameras
    try:
        rig = StereoRig.from_cameras(left, right)
    except CalibrationError as error:
        typer.echo(f'refused by the calibration gate: {error}')
        return
    for sentence in (*rig.warnings, *stored.warnings):
        typer.echo(f'warning: {sentence}')
    typer.echo(f'{stored.kind}: {rig.summary}; the calibration gate accepts it')


@calibration_app.command('convert')
def convert(
    source: str = typer.Argument(..., metavar='IN', help=rig_options.CALIBRATION_HELP),
    target: str = typer.Argument(
        ..., metavar='OUT', help='FILE.json or FILE.yaml (OpenCV), or LEFT.yaml,RIGHT.yaml (ROS).'
    ),
    unit: rig_options.UnitOption = None,
    size: SizeOption = None,
    alpha: float | None = typer.Option(
        None,
        '--alpha',
        help='Rectify anew for this alpha, as OpenCV has it (-1, or 0 to 1); default: as stored.',
    ),
) -> None:
    """Write a calibration in the other format; OpenCV files in mm, ROS files in m.

    Says what the other format cannot hold.

    Example: msdesis calibration convert stereo_calib.json left.yaml,right.yaml
    """
    targets = _targets(target)
    if alpha is not None:
        rig_options.require_alpha(alpha)
    stored = _read(source, unit, size)
    kind = ROS if len(targets) == 2 else OPENCV
    # Computed anew even for the alpha that the file states: whoever asks may mistrust it.
    anew = None if alpha is None else stored.calibration.rectified_for(stored.image_size, alpha)
    if kind == ROS:
        names = tuple(
            name or side for name, side in zip(stored.names, ('left', 'right'), strict=True)
        )
        write_ros_camera_infos(*targets, (anew or stored).cameras, names=names)
    else:
        write_stereo_calibration(targets[0], anew or stored.calibration)
    for sentence in stored.lost_as(kind):
        typer.echo(f'not in {target}: {sentence}')
    typer.echo(f'wrote {", ".join(map(str, targets))}')


@calibration_app.command('check')
def check(
    file: FileArgument,
    pairs: tuple[Path, Path] | None = typer.Option(
        None,
        '--pairs',
        metavar='LEFT RIGHT',
        help='Raw pictures of the camera, two files or two folders, to measure with.',
    ),
    max_offset_px: float = typer.Option(
        QualityLimits().vertical_offset_px,
        '--max-offset-px',
        help='Largest median difference of the rows of rectified views, px.',
    ),
    unit: rig_options.UnitOption = None,
    size: SizeOption = None,
) -> None:
    """Pass a calibration through the gate that the node has; exit code 1 where it fails.

    With pictures the rows of the rectified views are compared too: texture of any scene serves.

    Example: msdesis calibration check stereo_calib.json --pairs left.png right.png
    """
    if not max_offset_px > 0:
        raise UsageError(f'--max-offset-px is {max_offset_px:g}; expected a positive number')
    files = () if pairs is None else _picture_pairs(*pairs)
    first = read_rgb(files[0][0]) if files else None
    image_size = None if first is None else (first.shape[1], first.shape[0])
    stored = _read(file, unit, size, image_size)
    rig = StereoRig.from_cameras(*stored.cameras)
    for sentence in (*rig.warnings, *stored.warnings):
        typer.echo(f'warning: {sentence}', err=True)
    typer.echo(f'gate: accepted, {rig.summary}')
    if files:
        _measure(rig, files, max_offset_px)


def _picture_pairs(left: Path, right: Path) -> tuple[tuple[Path, Path], ...]:
    """Two pictures; of two folders those that belong together by their names, never by order."""
    if not (left.is_dir() and right.is_dir()):
        return find_pairs(left=left, right=right)
    found = []
    for name, one, other in board_pictures(left, right):
        if one is None or other is None:
            typer.echo(f'warning: {name} has no partner and is left out', err=True)
        else:
            found.append((one, other))
    return tuple(found)


def _measure(rig: StereoRig, files: tuple[tuple[Path, Path], ...], limit_px: float) -> None:
    rectifier = Rectifier(rig)
    medians: list[float] = []
    spreads: list[float] = []
    for left, right in files:
        offset = measure_vertical_offset(*rectifier.rectify(read_rgb(left), read_rgb(right)))
        if offset is None:
            typer.echo(f'{left.name}: not measured, too little texture that both views share')
            continue
        medians.append(offset.median_px)
        spreads.append(offset.p95_abs_px)
        typer.echo(
            f'{left.name}: rows {offset.median_px:+.2f} px apart (median of {offset.matches} '
            f'matches), 95 % within {offset.p95_abs_px:.2f} px'
        )
    if not medians:
        raise CalibrationError(
            f'the rows could not be measured in any of {len(files)} pairs; give pictures with '
            'texture, in focus'
        )
    worst = max(medians, key=abs)
    if abs(worst) > limit_px:
        raise CalibrationError(
            f'the rectified views are {worst:+.2f} px apart vertically, {limit_px:g} px are '
            'allowed: the calibration does not fit these pictures; calibrate again'
        )
    # A wrong rotation leaves the median alone and moves the two sides of the picture apart.
    spread_px, spread_limit_px = statistics.median(spreads), QualityLimits().vertical_spread_px
    if spread_px > spread_limit_px:
        raise CalibrationError(
            f'in the usual pair one match in twenty is {spread_px:.1f} px or more off its row, '
            f'{spread_limit_px:g} px are allowed: the calibration does not fit these pictures, '
            'or their texture repeats itself; try pictures of another scene'
        )
    typer.echo(f'rows: at most {abs(worst):.2f} px apart in {len(medians)} of {len(files)} pairs')


def _read(
    file: str, unit: str | None, size: str | None, image_size: tuple[int, int] | None = None
) -> StoredCalibration:
    if unit not in (None, 'mm', 'm'):
        raise UsageError(f'--unit is {unit!r}; choose mm or m')
    chosen: Unit | None = 'mm' if unit == 'mm' else 'm' if unit == 'm' else None
    if size is not None:
        image_size = parse_size(size)
    return read_stored_calibration(file, image_size=image_size, unit=chosen)


def _targets(text: str) -> list[Path]:
    targets = calibration_paths(text)
    suffixes = OPENCV_SUFFIXES if len(targets) == 1 else ROS_SUFFIXES
    wrong = [path for path in targets if path.suffix.lower() not in suffixes]
    if wrong or (len(targets) == 2 and targets[0] == targets[1]):
        raise UsageError(
            f'{text!r} is no place for a calibration; expected FILE.json or FILE.yaml, or '
            'LEFT.yaml,RIGHT.yaml'
        )
    return targets
