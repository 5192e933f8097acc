"""Picture files as Image messages that are ready to be sent: decoded once, ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from msdesis_ros.core.errors import ImageError, UsageError
from msdesis_ros.data.images import read_rgb
from msdesis_ros.ros.messages import image_message

PairOfImages = tuple[Image, Image]

ENCODERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'rgb8': lambda rgb: rgb,
    'bgr8': lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR),
    'mono8': lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
}
CACHE_BYTES = 2**30
# How many pairs beyond the cache are decoded before they are due.
AHEAD = 4


class PictureSource:
    """Left and right Image messages of each pair, without a stamp and a frame.

    One thread decodes: first the pairs that fit into `cache_bytes`, which then stay; the others
    again each time, a few ahead. The first pair is decoded at once: its size is `image_size`
    (width, height), which every picture must have. Raises UsageError for an unknown encoding,
    ImageError and FileFormatError for pictures that cannot be sent.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        *,
        encoding: str,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if encoding not in ENCODERS:
            raise UsageError(
                f"the player does not know the encoding '{encoding}'; choose one of "
                f'{", ".join(ENCODERS)}'
            )
        self._pairs = pairs
        self._encoding = encoding
        self.image_size: tuple[int, int] | None = None
        first = self._load(0)
        self.image_size = first[0].width, first[0].height
        pair_bytes = len(first[0].data) + len(first[1].data)
        cached = min(len(pairs), max(1, cache_bytes // pair_bytes))
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix='decode')
        self._cached = [self._pool.submit(self._load, index) for index in range(cached)]
        self._ahead: dict[int, Future[PairOfImages]] = {}

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def ready(self) -> bool:
        """Whether everything that can be prepared is; raises what went wrong with a picture."""
        return all(future.done() and future.result() is not None for future in self._cached)

    def messages(self, index: int) -> PairOfImages:
        """The messages of pair `index` (any integer, counted round and round).

        They are the source's own and are used again: set stamp and frame, publish, forget.
        """
        index %= len(self)
        uncached = len(self) - len(self._cached)
        if uncached:
            first = max(index, len(self._cached)) - len(self._cached)
            for step in range(min(AHEAD, uncached)):
                due = len(self._cached) + (first + step) % uncached
                if due not in self._ahead:
                    self._ahead[due] = self._pool.submit(self._load, due)
        if index < len(self._cached):
            return self._cached[index].result()
        return self._ahead.pop(index).result()

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, index: int) -> PairOfImages:
        left, right = (self._image(path) for path in self._pairs[index])
        if (left.width, left.height) != (right.width, right.height):
            raise ImageError(
                f'{self._pairs[index][0]} is {left.width}x{left.height} and '
                f'{self._pairs[index][1]} is {right.width}x{right.height}; both pictures of a '
                'pair must have one size'
            )
        return left, right

    def _image(self, path: Path) -> Image:
        rgb = read_rgb(path)
        size = rgb.shape[1], rgb.shape[0]
        if self.image_size not in (None, size):
            raise ImageError(
                f'{path} is {size[0]}x{size[1]} and the first pair is '
                f'{self.image_size[0]}x{self.image_size[1]}; all must have one size'
            )
        return image_message(ENCODERS[self._encoding](rgb), self._encoding, Header())
