"""What a training step sees: pictures and whatever truth there is, in NumPy and in torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from msdesis_ros.data.synth.stereo_frame import StereoFrame

# Of masks and parts: nobody knows what this pixel is.
UNKNOWN = 255


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known at one view's pixels, H x W each.

    disparity_px: float32, NaN where unknown. occluded: bool, True where the other view does not
    show the surface. mask: uint8, 1 = instrument, 0 = none, UNKNOWN. parts: uint8, values of
    `Part`, or UNKNOWN.
    """

    disparity_px: np.ndarray
    occluded: np.ndarray
    mask: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True, eq=False)
class Sample:
    """A rectified pair, H x W x 3 uint8 RGB, and its truth at the left view's pixels.

    `right_truth`: the same at the right view's pixels, its disparity positive too; None where
    nobody knows it. `skipped`: sentences on broken records passed over on the way to this one.
    """

    left: np.ndarray
    right: np.ndarray
    truth: Truth
    right_truth: Truth | None = None
    skipped: tuple[str, ...] = ()


class Batch(NamedTuple):
    """Samples of one size. left, right: N x 3 x H x W uint8; the others N x 1 x H x W, as in
    `Truth`. skipped: the sentences of all samples.
    """

    left: Tensor
    right: Tensor
    disparity_px: Tensor
    occluded: Tensor
    mask: Tensor
    parts: Tensor
    skipped: tuple[str, ...] = ()

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(plane.to(device) for plane in self[:6]), self.skipped)

    def parts_of(self, most: int) -> list[Batch]:
        """Cut into at most `most` batches of nearly as many samples each, none empty."""
        pieces = (plane.tensor_split(min(most, len(plane))) for plane in self[:6])
        return [Batch(*planes, self.skipped) for planes in zip(*pieces, strict=True)]


def sample_of_frame(frame: StereoFrame) -> Sample:
    """A synthetic frame as a sample."""
    truth = Truth(
        frame.disparity_px, frame.occluded, frame.instrument_mask.astype(np.uint8), frame.parts
    )
    return Sample(frame.left, frame.right, truth)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as a batch."""

    def stacked(planes: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(planes))

    views = [
        stacked([getattr(sample, view) for sample in samples]).permute(0, 3, 1, 2).contiguous()
        for view in ('left', 'right')
    ]
    planes = [
        stacked([getattr(sample.truth, field.name) for sample in samples]).unsqueeze(1)
        for field in fields(Truth)
    ]
    return Batch(*views, *planes, sum((sample.skipped for sample in samples), ()))
