"""The losses with which the authors of MSDESIS trained (their release, training_scripts).

Where theirs would be NaN (no pixel with truth, a disparity whose mean is 0) these are 0 or finite.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from msdesis_ros.nets.msdesis.correlation import correlation
from msdesis_ros.training.batch import UNKNOWN
from msdesis_ros.training.losses import match_loss
from msdesis_ros.training.masked import coarser, disparity_target, weighted_mean

# Background to instrument pixels, as they counted them.
POSITIVE_WEIGHT = 0.85 / 0.15
_SMOOTH = 1e-5
# The levels whose features are compared over all disparities, and by what the means over channels
# are multiplied before the softmax: features begin at a scale of 1.
MATCHED_LEVELS = (3, 4, 5)
MATCH_GAIN = 10.0
_C1, _C2 = 0.01**2, 0.03**2
_SIGMA = 1.5


def multiscale_smooth_l1(
    disparities: Sequence[Tensor | None],
    truth_px: Tensor,
    *,
    max_disparity: int,
    scale_weights: Sequence[float] = (1.0,) * 6,
) -> Tensor:
    """Mean over scales, by weight, of smooth-L1 where 0 < truth < max_disparity.

    disparities: d0 .. d5, N x 1 x H/2^i x W/2^i, px of level i; what has no weight may be None.
    truth_px: N x 1 x H x W, NaN = unknown.
    """
    known = (truth_px > 0) & (truth_px < max_disparity)
    truth_px = torch.where(known, truth_px, torch.zeros_like(truth_px))
    total = truth_px.new_zeros(())
    for level, (disparity, weight) in enumerate(zip(disparities, scale_weights, strict=True)):
        if weight:
            full_px = at_full_size(disparity, level)
            losses = functional.smooth_l1_loss(full_px, truth_px, reduction='none')
            total = total + weight * weighted_mean(losses, known.to(losses.dtype))
    return total / sum(scale_weights)


def unsupervised_multiscale(
    disparities: Sequence[Tensor | None],
    left: Tensor,
    right: Tensor,
    *,
    scale_weights: Sequence[float] = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    ssim_share: float = 0.9,
    photometric_share: float = 0.7,
) -> Tensor:
    """How unlike the left view is to the right one warped by the disparity, and how rough that is.

    left, right: N x 3 x H x W, values from 0 to 1. Without an occlusion mask, as published.
    """
    total = left.new_zeros(())
    for level, (disparity, weight) in enumerate(zip(disparities, scale_weights, strict=True)):
        if weight:
            full_px = at_full_size(disparity, level)
            rebuilt = warped_to_left(right, full_px)
            unlike = ssim_share * ssim_loss(rebuilt, left)
            unlike = unlike + (1 - ssim_share) * functional.smooth_l1_loss(rebuilt, left)
            rough = smoothness(full_px, left) / 2**level
            shares = photometric_share * unlike + (1 - photometric_share) * rough
            total = total + weight * shares
    return total


def feature_match_loss(
    left: Sequence[Tensor],
    right: Sequence[Tensor],
    truth_px: Tensor,
    occluded: Tensor,
    *,
    max_disparity: int,
) -> Tensor:
    """Mean over 1/8, 1/16 and 1/32 of the cross-entropy of which right feature is the partner.

    left, right: features f1 .. f5 of the views. truth_px, occluded: N x 1 x H x W; what is
    occluded has no partner and does not count. Not a loss of the release.
    """
    full = disparity_target(truth_px, occluded, max_disparity=max_disparity, occluded_weight=0.0)
    total = truth_px.new_zeros(())
    for level in MATCHED_LEVELS:
        stride = 2**level
        candidates = range(max_disparity // stride + 1)
        alike = correlation(left[level - 1].float(), right[level - 1].float(), candidates)
        total = total + match_loss(MATCH_GAIN * alike, coarser(full, stride), stride=stride)
    return total / len(MATCHED_LEVELS)


def warped_to_left(right: Tensor, disparity_px: Tensor) -> Tensor:
    """The right view sampled at x - d, bilinear, zeros outside; N x 3 x H x W."""
    height, width = right.shape[-2:]
    x = torch.arange(width, dtype=torch.float32, device=right.device)
    y = torch.arange(height, dtype=torch.float32, device=right.device)
    column = (x.view(1, 1, -1) - disparity_px[:, 0]) * (2.0 / (width - 1)) - 1
    row = (y * (2.0 / (height - 1)) - 1).view(1, -1, 1).expand_as(column)
    grid = torch.stack((column, row), dim=-1)
    return functional.grid_sample(right, grid, padding_mode='zeros', align_corners=True)


def ssim_loss(one: Tensor, other: Tensor, *, window: int = 11) -> Tensor:
    """Mean of (1 - SSIM) / 2, clamped to 0 .. 1. Wang et al., IEEE TIP 2004."""
    offsets = torch.arange(window, dtype=one.dtype, device=one.device) - window // 2
    kernel = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    channels = one.shape[1]

    def blurred(plane: Tensor) -> Tensor:
        reach = window // 2
        padded = functional.pad(plane, (reach,) * 4, mode='reflect')
        rows = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        columns = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
        wide = functional.conv2d(padded, rows, groups=channels)
        return functional.conv2d(wide, columns, groups=channels)

    mean_1, mean_2 = blurred(one), blurred(other)
    variance_1 = blurred(one * one) - mean_1**2
    variance_2 = blurred(other * other) - mean_2**2
    covariance = blurred(one * other) - mean_1 * mean_2
    alike = (2 * mean_1 * mean_2 + _C1) * (2 * covariance + _C2)
    alike = alike / ((mean_1**2 + mean_2**2 + _C1) * (variance_1 + variance_2 + _C2))
    return ((1 - alike) / 2).clamp(0, 1).mean()


def smoothness(disparity_px: Tensor, picture: Tensor) -> Tensor:
    """Steps of the disparity, relative to its mean, less where the picture has some."""
    mean = disparity_px.mean(dim=(2, 3), keepdim=True)
    relative = disparity_px / mean.clamp(min=1e-3)
    total = disparity_px.new_zeros(())
    for axis in (2, 3):
        steps = relative.diff(dim=axis).abs()
        edges = picture.diff(dim=axis).abs().mean(dim=1, keepdim=True)
        total = total + (steps * torch.exp(-edges)).mean()
    return total


def segmentation_loss(
    logits: Tensor, mask: Tensor, *, criterion: str = 'dice_wbce', share: float = 0.5
) -> Tensor:
    """share * weighted cross-entropy + (1 - share) * Dice or Jaccard loss; N x 1 x H x W each."""
    known = (mask != UNKNOWN).to(logits.dtype)
    wanted = (mask == 1).to(logits.dtype)
    heavier = torch.full((1,), POSITIVE_WEIGHT, dtype=logits.dtype, device=logits.device)
    entropies = functional.binary_cross_entropy_with_logits(
        logits, wanted, reduction='none', pos_weight=heavier
    )
    found = torch.sigmoid(logits) * known
    over = CRITERIA[criterion](found, wanted)
    return share * weighted_mean(entropies, known) + (1 - share) * over


def _dice(found: Tensor, wanted: Tensor) -> Tensor:
    """Of each sample, then the mean."""
    axes = (1, 2, 3)
    both = (found * wanted).sum(axes)
    dice = (2 * both + _SMOOTH) / (found.sum(axes) + wanted.sum(axes) + _SMOOTH)
    return (1 - dice).mean()


def _jaccard(found: Tensor, wanted: Tensor) -> Tensor:
    """Of the whole batch."""
    both = (found * wanted).sum()
    either = found.sum() + wanted.sum() - both
    return 1 - (both + _SMOOTH) / (either + _SMOOTH)


CRITERIA = {'dice_wbce': _dice, 'jaccard_wbce': _jaccard}


def at_full_size(disparity: Tensor, level: int) -> Tensor:
    """N x 1 x H/2^level x W/2^level in px of the level -> N x 1 x H x W in px of the picture."""
    if not level:
        return disparity
    height, width = disparity.shape[-2:]
    larger = functional.interpolate(
        disparity,
        size=(height << level, width << level),
        mode='bilinear',
        align_corners=False,
    )
    return larger * 2**level
