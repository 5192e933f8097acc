"""Smooth random functions of a place: sums of bent sine waves. No tiles, no seams."""

from __future__ import annotations

import numpy as np


class Waves:
    """A random smooth function of three coordinates; values mostly within -1..1.

    scale_mm: length of its coarsest waves; each of `octaves` halves that length and has
    `falloff` of the amplitude.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        scale_mm: float,
        *,
        octaves: int = 2,
        falloff: float = 0.5,
        stretch: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        count = 5
        self._groups = []
        total = 0.0
        for octave in range(octaves):
            amplitude = falloff**octave
            direction = rng.normal(size=(3, count))
            direction /= np.linalg.norm(direction, axis=0)
            length = scale_mm / 2**octave * rng.uniform(0.75, 1.35, count)
            wave = 2 * np.pi * direction / length / np.array(stretch)[:, None]
            bend = rng.normal(0, 0.35, (3, 3)) / scale_mm * 2 * np.pi * 2**octave
            phase = rng.uniform(0, 2 * np.pi, count)
            offset = rng.uniform(0, 2 * np.pi, 3)
            numbers = (wave, phase, bend, offset)
            self._groups.append((*(part.astype(np.float32) for part in numbers), amplitude))
            total += amplitude**2
        self._gain = 1.0 / np.sqrt(total * count / 2)
        self._reach = 0.12 * scale_mm

    def __call__(self, places_mm: np.ndarray) -> np.ndarray:
        """Values at ... x 3 places, float64; their deviation is about 0.6."""
        flat = places_mm.reshape(-1, 3).astype(np.float32)
        value = np.zeros(len(flat))
        for octave, (wave, phase, bend, offset, amplitude) in enumerate(self._groups):
            bent = flat + np.float32(self._reach / 2**octave) * np.sin(flat @ bend + offset)
            value += amplitude * np.sin(bent @ wave + phase).sum(axis=1)
        return (0.6 * self._gain * value).reshape(places_mm.shape[:-1])

    def puffs(self, places_mm: np.ndarray) -> np.ndarray:
        """Rounded cushions with narrow furrows between them: -0.5 (furrow) .. about 0.6."""
        return np.sqrt(np.abs(self(places_mm)) + 0.02) - 0.6


def smoothstep(low: float, high: float, values: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def curve(points: np.ndarray, count: int) -> np.ndarray:
    """`count` x 3 points evenly along a smooth curve through control points (Catmull-Rom)."""
    points = np.asarray(points, np.float64)
    if len(points) == 2:
        share = np.linspace(0, 1, count)[:, None]
        return points[0] * (1 - share) + points[1] * share
    ends = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    share = np.linspace(0, 1, 16, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        pieces.append(
            0.5
            * (
                2 * b
                + (c - a) * share
                + (2 * a - 5 * b + 4 * c - d) * share**2
                + (3 * b - a - 3 * c + d) * share**3
            )
        )
    fine = np.concatenate([*pieces, points[-1:]])
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    wanted = np.linspace(0, way[-1], count)
    return np.stack([np.interp(wanted, way, fine[:, axis]) for axis in range(3)], axis=1)


def turned(rotation: tuple[float, float, float]) -> np.ndarray:
    """3 x 3 rotation matrix of a rotation vector, radians (Rodrigues)."""
    vector = np.array(rotation, np.float64)
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
