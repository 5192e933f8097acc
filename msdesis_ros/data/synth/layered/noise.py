"""Band-limited random fields: smooth enough to be looked at between their pixels."""

from __future__ import annotations

import cv2
import numpy as np

COARSE_PX = 8  # smooth fields are made on a grid of this pitch


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], *, coarsest_px: float, persistence: float
) -> np.ndarray:
    """Noise of many scales, H x W float32 of mean 0 and standard deviation 1.

    coarsest_px: size of the largest features. persistence: amplitude of each scale relative to
    the next larger one; 1 is rough, 0.3 smooth. The finest grid has half the pixels and a
    Gaussian brings it to full size, so that nothing is finer than about 3 px.
    """
    levels = max(1, round(np.log2(max(coarsest_px, 2.0))))
    field = rng.random(_spare(shape, 2**levels), np.float32) - np.float32(0.5)
    amplitude = 1.0
    for level in range(levels - 1, 0, -1):
        amplitude *= persistence
        rows, columns = _spare(shape, 2**level)
        field = cv2.pyrUp(field)[:rows, :columns]
        field += (rng.random((rows, columns), np.float32) - np.float32(0.5)) * np.float32(
            amplitude
        )
    mean, deviation = cv2.meanStdDev(field)
    field -= np.float32(mean.item())
    field *= np.float32(1 / max(deviation.item(), 1e-6))
    field = cv2.pyrUp(field)
    # The border of a picture is where the Gaussian had no neighbours: leave it out.
    return np.ascontiguousarray(field[2 : shape[0] + 2, 2 : shape[1] + 2])


def _spare(shape: tuple[int, int], pitch: int) -> tuple[int, int]:
    """The grid of a pitch that covers a shape and two cells more."""
    return -(-shape[0] // pitch) + 2, -(-shape[1] // pitch) + 2


def stretched(
    rng: np.random.Generator, shape: tuple[int, int], *, length: float, persistence: float = 0.6
) -> np.ndarray:
    """Fibres: noise drawn out by `length` along a random direction, H x W float32, about -3..3."""
    reach = int(np.hypot(*shape)) + 4
    source = fractal(
        rng, (reach, int(reach / length) + 8), coarsest_px=16.0, persistence=persistence
    )
    angle = rng.uniform(0, np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    # From the picture's pixel (x, y) to the source's: rotate, then squeeze along the fibre.
    along = np.array([cos / length, sin / length])
    across = np.array([-sin, cos])
    centre = np.array([shape[1] / 2, shape[0] / 2])
    matrix = np.stack([along, across])
    shift = np.array([source.shape[1] / 2, reach / 2]) - matrix @ centre
    return cv2.warpAffine(
        source,
        np.column_stack([matrix, shift]),
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


def cells(rng: np.random.Generator, shape: tuple[int, int], *, size_px: float) -> np.ndarray:
    """Lobules as of fat: H x W float32, 1 in the middle of a cell, less towards its border."""
    half = (shape[0] // 2 + 1, shape[1] // 2 + 1)
    points = np.full(half, 255, np.uint8)
    count = max(2, int(half[0] * half[1] / max(size_px / 2, 1.0) ** 2))
    points[rng.integers(0, half[0], count), rng.integers(0, half[1], count)] = 0
    distance = cv2.distanceTransform(points, cv2.DIST_L2, 3) * np.float32(2 / size_px)
    distance = cv2.GaussianBlur(distance, (0, 0), 1.2)
    return 1 - cv2.resize(distance, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)


def enlarged(coarse: np.ndarray, shape: tuple[int, int], *, pitch: int = COARSE_PX) -> np.ndarray:
    """A coarse grid with one spare cell on each side, brought to H x W by cubic interpolation."""
    size = (coarse.shape[1] * pitch, coarse.shape[0] * pitch)
    full = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(full[pitch : pitch + shape[0], pitch : pitch + shape[1]])


def coarse_shape(shape: tuple[int, int], *, pitch: int = COARSE_PX) -> tuple[int, int]:
    """The size of the grid that `enlarged` brings to `shape`."""
    return -(-shape[0] // pitch) + 2, -(-shape[1] // pitch) + 2


def coarse_axes(
    box: tuple[int, int, int, int], *, pitch: int = COARSE_PX
) -> tuple[np.ndarray, np.ndarray]:
    """Canvas x (1 x W) and y (H x 1) of the cells of the coarse grid of a box, float32."""
    left, top, width, height = box
    rows, columns = coarse_shape((height, width), pitch=pitch)
    x = (np.arange(columns, dtype=np.float32) - 0.5) * pitch - 0.5 + left
    y = (np.arange(rows, dtype=np.float32) - 0.5) * pitch - 0.5 + top
    return x[None, :], y[:, None]
