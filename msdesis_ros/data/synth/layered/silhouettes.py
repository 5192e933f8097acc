"""Borders of layers: closed curves, boxes, bands and threads, drawn as opacity."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.layer import Box

SHIFT = 4  # OpenCV draws with 1/16 px
Contour = np.ndarray  # N x 2 float, canvas px


def blob(
    rng: np.random.Generator, centre: np.ndarray, radius_px: float, *, roughness: float
) -> Contour:
    """A closed smooth curve; roughness 0 is an ellipse, 0.5 a cloud."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(angle)
    for order in range(2, 9):
        radius += roughness / order * rng.normal() * np.cos(order * angle + rng.uniform(0, 6.3))
    radius = np.maximum(radius, 0.25)
    squash, turn = rng.uniform(0.45, 1.0), rng.uniform(0, np.pi)
    points = np.stack([np.cos(angle), squash * np.sin(angle)], 1) * (radius * radius_px)[:, None]
    return points @ rotation(turn).T + centre


def half_plane(rng: np.random.Generator, through: np.ndarray, *, size_px: float) -> Contour:
    """Everything on one side of a wavy line: an organ that comes in from the border."""
    along = np.linspace(-2, 2, 160)
    edge = np.zeros_like(along)
    for wavelength in (2.5, 1.2, 0.6, 0.3):
        height = 0.12 * wavelength * rng.normal()
        edge += height * np.sin(2 * np.pi * (along / wavelength + rng.random()))
    line = np.stack([along, edge], 1)
    corners = np.array([[2.0, 5.0], [-2.0, 5.0]])
    return np.concatenate([line, corners]) * size_px @ rotation(rng.uniform(0, 6.3)).T + through


def polygon(
    rng: np.random.Generator, centre: np.ndarray, radius_px: float, *, corners: int
) -> Contour:
    """A rectangle (4 corners, seldom turned far) or an irregular polygon, star-shaped."""
    if corners == 4:
        aspect = np.exp(rng.uniform(-0.8, 0.8))
        box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [aspect**0.5, aspect**-0.5]
        box = box + rng.normal(0, 0.06, (4, 2)) * (rng.random() < 0.5)
        turn = rng.normal(0, 0.25) if rng.random() < 0.6 else 0.0
        return box * radius_px @ rotation(turn).T + centre
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners)) + rng.uniform(0, 6.3)
    radius = radius_px * rng.uniform(0.45, 1.2, corners)
    return np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None] + centre


def meander(rng: np.random.Generator, canvas: tuple[int, int], *, bends: float) -> Contour:
    """An open smooth path across part of the canvas: N x 2, for threads and bands."""
    size = max(canvas)
    heading = rng.uniform(0, 2 * np.pi)
    step, count = size / 60, int(rng.uniform(25, 90))
    turns = cv2.GaussianBlur(rng.normal(0, 1.0, (count, 1)), (1, 21), 5.0)[:, 0] * bends
    headings = heading + np.cumsum(turns)
    path = np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1) * step, axis=0)
    middle = rng.uniform(0.15, 0.85, 2) * canvas
    return path - path.mean(0) + middle


def band(path: Contour, half_width_px: np.ndarray) -> Contour:
    """The closed outline of a path of varying half width (N numbers)."""
    ahead = np.gradient(path, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    side = np.stack([-ahead[:, 1], ahead[:, 0]], 1) * half_width_px[:, None]
    return np.concatenate([path + side, (path - side)[::-1]])


def rotation(angle: float) -> np.ndarray:
    """2 x 2."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def bounding_box(
    contours: Sequence[Contour], canvas: tuple[int, int], *, margin_px: int = 3
) -> Box | None:
    """The box of contours on a canvas of (width, height), or None if they miss it."""
    points = np.concatenate(contours)
    low = np.maximum(np.floor(points.min(0)) - margin_px, 0).astype(int)
    high = np.minimum(np.ceil(points.max(0)) + margin_px + 1, canvas).astype(int)
    if (high - low < 8).any():
        return None
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def filled(contours: Sequence[Contour], box: Box) -> np.ndarray:
    """H x W uint8, anti-aliased; a contour within another is a hole."""
    picture = np.zeros((box[3], box[2]), np.uint8)
    cv2.fillPoly(picture, [fixed_point(c, box) for c in contours], 255, cv2.LINE_AA, SHIFT)
    return picture


def strokes(paths: Sequence[Contour], box: Box, *, width_px: float) -> np.ndarray:
    """H x W uint8: lines of one width, to half a pixel, drawn at twice the size."""
    picture = np.zeros((2 * box[3], 2 * box[2]), np.uint8)
    twice = (2 * box[0], 2 * box[1], 0, 0)
    lines = [fixed_point(2 * path, twice) for path in paths]
    cv2.polylines(picture, lines, False, 255, max(1, round(2 * width_px)), cv2.LINE_AA, SHIFT)
    return cv2.resize(picture, (box[2], box[3]), interpolation=cv2.INTER_AREA)


def fixed_point(points: Contour, box: Box) -> np.ndarray:
    """Points in OpenCV's integers, relative to a box."""
    moved = (points - [box[0], box[1]]) * 2**SHIFT
    return np.rint(np.clip(moved, -(2**20), 2**20)).astype(np.int32)


def with_edge(picture: np.ndarray, *, softness_px: float) -> np.ndarray:
    """H x W float32 opacity of a drawn uint8 one; softness 0 makes a hard border."""
    if softness_px <= 0:
        return (picture >= 128).astype(np.float32)
    opacity = picture.astype(np.float32) * np.float32(1 / 255)
    if softness_px > 0.5:
        opacity = cv2.GaussianBlur(opacity, (0, 0), softness_px)
    return opacity
