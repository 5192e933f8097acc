"""What turns costs into a disparity, and what takes a disparity to the next finer level."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.msdesis.layers import ConvNormLeaky

HIDDEN_CHANNELS = (128, 128, 96, 64, 32)


class Estimator(nn.Module):
    """Five convolutions and a linear one that answers."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        channels = (channels_in, *HIDDEN_CHANNELS)
        hidden = [ConvNormLeaky(channels[i], channels[i + 1]) for i in range(len(HIDDEN_CHANNELS))]
        self.estimation = nn.Sequential(*hidden, nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, costs: Tensor, features: Tensor) -> Tensor:
        """Costs N x D x H x W and left features N x C x H x W -> px of this level, N x 1 x H x W.

        The answer is float32 and unbounded, whatever the type of the features.
        """
        x = torch.cat((costs.to(features.dtype), features), dim=1)
        *hidden, answer = self.estimation
        for layer in hidden:
            x = layer(x)
        return answer(x.to(answer.weight.dtype)).float()


class Upsampler(nn.Module):
    """Twice the size, in the px of the finer level."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        # What it has to learn first; from random numbers that takes some hundred steps.
        with torch.no_grad():
            nn.init.dirac_(self.conv.weight).mul_(2)
            nn.init.zeros_(self.conv.bias)

    def forward(self, disparity_px: Tensor) -> Tensor:
        """N x 1 x H x W -> N x 1 x 2H x 2W.

        A pixel of the finer level is half as wide, so the numbers should double: the convolution
        begins with that, and the authors' has learnt it.
        """
        return self.conv(
            functional.interpolate(
                disparity_px, scale_factor=2.0, mode='bilinear', align_corners=False
            )
        )
