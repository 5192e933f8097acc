"""Artefacts of recording: a JPEG, or blocks and ringing as a video encoder leaves them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BLOCK_PX = 8


@dataclass(frozen=True)
class CodecSettings:
    """Of both eyes; 0 = not used.

    video_quality: 1..100 of a video-like encoder, whose block borders are smoothed as the
    deblocking filter of H.264 does. jpeg_quality: 1..100, of a JPEG after it.
    """

    video_quality: int = 0
    jpeg_quality: int = 0


def sample_codec(rng: np.random.Generator, severity: float) -> CodecSettings:
    """Draw: 45 % nothing, 30 % JPEG (98 down to 40 by severity), 25 % video (92 down to 35)."""
    kind, share = rng.random(), float(rng.uniform(0.3, 1.0) * severity)
    if kind < 0.45:
        return CodecSettings()
    if kind < 0.75:
        return CodecSettings(jpeg_quality=round(98 - 58 * share))
    return CodecSettings(video_quality=round(92 - 57 * share))


def coded(picture: np.ndarray, settings: CodecSettings) -> np.ndarray:
    """Encode and decode an H x W x 3 uint8 RGB picture."""
    if settings.video_quality > 0:
        picture = _deblocked(_jpeg(picture, settings.video_quality))
    if settings.jpeg_quality > 0:
        picture = _jpeg(picture, settings.jpeg_quality)
    return picture


def _jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    """OpenCV's JPEG halves the colour channels in both directions, as video does."""
    swapped = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, code = cv2.imencode('.jpg', swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _deblocked(picture: np.ndarray) -> np.ndarray:
    """Smooth the two pixels at each side of every block border, across it."""
    result = picture.copy()
    across = cv2.blur(picture, (3, 1))
    for offset in (-1, 0):
        result[:, BLOCK_PX + offset :: BLOCK_PX] = across[:, BLOCK_PX + offset :: BLOCK_PX]
    down = cv2.blur(result, (1, 3))
    for offset in (-1, 0):
        result[BLOCK_PX + offset :: BLOCK_PX] = down[BLOCK_PX + offset :: BLOCK_PX]
    return np.ascontiguousarray(result)
