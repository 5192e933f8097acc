"""From the cost volume to a first disparity at 1/8 of the picture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from msdesis_ros.nets.fast.config import MATCH_STRIDE, FastConfig
from msdesis_ros.nets.fast.cost_volume import cost_volume
from msdesis_ros.nets.fast.encoder import Features
from msdesis_ros.nets.fast.layers import ResidualBlock, UpAndMerge, conv_bn


class Match(NamedTuple):
    """At 1/8 of the picture. logits: N x bins x h x w float32. disparity_px, deviation_px: N x 1 x
    h x w float32, mean and standard deviation of their distribution, px of the full picture.
    features: N x C x h x w.
    """

    logits: Tensor
    disparity_px: Tensor
    deviation_px: Tensor
    features: Tensor


class Matcher(nn.Module):
    """A 2-D hourglass over the cost volume and the left features."""

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        widths, bins = config.widths, config.bins
        self.bins, self.groups = bins, widths.groups
        eighth = widths.features[2]
        self.compare = nn.Conv2d(eighth, widths.matching, 1, bias=False)
        fine, middle, coarse = widths.matcher
        self.enter = conv_bn(widths.groups * bins + eighth, fine)
        self.to_middle = nn.Sequential(conv_bn(fine, middle, stride=2), ResidualBlock(middle))
        self.to_coarse = nn.Sequential(conv_bn(middle, coarse, stride=2), ResidualBlock(coarse))
        self.up_middle = UpAndMerge(coarse, middle, middle)
        self.up_fine = UpAndMerge(middle, fine, fine)
        self.leave = ResidualBlock(fine)
        self.classify = nn.Conv2d(fine, bins, 1)
        # The raw comparison is a good guess from the first step of training on.
        self.trust = nn.Parameter(torch.full((1, widths.groups, 1, 1, 1), 4.0))
        candidates = torch.arange(bins, dtype=torch.float32) * MATCH_STRIDE
        self.register_buffer('candidates_px', candidates.view(1, bins, 1, 1), persistent=False)

    def forward(self, left: Features, right: Features) -> Match:
        volume = cost_volume(
            self.compare(left.eighth),
            self.compare(right.eighth),
            bins=self.bins,
            groups=self.groups,
        )
        fine = self.enter(torch.cat((volume, left.eighth), dim=1))
        middle = self.to_middle(fine)
        middle = self.up_middle(self.to_coarse(middle), middle)
        features = self.leave(self.up_fine(middle, fine))
        batch, _, height, width = volume.shape
        raw = volume.reshape(batch, self.groups, self.bins, height, width)
        logits = self.classify(features).float() + (self.trust * raw).float().sum(dim=1)
        share = torch.softmax(logits, dim=1)
        mean = (share * self.candidates_px).sum(dim=1, keepdim=True)
        square = (share * (self.candidates_px - mean) ** 2).sum(dim=1, keepdim=True)
        return Match(logits, mean, torch.sqrt(square + 1e-2), features)
