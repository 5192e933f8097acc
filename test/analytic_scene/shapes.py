"""The shapes of the procedural scene, each met exactly by any ray: tissue and instruments.

Millimetres throughout. The tissue is an analytic height field z = h(x, y, t), too flat for a ray
of an endoscope's field of view to meet it twice; the instruments are made of capsules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import MsdesisError

NEAREST_MM, FARTHEST_MM = 20.0, 300.0
# Newton's method squares the error: a step that starts within 1e-3 mm ends within 1e-6 mm.
LAST_STEP_MM = 1e-3
# A ray gains at least this part of its way along z on the surface, wherever it is looked at.
STEEPEST_VIEW = 0.15


class Tissue:
    """The height field h(x, y, t): a tilted plane, waves of several scales, and folds."""

    def __init__(self, rng: np.random.Generator) -> None:
        headings = rng.uniform(0, 2 * np.pi, 4)
        wavenumbers = 2 * np.pi / np.array([62.0, 41.0, 23.0, 14.0])
        self._waves = np.stack(  # wave vector (rad/mm), amplitude (mm), phase, speed (rad/s)
            [
                wavenumbers * np.cos(headings),
                wavenumbers * np.sin(headings),
                np.array([4.5, 2.4, 0.7, 0.25]),
                rng.uniform(0, 2 * np.pi, 4),
                rng.uniform(0.5, 1.2, 4) * rng.choice([-1, 1], 4),
            ],
            axis=1,
        ).tolist()
        turn = rng.uniform(-0.6, 0.6)
        self._fold = (math.pi / 27 * math.sin(turn), math.pi / 27 * math.cos(turn))
        self._bend = (math.pi / 29 * math.cos(turn), -math.pi / 29 * math.sin(turn))
        self._fold_phases = rng.uniform(0, 2 * np.pi, 2).tolist()
        self._tilt = (rng.uniform(-0.1, 0.1), rng.uniform(-0.42, -0.34))
        self._relief = 1.0
        while self._steepest_view() < STEEPEST_VIEW:
            self._relief *= 0.9

    def _steepest_view(self) -> float:
        """How fast, at the least, a ray of the endoscope gains on the surface; 0 = grazing."""
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
        forward = directions[:, 2] > 0
        if not forward.all():
            distance = np.full(len(directions), np.nan)
            guess = None if start is None else start[forward]
            distance[forward] = self.intersect(origin, directions[forward], time_s, guess)
            return distance
        if start is None:
            low, high = NEAREST_MM / directions[:, 2], FARTHEST_MM / directions[:, 2]
            for _ in range(12):
                start = (low + high) / 2
                above = self._gap(origin, directions, start, time_s)[0] < 0
                low, high = np.where(above, start, low), np.where(above, high, start)
        # One step in single precision takes a tenth of the time and is exact to 1e-5 mm.
        single = origin.astype(np.float32), directions.astype(np.float32)
        gap, slope = self._gap(*single, start.astype(np.float32), time_s)
        distance, pending = start - gap / slope, np.arange(len(directions))
        for _ in range(20):
            rays = directions[pending] if len(pending) < len(directions) else directions
            gap, slope = self._gap(origin, rays, distance[pending], time_s)
            distance[pending] -= gap / slope
            pending = pending[np.abs(gap) > LAST_STEP_MM]
            if not len(pending):
                return distance
        raise MsdesisError(
            f'{len(pending)} rays found no point of the tissue: they look too far to the side, '
            'more than 45 degrees from the optical axis'
        )

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
        """Where rays (N x 3) from one origin enter, in multiples of the direction, or inf."""
        axis, from_a, radius2 = self.b - self.a, origin - self.a, self.radius_mm**2
        axis2, start = axis @ axis, axis @ from_a
        along, toward = directions @ axis, directions @ from_a
        length2 = np.einsum('ij,ij->i', directions, directions)
        # The endless cylinder is a quadratic in the ray's parameter; who misses it misses all.
        square = axis2 * length2 - along**2
        half = axis2 * toward - start * along
        root = half**2 - square * (axis2 * (from_a @ from_a - radius2) - start**2)
        met = np.flatnonzero(root >= 0)
        distance = np.full(len(directions), np.inf)
        with np.errstate(invalid='ignore', divide='ignore'):
            body = (-half[met] - np.sqrt(root[met])) / square[met]
            station = start + body * along[met]
            hit = np.where((station >= 0) & (station <= axis2), body, np.inf)
            for end, outward in ((self.a, -axis), (self.b, axis)):
                half = directions[met] @ (origin - end)
                root = half**2 - length2[met] * ((origin - end) @ (origin - end) - radius2)
                cap = (-half - np.sqrt(root)) / length2[met]
                beyond = cap * (directions[met] @ outward) + (origin - end) @ outward > 0
                hit = np.fmin(hit, np.where(beyond, cap, np.inf))
        distance[met] = np.where(hit > 0, hit, np.inf)
        return distance

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
        x, y, z = directions
        # Written out: a matrix product of this shape is twenty times slower.
        across, along = (
            a * x + b * y + c * z
            for a, b, c in (np.cross(axis, origin - shaft.a).tolist(), axis.tolist())
        )
        return across * across <= float(1.01 * reach_mm) ** 2 * (length2 - along * along)
