"""Branching vessels drawn on a tile that continues across its edges."""

from __future__ import annotations

import math

import cv2
import numpy as np

STEP_PX = 9.0
THINNEST_PX = 1.1
SUBPIXEL_BITS = 4
# Drawn beyond the tile and cut off, for OpenCV draws the border's pixels otherwise.
FRAME_PX = 16


def draw_vessels(
    rng: np.random.Generator,
    side: int,
    *,
    roots: int,
    width_px: float,
    spread: float,
    heading: float | None = None,
    straightness: float = 0.85,
) -> np.ndarray:
    """Vessel trees, side x side float32 in 0..1, thin branches fainter.

    roots: how many trees. width_px: of a root; it tapers and halves at branches. spread: angle of
    a branch, radians. heading: direction of the roots, radians (None = any; the opposite too).
    straightness: 0..1, how well a vessel keeps its heading.
    """
    segments: list[tuple[float, float, float, float, float]] = []
    for _ in range(roots):
        start = rng.uniform(0, side, 2)
        angle = rng.uniform(0, 2 * np.pi) if heading is None else heading + rng.normal(0, 0.2)
        if heading is not None and rng.random() < 0.5:
            angle += math.pi
        width = width_px * float(rng.uniform(0.6, 1.0))
        _grow(rng, segments, (start[0], start[1], angle, width), spread, straightness)
    # The widest last, so that a faint branch never cuts through a trunk.
    canvas = np.zeros((side + 2 * FRAME_PX, side + 2 * FRAME_PX), np.uint8)
    for x0, y0, x1, y1, width in sorted(segments, key=lambda segment: segment[4]):
        _line(canvas, x0, y0, x1, y1, width)
    tile = canvas[FRAME_PX:-FRAME_PX, FRAME_PX:-FRAME_PX]
    framed = cv2.copyMakeBorder(tile, 4, 4, 4, 4, cv2.BORDER_WRAP | cv2.BORDER_ISOLATED)
    return cv2.GaussianBlur(framed, (0, 0), 0.9)[4:-4, 4:-4].astype(np.float32) / 255


def _grow(
    rng: np.random.Generator,
    segments: list[tuple[float, float, float, float, float]],
    root: tuple[float, float, float, float],
    spread: float,
    straightness: float,
) -> None:
    """Add one tree's segments (x0, y0, x1, y1, width)."""
    waiting = [root]
    while waiting:
        x, y, angle, width = waiting.pop()
        turn, home = 0.0, angle
        bends = rng.normal(0, 1, 200)
        chances = rng.random(200)
        for bend, chance in zip(bends, chances, strict=True):
            turn = 0.7 * turn + (1 - straightness) * 0.9 * float(bend)
            angle += turn + 0.08 * straightness * (home - angle)
            ahead = x + STEP_PX * math.cos(angle), y + STEP_PX * math.sin(angle)
            segments.append((x, y, *ahead, width))
            x, y = ahead
            width *= 0.991
            if width < THINNEST_PX or chance > 0.993:
                break
            if chance < 0.085:
                side = 1.0 if chance < 0.0425 else -1.0
                fork = side * spread * float(0.6 + abs(bend) * 0.4)
                waiting.append((x, y, angle + fork, width * 0.6))
                angle -= 0.3 * fork
                home -= 0.2 * fork
                width *= 0.92


def _line(canvas: np.ndarray, x0: float, y0: float, x1: float, y1: float, width: float) -> None:
    side = canvas.shape[0] - 2 * FRAME_PX
    scale = 1 << SUBPIXEL_BITS
    left, up = math.floor(x0 / side) * side, math.floor(y0 / side) * side
    value = int(min(255, 90 + 34 * width))
    margin = width + 2
    across = _copies(x0 - left, x1 - left, side, margin)
    for down in _copies(y0 - up, y1 - up, side, margin):
        for right in across:
            dx, dy = right - left + FRAME_PX, down - up + FRAME_PX
            cv2.line(
                canvas,
                (round((x0 + dx) * scale), round((y0 + dy) * scale)),
                (round((x1 + dx) * scale), round((y1 + dy) * scale)),
                value,
                max(1, round(width)),
                cv2.LINE_AA,
                SUBPIXEL_BITS,
            )


def _copies(a: float, b: float, side: int, margin: float) -> list[int]:
    """By how much to move a piece so that every part of it that touches the tile is drawn."""
    moves = [0]
    if min(a, b) < margin:
        moves.append(side)
    if max(a, b) > side - margin:
        moves.append(-side)
    return moves
