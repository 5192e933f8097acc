"""Tiny stereo videos, and backends whose answers are known, for the tests of video tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput

NTSC = Fraction(30000, 1001)
# Encoder -> the pixel format it is used with here.
PIXELS = {
    'ffv1': 'bgr0',
    'mjpeg': 'yuvj444p',
    'mpeg4': 'yuv420p',
    'mpeg2video': 'yuv420p',
    'libx264': 'yuv420p',
}


def views(
    number: int, *, size: tuple[int, int] = (72, 48), disparity: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """A textured wall at one disparity, which moves by a pixel from picture to picture."""
    width, height = size
    noise = np.random.default_rng(1).integers(
        0, 256, (height, width + disparity + 64, 3), np.uint8
    )
    wall = cv2.GaussianBlur(noise, (0, 0), 1.2)[:, number % 64 :]
    return wall[:, :width].copy(), wall[:, disparity : width + disparity].copy()


def stacked(count: int, *, vertical: bool = False, **options: Any) -> list[np.ndarray]:
    """Pictures with both views: the left one is the left half, or the upper one."""
    return [np.concatenate(views(n, **options), axis=0 if vertical else 1) for n in range(count)]


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    rate: Fraction | int = 30,
    encoder: str = 'ffv1',
    times: Sequence[Fraction] | None = None,
    options: dict[str, str] | None = None,
    sound: bool = False,
) -> Path:
    """A video of RGB pictures; `times` (s) instead of a constant rate. ffv1 loses nothing."""
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    with av.open(str(path), 'w', options=options or {}) as container:
        stream = container.add_stream(encoder, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = PIXELS[encoder]
        if times is not None:
            stream.time_base = Fraction(1, 90000)
            stream.codec_context.time_base = 1 / Fraction(rate)
        if encoder != 'ffv1':
            stream.codec_context.qmin = stream.codec_context.qmax = 2
        audio = container.add_stream('pcm_s16le', rate=8000) if sound else None
        shown = list(times or [])
        for packet in _packets(av, stream, pictures):
            if times is not None:
                packet.time_base = stream.time_base
                packet.pts = packet.dts = round(shown.pop(0) / stream.time_base)
                packet.duration = 0
            container.mux(packet)
        if audio is not None:
            hum = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout='mono')
            hum.sample_rate = 8000
            container.mux(audio.encode(hum))
            container.mux(audio.encode(None))
    return path


def _packets(av: Any, stream: Any, pictures: Sequence[np.ndarray]) -> Any:
    for pixels in pictures:
        yield from stream.encode(av.VideoFrame.from_ndarray(pixels, format='rgb24'))
    yield from stream.encode(None)


def cut(path: Path, share: float = 0.6) -> Path:
    """The first part of a file, as a full disk or a lost connection leaves it."""
    shorter = path.with_name(f'cut_{path.name}')
    shorter.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return shorter


def overwrite_picture(path: Path, number: int, *, keep: int = 16) -> Path:
    """Put zeros in the place of one encoded picture, by the order in the file.

    keep: bytes at its beginning that stay; an AVI has a head of its own there.
    """
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        place, length = packet.pos, packet.size
    content = bytearray(path.read_bytes())
    content[place + keep : place + length] = bytes(length - keep)
    path.write_bytes(content)
    return path


def decoded(path: Path) -> list[np.ndarray]:
    """What a plain player gets out of a video, up to where it ends."""
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    pictures = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                pictures += [f.to_ndarray(format='rgb24') for f in packet.decode()]
            except av.FFmpegError:
                continue
    return pictures


def times_of(path: Path) -> list[Fraction]:
    """When each picture of a video is shown, s."""
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def rate_of(path: Path) -> Fraction:
    """The rate that the header of a video leads to."""
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ['video']
        return container.streams.video[0].average_rate


class FakeBackend:
    """Answers every pair with the same planes; `on_run` hears the number of each.

    disparity_px, logits: a number for all pixels, or H x W; None: the model lacks the head.
    """

    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 1000.0, 0.0
    identity = ModelIdentity(name='fake', sha256=None, backend='fake')

    def __init__(
        self,
        disparity_px: float | np.ndarray | None = 10.0,
        logits: float | np.ndarray | None = None,
        *,
        on_run: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._planes, self._on_run = (disparity_px, logits), on_run
        names = ('disparity', 'instrument_mask')
        self.heads = frozenset(
            name for name, plane in zip(names, self._planes, strict=True) if plane is not None
        )
        self.runs = 0
        self.lefts: list[np.ndarray] = []

    def warm_up(self, image_size: tuple[int, int]) -> None:
        """Nothing."""

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        self._on_run(self.runs)
        self.runs += 1
        self.lefts.append(left)
        shape = left.shape[:2]
        return RawOutput(
            *(
                None if plane is None else np.broadcast_to(np.float32(plane), shape).copy()
                for plane in self._planes
            )
        )

    def close(self) -> None:
        """Nothing."""
