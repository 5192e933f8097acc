"""What a pair without truth tells about its disparity: losses of both views at once.

Every plane here is N x 1 x H x W float32. `Views` holds each pair twice, as it is and in a mirror:
the mirrored right view is a left one, so that one network answers both eyes and every loss counts
for both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.fast.config import MATCH_STRIDE, REFINE_STRIDE
from msdesis_ros.nets.fast.model import FastOutput
from msdesis_ros.training.batch import UNKNOWN, Batch
from msdesis_ros.training.look import DARK, LUMA
from msdesis_ros.training.losses import match_loss
from msdesis_ros.training.masked import Target, coarser, weighted_mean
from msdesis_ros.training.own_frames_source import OwnFrames
from msdesis_ros.training.published_losses import warped_to_left

# Level of 255. Above, in all channels, is a highlight, which does not lie on the surface; below
# DARK is the black around a round field of view, which would match itself at disparity 0.
GLARE = 250
# Standard deviation, of 1, that counts as noise where pictures are divided by theirs.
NOISE = 4 / 255
NORMAL_WINDOW, STRUCTURE_WINDOW = 9, 7
# A pixel is hidden where the other eye sees something nearer by more than this, px and share.
HIDDEN_PX, HIDDEN_SHARE = 1.0, 0.05


@dataclass(frozen=True)
class SelfSupervised:
    """How a network learns from pairs without truth; each weight may be 0.

    frames: where they lie. rehearsal_share: of the samples, those from data.train instead, which
    have a truth. photometric: how unlike the views are. smooth: curvature of the disparity away
    from edges. consistency: both eyes' disparities against each other. steps: the disparities on
    the way against the final one. anchor: disparities against those of the initial network, by its
    own certainty; scale: its uncertainty. rehearsal: the usual losses of pairs with truth. scales:
    picture sizes of the photometric term, each half the one before. unsure_px: the Laplace scale
    at which the anchor holds half as much. frozen: beginnings of the names of weights that stay;
    those of the mask do in any case. learn_statistics: whether batch-norm takes the statistics of
    the batches. Raises UsageError for values that cannot be.
    """

    frames: OwnFrames
    rehearsal_share: float = 0.25
    look_share: float = 0.0
    photometric: float = 10.0
    smooth: float = 0.05
    consistency: float = 0.1
    steps: float = 0.1
    anchor: float = 0.05
    scale: float = 0.05
    rehearsal: float = 0.5
    scales: int = 3
    unsure_px: float = 0.5
    frozen: tuple[str, ...] = ()
    learn_statistics: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0 <= value < float('inf'):
                raise UsageError(f'self_supervised.{field.name} is {value}; expected 0 or more')
        if self.rehearsal_share >= 1:
            raise UsageError(
                f'self_supervised.rehearsal_share is {self.rehearsal_share}; expected below 1'
            )
        if self.look_share > 1:
            raise UsageError(f'self_supervised.look_share is {self.look_share}; expected 0 to 1')
        if not 1 <= self.scales <= 4 or not self.unsure_px > 0:
            raise UsageError(
                f'self_supervised.scales is {self.scales}, unsure_px {self.unsure_px}; expected 1 '
                'to 4 scales, and more than 0 px'
            )


class Views(NamedTuple):
    """Pairs and their mirror images. left, right: N x 3 x H x W uint8. disparity_px: of `left`.
    other_px: of `right`, at its own pixels, positive too.
    """

    left: Tensor
    right: Tensor
    disparity_px: Tensor
    other_px: Tensor


def own_pairs(batch: Batch) -> Tensor:
    """N bool: pairs of which no truth is known."""
    nothing = ~torch.isfinite(batch.disparity_px) & (batch.mask == UNKNOWN)
    return nothing.flatten(1).all(1)


def with_mirrors(batch: Batch) -> Batch:
    """The batch, and after it the mirror images of its own pairs."""
    own = own_pairs(batch)
    mirrored = [batch.right[own].flip(-1), batch.left[own].flip(-1)]
    planes = [*mirrored, *(plane[own] for plane in batch[2:6])]
    both = (torch.cat(pair) for pair in zip(batch[:6], planes, strict=True))
    return Batch(*both, batch.skipped)


def views_of(left: Tensor, right: Tensor, disparity_px: Tensor) -> Views:
    """Take apart a batch whose second half is the mirror image of the first one."""
    straight, mirrored = disparity_px.chunk(2)
    return Views(left, right, disparity_px, torch.cat((mirrored, straight)).flip(-1))


def lit(picture: Tensor) -> Tensor:
    """N x 3 x H x W uint8 -> bool: neither black nor a highlight."""
    return (picture.amax(1, keepdim=True) >= DARK) & (picture.amin(1, keepdim=True) < GLARE)


@torch.no_grad()
def visible(views: Views) -> Tensor:
    """Bool: lit pixels whose partner lies in the other view, is lit and is not hidden there.

    Hidden is where the other eye sees something nearer. Where it sees something farther the
    disparities are wrong, and the photometric term has to say so: these pixels count.
    """
    x = torch.arange(views.left.shape[-1], device=views.left.device)
    disparity_px = views.disparity_px
    there = warped_to_left(views.other_px, disparity_px)
    hidden = there > disparity_px + (HIDDEN_SHARE * disparity_px).clamp(min=HIDDEN_PX)
    partner = warped_to_left(lit(views.right).float(), disparity_px) > 0.99
    inside = (x - disparity_px >= 0) & (disparity_px >= 0)  # False for NaN
    return lit(views.left) & partner & inside & ~hidden


def unlikeness(views: Views, counted: Tensor, *, scales: int) -> Tensor:
    """How unlike each pixel is to its partner, 0 to 1, mean over `counted` and over the scales."""
    left, right = luma(views.left), luma(views.right)
    disparity_px, counted = views.disparity_px, counted.float()
    total = left.new_zeros(())
    for _ in range(scales):
        here = -functional.max_pool2d(-counted, STRUCTURE_WINDOW, 1, STRUCTURE_WINDOW // 2)
        total = total + weighted_mean(unlike(left, right, disparity_px), here)
        left, right = (functional.avg_pool2d(plane, 2) for plane in (left, right))
        disparity_px = functional.avg_pool2d(disparity_px, 2) / 2
        counted = -functional.max_pool2d(-counted, 2)
    return total / scales


def unlike(left: Tensor, right: Tensor, disparity_px: Tensor) -> Tensor:
    """Of each pixel, 0 to 1: luma divided by its local contrast, and correlation of windows.

    Neither sees a difference of brightness or contrast between the eyes. Both are bounded, so
    that a reflection or a wrong match weighs little.
    """
    ours, theirs = (normalised(plane, NORMAL_WINDOW) for plane in (left, right))
    apart = (ours - warped_to_left(theirs, disparity_px)).abs()
    rebuilt = warped_to_left(right, disparity_px)
    structure = (1 - correlation(left, rebuilt, STRUCTURE_WINDOW)) / 2
    return 0.5 * (1 - torch.exp(-apart)) + 0.5 * structure


def luma(picture: Tensor) -> Tensor:
    """N x 3 x H x W uint8 -> brightness, 0 to 1."""
    weights = torch.tensor(LUMA, device=picture.device).view(1, 3, 1, 1)
    return (picture.float() * weights).sum(1, keepdim=True) / 255


def normalised(plane: Tensor, window: int) -> Tensor:
    """A plane less its local mean, divided by its local standard deviation."""
    mean = _mean(plane, window)
    variance = (_mean(plane * plane, window) - mean * mean).clamp(min=0)
    return (plane - mean) / torch.sqrt(variance + NOISE**2)


def correlation(one: Tensor, other: Tensor, window: int) -> Tensor:
    """Of windows around each pixel, -1 to 1; 0 where there is nothing but noise."""
    mean, other_mean = _mean(one, window), _mean(other, window)
    spread = (_mean(one * one, window) - mean * mean).clamp(min=0) + NOISE**2
    other_spread = (_mean(other * other, window) - other_mean**2).clamp(min=0) + NOISE**2
    together = _mean(one * other, window) - mean * other_mean
    return together / torch.sqrt(spread * other_spread)


def roughness(disparity_px: Tensor, picture: Tensor) -> Tensor:
    """Mean curvature of the disparity at half size, px, less where the picture has edges."""
    surface = functional.avg_pool2d(disparity_px, 2)
    brightness = functional.avg_pool2d(luma(picture), 2)
    total = disparity_px.new_zeros(())
    for axis in (2, 3):
        bend = surface.diff(n=2, dim=axis).abs()
        length = bend.shape[axis]
        slope = brightness.diff(dim=axis).abs()
        edge = slope.narrow(axis, 0, length) + slope.narrow(axis, 1, length)
        total = total + (torch.log1p(bend) * torch.exp(-10 * edge)).mean()
    return total


def inconsistency_px(views: Views) -> Tensor:
    """Of each pixel: how far its disparity is from that of its partner, px."""
    there = warped_to_left(views.other_px, views.disparity_px)
    return (views.disparity_px - there).abs()


def anchor_loss(found_px: Tensor, initial: FastOutput, *, unsure_px: float) -> Tensor:
    """Smooth-L1 to the disparity of the initial network, where its Laplace scale is small."""
    sure = 1 / (1 + torch.exp(initial.log_scale) / unsure_px)
    losses = functional.smooth_l1_loss(found_px, initial.disparity_px, reduction='none')
    return (sure * losses).mean()


def steps_loss(output: FastOutput, counted: Tensor) -> Tensor:
    """Teaches the disparities on the way where the final one is to be trusted."""
    wanted = Target(output.disparity_px.detach(), counted.float())
    at_8, first, second = output.steps_px
    eighth, quarter = coarser(wanted, MATCH_STRIDE), coarser(wanted, REFINE_STRIDE)
    total = match_loss(output.match_logits, eighth)
    for found, target in ((at_8, eighth), (first, quarter), (second, quarter)):
        losses = functional.smooth_l1_loss(found, target.value, reduction='none')
        total = total + weighted_mean(losses, target.weight)
    return total


def _mean(plane: Tensor, window: int) -> Tensor:
    reach = window // 2
    return functional.avg_pool2d(plane, window, 1, reach, count_include_pad=False)
