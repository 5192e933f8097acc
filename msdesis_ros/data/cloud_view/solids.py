"""What is drawn beside the surface: a simple endoscope, its line of sight, and a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.left_rig import ViewGeometry
from msdesis_ros.core.surface_mesh import vertex_normals

# A shaft of 8.8 mm, as that of the da Vinci's endoscope; wider only where the lenses need it.
SHAFT_RADIUS_M, SHAFT_LENGTH_M = 0.0044, 0.11
SIDES = 48
STEEL, DARK, GLASS, LIGHT = (168, 174, 182), (52, 56, 62), (18, 30, 46), (255, 246, 214)
SIGHT_COLOUR, GRID_COLOUR, PATH_COLOUR = (120, 150, 180), (74, 80, 90), (250, 200, 90)
_GRID_LINES = 12


@dataclass(frozen=True, eq=False)
class Solid:
    """points_m, normals: N x 3 float32. colours: N x 3 uint8 RGB. faces: M x 3 int32."""

    points_m: np.ndarray
    normals: np.ndarray
    colours: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True, eq=False)
class Lines:
    """points_m: 2N x 3 float32, two for each line. colours: 2N x 3 uint8 RGB."""

    points_m: np.ndarray
    colours: np.ndarray


def endoscope(baseline_m: float) -> Solid:
    """A straight stereo endoscope whose left lens is the origin and looks along z.

    The right lens is at (baseline_m, 0, 0); the shaft reaches back along -z from just behind
    both. It is a sketch of its kind, not the drawing of a product.
    """
    half = baseline_m / 2
    lens = min(0.0016, 0.8 * half)
    radius = max(SHAFT_RADIUS_M, half + 1.5 * lens)
    tip, back = -0.0005, -0.0005 - SHAFT_LENGTH_M
    shaft = [(0.0, tip), (0.9 * radius, tip), (radius, tip - 0.1 * radius), (radius, back)]
    collar = [(radius, tip - 0.012), (1.01 * radius, tip - 0.012), (1.01 * radius, tip - 0.015)]
    grip = [(0.0, back + 0.02), (1.8 * radius, back + 0.02), (2.0 * radius, back + 0.016)]
    grip += [(2.0 * radius, back - 0.02), (1.7 * radius, back - 0.024), (0.0, back - 0.024)]
    parts = [
        _turned(shaft, (half, 0.0), STEEL),
        _turned(collar, (half, 0.0), DARK),
        _turned(grip, (half, 0.0), DARK),
    ]
    for x in (0.0, baseline_m):
        parts.append(_turned([(0.0, tip / 2), (lens, tip / 2), (lens, tip)], (x, 0.0), GLASS))
    for y in (-0.62 * radius, 0.62 * radius):
        fibre = 0.16 * radius
        parts.append(_turned([(0.0, tip / 2), (fibre, tip / 2), (fibre, tip)], (half, y), LIGHT))
    return _joined(parts)


def sight_lines(geometry: ViewGeometry, depth_m: float) -> Lines:
    """From the left lens to the corners of its picture at a depth, and the picture's frame."""
    width, height = geometry.image_size
    corners = np.array(
        [[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]]
    )
    focal, centre = (geometry.focal_px, geometry.focal_y_px), (geometry.cx_px, geometry.cy_px)
    rays = np.column_stack([(corners - centre) / focal, np.ones(4)]) * depth_m
    ends = [(np.zeros(3), ray) for ray in rays]
    ends += [(rays[k], rays[(k + 1) % 4]) for k in range(4)]
    return _lines(np.array(ends), SIGHT_COLOUR)


def grid(points_m: np.ndarray) -> tuple[Lines, float]:
    """A floor below and a wall behind 98 % of N x 3 points, and the spacing of their lines, m.

    The spacing is 1, 2 or 5 times a power of ten, so that about a dozen lines cross the surface.
    """
    low, high = (np.quantile(points_m, share, axis=0) for share in (0.01, 0.99))
    spacing = _round_number(float((high - low).max()) / _GRID_LINES)
    low, high = np.floor(low / spacing) * spacing, np.ceil(high / spacing) * spacing
    steps = [np.arange(a, b + spacing / 2, spacing) for a, b in zip(low, high, strict=True)]
    ends = []
    for x in steps[0]:
        ends += [([x, high[1], low[2]], [x, high[1], high[2]])]
        ends += [([x, low[1], high[2]], [x, high[1], high[2]])]
    for z in steps[2]:
        ends += [([low[0], high[1], z], [high[0], high[1], z])]
    for y in steps[1]:
        ends += [([low[0], y, high[2]], [high[0], y, high[2]])]
    return _lines(np.array(ends), GRID_COLOUR), spacing


def polyline(points_m: np.ndarray) -> Lines:
    """The way through N x 3 points."""
    return _lines(np.stack([points_m[:-1], points_m[1:]], axis=1), PATH_COLOUR)


def _round_number(length: float) -> float:
    power = 10.0 ** math.floor(math.log10(max(length, 1e-6)))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= length * 0.999)


def _lines(ends: np.ndarray, colour: tuple[int, int, int]) -> Lines:
    points = ends.reshape(-1, 3).astype(np.float32)
    return Lines(points, np.tile(np.array(colour, np.uint8), (len(points), 1)))


def _turned(
    profile: list[tuple[float, float]], centre: tuple[float, float], colour: tuple[int, int, int]
) -> Solid:
    """A body of revolution about the line (x, y) = centre; profile: (radius, z), edges sharp."""
    angle = np.linspace(0, 2 * math.pi, SIDES, endpoint=False)
    around = np.stack([np.cos(angle), np.sin(angle), np.zeros(SIDES)], axis=1)
    points, faces = [], []
    for (r0, z0), (r1, z1) in zip(profile, profile[1:], strict=False):
        start = sum(len(ring) for ring in points)
        points += [r * around + [*centre, z] for r, z in ((r0, z0), (r1, z1))]
        a = start + np.arange(SIDES)
        b = start + (np.arange(SIDES) + 1) % SIDES
        faces += [np.stack([a, a + SIDES, b], axis=1), np.stack([b, a + SIDES, b + SIDES], axis=1)]
    placed = np.concatenate(points).astype(np.float32)
    joined = np.concatenate(faces).astype(np.int32)
    paint = np.tile(np.array(colour, np.uint8), (len(placed), 1))
    return Solid(placed, vertex_normals(placed, joined), paint, joined)


def _joined(parts: list[Solid]) -> Solid:
    offsets = np.cumsum([0, *(len(part.points_m) for part in parts[:-1])])
    return Solid(
        np.concatenate([part.points_m for part in parts]),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.colours for part in parts]),
        np.concatenate([part.faces + at for part, at in zip(parts, offsets, strict=True)]).astype(
            np.int32
        ),
    )
