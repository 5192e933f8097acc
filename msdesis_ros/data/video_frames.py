"""The pictures of one video with their exact times, and an account of what it did not give."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from msdesis_ros.core.errors import FileFormatError, MissingExtraError
from msdesis_ros.data.video_clock import PictureClock

_TAGGED_DURATION = re.compile(r'(\d+):(\d\d):(\d\d(?:\.\d+)?)')


class Picture(NamedTuple):
    """One decoded picture.

    time (since the start of the video), duration: s, exact. rgb: H x W x 3 uint8, C-contiguous.
    damaged: the decoder filled in what it could not read.
    """

    time: Fraction
    duration: Fraction
    rgb: np.ndarray
    damaged: bool


@dataclass
class Account:
    """What became of the pictures of a video in one pass over it.

    decoded: how many were given, `damaged` ones among them. refused: packets that gave none.
    missing: announced, but behind the end of the file; a whole number of frame times where the
    file has no index, hence not `exact` for a variable rate. cut_short: the file ends early.
    """

    decoded: int = 0
    damaged: int = 0
    refused: int = 0
    missing: int = 0
    exact: bool = True
    cut_short: bool = False

    @property
    def lost(self) -> int:
        """How many pictures are not there although they should be."""
        return self.refused + self.missing


class VideoFile:
    """One video file: `size` (width, height), `rate` (pictures a second, exact), `count`.

    `count` is what the file announces, 0 where it does not say; unless `count_is_exact` it is
    worked out from times. `time_base`: what it counts time in, s; `start`: when its first picture
    is shown, s; `steady`: its rate is constant. `account` is that of the latest pass. Only the
    first video stream is looked at, and no sound.

    Raises MissingExtraError without PyAV, FileFormatError for a file that is no video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.account = Account()
        with opened(path) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            if not rate:
                raise FileFormatError(f'{path} does not say how many pictures a second it has')
            self.size = (stream.width, stream.height)
            self.rate = Fraction(rate)
            self.time_base = Fraction(stream.time_base)
            self.steady = stream.base_rate == stream.average_rate
            self._indexed = stream.frames
            self.start = (stream.start_time or 0) * self.time_base
            self._promised_end = self._end_promised_by(container, stream)
            self.count = stream.frames
            if self._promised_end is not None:
                # The index of an MP4 also has what its edit list hides.
                self.count = round((self._promised_end - self.start) * self.rate)
            elif not self.count and container.duration:
                # Some containers know their length in time only (microseconds).
                self.count = round(container.duration / 1e6 * float(rate))
            self.count_is_exact = bool(self._indexed or (self._promised_end and self.steady))

    def pictures(self, *, skip_damaged: bool = False) -> Generator[Picture, None, None]:
        """Decode from the start, in the order of presentation; `account` counts along.

        skip_damaged: leave out what does not decode and go on, instead of raising FileFormatError
        for it. Pictures that the decoder could repair are given and marked.
        """
        self.account = account = Account()
        clock = PictureClock(
            rate=self.rate, time_base=self.time_base, start=self.start, steady=self.steady
        )
        with opened(self.path) as container:
            stream = container.streams.video[0]
            # Of a bad H.264 picture near the end, frame threads lose its neighbours too.
            stream.thread_type = 'SLICE' if skip_damaged else 'AUTO'
            packets = _Packets(container, stream)
            for packet in packets:
                try:
                    frames = packet.decode() if packet is not None else stream.decode(None)
                except _ffmpeg_error():
                    if not skip_damaged:
                        raise
                    account.refused += 1
                    continue
                for frame in frames:
                    # Some decoders fill what a packet lacks from older pictures and say nothing.
                    damaged = frame.is_corrupt or frame.pts in packets.corrupt
                    account.decoded += 1
                    account.damaged += damaged
                    time, duration = clock.read(frame.pts, getattr(frame, 'duration', 0))
                    yield Picture(time, duration, self._rgb(frame), damaged)
            if packets.error is not None and not skip_damaged:
                raise packets.error
            self._close_account(packets)

    def _rgb(self, frame: Any) -> np.ndarray:
        if (frame.width, frame.height) != self.size:
            raise FileFormatError(
                f'{self.path}: picture {self.account.decoded - 1} is {frame.width}x{frame.height} '
                f'while the video is {self.size[0]}x{self.size[1]}; cut it into parts of one size'
            )
        return np.ascontiguousarray(frame.to_ndarray(format='rgb24'))

    def _end_promised_by(self, container: Any, stream: Any) -> Fraction | None:
        """When the last picture ends by what the file says of itself, s; None: it does not say.

        Other containers have no such figure of their own: FFmpeg measures or guesses it from what
        is there, so that it cannot tell whether something is missing.
        """
        kind = container.format.name
        if 'avi' in kind.split(','):
            return self._indexed / self.rate if self._indexed else None
        if 'matroska' in kind:
            tagged = _TAGGED_DURATION.fullmatch(stream.metadata.get('DURATION', ''))
            if tagged is None:
                return None
            hours, minutes, seconds = (Fraction(text) for text in tagged.groups())
            return 3600 * hours + 60 * minutes + seconds
        if self._indexed and stream.duration:
            return self.start + stream.duration * self.time_base
        return None

    def _close_account(self, packets: _Packets) -> None:
        account, end = self.account, packets.end
        promised, period = self._promised_end, 1 / self.rate
        if promised is not None and (end is None or promised - end > period / 2):
            account.cut_short = True
            account.missing = round((promised - (end or self.start)) * self.rate)
            account.exact = self.steady
        if account.cut_short and self._indexed and not self.steady:
            account.missing = max(0, self._indexed - packets.count)
            account.exact = True
        if packets.ends_corrupt or packets.error is not None:
            account.cut_short = True


class _Packets:
    """The packets of a stream up to where the file can be read, then None to empty the decoder.

    end: when the last one ends in the file's own time, s. corrupt: the time stamps of those that
    are not whole. ends_corrupt: the last one is not. error: why reading ended early.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self.count = 0
        self.end: Fraction | None = None
        self.corrupt: set[int] = set()
        self.ends_corrupt = False
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except _ffmpeg_error() as error:
                self.error = error
                packet = None
            if packet is None or (not packet.size and packet.dts is None):
                yield None
                return
            self._count(packet)
            # An empty one with a time says that the picture before it stays; to a decoder, it
            # would say that the video is over.
            if packet.size:
                yield packet

    def _count(self, packet: Any) -> None:
        self.count += 1
        self.ends_corrupt = packet.is_corrupt
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is not None:
            if packet.is_corrupt:
                self.corrupt.add(shown)
            length = packet.duration or 0
            end = (shown + length) * packet.time_base
            if not length:
                end += 1 / Fraction(self._stream.average_rate or self._stream.guessed_rate)
            self.end = end if self.end is None else max(self.end, end)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The opened container; whatever FFmpeg says against it becomes a FileFormatError."""
    av = require_av()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FileFormatError(f'{path} holds no video; give a video file')
            yield container
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise FileFormatError(
            f'{path} cannot be read as a video: {reason}; copy or convert it again'
        ) from error


def require_av() -> Any:
    """The package PyAV; MissingExtraError where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            f'videos need the package av ({error}); install it with: '
            "pip install 'msdesis_ros[video]'"
        ) from error
    return av


def _ffmpeg_error() -> type[Exception]:
    return require_av().FFmpegError
