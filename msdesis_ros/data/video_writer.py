"""Writes a video: exact times, under its final name whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.core.prediction import require_rgb
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.video_frames import require_av

SUFFIX = '.mp4'
# Ticks a second that a file may count in: fine enough for every rate, and a day fits into 37 bits.
MAX_TIMESCALE = 1_000_000
# FFmpeg's MP4 takes no fewer and would choose a multiple itself.
_LEAST_TIMESCALE = 10_000
# ITU-R BT.601 in the short range of values: what FFmpeg makes of RGB when nothing else is said.
# VP9 has room to say so.
_BT601, _SHORT_RANGE = 6, 1


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg: its name, its options, the longest side it takes in px."""

    encoder: str
    options: dict[str, str]
    max_side: int


# Encoders under permissive licences that the wheels of PyAV and of OpenCV both hold; H.264 has
# none there but libx264, which is GPL. Neither keeps pictures back, so that one goes in and one
# comes out: MPEG-4 at a fixed quantiser 3 (FFmpeg counts in 1/118), VP9 at a fixed quality.
CODECS = {
    'mpeg4': Codec('mpeg4', {'flags': '+qscale', 'global_quality': str(3 * 118)}, 8191),
    'vp9': Codec(
        'libvpx-vp9',
        {
            'crf': '24',
            'b': '0',
            'deadline': 'realtime',
            'cpu-used': '7',
            'row-mt': '1',
            'lag-in-frames': '0',
        },
        16384,
    ),
}
DEFAULT_CODEC = 'mpeg4'
# The header of MPEG-4 counts time in 16 bits.
_MAX_RATE = 65535


class VideoWriter:
    """Writes pictures of one size with their times as an MP4 file without sound.

    It is written under a temporary name in the same folder and renamed by `close()`; `discard()`
    leaves nothing. Leaving a `with` block does one or the other. `count`: pictures so far.

    path: ends in `.mp4`. size: (width, height) px, odd ones too. rate: pictures a second, the
    average where times vary (not `steady`). time_base: s, what the times are multiples of where
    that is known. Times are kept exactly, but where that takes more than a million ticks a second
    (see `timescale`). codec: a key of CODECS. Raises UsageError for other values,
    MissingExtraError without PyAV, MsdesisError where the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: tuple[int, int],
        rate: Fraction,
        time_base: Fraction | None = None,
        steady: bool = True,
        codec: str = DEFAULT_CODEC,
    ) -> None:
        self.path, self.size, self.rate, self.count = Path(path), size, Fraction(rate), 0
        chosen = _checked(self.path, size, self.rate, codec)
        self._av = require_av()
        self._tick = Fraction(1, timescale(self.rate, time_base, steady=steady))
        self._last_ticks: int | None = None
        self._container: Any = None
        self._cleanup = contextlib.ExitStack()
        with self._refusals():
            temporary = self._cleanup.enter_context(atomic_write(self.path))
            try:
                self._container = self._av.open(str(temporary), 'w')
                self._stream = self._add_stream(chosen)
            except BaseException:
                self.discard()
                raise

    def write(self, picture: np.ndarray, time: Fraction, duration: Fraction | None = None) -> None:
        """Append H x W x 3 uint8 RGB, shown at `time` (s) for `duration` (default 1 / rate).

        Raises UsageError for a picture of another size or a time that is not behind the last one,
        MsdesisError where the file cannot be written.
        """
        require_rgb(picture, name='next')
        if picture.shape[1::-1] != self.size:
            raise UsageError(
                f'picture {self.count} for {self.path} is {picture.shape[1]}x{picture.shape[0]}; '
                f'the video is {self.size[0]}x{self.size[1]}'
            )
        ticks = round(time / self._tick)
        if self._last_ticks is not None and ticks <= self._last_ticks:
            raise UsageError(
                f'picture {self.count} for {self.path} has the time {float(time):g} s, which is '
                'not behind that of the picture before it'
            )
        self._last_ticks = ticks
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format='rgb24')
        # The encoder counts pictures; the times are given to what it makes of them.
        frame.pts, frame.time_base = self.count, 1 / self._nominal
        length = max(1, round((1 / self.rate if duration is None else duration) / self._tick))
        with self._refusals():
            self._mux(self._stream.encode(frame), ticks, length)
        self.count += 1

    def close(self) -> None:
        """Finish the file and give it its name; one without pictures is discarded."""
        if not self.count:
            self.discard()
            return
        with self._refusals():
            try:
                self._mux(self._stream.encode(None), self._last_ticks or 0, 1)
                self._container.close()
            except BaseException:
                self.discard()
                raise
        self._cleanup.close()

    def discard(self) -> None:
        """Leave nothing behind; what had the name before stays."""
        if self._container is not None:
            with contextlib.suppress(self._av.FFmpegError, OSError):
                self._container.close()
        self._cleanup.__exit__(_Unfinished, _Unfinished(), None)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _add_stream(self, codec: Codec) -> Any:
        self._nominal = self.rate
        if max(self.rate.numerator, self.rate.denominator) > _MAX_RATE:
            self._nominal = Fraction(max(1, round(self.rate)))
        stream = self._container.add_stream(
            codec.encoder, rate=self._nominal, options=dict(codec.options)
        )
        stream.width, stream.height = self.size
        stream.pix_fmt = 'yuv420p'
        stream.time_base = self._tick
        context = stream.codec_context
        context.time_base = 1 / self._nominal
        context.colorspace, context.color_range = _BT601, _SHORT_RANGE
        return stream

    def _mux(self, packets: list[Any], ticks: int, length: int) -> None:
        for packet in packets:
            packet.time_base = self._tick
            packet.pts = packet.dts = ticks
            packet.duration = length
            self._container.mux(packet)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (self._av.FFmpegError, OSError) as error:
            raise MsdesisError(
                f'cannot write {self.path}: {getattr(error, "strerror", None) or error}; choose a '
                'folder you may write to, with free space'
            ) from error


def timescale(rate: Fraction, time_base: Fraction | None = None, *, steady: bool = True) -> int:
    """Ticks a second that hold times at this rate, and multiples of `time_base`, exactly.

    Where both together take more than MAX_TIMESCALE, one of them is held: the rate if it is
    `steady`, else the time base; other times are then off by a microsecond at most.
    """
    base = rate.numerator if time_base is None else time_base.denominator
    both = math.lcm(rate.numerator, base)
    if both <= MAX_TIMESCALE:
        return both * math.ceil(_LEAST_TIMESCALE / both)
    held = rate.numerator if steady else base
    return held * (MAX_TIMESCALE // held) if held <= MAX_TIMESCALE else MAX_TIMESCALE


class _Unfinished(Exception):  # noqa: N818 - not an error that anybody sees
    """Tells `atomic_write` that there is nothing to rename."""


def _checked(path: Path, size: tuple[int, int], rate: Fraction, codec: str) -> Codec:
    if codec not in CODECS:
        raise UsageError(f'no codec is called {codec!r}; known: {", ".join(CODECS)}')
    if path.suffix.lower() != SUFFIX:
        raise UsageError(f'cannot write the video {path}: its name must end in {SUFFIX}')
    longest = CODECS[codec].max_side
    if min(size) < 1 or max(size) > longest:
        raise UsageError(
            f'a video of {size[0]}x{size[1]} cannot be written with {codec}: both sides must be '
            f'1 to {longest} px'
        )
    if rate <= 0:
        raise UsageError(f'the rate of {path} is {rate}; expected a number above 0')
    return CODECS[codec]
