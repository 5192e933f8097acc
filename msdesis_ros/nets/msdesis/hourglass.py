"""The refinement of the disparity at full size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.msdesis.layers import NEGATIVE_SLOPE, ConvNormLeaky, double_up, leaky


class Hourglass(nn.Module):
    """Down to a quarter, up again, with one skip connection."""

    def __init__(self) -> None:
        super().__init__()
        inputs, hidden = 4, 8
        self.conv1 = ConvNormLeaky(inputs, hidden, stride=2)
        self.conv2 = ConvNormLeaky(hidden, hidden)
        self.conv3 = ConvNormLeaky(hidden, hidden, stride=2)
        self.conv4 = ConvNormLeaky(hidden, hidden)
        self.conv5 = nn.Sequential(double_up(hidden, hidden, bias=False), nn.BatchNorm2d(hidden))
        self.conv6 = nn.Sequential(
            double_up(hidden, inputs, bias=False),
            nn.BatchNorm2d(inputs),
            leaky(),
            nn.Conv2d(inputs, 1, 3, padding=1),
        )

    def forward(self, disparity_px: Tensor, image: Tensor) -> Tensor:
        """Disparity N x 1 x H x W, image N x 3 x H x W -> what to add, N x 1 x H x W px."""
        half = self.conv2(self.conv1(torch.cat((disparity_px, image), dim=1)))
        quarter = self.conv4(self.conv3(half))
        joined = functional.leaky_relu(self.conv5(quarter) + half, NEGATIVE_SLOPE)
        return self.conv6(joined)
