"""What every inference backend is to the pipeline: rectified pictures in, raw planes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from msdesis_ros.core.errors import BackendError
from msdesis_ros.core.prediction import ModelIdentity, require_equal_size, require_rgb

HEADS = ('disparity', 'instrument_mask', 'uncertainty')


@dataclass(frozen=True, eq=False)
class RawOutput:
    """What a model says about one rectified pair, before anybody judged it.

    Every array is H x W float32 of the left picture, and belongs to the caller: a later run never
    changes it. `disparity_px`: left x minus right x in the pictures given, NaN where the model has
    no value; it may point outside of the right picture, which the pipeline decides about.
    `mask_logits`: above 0 = instrument. `uncertainty_px`: 1 sigma of the disparity. None where the
    model lacks the head. `max_disparity_px`: the largest disparity searched in pictures of this
    size; None = that of the backend. Raises BackendError for other shapes and types.
    """

    disparity_px: np.ndarray | None
    mask_logits: np.ndarray | None = None
    uncertainty_px: np.ndarray | None = None
    max_disparity_px: float | None = None

    def __post_init__(self) -> None:
        size = None
        for name in ('disparity_px', 'mask_logits', 'uncertainty_px'):
            plane = getattr(self, name)
            if plane is None:
                continue
            if plane.ndim != 2 or plane.dtype != np.float32:
                raise BackendError(
                    f'the backend gave {name} with shape {plane.shape} and type {plane.dtype}; '
                    'expected height x width float32'
                )
            if size is not None and plane.shape != size:
                raise BackendError(
                    f'the backend gave {name} with shape {plane.shape} beside one of {size}; '
                    'all outputs of one run have the size of the left picture'
                )
            size = plane.shape


class Backend(Protocol):
    """One loaded model in one inference program.

    One thread uses a backend at a time. `heads` is a subset of HEADS; a model searches disparities
    from `min_disparity_px` to at most `max_disparity_px`, in steps of `disparity_step_px` (0 =
    continuous). A network whose last layer has no bound may answer outside of them, and is handed
    on as it is: the pipeline trusts only what has a partner in the right picture.
    """

    @property
    def identity(self) -> ModelIdentity: ...

    @property
    def heads(self) -> frozenset[str]: ...

    @property
    def min_disparity_px(self) -> float: ...

    @property
    def max_disparity_px(self) -> float: ...

    @property
    def disparity_step_px(self) -> float: ...

    def warm_up(self, image_size: tuple[int, int]) -> None:
        """Take the cost of the first run now, for pictures of (width, height).

        Raises BackendError for a size the backend cannot take, naming those it can.
        """

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        """Infer one rectified pair: H x W x 3 uint8 RGB each, equal sizes; neither is written to.

        Pictures that are not C-contiguous are copied first. Raises ImageError for pictures of
        another kind or of different sizes, BackendError for a size the backend cannot take, for a
        closed backend, and where the run itself fails.
        """

    def close(self) -> None:
        """Release what the backend holds; closing again does nothing."""


def contiguous_pair(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both pictures C-contiguous (copied only where they are not).

    Raises ImageError unless both are H x W x 3 uint8 of one size.
    """
    require_rgb(left, name='left')
    require_rgb(right, name='right')
    require_equal_size(left, right)
    return np.ascontiguousarray(left), np.ascontiguousarray(right)
