"""`msdesis reconstruct`: clouds and meshes of pairs or sequences, and a view that circles them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from msdesis_ros.cli import model_options, reconstruct_view, rig_options
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.cli.reconstruct_sources import Given, open_source
from msdesis_ros.cli.reconstruct_view import OpenView, ViewChoice, open_view
from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.core.surface_mesh import EdgeLimits
from msdesis_ros.data.cloud_view.viewer import ViewSettings, point_widths
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.ply import read_ply
from msdesis_ros.data.pose_files import read_poses
from msdesis_ros.offline.reconstruction import (
    FORMATS,
    MAX_UNCERTAINTY,
    STILL,
    VOXEL_M,
    Account,
    SurfaceSettings,
    reconstruct_each,
    show_one,
    viewed,
    write_surface,
)
from msdesis_ros.offline.world_cloud import reconstruct_world

REPORT = 'reconstruction.json'
_FIXED_FILES = (
    *(f'{name}.{suffix}' for name in ('surface', 'world') for suffix in FORMATS),
    STILL,
    reconstruct_view.VIDEO,
    REPORT,
)
_EDGES, _VIEW = EdgeLimits(), ViewSettings()


@with_option_groups
def reconstruct(
    first: Path = typer.Argument(
        ..., metavar='INPUT', help='Left picture; a folder; a list (.csv); or a cloud (.ply).'
    ),
    second: Path | None = typer.Argument(
        None, metavar='RIGHT', help='Right picture, or the folder of the right pictures.'
    ),
    out: Path = typer.Option(..., '--out', '-o', help='Folder for the results.'),
    mesh: bool = typer.Option(False, '--mesh', help='Triangles in place of points.'),
    file_format: str = typer.Option('ply', '--format', help='ply, or pcd for clouds.'),
    stride: int = typer.Option(1, '--stride', help='Use every n-th row and column.'),
    max_uncertainty: float = typer.Option(
        MAX_UNCERTAINTY,
        '--max-uncertainty',
        help='Leave out depths whose 1 sigma is more than this share of them.',
    ),
    max_slant: float = typer.Option(
        _EDGES.max_slant_deg, '--max-slant', help='Of a mesh: steeper surfaces are torn, degrees.'
    ),
    noise_px: float = typer.Option(
        _EDGES.noise_px, '--noise-px', help='Of a mesh: what disparities of neighbours waver by.'
    ),
    without_tool: bool = typer.Option(False, '--without-tool', help='Leave instruments out.'),
    mask: Path | None = typer.Option(
        None, '--mask', help='Instrument mask, or a folder of them: 0 = none, else instrument.'
    ),
    picture: Path | None = typer.Option(
        None, '--picture', help='Left picture of a folder that holds a depth only.'
    ),
    poses: Path | None = typer.Option(
        None, '--poses', help='poses.json: put all frames into one cloud of the world.'
    ),
    voxel_mm: float = typer.Option(
        1000 * VOXEL_M, '--voxel-mm', help='With --poses: edge of the cubes that become a point.'
    ),
    rigs: rig_options.RectifyChoice = rig_options.UNKNOWN,
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
    video: reconstruct_view.VideoOption = False,
    still: reconstruct_view.StillOption = False,
    radius: reconstruct_view.RadiusOption = _VIEW.radius_m,
    distance: reconstruct_view.DistanceOption = _VIEW.distance_m,
    focus: reconstruct_view.FocusOption = None,
    period: reconstruct_view.PeriodOption = _VIEW.period_s,
    resolution: reconstruct_view.ResolutionOption = '512x512',
    fps: reconstruct_view.FpsOption = _VIEW.fps,
    view_angle: reconstruct_view.AngleOption = None,
    grid: reconstruct_view.GridOption = False,
    psf: reconstruct_view.PointSizeOption = _VIEW.point_scale,
    endoscope: reconstruct_view.EndoscopeOption = True,
    codec: reconstruct_view.CodecOption = reconstruct_view.DEFAULT_CODEC,
) -> None:
    """Point clouds or meshes of stereo pairs, instruments in cyan, and a video around them.

    INPUT RIGHT are two pictures or two folders. INPUT alone is a folder of pairs, a result of
    `msdesis infer pair`, a folder of frames with depth.tiff, a list, or a cloud to look at.

    Example: msdesis reconstruct left.png right.png --calibration stereo.json --mesh --video
    --out out/surface
    """
    given = Given(first=first, second=second, picture=picture, mask=mask)
    settings = SurfaceSettings(
        mesh=mesh,
        file_format=file_format,
        stride=stride,
        max_uncertainty=max_uncertainty,
        without_tool=without_tool,
        limits=EdgeLimits(max_slant_deg=max_slant, noise_px=noise_px),
        voxel_m=voxel_mm / 1000,
    )
    view = ViewChoice(
        ViewSettings(
            image_size=reconstruct_view.parse_resolution(resolution),
            fps=fps,
            radius_m=radius,
            distance_m=distance,
            period_s=period,
            focus_m=focus,
            view_angle_deg=view_angle,
            point_scale=psf,
            with_grid=grid,
            with_endoscope=endoscope,
        ),
        video,
        still,
        codec,
    )
    _require_other_place(given, out)
    if given.is_cloud:
        _require_plain_cloud(given, settings, poses)
    known_poses = read_poses(poses) if poses is not None else None
    with progress_bar() as bar, open_view(view, out, bar) as opened:
        if given.is_cloud:
            _remove_earlier(out)
            account = _view_cloud(given, out, settings, opened)
        else:
            task = bar.add_task('frames', total=None)

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            with open_source(given, rigs, choice) as source:
                _remove_earlier(out)
                how = {'viewer': opened.viewer, 'show': opened.show, 'progress': progress}
                if known_poses is None:
                    account = reconstruct_each(source, out, settings, **how)
                else:
                    account = reconstruct_world(source, known_poses, out, settings, **how)
    if video and account.files:
        account.files.append(reconstruct_view.VIDEO)
    orbit = None if opened.viewer is None else opened.viewer.orbit
    _tell(account, {'settings': asdict(settings), 'view': orbit and asdict(orbit)}, out)


def _view_cloud(given: Given, out: Path, settings: SurfaceSettings, opened: OpenView) -> Account:
    """A cloud as it is: looked at, and written in the format asked for."""
    cloud, account = read_ply(given.first), Account()
    if not len(cloud.points_m):
        raise MsdesisError(f'{given.first} holds no point')
    name = f'surface.{settings.file_format}'
    write_surface(out / name, cloud)
    account.files.append(name)
    account.frames.append({'name': given.first.stem, 'points': len(cloud.points_m), 'file': name})
    if opened.viewer is not None:
        opened.viewer.show(viewed(cloud, width_m=point_widths(cloud.points_m)), None)
        show_one(opened.viewer, out, account, opened.show)
    return account


def _require_plain_cloud(given: Given, settings: SurfaceSettings, poses: Path | None) -> None:
    """Raise UsageError for what a cloud cannot be made into, rather than leave it undone."""
    if settings.mesh:
        raise UsageError(f'{given.first} is a cloud; a mesh is made from pictures or a depth')
    others = {
        'RIGHT': given.second,
        '--picture': given.picture,
        '--mask': given.mask,
        '--poses': poses,
        '--without-tool': settings.without_tool or None,
    }
    unused = [name for name, value in others.items() if value is not None]
    if unused:
        raise UsageError(
            f'{given.first} is a cloud, which is looked at as it is; leave {unused[0]} out, or '
            'give pictures or a depth'
        )


def _require_other_place(given: Given, out: Path) -> None:
    """Raise UsageError where an input is one of the files that a run replaces."""
    names = [*_listed_files(out / REPORT), *_FIXED_FILES]
    replaced = {(out / name).resolve() for name in names}
    for path in (given.first, given.second, given.picture, given.mask):
        if path is not None and path.resolve() in replaced:
            raise UsageError(f'{path} would be replaced by the results; choose another --out')


def _remove_earlier(out: Path) -> None:
    """Remove what a run before left in `out`, so that it never holds the results of two."""
    for name in [*_listed_files(out / REPORT), *_FIXED_FILES]:
        (out / name).unlink(missing_ok=True)


def _listed_files(report: Path) -> list[str]:
    """The surfaces that a report names; nothing else, whatever stands in it."""
    try:
        files = json.loads(report.read_text(encoding='utf-8'))['files']
        named = [Path(name) for name in files]
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return []
    return [
        str(path)
        for path in named
        if len(path.parts) == 2 and path.parts[0] == 'surfaces' and path.suffix[1:] in FORMATS
    ]


def _tell(account: Account, how: dict[str, Any], out: Path) -> None:
    """Write the report and say what was made; MsdesisError where a frame failed."""
    report: dict[str, Any] = {
        **how,
        'frames': account.frames,
        'failed': account.failed,
        'warnings': account.warnings,
        'files': account.files,
    }
    with atomic_write(out / REPORT) as path:
        path.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    for sentence in account.warnings:
        typer.echo(f'warning: {sentence}', err=True)
    points = sum(frame['points'] for frame in account.frames)
    if account.frames:
        shown = account.files if len(account.files) <= 4 else [*account.files[:2], '...']
        typer.echo(
            f'{len(account.frames)} surface{"s" if len(account.frames) > 1 else ""}, {points} '
            f'points; wrote {", ".join(shown)}, {REPORT} to {out}'
        )
    if account.failed:
        for name, reason in account.failed.items():
            typer.echo(f'{name}: {reason}', err=True)
        total = len(account.failed) + len(account.frames)
        raise MsdesisError(f'{len(account.failed)} of {total} frames gave no surface')
