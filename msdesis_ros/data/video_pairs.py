"""Stereo pairs out of videos: both views in one picture, or one video for each eye."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from msdesis_ros.core.errors import FileFormatError, MissingExtraError, UsageError

SUFFIXES = (
    '.avi', '.h264', '.m4v', '.mjpeg', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.mts', '.ogv',
    '.ts', '.webm', '.wmv',
)  # fmt: skip
LAYOUTS = ('side_by_side', 'top_bottom')
# Two videos belong together if their rates differ by no more: a frame in a minute at 30 Hz.
RATE_TOLERANCE = 0.0005


class VideoPair(NamedTuple):
    """time_ns: since the first picture. left, right: H x W x 3 uint8 RGB, C-contiguous."""

    time_ns: int
    left: np.ndarray
    right: np.ndarray


def is_video(path: Path) -> bool:
    """Whether a file has the name of a video."""
    return path.suffix.lower() in SUFFIXES


class VideoPairs:
    """The pairs of one video with both views (`layout`, one of LAYOUTS), or of two videos.

    In one video the left view is the left half or the upper one, with `swap` the other. Iterating
    decodes from the start, each time anew. `image_size`: (width, height) of one view; `rate_hz`;
    `count`: as the file says, None where it does not. Two videos are paired picture by picture
    and end with the shorter one.

    Raises MissingExtraError without PyAV, UsageError for an unknown layout, FileFormatError for a
    file that is no video, views that cannot be halved, and videos of different size or rate.
    """

    def __init__(
        self,
        left: Path,
        right: Path | None = None,
        *,
        layout: str = 'side_by_side',
        swap: bool = False,
    ) -> None:
        if layout not in LAYOUTS:
            raise UsageError(f"'{layout}' is no layout; choose one of {', '.join(LAYOUTS)}")
        self._paths = [left] if right is None else [left, right]
        self._layout, self._swap = layout, swap
        found = [_properties(path) for path in self._paths]
        if right is not None:
            _require_alike(left, found[0], right, found[1])
        self.rate_hz = found[0].rate_hz
        self.count = None if 0 in (counts := [f.count for f in found]) else min(counts)
        self.image_size = found[0].size if right is not None else self._half(found[0].size)

    def __iter__(self) -> Iterator[VideoPair]:
        with contextlib.ExitStack() as stack:
            videos = [stack.enter_context(contextlib.closing(_frames(p))) for p in self._paths]
            start_s: float | None = None
            for number, frames in enumerate(zip(*videos, strict=False)):
                time_s = frames[0].time if frames[0].time is not None else number / self.rate_hz
                start_s = time_s if start_s is None else start_s
                pictures = [self._rgb(frame) for frame in frames]
                left, right = pictures if len(pictures) == 2 else self._views(pictures[0])
                yield VideoPair(round((time_s - start_s) * 1e9), left, right)

    def _rgb(self, frame: Any) -> np.ndarray:
        return np.ascontiguousarray(frame.to_ndarray(format='rgb24'))

    def _half(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        across = self._layout == 'side_by_side'
        whole = width if across else height
        if whole % 2:
            raise FileFormatError(
                f'{self._paths[0]} is {width}x{height}, whose {"width" if across else "height"} '
                f'cannot be halved into two views ({self._layout})'
            )
        return (width // 2, height) if across else (width, height // 2)

    def _views(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        axis = 1 if self._layout == 'side_by_side' else 0
        first, second = (np.ascontiguousarray(half) for half in np.split(picture, 2, axis=axis))
        return (second, first) if self._swap else (first, second)


@dataclass(frozen=True)
class _Properties:
    size: tuple[int, int]
    rate_hz: float
    count: int


def _properties(path: Path) -> _Properties:
    with _opened(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise FileFormatError(f'{path} does not say how many pictures a second it has')
        count = stream.frames
        if not count and container.duration:
            # Some containers know their length in time only (microseconds).
            count = round(container.duration / 1e6 * float(rate))
        return _Properties((stream.width, stream.height), float(rate), count)


def _require_alike(left: Path, one: _Properties, right: Path, other: _Properties) -> None:
    if one.size != other.size:
        raise FileFormatError(
            f'{left} is {one.size[0]}x{one.size[1]} and {right} is '
            f'{other.size[0]}x{other.size[1]}; both views must have one size'
        )
    if abs(one.rate_hz / other.rate_hz - 1) > RATE_TOLERANCE:
        raise FileFormatError(
            f'{left} has {one.rate_hz:g} pictures a second and {right} {other.rate_hz:g}; they '
            'are paired picture by picture, so both must have one rate'
        )


def _frames(path: Path) -> Generator[Any, None, None]:
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = 'AUTO'
        yield from container.decode(stream)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The opened container; whatever FFmpeg says against it becomes a FileFormatError."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            f'videos need the package av ({error}); install it with: '
            "pip install 'msdesis_ros[video]'"
        ) from error
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
