"""One view to features: a pyramid, and the way back up to 1/4."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.fast.config import Widths
from msdesis_ros.nets.fast.layers import ResidualBlock, UpAndMerge, conv_bn


class Features(NamedTuple):
    """Of one view. quarter, eighth, sixteenth: N x C x H/s x W/s with the context of all levels
    below; detail: N x C x H/4 x W/4, of the finest level alone.
    """

    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    detail: Tensor

    def of_views(self) -> tuple[Features, Features]:
        """Take apart a batch that holds all left views before all right ones."""
        halves = [torch.chunk(plane, 2) for plane in self]
        return Features(*(half[0] for half in halves)), Features(*(half[1] for half in halves))


class Encoder(nn.Module):
    """N x 3 x H x W normalised float32, sides multiples of 32 -> Features.

    It goes down to 1/64, rounding up, so that a match knows of the whole scene around it.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, coarse, coarsest = widths.features
        self.to_half = conv_bn(3, half, stride=2)
        self.to_quarter = nn.Sequential(conv_bn(half, quarter, stride=2), ResidualBlock(quarter))
        self.to_eighth = nn.Sequential(conv_bn(quarter, eighth, stride=2), ResidualBlock(eighth))
        self.to_sixteenth = nn.Sequential(
            conv_bn(eighth, sixteenth, stride=2), ResidualBlock(sixteenth)
        )
        self.to_coarse = nn.Sequential(conv_bn(sixteenth, coarse, stride=2), ResidualBlock(coarse))
        self.to_coarsest = nn.Sequential(
            conv_bn(coarse, coarsest, stride=2),
            ResidualBlock(coarsest),
            ResidualBlock(coarsest, dilation=2),
        )
        self.up_coarse = UpAndMerge(coarsest, coarse, coarse)
        self.up_sixteenth = UpAndMerge(coarse, sixteenth, sixteenth)
        self.up_eighth = UpAndMerge(sixteenth, eighth, eighth)
        self.up_quarter = UpAndMerge(eighth, quarter, quarter)
        # Edges of a pixel's width, for the upsampling.
        self.detail = nn.Conv2d(4 * half, quarter, 1)

    def forward(self, picture: Tensor) -> Features:
        half = self.to_half(picture)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        sixteenth = self.to_sixteenth(eighth)
        coarse = self.to_coarse(sixteenth)
        coarse = self.up_coarse(self.to_coarsest(coarse), coarse)
        sixteenth = self.up_sixteenth(coarse, sixteenth)
        eighth = self.up_eighth(sixteenth, eighth)
        return Features(
            quarter=self.up_quarter(eighth, quarter),
            eighth=eighth,
            sixteenth=sixteenth,
            detail=self._detail(half),
        )

    def _detail(self, half: Tensor) -> Tensor:
        """The 1x1 convolution of 2 x 2 px blocks, as one of 2x2 that skips: no memory is moved."""
        outputs, inputs = self.detail.weight.shape[:2]
        weight = self.detail.weight.view(outputs, inputs // 4, 2, 2)
        return functional.conv2d(half, weight, self.detail.bias, stride=2)
