"""Where the virtual camera stands: a circle around the line of sight, looking at one point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError

# The circle begins above the endoscope: there neither shaft nor picture border is in the way.
START_RAD = -math.pi / 2
# Share of the points that the picture shows when the view angle is not given.
SHOWN_SHARE = 0.98
VIEW_ANGLE_RANGE_DEG = (5.0, 100.0)
_MARGIN, _PLACES, _SAMPLED_POINTS = 1.08, 12, 20_000


@dataclass(frozen=True)
class Orbit:
    """A circle of `radius_m` in the plane z = `distance_m`, its centre right before the focus.

    Everything is in the rectified left optical frame, metres: x right, y down, z forward, the
    endoscope at the origin; so a negative distance stands behind the endoscope's tip. The camera
    looks at `focus_m` all the time, at the same distance, and goes round once in `period_s`.

    Raises UsageError for values that are not finite or positive, and for a circle whose plane
    passes so near the focus that the camera would look along its own upward direction.
    """

    focus_m: tuple[float, float, float]
    radius_m: float = 0.1
    distance_m: float = -0.2
    period_s: float = 4.0

    def __post_init__(self) -> None:
        numbers = (*self.focus_m, self.radius_m, self.distance_m, self.period_s)
        if len(self.focus_m) != 3 or not all(math.isfinite(number) for number in numbers):
            raise UsageError(f'an orbit has a number that is not finite: {self}')
        for name, value in (('radius', self.radius_m), ('period', self.period_s)):
            if not value > 0:
                raise UsageError(f'the {name} of the circle is {value:g}; it must be positive')
        if abs(self.focus_m[2] - self.distance_m) < 0.05 * self.radius_m:
            raise UsageError(
                f'the circle lies at {self.distance_m:g} m along the line of sight and the focus '
                f'at {self.focus_m[2]:g} m; choose a distance before or behind the focus'
            )

    @property
    def reach_m(self) -> float:
        """How far the camera is from the focus."""
        return math.hypot(self.radius_m, self.focus_m[2] - self.distance_m)

    def world_from_view(self, time_s: float) -> np.ndarray:
        """4 x 4 float64, rigid: from the camera's optical frame (x right, y down, z forward)."""
        angle = START_RAD + 2 * math.pi * time_s / self.period_s
        x, y, _ = self.focus_m
        place = np.array(
            [
                x + self.radius_m * math.cos(angle),
                y + self.radius_m * math.sin(angle),
                self.distance_m,
            ]
        )
        forward = (np.array(self.focus_m) - place) / self.reach_m
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
        pose[:3, 3] = place
        return pose


def robust_centre(points_m: np.ndarray) -> tuple[float, float, float]:
    """The median of N x 3 points in each coordinate, which a few wild points do not move.

    Raises UsageError where there is no point.
    """
    if not len(points_m):
        raise UsageError('there is no point to look at')
    x, y, z = np.median(points_m, axis=0)
    return float(x), float(y), float(z)


def fitting_view_angle_deg(points_m: np.ndarray, orbit: Orbit) -> float:
    """The view angle of a square picture that shows 98 % of N x 3 points from anywhere on the
    circle, 5 to 100 degrees.
    """
    # A sample of the points tells as much in a fraction of the time.
    sample = np.asarray(points_m[:: max(1, len(points_m) // _SAMPLED_POINTS)], np.float64)
    tangents = []
    for place in range(_PLACES):
        pose = orbit.world_from_view(orbit.period_s * place / _PLACES)
        in_view = (sample - pose[:3, 3]) @ pose[:3, :3]
        ahead = in_view[in_view[:, 2] > 0]
        off_axis = np.abs(ahead[:, :2]).max(axis=1) / ahead[:, 2]
        tangents.append(float(np.quantile(off_axis, SHOWN_SHARE)) if len(ahead) else 0.0)
    low, high = VIEW_ANGLE_RANGE_DEG
    return float(np.clip(2 * math.degrees(math.atan(_MARGIN * max(tangents))), low, high))
