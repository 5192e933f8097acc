"""Flat outlines and lines that solids are made from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def chamfered(profile: np.ndarray, size_mm: float) -> np.ndarray:
    """An open line of points whose sharp corners (over 25 degrees) are cut off."""
    out = [profile[0]]
    for before, here, after in zip(profile[:-2], profile[1:-1], profile[2:], strict=True):
        into, onward = here - before, after - here
        length, further = np.linalg.norm(into), np.linalg.norm(onward)
        if min(length, further) < 1e-9:
            continue
        into, onward = into / length, onward / further
        if into @ onward > np.cos(np.radians(25)):
            out.append(here)
            continue
        cut = min(size_mm, 0.3 * length, 0.3 * further)
        out += [here - into * cut, here + onward * cut]
    out.append(profile[-1])
    return np.array(out)


def bevelled(corners: Sequence[tuple[float, float]], size_mm: float = 0.15) -> np.ndarray:
    """A closed polygon with each corner cut off: 2K x 2."""
    here = np.asarray(corners, np.float64)
    back, on = np.roll(here, 1, axis=0) - here, np.roll(here, -1, axis=0) - here
    cut = []
    for step in (back, on):
        length = np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
        cut.append(here + step / length * np.minimum(size_mm, 0.3 * length))
    return np.stack(cut, axis=1).reshape(-1, 2)


def rectangle(width_mm: float, height_mm: float, bevel_mm: float = 0.15) -> np.ndarray:
    """A bevelled rectangle about the origin: 8 x 2."""
    x, y = width_mm / 2, height_mm / 2
    return bevelled([(-x, -y), (x, -y), (x, y), (-x, y)], bevel_mm)


def rounded_path(
    corners: Sequence[Sequence[float]], radius_mm: float, steps: int = 5
) -> np.ndarray:
    """A line through corners, each rounded off by a curve that begins radius_mm before it."""
    points = np.asarray(corners, np.float64)
    out = [points[:1]]
    share = np.linspace(0, 1, steps)[:, None]
    for before, here, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        start = here + unit(before - here) * min(radius_mm, np.linalg.norm(before - here) * 0.49)
        end = here + unit(after - here) * min(radius_mm, np.linalg.norm(after - here) * 0.49)
        out.append((1 - share) ** 2 * start + 2 * share * (1 - share) * here + share**2 * end)
    out.append(points[-1:])
    return np.concatenate(out)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors at length 1; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
