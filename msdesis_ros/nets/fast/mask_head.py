"""Where instruments are, and which part of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.fast.config import REFINE_STRIDE, FastConfig
from msdesis_ros.nets.fast.encoder import Features
from msdesis_ros.nets.fast.layers import ResidualBlock, UpAndMerge, conv_bn
from msdesis_ros.nets.fast.refinement import DISPARITY_UNIT_PX


class Masks(NamedTuple):
    """mask_logits: N x 1 x H x W float32, above 0 = instrument. part_logits: N x (1 + parts) x
    H/4 x W/4 float32, the background first.
    """

    mask_logits: Tensor
    part_logits: Tensor


class MaskHead(nn.Module):
    """Features of the left view and the disparity -> Masks.

    The disparity helps because instruments stand in front and have straight edges. It enters
    without its gradient: the mask must not bend it.
    """

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        widths = config.widths
        quarter, eighth, sixteenth = widths.features[1:4]
        self.context = nn.Sequential(
            ResidualBlock(sixteenth, dilation=2), ResidualBlock(sixteenth, dilation=4)
        )
        self.with_depth = conv_bn(eighth + 2, eighth)
        self.up_eighth = UpAndMerge(sixteenth, eighth, eighth)
        self.up_quarter = UpAndMerge(eighth, 2 * quarter, widths.mask)
        self.parts = nn.Conv2d(widths.mask, 1 + config.n_parts, 1)
        self.mask = nn.Conv2d(widths.mask, REFINE_STRIDE**2, 1)

    def forward(self, features: Features, disparity_px: Tensor) -> Masks:
        """disparity_px: N x 1 x H/4 x W/4 float32, px of the full picture."""
        near = functional.avg_pool2d(disparity_px.detach(), 2) / DISPARITY_UNIT_PX
        # How far in front of its surroundings: the same for a near and a far instrument.
        stands_out = near - functional.avg_pool2d(near, 31, 1, 15, count_include_pad=False)
        depth = torch.cat((near, stands_out), dim=1).to(features.eighth.dtype)
        eighth = self.with_depth(torch.cat((features.eighth, depth), dim=1))
        eighth = self.up_eighth(self.context(features.sixteenth), eighth)
        fine = torch.cat((features.quarter, features.detail), dim=1)
        quarter = self.up_quarter(eighth, fine)
        return Masks(
            mask_logits=functional.pixel_shuffle(self.mask(quarter), REFINE_STRIDE).float(),
            part_logits=self.parts(quarter).float(),
        )
