"""`msdesis convert depth`: disparities <-> depth maps of the original, distorted left view."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from msdesis_ros.cli import rig_options
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.core.original_view import OriginalView
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.conversion.depth_map_files import (
    Converted,
    convert_planes,
    first_plane,
    list_planes,
    plan_outputs,
)
from msdesis_ros.data.conversion.depth_maps import FILLS, FORMATS, TARGETS, Conversion
from msdesis_ros.data.scaled_png import DEFAULT_SCALE
from msdesis_ros.data.value_files import ABOUT_FILE, agreed_scale

MAX_JOBS = 64
_SHOWN_FAILURES = 5


def depth(
    source: Annotated[Path, typer.Argument(help='One plane, or a folder of them.')],
    out: Annotated[Path, typer.Argument(help='Folder for the results.')],
    calibration: Annotated[str, typer.Option('--calibration', help=rig_options.CALIBRATION_HELP)],
    to: str = typer.Option('depth', '--to', help=f'What to make: {" or ".join(TARGETS)}.'),
    unit: rig_options.UnitOption = None,
    scale: float | None = typer.Option(
        None,
        '--scale-factor',
        '--scale_factor',
        help='Stored in a PNG of the source for 1 px or 1 mm; default: what its values.json '
        f'says, else {DEFAULT_SCALE:g}.',
    ),
    out_scale: float = typer.Option(
        DEFAULT_SCALE,
        '--out-scale-factor',
        help='Stored in a PNG of the results for 1 mm or 1 px.',
    ),
    form: str = typer.Option(
        'png', '--format', help=f'Of the results: {" or ".join(FORMATS)} (32-bit floats).'
    ),
    fill: str = typer.Option(
        'none',
        '--fill',
        help=f'Holes of depth maps: {" or ".join(FILLS)}; raster invents them as the published '
        'protocol does.',
    ),
    overwrite: bool = typer.Option(
        False, '--overwrite', '-o', help='Replace results that are there.'
    ),
    jobs: int = typer.Option(2, '--jobs', '-j', min=1, max=MAX_JOBS, help='Threads.'),
) -> None:
    """Turn disparities of the rectified left view into depth maps (mm) of the original one.

    The lens distortion is part of the original view. Unknown pixels stay unknown, 0 in a PNG.

    Example: msdesis convert depth disparity depthmap --calibration stereo_calib.json --to depth
    """
    planes = list_planes(source)
    conversion = Conversion(
        to=to,
        scale=DEFAULT_SCALE if scale is None else scale,
        out_scale=out_scale,
        form=form,
        fill=fill,
    )
    agreed = agreed_scale(
        planes[0].parent, quantity=conversion.source_quantity, scale=scale, option='--scale-factor'
    )
    conversion = replace(conversion, scale=agreed)
    targets = plan_outputs(planes, out, conversion, overwrite=overwrite)
    height, width = first_plane(planes, conversion).shape
    rig = _rig(calibration, (width, height), unit)
    about = {'calibration': calibration, 'calibration_sha256': _sha256(calibration)}
    with progress_bar() as bar:
        task = bar.add_task('planes', total=len(targets))
        done = convert_planes(
            targets,
            OriginalView(rig),
            conversion,
            out,
            jobs=jobs,
            about=about,
            progress=lambda: bar.advance(task),
        )
    _tell(done, conversion, out)


def _rig(calibration: str, image_size: tuple[int, int], unit: str | None) -> StereoRig:
    if unit not in (None, 'mm', 'm'):
        raise UsageError(f'--unit is {unit!r}; choose mm or m')
    rig = StereoRig.from_cameras(*read_calibration(calibration, image_size=image_size, unit=unit))
    for sentence in rig.warnings:
        typer.echo(f'warning: {sentence}', err=True)
    offset_px = rig.cx_offset_px
    if abs(offset_px) > 0.01:
        typer.echo(
            f'warning: the principal points of P1 and P2 are {offset_px:+.2f} px apart; '
            'disparities are taken as left x minus right x of pictures that have them (those of '
            'msdesis infer pair on unrectified pictures have not)',
            err=True,
        )
    return rig


def _sha256(calibration: str) -> str | None:
    path = Path(calibration).expanduser()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _tell(done: Converted, conversion: Conversion, out: Path) -> None:
    if done.too_large:
        name, count = next(iter(done.too_large.items()))
        typer.echo(
            f'warning: values of {len(done.too_large)} files are too large for 16 bits at the '
            f'scale {conversion.out_scale:g} and were stored as the largest ({name}: {count}); '
            'give a smaller --out-scale-factor, or --format tiff',
            err=True,
        )
    if done.failed:
        reasons = list(done.failed.values())
        more = len(reasons) - _SHOWN_FAILURES
        listed = '; '.join(reasons[:_SHOWN_FAILURES]) + (f'; and {more} more' if more > 0 else '')
        raise MsdesisError(
            f'{len(reasons)} of {len(reasons) + done.files} files were not converted: {listed}'
        )
    scale = f' at the scale {conversion.out_scale:g}' if conversion.form == 'png' else ''
    typer.echo(
        f'{done.files} files of {conversion.quantity}{scale} in {out}; {ABOUT_FILE} says how '
        'they were made'
    )
