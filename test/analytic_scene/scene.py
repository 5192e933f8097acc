"""A procedural scene that moves, and what a ray of it meets, for tests of geometry.

World frame: the raw left camera's optical frame (x right, y down, z forward), millimetres.
Every surface is analytic (`shapes.py`), so the depth along any ray is known to 1e-6 mm,
without a mesh. `picture.py` makes pictures of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from analytic_scene.shapes import Capsule, Instrument, Tissue

MISS, TISSUE = -1, 0  # surface ids; 1 and above are the parts of the instruments, in order


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
