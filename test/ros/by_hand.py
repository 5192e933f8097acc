"""Encoded pictures and what they show, worked out one pixel at a time from the definitions."""

from __future__ import annotations

import itertools

import numpy as np

# Where red, green and blue stand in the bytes of one pixel.
PACKED = {
    'rgb8': (3, (0, 1, 2)),
    'bgr8': (3, (2, 1, 0)),
    'rgba8': (4, (0, 1, 2)),
    'bgra8': (4, (2, 1, 0)),
    'mono8': (1, (0, 0, 0)),
}
# Two pixels in four bytes: places of the two luma samples, of U and of V.
YUV = {
    'yuv422': ((1, 3), 0, 2),
    'uyvy': ((1, 3), 0, 2),
    'yuv422_yuy2': ((0, 2), 1, 3),
    'yuyv': ((0, 2), 1, 3),
}
BAYER = ('bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8')
ENCODINGS = (*PACKED, *BAYER, *YUV)


def bytes_per_pixel(encoding: str) -> int:
    if encoding in PACKED:
        return PACKED[encoding][0]
    return 2 if encoding in YUV else 1


def random_rows(encoding: str, *, width: int, height: int, padding: int, seed: int = 0) -> bytes:
    """`height` rows of random bytes, with `padding` random bytes behind each."""
    step = width * bytes_per_pixel(encoding) + padding
    return np.random.default_rng(seed).integers(0, 256, height * step, np.uint8).tobytes()


def decode(encoding: str, data: bytes, *, width: int, height: int, step: int) -> np.ndarray:
    """What `data` shows: H x W x 3 uint8 RGB."""
    if encoding in BAYER:
        return _demosaic(encoding[6:10], data, width=width, height=height, step=step)
    rgb = np.zeros((height, width, 3), np.uint8)
    for row, column in itertools.product(range(height), range(width)):
        if encoding in PACKED:
            size, places = PACKED[encoding]
            start = row * step + column * size
            rgb[row, column] = [data[start + place] for place in places]
        else:
            lumas, u, v = YUV[encoding]
            start = row * step + column // 2 * 4
            samples = (lumas[column % 2], u, v)
            rgb[row, column] = _bt601(*(data[start + place] for place in samples))
    return rgb


def _bt601(y: int, u: int, v: int) -> list[int]:
    """ITU-R BT.601 for 8-bit samples: luma 16 to 235, colour differences 16 to 240 around 128.

    Luma below black, which no camera should send, counts as black.
    """
    luma = max(0, y - 16) / 219
    blue_difference, red_difference = (u - 128) / 112, (v - 128) / 112
    red = luma + (1 - 0.299) * red_difference
    blue = luma + (1 - 0.114) * blue_difference
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return [min(255, max(0, round(255 * value))) for value in (red, green, blue)]


def _demosaic(letters: str, data: bytes, *, width: int, height: int, step: int) -> np.ndarray:
    """A colour that a pixel lacks is the mean of its neighbours that have it, halves upwards.

    letters: the colours of the pixels (0, 0), (1, 0), (0, 1), (1, 1) as (column, row). The
    outermost rows and columns repeat the next ones.
    """
    seen: dict[tuple[int, int], tuple[str, int]] = {
        (row, column): (letters[row % 2 * 2 + column % 2], data[row * step + column])
        for row, column in itertools.product(range(height), range(width))
    }
    rgb = np.zeros((height, width, 3), np.uint8)
    for row, column in itertools.product(range(1, height - 1), range(1, width - 1)):
        own, value = seen[row, column]
        around = [seen[row + y, column + x] for y in (-1, 0, 1) for x in (-1, 0, 1)]
        for channel, letter in enumerate('rgb'):
            same = [sample for colour, sample in around if colour == letter]
            mean = (2 * sum(same) + len(same)) // (2 * len(same))
            rgb[row, column, channel] = value if own == letter else mean
    inner = rgb[1:-1, 1:-1]
    return np.pad(inner, ((1, 1), (1, 1), (0, 0)), mode='edge')
