"""Means over the pixels that have a truth, and truth at the sizes of coarser planes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

# Of a coarse pixel's truth: how far its fine pixels may be from their median, in px for each fine
# pixel of its width. A slope of one half stays in; another surface does not.
SLOPE = 0.25


class Target(NamedTuple):
    """N x 1 x h x w each: the truth, and what each pixel weighs; both 0 where nothing is known."""

    value: Tensor
    weight: Tensor


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean by weight; exactly 0, with a gradient of 0, where all weights are 0."""
    # Values of pixels without weight may be anything, and 0 * inf would be NaN.
    kept = torch.where(weights > 0, values, torch.zeros_like(values))
    return (kept * weights).sum() / weights.sum().clamp(min=1e-6)


def disparity_target(
    disparity_px: Tensor, occluded: Tensor, *, max_disparity: int, occluded_weight: float
) -> Target:
    """N x 1 x H x W float32 (NaN = unknown) and bool. What lies outside of 0 <= d < max_disparity
    has no weight: the network cannot answer it.
    """
    known = (disparity_px >= 0) & (disparity_px < max_disparity)  # False for NaN
    weight = torch.where(occluded, occluded_weight, 1.0) * known
    return Target(torch.where(known, disparity_px, torch.zeros_like(disparity_px)), weight)


def coarser(target: Target, stride: int) -> Target:
    """The truth of blocks of stride x stride: the mean over the surface that holds the block's
    median, so that no value lies between two surfaces. Its weight is that surface's share.
    """
    values = functional.pixel_unshuffle(target.value, stride)
    weights = functional.pixel_unshuffle(target.weight, stride)
    known = weights > 0
    middle = torch.where(known, values, torch.nan).nanmedian(dim=1, keepdim=True).values
    near = known & ((values - middle).abs() <= SLOPE * stride)
    share = weights * near
    total = share.sum(dim=1, keepdim=True)
    mean = (values * share).sum(dim=1, keepdim=True) / total.clamp(min=1e-6)
    return Target(mean, total / stride**2)
