"""The shapes of a first procedural surgical scene, hit exactly by any ray.

World frame: the raw left camera's optical frame (x right, y down, z forward), millimetres.
The tissue is the analytic height field z = h(x, y, t), too flat for a ray of an endoscope's field
of view to meet it twice; the instruments are capsules. So the depth along any ray is known to
1e-6 mm, without a mesh. `scene_picture.py` makes pictures of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import MsdesisError

MISS, TISSUE = -1, 0  # surface ids; 1 and above are the parts of the instruments, in order
NEAREST_MM, FARTHEST_MM = 20.0, 300.0
# Newton's method squares the error: a step that starts within 1e-3 mm ends within 1e-6 mm.
LAST_STEP_MM = 1e-3
STEEPEST_VIEW = 0.15


class Tissue:
    """The height field h(x, y, t): a tilted plane, waves of several scales, and folds."""

    def __init__(self, rng: np.random.Generator) -> None:
        headings = rng.uniform(0, 2 * np.pi, 4)
        wavenumbers = 2 * np.pi / np.array([62.0, 41.0, 23.0, 14.0])
        self._waves = list(  # wave vector (rad/mm), amplitude (mm), phase, speed (rad/s)
            zip(
                (wavenumbers * np.cos(headings)).tolist(),
                (wavenumbers * np.sin(headings)).tolist(),
                (4.5, 2.4, 0.7, 0.25),
                rng.uniform(0, 2 * np.pi, 4).tolist(),
                (rng.uniform(0.5, 1.2, 4) * rng.choice([-1, 1], 4)).tolist(),
            )
        )
        turn = rng.uniform(-0.6, 0.6)
        self._fold = (math.pi / 27 * math.sin(turn), math.pi / 27 * math.cos(turn))
        self._bend = (math.pi / 29 * math.cos(turn), -math.pi / 29 * math.sin(turn))
        self._fold_phases = rng.uniform(0, 2 * np.pi, 2).tolist()
        self._tilt = (rng.uniform(-0.1, 0.1), rng.uniform(-0.42, -0.34))
        self._relief = 1.0
        while self._steepest_view() < STEEPEST_VIEW:
            self._relief *= 0.9

    def _steepest_view(self) -> float:
        """How fast, at the least, a ray of the endoscope gains on the surface; 0 = it grazes it."""
        x, y = (1.0 * c for c in np.meshgrid(np.arange(-99, 100, 1.5), np.arange(-80, 81, 1.5)))
        gains = []
        for time_s in range(8):
            h, hx, hy, _ = self.heights(x, y, time_s)
            seen = (np.abs(x) < 0.8 * h) & (np.abs(y) < 0.65 * h)
            gains.append((1 - (hx * x + hy * y) / h)[seen].min())
        return float(min(gains))

    @staticmethod
    def drift_mm(time_s: float) -> tuple[float, float]:
        """How far the tissue has slid sideways (breathing)."""
        return 1.6 * math.sin(1.1 * time_s), 1.1 * math.sin(0.8 * time_s + 0.5)

    def heights(self, x: np.ndarray, y: np.ndarray, time_s: float) -> tuple[np.ndarray, ...]:
        """h and its slopes dh/dx, dh/dy at (x, y), and how far out of a fold (about 0.2 to 1).

        In the floating-point type of x and y.
        """
        drift = self.drift_mm(time_s)
        u, v = x - drift[0], y - drift[1]
        h, hx, hy = np.zeros_like(u), np.zeros_like(u), np.zeros_like(u)
        for kx, ky, amplitude_mm, phase, speed in self._waves:
            angle = kx * u + ky * v + (phase + speed * time_s)
            h += amplitude_mm * np.sin(angle)
            slope = amplitude_mm * np.cos(angle)
            hx += kx * slope
            hy += ky * slope
        # Folds are tubes side by side: |sin|, rounded so that the crease keeps a derivative.
        bend = self._bend[0] * u + self._bend[1] * v + self._fold_phases[0]
        angle = self._fold[0] * u + self._fold[1] * v + 0.7 * np.sin(bend) + self._fold_phases[1]
        across, bend = np.sin(angle), 0.7 * np.cos(bend)
        rounded = np.sqrt(across * across + 0.03)
        h -= 4.5 * rounded
        slope = -4.5 * across * np.cos(angle) / rounded
        hx += slope * (self._fold[0] + self._bend[0] * bend)
        hy += slope * (self._fold[1] + self._bend[1] * bend)
        h = 78.0 + self._tilt[0] * u + self._tilt[1] * v + self._relief * h
        return h, self._tilt[0] + self._relief * hx, self._tilt[1] + self._relief * hy, rounded

    def intersect(
        self,
        origin: np.ndarray,
        directions: np.ndarray,
        time_s: float,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Where rays (N x 3) from one origin meet the tissue, in multiples of the direction.

        `start` (N) is a guess, for speed; without it the root is bracketed first. Exact to 1e-6
        mm. NaN where the ray does not go forward.
        """
        dz = directions[:, 2]
        if start is None:
            with np.errstate(divide='ignore'):
                low, high = NEAREST_MM / dz, FARTHEST_MM / dz
            for _ in range(12):
                start = (low + high) / 2
                above = self._gap(origin, directions, start, time_s)[0] < 0
                low, high = np.where(above, start, low), np.where(above, high, start)
        # One step in single precision takes a tenth of the time and is exact to 1e-5 mm.
        single = origin.astype(np.float32), directions.astype(np.float32)
        gap, slope = self._gap(*single, start.astype(np.float32), time_s)
        distance, pending = start - gap / slope, np.flatnonzero(dz > 0)
        for _ in range(20):
            rays = directions[pending] if len(pending) < len(directions) else directions
            gap, slope = self._gap(origin, rays, distance[pending], time_s)
            distance[pending] -= gap / slope
            pending = pending[np.abs(gap) > LAST_STEP_MM]
            if not len(pending):
                return np.where(dz > 0, distance, np.nan)
        raise MsdesisError(f'{len(pending)} rays did not converge on the tissue; use another seed')

    def _gap(
        self, origin: np.ndarray, directions: np.ndarray, distance: np.ndarray, time_s: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far behind the surface the ray is (mm, along z), and the gap's derivative."""
        dx, dy, dz = directions.T
        h, hx, hy, _ = self.heights(origin[0] + distance * dx, origin[1] + distance * dy, time_s)
        return origin[2] + distance * dz - h, dz - hx * dx - hy * dy


@dataclass(frozen=True)
class Capsule:
    """A part of an instrument: all points within `radius_mm` of the segment from a to b (mm)."""

    a: np.ndarray
    b: np.ndarray
    radius_mm: float
    colour: tuple[float, float, float]  # linear RGB
    gloss: float

    def intersect(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Where rays (N x 3) from one origin enter, in multiples of the direction; inf = nowhere."""
        axis, from_a, radius2 = self.b - self.a, origin - self.a, self.radius_mm**2
        axis2, start = axis @ axis, axis @ from_a
        along, toward = directions @ axis, directions @ from_a
        length2 = np.einsum('ij,ij->i', directions, directions)
        with np.errstate(invalid='ignore', divide='ignore'):
            # The cylinder is a quadratic in the ray's parameter, and so is each end's sphere.
            square = axis2 * length2 - along**2
            half = axis2 * toward - start * along
            root = half**2 - square * (axis2 * (from_a @ from_a - radius2) - start**2)
            body = (-half - np.sqrt(root)) / square
            station = start + body * along
            hit = np.where((station >= 0) & (station <= axis2), body, np.inf)
            for end, outward in ((self.a, -axis), (self.b, axis)):
                half = directions @ (origin - end)
                root = half**2 - length2 * ((origin - end) @ (origin - end) - radius2)
                cap = (-half - np.sqrt(root)) / length2
                beyond = cap * (directions @ outward) + (origin - end) @ outward > 0
                hit = np.fmin(hit, np.where(beyond, cap, np.inf))
        return np.where(hit > 0, hit, np.inf)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Outward unit normals at points of the surface (N x 3)."""
        axis = self.b - self.a
        station = np.clip((points - self.a) @ axis / (axis @ axis), 0, 1)
        return (points - self.a - station[:, None] * axis) / self.radius_mm


@dataclass(frozen=True)
class Instrument:
    """Parts in a row; the first one, the shaft, gives the axis."""

    parts: tuple[Capsule, ...]

    def near(self, origin: np.ndarray, directions: np.ndarray, length2: np.ndarray) -> np.ndarray:
        """Which rays pass the axis, endlessly prolonged, as near as any part: a cheap sieve.

        Rays are 3 x N in single precision, hence a margin; `length2` is their squared length.
        """
        shaft = self.parts[0]
        axis = (shaft.b - shaft.a) / np.linalg.norm(shaft.b - shaft.a)
        reach_mm = max(
            np.linalg.norm(np.cross(end - shaft.a, axis)) + part.radius_mm
            for part in self.parts
            for end in (part.a, part.b)
        )
        moment = np.cross(axis, origin - shaft.a).astype(np.float32) @ directions
        along = axis.astype(np.float32) @ directions
        reach2 = np.float32((1.01 * reach_mm) ** 2)
        return moment * moment <= reach2 * (length2 - along * along)


@dataclass(frozen=True)
class Moment:
    """The scene frozen at one time."""

    time_s: float
    tissue: Tissue
    instruments: tuple[Instrument, ...]

    @property
    def parts(self) -> tuple[Capsule, ...]:
        """Of all instruments; a part's surface id is its place here, from 1."""
        return tuple(part for instrument in self.instruments for part in instrument.parts)

    def trace(
        self, origin: np.ndarray, directions: np.ndarray, start: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Follow rays from one origin to the first surface.

        Args:
            origin: 3, mm, in front of the scene (z < 20).
            directions: ... x 3 float64, any length, dz > 0 to hit anything of the tissue.
            start: ... float64, guesses of the distance to the tissue, for speed alone.

        Returns:
            The distance in multiples of each direction's length (so the depth, for a direction
            whose z is 1), float64, NaN where nothing is hit, exact to 1e-6 mm; and the surface
            id, int8: MISS -1, TISSUE 0, parts of instruments 1 and above.
        """
        rays = directions.reshape(-1, 3)
        distance = self.tissue.intersect(
            origin, rays, self.time_s, None if start is None else start.ravel()
        )
        surface = np.where(np.isnan(distance), MISS, TISSUE).astype(np.int8)
        single = np.ascontiguousarray(rays.T, np.float32)
        length2 = (single * single).sum(axis=0)
        number = TISSUE
        for instrument in self.instruments:
            candidates = np.flatnonzero(instrument.near(origin, single, length2))
            near_rays = rays[candidates]
            for part in instrument.parts:
                number += 1
                hit = part.intersect(origin, near_rays)
                nearer = hit < np.nan_to_num(distance[candidates], nan=np.inf)
                distance[candidates[nearer]] = hit[nearer]
                surface[candidates[nearer]] = number
        return distance.reshape(directions.shape[:-1]), surface.reshape(directions.shape[:-1])


class Scene:
    """One procedural scene; the seed decides its shapes and movements."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self._tissue = Tissue(rng)
        self._phases = rng.uniform(0, 2 * np.pi, (2, 4))

    def at(self, time_s: float) -> Moment:
        """The scene at a time; it moves smoothly and slowly."""
        left = self._instrument(0, entry=(-74.0, 34.0, 4.0), rest=(-9.0, 9.0), time_s=time_s)
        right = self._instrument(1, entry=(80.0, 26.0, 8.0), rest=(16.0, -4.0), time_s=time_s)
        return Moment(time_s, self._tissue, (left, right))

    def _instrument(
        self,
        index: int,
        *,
        entry: tuple[float, float, float],
        rest: tuple[float, float],
        time_s: float,
    ) -> Instrument:
        """Shaft, wrist and two jaws, their tip hovering a few millimetres above the tissue."""
        phase = self._phases[index]
        x = rest[0] + 5.0 * math.sin(0.9 * time_s + phase[0])
        y = rest[1] + 4.0 * math.sin(0.7 * time_s + phase[1])
        ground_mm = float(self._tissue.heights(np.array([x]), np.array([y]), time_s)[0][0])
        tip = np.array([x, y, ground_mm - 5.0 - 2.0 * math.sin(0.8 * time_s + phase[2])])
        axis = tip - np.array(entry)
        axis /= np.linalg.norm(axis)
        spread = np.cross(axis, [math.sin(phase[3]), math.cos(phase[3]), 0.3])
        spread *= (2.2 + 1.3 * math.sin(1.3 * time_s + phase[3])) / np.linalg.norm(spread)
        hinge, collar = tip - 9.0 * axis, tip - 17.0 * axis
        dark, metal = (0.05, 0.052, 0.06), (0.24, 0.25, 0.27)
        return Instrument(
            (
                Capsule(tip - 170.0 * axis, collar, 3.6, dark, 0.5),
                Capsule(collar, hinge, 2.5, metal, 1.5),
                Capsule(hinge, tip + spread, 1.1, metal, 1.5),
                Capsule(hinge, tip - spread, 1.1, metal, 1.5),
            )
        )


def rectified_truth(
    moment: Moment,
    *,
    image_size: tuple[int, int],
    focal_px: float,
    focal_y_px: float,
    cx_px: float,
    cy_px: float,
    rotation: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The exact depth and instrument mask of the rectified left view.

    Args:
        moment: the scene.
        image_size: (width, height) of the rectified view, px; focal lengths and principal point
            are its pinhole geometry.
        rotation: 3 x 3, from the raw to the rectified left camera (`R` of the left CameraInfo).

    Returns:
        Depth Z in the rectified frame, H x W float64, mm, NaN where a ray hits nothing; and the
        instrument mask, H x W bool.
    """
    width, height = image_size
    x, y = np.meshgrid((np.arange(width) - cx_px) / focal_px, np.arange(height, dtype=np.float64))
    rays = np.stack([x, (y - cy_px) / focal_y_px, np.ones_like(x)], axis=-1)
    depth_mm, surface = moment.trace(np.zeros(3), rays @ rotation)
    return depth_mm, surface > TISSUE
