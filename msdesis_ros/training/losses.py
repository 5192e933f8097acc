"""What the fast network is trained for."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.fast.config import MATCH_STRIDE, REFINE_STRIDE
from msdesis_ros.nets.fast.model import FastOutput
from msdesis_ros.training.batch import UNKNOWN, Batch
from msdesis_ros.training.masked import Target, coarser, disparity_target, weighted_mean

# Of |error| / b: beyond this the likelihood grows as a logarithm. A Laplace distribution has 0.7 %
# of its mass there, which shifts the learned scale by less than 1 %.
TAIL = 5.0


@dataclass(frozen=True)
class FastWeights:
    """What each term of the fast network's loss weighs; 0 leaves it out.

    match: cross-entropy of the distribution at 1/8. step_8, step_4_first, step_4_second: smooth-L1
    of the disparities on the way. full: smooth-L1 at full size. likelihood: of the Laplace
    distribution. mask, dice: binary cross-entropy and Dice of the mask. parts: cross-entropy at
    1/4. occluded: what an occluded pixel weighs among 1 for the others. Raises UsageError for a
    weight below 0.
    """

    match: float = 0.5
    step_8: float = 0.1
    step_4_first: float = 0.15
    step_4_second: float = 0.4
    full: float = 0.25
    likelihood: float = 0.5
    mask: float = 0.6
    dice: float = 0.3
    parts: float = 0.2
    occluded: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float('inf'):
                raise UsageError(f'the loss weight {field.name} is {value}; expected 0 or more')


DISPARITY_TERMS = ('match', 'step_8', 'step_4_first', 'step_4_second', 'full', 'likelihood')
MASK_TERMS = ('mask', 'dice', 'parts')


def fast_terms(
    output: FastOutput, batch: Batch, *, max_disparity: int, occluded_weight: float
) -> dict[str, Tensor]:
    """The terms of what the network answers, by their names in FastWeights, unweighted; 0 without
    truth for one.
    """
    terms = {}
    if output.disparity_px is not None:
        terms |= _disparity_terms(
            output, batch, max_disparity=max_disparity, occluded_weight=occluded_weight
        )
    if output.mask_logits is not None:
        terms['mask'] = mask_loss(output.mask_logits, batch.mask)
        terms['dice'] = dice_loss(output.mask_logits, batch.mask)
        terms['parts'] = parts_loss(output.part_logits, batch.parts)
    return terms


def _disparity_terms(
    output: FastOutput, batch: Batch, *, max_disparity: int, occluded_weight: float
) -> dict[str, Tensor]:
    full = disparity_target(
        batch.disparity_px,
        batch.occluded,
        max_disparity=max_disparity,
        occluded_weight=occluded_weight,
    )
    quarter = coarser(full, REFINE_STRIDE)
    eighth = coarser(full, MATCH_STRIDE)
    at_8, first, second = output.steps_px
    return {
        'match': match_loss(output.match_logits, eighth),
        'step_8': _smooth_l1(at_8, eighth),
        'step_4_first': _smooth_l1(first, quarter),
        'step_4_second': _smooth_l1(second, quarter),
        'full': _smooth_l1(output.disparity_px, full),
        'likelihood': likelihood_loss(output.disparity_px, output.log_scale, full),
    }


def match_loss(logits: Tensor, coarse: Target, *, stride: int = MATCH_STRIDE) -> Tensor:
    """Cross-entropy against the two bins around the truth, whose mean is the truth.

    logits: N x bins x h x w, of which each bin is `stride` px wide, as a pixel of `coarse` is.
    """
    bins = logits.shape[1]
    position = (coarse.value / stride).clamp(max=bins - 1)
    low = position.floor().long()
    share = position - low
    log_share = functional.log_softmax(logits, dim=1)
    at_low = log_share.gather(1, low)
    at_high = log_share.gather(1, (low + 1).clamp(max=bins - 1))
    return weighted_mean(-(1 - share) * at_low - share * at_high, coarse.weight)


def likelihood_loss(disparity_px: Tensor, log_scale: Tensor, full: Target) -> Tensor:
    """Negative logarithm of a Laplace likelihood, of which only the scale learns.

    The error enters without its gradient. By itself that gradient is sign(error) / b: up to 50
    times that of the other terms where the network is sure, and next to none where it is not, so
    that hard pixels would stay as they are. The smooth-L1 terms teach the disparity instead. The
    logarithmic tail bounds the gradient of log b to -4 .. 1: in the first steps errors are as
    large as the picture.
    """
    ratio = (disparity_px.detach() - full.value).abs() * torch.exp(-log_scale)
    tail = TAIL * (1 + torch.log(ratio.clamp(min=TAIL) / TAIL))
    return weighted_mean(torch.where(ratio <= TAIL, ratio, tail) + log_scale, full.weight)


def mask_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy over the pixels whose mask is known; N x 1 x H x W each."""
    known = mask != UNKNOWN
    wanted = (known & (mask > 0)).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, wanted, reduction='none')
    return weighted_mean(losses, known.to(logits.dtype))


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - Dice over the whole batch: a picture without instruments has no Dice of its own."""
    known = (mask != UNKNOWN).to(logits.dtype)
    wanted = (mask == 1).to(logits.dtype)
    share = torch.sigmoid(logits) * known
    together = (share * wanted).sum()
    return 1 - (2 * together + 1) / (share.sum() + wanted.sum() + 1)


def parts_loss(logits: Tensor, parts: Tensor) -> Tensor:
    """Cross-entropy at 1/4. logits: N x classes x h x w; parts: N x 1 x H x W, of which the pixel
    at each block's centre counts.
    """
    centre = REFINE_STRIDE // 2
    wanted = parts[:, 0, centre::REFINE_STRIDE, centre::REFINE_STRIDE].long()
    known = wanted != UNKNOWN
    wanted = torch.where(known, wanted, torch.zeros_like(wanted))
    losses = functional.cross_entropy(logits, wanted, reduction='none')
    return weighted_mean(losses, known.to(logits.dtype))


def _smooth_l1(found_px: Tensor, target: Target) -> Tensor:
    losses = functional.smooth_l1_loss(found_px, target.value, reduction='none')
    return weighted_mean(losses, target.weight)
