"""Stereo pairs out of videos: both views in one picture, or one video for each eye."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.video_frames import Account, Picture, VideoFile

SUFFIXES = (
    '.avi', '.h264', '.m4v', '.mjpeg', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.mts', '.ogv',
    '.ts', '.webm', '.wmv',
)  # fmt: skip
LAYOUTS = ('side_by_side', 'top_bottom')
# Two videos belong together if their rates differ by no more: a frame in a minute at 30 Hz.
RATE_TOLERANCE = 0.0005


class VideoPair(NamedTuple):
    """time_ns: since the first pair. left, right: H x W x 3 uint8 RGB, C-contiguous.

    time, duration: of the left picture, s, exact; time since the start of its video. damaged: the
    decoder filled in what it could not read of one of them.
    """

    time_ns: int
    left: np.ndarray
    right: np.ndarray
    time: Fraction
    duration: Fraction
    damaged: bool


def is_video(path: Path) -> bool:
    """Whether a file has the name of a video."""
    return path.suffix.lower() in SUFFIXES


class VideoPairs:
    """The pairs of one video with both views (`layout`, one of LAYOUTS), or of two videos.

    In one video the left view is the left half or the upper one, with `swap` the other. Iterating
    decodes from the start, each time anew. `image_size`: (width, height) of one view; `rate_hz`,
    and `rate` as an exact fraction; `count`: as the file says, None where it does not. Two videos
    are paired by their times, each counted from its own start, so that a picture that one of them
    lost costs one pair and no more; they end with the shorter one.

    skip_damaged: go on behind pictures that do not decode. `accounts`, one for each file, and
    `unpaired`, pictures without a partner in the other file, are those of the latest pass.

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
        skip_damaged: bool = False,
    ) -> None:
        if layout not in LAYOUTS:
            raise UsageError(f"'{layout}' is no layout; choose one of {', '.join(LAYOUTS)}")
        self.files = [VideoFile(path) for path in ([left] if right is None else [left, right])]
        self._layout, self._swap, self._skip_damaged = layout, swap, skip_damaged
        first = self.files[0]
        if right is not None:
            _require_alike(*self.files)
        self.rate = first.rate
        self.rate_hz = float(first.rate)
        self.count = None if 0 in (counts := [f.count for f in self.files]) else min(counts)
        self.image_size = first.size if right is not None else self._half(first.size)
        self.unpaired = [0] * len(self.files)

    @property
    def accounts(self) -> list[Account]:
        """What became of the pictures of each file."""
        return [file.account for file in self.files]

    def __iter__(self) -> Iterator[VideoPair]:
        self.unpaired = [0] * len(self.files)
        with contextlib.ExitStack() as stack:
            streams: list[Iterator[Picture]] = [
                stack.enter_context(
                    contextlib.closing(file.pictures(skip_damaged=self._skip_damaged))
                )
                for file in self.files
            ]
            start: Fraction | None = None
            for pictures in self._matched(streams):
                first = pictures[0]
                start = first.time if start is None else start
                views = [picture.rgb for picture in pictures]
                left, right = views if len(views) == 2 else self._views(views[0])
                yield VideoPair(
                    round((first.time - start) * 10**9),
                    left,
                    right,
                    first.time,
                    first.duration,
                    any(picture.damaged for picture in pictures),
                )

    def _matched(self, streams: list[Iterator[Picture]]) -> Iterator[tuple[Picture, ...]]:
        if len(streams) == 1:
            yield from ((picture,) for picture in streams[0])
            return
        for left, right in in_step(streams[0], streams[1], within=1 / (2 * self.rate)):
            if left is not None and right is not None:
                yield left, right
            else:
                self.unpaired[0 if right is None else 1] += 1

    def _half(self, size: tuple[int, int]) -> tuple[int, int]:
        width, height = size
        across = self._layout == 'side_by_side'
        whole = width if across else height
        if whole % 2:
            raise FileFormatError(
                f'{self.files[0].path} is {width}x{height}, whose '
                f'{"width" if across else "height"} cannot be halved into two views '
                f'({self._layout})'
            )
        return (width // 2, height) if across else (width, height // 2)

    def _views(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        axis = 1 if self._layout == 'side_by_side' else 0
        first, second = (np.ascontiguousarray(half) for half in np.split(picture, 2, axis=axis))
        return (second, first) if self._swap else (first, second)


def in_step(
    left: Iterator[Picture], right: Iterator[Picture], *, within: Fraction
) -> Iterator[tuple[Picture | None, Picture | None]]:
    """Pair the pictures of two videos whose times differ by `within` s at most.

    Rates that are rounded differently in two files drift apart slowly; hence times are compared
    by what they differed at the pair before. None stands for a missing partner. Ends with the
    shorter video, whose rival's last picture read is given alone.
    """
    lead = Fraction(0)
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        apart = other.time - one.time - lead
        if apart > within:
            yield one, None
            one = next(left, None)
        elif apart < -within:
            yield None, other
            other = next(right, None)
        else:
            lead += apart
            yield one, other
            one, other = next(left, None), next(right, None)
    if one is not None or other is not None:
        yield one, other


def _require_alike(left: VideoFile, right: VideoFile) -> None:
    if left.size != right.size:
        raise FileFormatError(
            f'{left.path} is {left.size[0]}x{left.size[1]} and {right.path} is '
            f'{right.size[0]}x{right.size[1]}; both views must have one size'
        )
    if abs(left.rate / right.rate - 1) > RATE_TOLERANCE:
        raise FileFormatError(
            f'{left.path} has {float(left.rate):g} pictures a second and {right.path} '
            f'{float(right.rate):g}; they are paired picture by picture, so both must have one '
            'rate'
        )
