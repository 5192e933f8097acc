"""Convolutions as the whole network uses them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv_bn(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution without bias, batch-norm, ReLU; the size is divided by `stride`, up."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    """Two convolutions around which the input is led: N x C x H x W -> the same."""

    def __init__(self, channels: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.first = conv_bn(channels, channels, dilation=dilation)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.second(self.first(features)))


class UpAndMerge(nn.Module):
    """Bring a coarse level to a finer one: N x C1 x h x w and N x C2 x H x W -> N x C x H x W."""

    def __init__(self, coarse: int, fine: int, outputs: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(coarse, outputs, 1, bias=False)
        self.fine = nn.Conv2d(fine, outputs, 1)
        self.smooth = conv_bn(outputs, outputs)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        # Projected before it is enlarged, which costs a fourth and gives the same.
        return self.smooth(enlarge(self.coarse(coarse), fine.shape[-2:]) + self.fine(fine))


def enlarge(plane: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bilinear, to (height, width), as if pixels were areas."""
    return functional.interpolate(plane, size=tuple(size), mode='bilinear', align_corners=False)
