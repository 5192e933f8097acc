"""Textures of anything: shapes, gradients, stripes, checks, noise, marks, flat colour."""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.colours import DISPLAY_TO_LINEAR
from msdesis_ros.data.synth.layered.noise import fractal
from msdesis_ros.data.synth.layered.silhouettes import SHIFT

PATTERNS = ('shapes', 'noise', 'stripes', 'checks', 'marks', 'gradient', 'flat')
FREQUENCIES = (0.34, 0.28, 0.06, 0.05, 0.13, 0.08, 0.06)
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_PLAIN)


def any_pattern(rng: np.random.Generator) -> str:
    """The name of a pattern, by `FREQUENCIES`."""
    return PATTERNS[rng.choice(len(PATTERNS), p=FREQUENCIES)]


def pattern_colour(rng: np.random.Generator, shape: tuple[int, int], pattern: str) -> np.ndarray:
    """H x W x 3 float32 linear RGB of one of `PATTERNS`."""
    if pattern == 'noise':
        display = _noise(rng, shape)
    elif pattern == 'stripes':
        display = _waves(rng, shape, both=False)
    elif pattern == 'checks':
        display = _waves(rng, shape, both=True)
    else:
        display = _gradient(rng, shape, reach=0.0 if pattern == 'flat' else rng.uniform(0.2, 1))
        if pattern == 'shapes':
            _draw_shapes(rng, display)
        elif pattern == 'marks':
            _draw_marks(rng, display)
        display = cv2.GaussianBlur(display, (5, 5), rng.uniform(0.9, 1.4))
        display = _grained(rng, display)
    return cv2.LUT(display, DISPLAY_TO_LINEAR)


def _colour(rng: np.random.Generator) -> np.ndarray:
    grey, tint = rng.uniform(20, 225), rng.normal(0, 40, 3)
    return np.clip(grey + tint, 8, 245)


def _gradient(rng: np.random.Generator, shape: tuple[int, int], *, reach: float) -> np.ndarray:
    corners = _colour(rng) + reach * rng.normal(0, 50, (2, 2, 3))
    small = cv2.resize(corners.astype(np.float32), (18, 18), interpolation=cv2.INTER_LINEAR)
    small = np.clip(small, 6, 248).astype(np.float32)
    return cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _grained(rng: np.random.Generator, display: np.ndarray) -> np.ndarray:
    """With the faint grain of paper, cloth or paint: hardly any real surface is without."""
    amplitude = np.exp(rng.uniform(np.log(1.0), np.log(10.0)))
    grain = fractal(rng, display.shape[:2], coarsest_px=16, persistence=0.9)
    grain = cv2.merge([cv2.convertScaleAbs(grain, alpha=amplitude, beta=64)] * 3)
    return cv2.addWeighted(display, 1.0, grain, 1.0, -64)


def _noise(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    levels = [
        fractal(rng, shape, coarsest_px=rng.choice([8, 32, 128]), persistence=rng.uniform(0.5, 1))
        for _ in range(2)
    ]
    base, first, second = _colour(rng), rng.normal(0, 22, 3), rng.normal(0, 14, 3)
    channels = [
        cv2.addWeighted(levels[0], first[c], levels[1], second[c], base[c]) for c in range(3)
    ]
    return np.clip(cv2.merge(channels), 0, 255).astype(np.uint8)


def _waves(rng: np.random.Generator, shape: tuple[int, int], *, both: bool) -> np.ndarray:
    """Stripes, or checks, of a period that drifts."""
    period = np.exp(rng.uniform(np.log(9), np.log(60)))
    angle = rng.uniform(0, np.pi)
    drift = fractal(rng, shape, coarsest_px=128, persistence=0.3) * np.float32(rng.uniform(0, 1.5))
    y, x = (np.arange(n, dtype=np.float32) for n in shape)
    turns = np.array([np.cos(angle), np.sin(angle)], np.float32) * np.float32(2 * np.pi / period)
    wave = np.sin(turns[0] * x[None] + turns[1] * y[:, None] + drift)
    if both:
        wave *= np.sin(turns[0] * y[:, None] - turns[1] * x[None] + drift)
    # Wide stripes may have sharper flanks than narrow ones.
    wave = np.tanh(wave * np.float32(rng.uniform(0.5, max(0.8, period / 8)))) * 0.5 + 0.5
    first, second = _colour(rng), _colour(rng)
    channels = [wave * np.float32(second[c] - first[c]) + np.float32(first[c]) for c in range(3)]
    return np.clip(cv2.merge(channels), 0, 255).astype(np.uint8)


def _draw_shapes(rng: np.random.Generator, display: np.ndarray) -> None:
    height, width = display.shape[:2]
    count = int(rng.integers(15, 90) * max(0.3, height * width / 300_000))
    for _ in range(count):
        middle = rng.uniform(0, 1, 2) * (width, height)
        size = np.exp(rng.uniform(np.log(4), np.log(80)))
        corners = int(rng.integers(3, 7))
        if rng.random() < 0.4:
            corners = 24
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        stretch = rng.uniform(0.3, 1, 2)
        points = np.stack([np.cos(angle), np.sin(angle)], 1) * size * stretch + middle
        colour = tuple(int(v) for v in _colour(rng))
        fixed = [np.rint(points * 2**SHIFT).astype(np.int32)]
        if rng.random() < 0.25:
            cv2.polylines(
                display, fixed, True, colour, int(rng.integers(1, 5)), cv2.LINE_AA, SHIFT
            )
        else:
            cv2.fillPoly(display, fixed, colour, cv2.LINE_AA, SHIFT)


def _draw_marks(rng: np.random.Generator, display: np.ndarray) -> None:
    """Letters, figures and rulers, as on a chart or a package."""
    height, width = display.shape[:2]
    letters = 'ABCDEFGHKLMNPRSTUVXYZ0123456789.:-/+'
    for _ in range(int(rng.integers(10, 50) * max(0.3, height * width / 300_000))):
        text = ''.join(letters[i] for i in rng.integers(0, len(letters), rng.integers(1, 9)))
        at = (int(rng.uniform(-20, width)), int(rng.uniform(0, height)))
        scale, colour = float(rng.uniform(0.4, 1.6)), tuple(int(v) for v in _colour(rng))
        font = FONTS[rng.integers(len(FONTS))]
        cv2.putText(display, text, at, font, scale, colour, int(rng.integers(1, 4)), cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 3))):
        x, y, step = rng.uniform(0, width), rng.uniform(0, height), int(rng.uniform(4, 12))
        for tick in range(30):
            at = int(x) + tick * step
            end = int(y) + (14 if tick % 5 == 0 else 8)
            cv2.line(display, (at, int(y)), (at, end), (30, 30, 30), 1, cv2.LINE_AA)
