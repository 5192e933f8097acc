"""The values that travel through the pipeline: pairs of pictures in, one prediction out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.left_rig import ViewGeometry


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights, in which program, produced a result.

    `sha256` is that of the weights file, None for a model without weights; `engine` names a
    compiled engine where the backend has one.
    """

    name: str
    sha256: str | None
    backend: str
    engine: str | None = None


@dataclass(frozen=True, eq=False)
class RawPair:
    """A left and a right picture taken together, as the cameras delivered them.

    `left`, `right`: H x W x 3 uint8 RGB, equal sizes. `stamp_ns` is the left stamp, the one every
    result carries. Raises ImageError for anything else.
    """

    left: np.ndarray
    right: np.ndarray
    stamp_ns: int
    right_stamp_ns: int

    def __post_init__(self) -> None:
        require_rgb(self.left, name='left')
        require_rgb(self.right, name='right')
        require_equal_size(self.left, self.right)

    @property
    def skew_ns(self) -> int:
        """|left stamp - right stamp| in nanoseconds."""
        return abs(self.stamp_ns - self.right_stamp_ns)

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.left.shape[1], self.left.shape[0]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the product says of one pair, or one left picture, at the size of the rectified left.

    Every array is H x W of `left_rect`. `disparity_px` (float32) is the model's value at every
    pixel in pictures rectified to a common cx, NaN only where the model has none; `valid` (bool)
    marks the pixels that depth, cloud and topics use. `depth_m` (float32, Z in the rectified left
    optical frame) is NaN outside `valid`, None where no calibration is known or one eye was used.
    `instrument_mask` (bool) and `uncertainty_px` (float32, 1 sigma of the disparity) are None
    where the model does not give them. `min_disparity_px`/`max_disparity_px` bound what was
    searched, in steps of `disparity_step_px` (0 = continuous); `valid_window` (x, y, width,
    height) bounds the pixels that have a source in the left picture. `geometry` is a
    `StereoGeometry` wherever there is a depth.
    """

    stamp_ns: int
    left_rect: np.ndarray
    disparity_px: np.ndarray
    valid: np.ndarray
    depth_m: np.ndarray | None
    instrument_mask: np.ndarray | None
    uncertainty_px: np.ndarray | None
    geometry: ViewGeometry | None
    model: ModelIdentity
    min_disparity_px: float
    max_disparity_px: float
    disparity_step_px: float
    valid_window: tuple[int, int, int, int]

    @property
    def coverage(self) -> float:
        """The share of pixels that are valid, 0 to 1."""
        return float(np.count_nonzero(self.valid)) / max(self.valid.size, 1)


def require_rgb(picture: np.ndarray, *, name: str) -> None:
    """Raise ImageError unless `picture` is a non-empty H x W x 3 uint8 array."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ImageError(
            f'the {name} picture has shape {picture.shape} and type {picture.dtype}; '
            'expected height x width x 3 uint8 RGB'
        )
    if picture.shape[0] == 0 or picture.shape[1] == 0:
        raise ImageError(f'the {name} picture is empty ({picture.shape[1]}x{picture.shape[0]})')


def require_equal_size(left: np.ndarray, right: np.ndarray) -> None:
    """Raise ImageError unless both pictures have one size."""
    if left.shape != right.shape:
        raise ImageError(
            f'the left picture is {left.shape[1]}x{left.shape[0]} and the right one '
            f'{right.shape[1]}x{right.shape[0]}; both views must have one size'
        )
