"""From frames to files: a cloud or mesh of each, and the circling video."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.core.surface_frame import SurfaceFrame
from msdesis_ros.core.surface_mesh import EdgeLimits, SurfaceMesh, surface_mesh
from msdesis_ros.core.voxel_cloud import VoxelCloud
from msdesis_ros.data.cloud_view.viewer import SurfaceViewer, ViewedCloud
from msdesis_ros.data.images import write_image
from msdesis_ros.data.pcd import write_pcd
from msdesis_ros.data.ply import PlyCloud, write_ply
from msdesis_ros.data.ply_mesh import write_mesh_ply
from msdesis_ros.offline.surface_sources import SurfaceSource

FORMATS = ('ply', 'pcd')
# Where a 1 sigma of the depth above this share of it says nothing about the surface: on pictures
# with truth these are the smears between a near and a far side of a depth edge.
MAX_UNCERTAINTY = 0.15
VOXEL_M, MAX_VOXELS = 0.0005, 5_000_000
STILL = 'view.png'
Surface = SurfaceMesh | PlyCloud
Progress = Callable[[int, int], None]
ShowPicture = Callable[[np.ndarray], None]


@dataclass(frozen=True)
class SurfaceSettings:
    """What is made of a frame.

    mesh: triangles in place of points. file_format: one of FORMATS. stride: every n-th row and
    column. max_uncertainty: a depth whose 1 sigma is more than this share of it is left out.
    without_tool: instruments are left out.
    voxel_m, max_voxels: of the cloud of all frames. Raises UsageError for values that cannot be.
    """

    mesh: bool = False
    file_format: str = 'ply'
    stride: int = 1
    max_uncertainty: float = MAX_UNCERTAINTY
    without_tool: bool = False
    limits: EdgeLimits = field(default_factory=EdgeLimits)
    voxel_m: float = VOXEL_M
    max_voxels: int = MAX_VOXELS

    def __post_init__(self) -> None:
        if self.file_format not in FORMATS:
            raise UsageError(f"'{self.file_format}' is no format; choose {' or '.join(FORMATS)}")
        if self.mesh and self.file_format == 'pcd':
            raise UsageError('a PCD file holds points only; write a mesh as ply')
        if self.stride < 1:
            raise UsageError(f'the stride is {self.stride}; it must be 1 or more')
        if not 0 < self.max_uncertainty < math.inf:
            raise UsageError(
                f'the largest uncertainty is {self.max_uncertainty:g}; expected a share of the '
                'depth above 0'
            )
        VoxelCloud(self.voxel_m, max_voxels=self.max_voxels)


@dataclass
class Account:
    """What became of each frame, for the report."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def warn(self, sentence: str) -> None:
        """Note a sentence for the operator, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)


class Video:
    """Spreads the pictures of a video over the frames of a sequence.

    The video has a whole circle at least, and a picture of every frame at least. Where a frame has
    no surface its pictures show none: an old one under a new number would be wrong.
    """

    def __init__(self, viewer: SurfaceViewer, frames: int, show: ShowPicture) -> None:
        self._viewer, self._frames, self._show = viewer, frames, show
        self.total = max(frames, viewer.settings.pictures_a_round)
        self.shown = 0

    def pictures_of(self, number: int) -> range:
        """The pictures during which frame `number` is seen."""
        return range(
            number * self.total // self._frames, (number + 1) * self.total // self._frames
        )

    def show_frame(self, number: int) -> None:
        """Draw the pictures of one frame; nothing before there was any surface."""
        if self._viewer.orbit is None:
            return
        for picture in self.pictures_of(number):
            self._show(self._viewer.picture(picture))
            self.shown += 1


@dataclass(frozen=True, eq=False)
class MadeSurface:
    """A surface, the frame it was made from, and figures about it for the report."""

    surface: Surface
    frame: SurfaceFrame
    about: dict[str, Any]


def surface_of(frame: SurfaceFrame, settings: SurfaceSettings) -> MadeSurface:
    """Turn a frame into points or triangles; MsdesisError where no pixel is left."""
    uncertain = frame.uncertain(settings.max_uncertainty)
    left_out = uncertain | (frame.labels > 0) if settings.without_tool else uncertain
    organised = frame.organised(stride=settings.stride, left_out=left_out)
    surface: Surface
    if settings.mesh:
        surface = surface_mesh(
            organised.points_m,
            organised.colours,
            organised.labels,
            geometry=frame.geometry,
            stride=settings.stride,
            uncertainty_px=organised.uncertainty_px,
            limits=settings.limits,
        )
    else:
        known = organised.known
        surface = PlyCloud(
            organised.points_m[known], organised.colours[known], organised.labels[known]
        )
    if not len(surface.points_m):
        raise MsdesisError(
            f'{frame.name} has no surface: no pixel has a depth that is sure enough'
        )
    known_depth = np.isfinite(frame.depth_m)
    about = {
        'name': frame.name,
        'model': None if frame.model is None else asdict(frame.model),
        'points': len(surface.points_m),
        'tool_points': int(np.count_nonzero(surface.labels)),
        'uncertain_share': float((uncertain & known_depth).sum() / max(1, known_depth.sum())),
    }
    if isinstance(surface, SurfaceMesh):
        about['faces'] = len(surface.faces)
    return MadeSurface(surface, frame, about)


def write_surface(path: Path, surface: Surface) -> None:
    """Write a cloud as PLY or PCD, by the suffix, or a mesh as PLY."""
    if isinstance(surface, SurfaceMesh):
        write_mesh_ply(path, surface)
    else:
        write = write_pcd if path.suffix == '.pcd' else write_ply
        write(path, surface.points_m, surface.colours, surface.labels)


def viewed(
    surface: Surface, *, width_m: float | None = None, pixel_angle: float = 0.0
) -> SurfaceMesh | ViewedCloud:
    """What is drawn: points as wide as `width_m`, or as `pixel_angle` times their depth."""
    if isinstance(surface, SurfaceMesh):
        return surface
    widths = surface.points_m[:, 2] * np.float32(pixel_angle)
    if width_m is not None:
        widths = np.full(len(surface.points_m), width_m, np.float32)
    return ViewedCloud(surface.points_m, surface.colours, widths)


def reconstruct_each(
    source: SurfaceSource,
    out: Path,
    settings: SurfaceSettings,
    *,
    viewer: SurfaceViewer | None = None,
    show: ShowPicture | None = None,
    progress: Progress = lambda done, total: None,
) -> Account:
    """Write a surface of every frame: `surface.*` of one, `surfaces/NAME.*` of several.

    A frame that fails is named in the account and the next one goes on; what cannot be written
    ends it. Memory does not grow with the number of frames. `show` is given the video's pictures.
    Raises UsageError at once: wrong use is wrong for every frame.
    """
    account, count = Account(), len(source.names)
    video = Video(viewer, count, show) if viewer is not None and show is not None else None
    for number, made in made_surfaces(source, settings, account):
        if made is not None:
            name = f'surface.{settings.file_format}'
            if count > 1:
                name = f'surfaces/{made.frame.name}.{settings.file_format}'
            write_surface(out / name, made.surface)
            account.files.append(name)
            made.about['file'] = name
            if viewer is not None:
                geometry = made.frame.geometry
                angle = settings.stride / geometry.focal_px
                viewer.show(viewed(made.surface, pixel_angle=angle), geometry)
                _write_still(viewer, out, account)
        elif viewer is not None:
            viewer.hide()
        if video is not None:
            video.show_frame(number)
        progress(number + 1, count)
    return account


def show_one(viewer: SurfaceViewer, out: Path, account: Account, show: ShowPicture | None) -> None:
    """Write the still picture of what the viewer shows, and give `show` one circle around it."""
    _write_still(viewer, out, account)
    if show is not None:
        Video(viewer, 1, show).show_frame(0)


def made_surfaces(
    source: SurfaceSource, settings: SurfaceSettings, account: Account
) -> Iterator[tuple[int, MadeSurface | None]]:
    """Number and surface, one after the other; None where a frame failed."""
    for number, name in enumerate(source.names):
        try:
            made = surface_of(source.frame(number), settings)
        except UsageError:
            raise
        except MsdesisError as error:
            account.failed[name] = str(error)
            yield number, None
            continue
        account.frames.append(made.about)
        for sentence in made.frame.warnings:
            account.warn(sentence if len(source.names) == 1 else f'{name}: {sentence}')
        yield number, made


def _write_still(viewer: SurfaceViewer, out: Path, account: Account) -> None:
    if STILL not in account.files:
        write_image(out / STILL, viewer.picture(0))
        account.files.append(STILL)
