"""How a hand-held or robot-held endoscope moves: a few slow oscillations about a start."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Oscillations a minute-long look-around consists of; a surgeon's camera moves below 1 Hz.
TERMS = 3
SLOWEST_HZ, FASTEST_HZ = 0.05, 0.45


@dataclass(frozen=True)
class CameraPath:
    """Smooth movement of the left camera; it stands at the world's origin at time 0.

    shift_mm, turn_rad: amplitudes along and about x, y, z. rates_hz, phases: TERMS x 6, of the
    oscillations of those six.
    """

    shift_mm: tuple[float, float, float]
    turn_rad: tuple[float, float, float]
    rates_hz: tuple[tuple[float, ...], ...]
    phases: tuple[tuple[float, ...], ...]

    def world_from_left(self, time_s: float) -> np.ndarray:
        """4 x 4 float64, rigid: from the left camera's frame at a time to the world's, mm."""
        rates, phases = np.array(self.rates_hz), np.array(self.phases)
        swing = np.sin(2 * np.pi * rates * time_s + phases) - np.sin(phases)
        way = swing.mean(axis=0) * np.array([*self.shift_mm, *self.turn_rad])
        pose = np.eye(4)
        pose[:3, :3] = cv2.Rodrigues(way[3:])[0]
        pose[:3, 3] = way[:3]
        return pose


def sample_camera_path(rng: np.random.Generator, distance_mm: float) -> CameraPath:
    """Draw a movement that suits a working distance: up to a fifth of it, up to 8 degrees."""
    reach = float(rng.uniform(0.03, 0.2)) * distance_mm
    turn = float(np.deg2rad(rng.uniform(1.0, 8.0)))
    shift_mm = reach * rng.uniform(0.3, 1.0, 3) * [1.0, 1.0, 0.7]
    turn_rad = turn * rng.uniform(0.2, 1.0, 3)
    rates = rng.uniform(SLOWEST_HZ, FASTEST_HZ, (TERMS, 6))
    phases = rng.uniform(0, 2 * np.pi, (TERMS, 6))
    return CameraPath(
        tuple(shift_mm.tolist()),
        tuple(turn_rad.tolist()),
        tuple(map(tuple, rates.tolist())),
        tuple(map(tuple, phases.tolist())),
    )
