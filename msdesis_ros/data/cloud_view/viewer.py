"""Surfaces before the circling camera: one picture after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.left_rig import ViewGeometry
from msdesis_ros.core.surface_mesh import SurfaceMesh
from msdesis_ros.data.closing import Closing
from msdesis_ros.data.cloud_view.orbit import Orbit, fitting_view_angle_deg, robust_centre
from msdesis_ros.data.cloud_view.renderer import CloudRenderer, focal_of_view
from msdesis_ros.data.cloud_view.solids import endoscope, grid, polyline, sight_lines

# Where no calibration tells the distance of the lenses.
USUAL_BASELINE_M = 0.0042
# The pyramid of sight ends at this share of the way to the focus.
SIGHT_SHARE = 0.3
_CAPTION_COLOUR = (170, 178, 190)


@dataclass(frozen=True)
class ViewSettings:
    """What the virtual camera does and shows; lengths in metres, `image_size` (width, height) px.

    focus_m: None = the median point of the first surface. view_angle_deg: of the shorter side of
    the picture; None = what shows the first surface. point_scale: 1 draws a point as wide as the
    pixel it came from. Raises UsageError for values that cannot be.
    """

    image_size: tuple[int, int] = (512, 512)
    fps: float = 30.0
    radius_m: float = 0.1
    distance_m: float = -0.2
    period_s: float = 4.0
    focus_m: tuple[float, float, float] | None = None
    view_angle_deg: float | None = None
    point_scale: float = 1.0
    with_grid: bool = False
    with_endoscope: bool = True

    def __post_init__(self) -> None:
        for name in ('fps', 'period_s', 'point_scale', 'radius_m'):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError(f'{name} of the view is {value:g}; it must be positive')
        if not math.isfinite(self.distance_m):
            raise UsageError(f'distance_m of the view is {self.distance_m:g}; expected a number')
        # What cannot be is found here and not after minutes of computing.
        if self.focus_m is not None:
            Orbit(self.focus_m, self.radius_m, self.distance_m, self.period_s)
        if self.view_angle_deg is not None:
            focal_of_view(self.image_size, self.view_angle_deg)

    @property
    def pictures_a_round(self) -> int:
        """Pictures of one whole circle, 1 or more."""
        return max(1, round(self.period_s * self.fps))


@dataclass(frozen=True, eq=False)
class ViewedCloud:
    """points_m: N x 3 float32. colours: N x 3 uint8 RGB. widths_m: N float32, of the points."""

    points_m: np.ndarray
    colours: np.ndarray
    widths_m: np.ndarray


class SurfaceViewer(Closing):
    """Draws surfaces one after the other, in the left optical frame of the first.

    The first surface decides what the camera looks at, at which angle, and where the grid stands.
    One thread uses it, as a context manager or with `close`. Raises as `CloudRenderer`.
    """

    def __init__(self, settings: ViewSettings) -> None:
        self.settings = settings
        self._renderer = CloudRenderer(settings.image_size)
        self._focal_px = 0.0
        self._caption = ''
        self.orbit: Orbit | None = None

    def close(self) -> None:
        """Free the renderer; calling it again does nothing."""
        self._renderer.close()

    def show(self, surface: SurfaceMesh | ViewedCloud, geometry: ViewGeometry | None) -> None:
        """Replace the surface. `geometry` (of its picture, None = unknown) draws the sight.

        Raises UsageError for a surface without points.
        """
        if self.orbit is None:
            self._set_up(surface.points_m, geometry)
        if isinstance(surface, SurfaceMesh):
            self._renderer.show_mesh(surface)
        else:
            self._renderer.show_points(
                surface.points_m,
                surface.colours,
                surface.widths_m,
                scale=self.settings.point_scale,
            )

    def show_path(self, places_m: np.ndarray) -> None:
        """The way of the left camera, N x 3, as a line; one place alone is no way."""
        if len(places_m) > 1:
            self._renderer.show_lines(polyline(places_m), name='path')

    def hide(self) -> None:
        """Take the surface away, where a frame has none."""
        self._renderer.hide('surface')

    def picture(self, number: int) -> np.ndarray:
        """The `number`-th picture (from 0) of the video: H x W x 3 uint8 RGB."""
        if self.orbit is None:
            raise UsageError('no surface was shown yet')
        pose = self.orbit.world_from_view(number / self.settings.fps)
        drawn = self._renderer.draw(pose, focal_px=self._focal_px)
        if self._caption:
            scale = max(0.35, min(self.settings.image_size) / 1100)
            at = (8, drawn.shape[0] - 10)
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(drawn, self._caption, at, font, scale, _CAPTION_COLOUR, 1, cv2.LINE_AA)
        return drawn

    def _set_up(self, points_m: np.ndarray, geometry: ViewGeometry | None) -> None:
        settings = self.settings
        focus_m = settings.focus_m or robust_centre(points_m)
        orbit = Orbit(focus_m, settings.radius_m, settings.distance_m, settings.period_s)
        angle_deg = settings.view_angle_deg or fitting_view_angle_deg(points_m, orbit)
        self._focal_px = focal_of_view(settings.image_size, angle_deg)
        if settings.with_endoscope:
            baseline_m = getattr(geometry, 'baseline_m', USUAL_BASELINE_M)
            self._renderer.show_solid(endoscope(baseline_m), name='endoscope')
            if geometry is not None:
                reach_m = SIGHT_SHARE * float(np.median(points_m[:, 2]))
                self._renderer.show_lines(sight_lines(geometry, reach_m), name='sight')
        if settings.with_grid:
            lines, spacing_m = grid(points_m)
            self._renderer.show_lines(lines, name='grid')
            self._caption = f'grid {1000 * spacing_m:g} mm'
        self.orbit = orbit


def point_widths(points_m: np.ndarray, *, sampled: int = 64) -> float:
    """How wide the points of an unorganised cloud must be to close it, m: 1.5 times the median
    distance of `sampled` of its N x 3 points to their nearest neighbour; 1 mm below two points.
    """
    if len(points_m) < 2:
        return 1e-3
    nearest = []
    for chosen in np.linspace(0, len(points_m) - 1, min(sampled, len(points_m))).astype(int):
        square = ((points_m - points_m[chosen]) ** 2).sum(axis=1)
        square[chosen] = np.inf
        nearest.append(float(square.min()))
    return 1.5 * math.sqrt(float(np.median(nearest)))
