"""The trunk of ResNet-34 (He et al., CVPR 2016, version 1) as an encoder of five scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from msdesis_ros.nets.msdesis.layers import conv3x3

# layer_1 .. layer_4: channels, number of blocks, stride of the first block.
LAYERS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a skip path."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels_in, channels_out, stride=stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = conv3x3(channels_out, channels_out)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H/stride x W/stride."""
        skip = x if self.downsample is None else self.downsample(x)
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + skip)


class Resnet34Encoder(nn.Module):
    """Features of one view at five scales; its weights start at random, not from ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        channels = 64
        self.layer_0 = nn.Sequential(
            nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.max_pool_0 = nn.MaxPool2d(3, stride=2, padding=1)
        for number, (out, count, stride) in enumerate(LAYERS, start=1):
            blocks = [ResidualBlock(channels, out, stride=stride)]
            blocks += [ResidualBlock(out, out, stride=1) for _ in range(count - 1)]
            self.add_module(f'layer_{number}', nn.Sequential(*blocks))
            channels = out

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """N x 3 x H x W, normalised -> f1 .. f5 of 64, 64, 128, 256, 512 channels.

        f_i has size H/2^i x W/2^i; f1 is taken before the pooling.
        """
        f1 = self.layer_0(image)
        f2 = self.layer_1(self.max_pool_0(f1))
        f3 = self.layer_2(f2)
        f4 = self.layer_3(f3)
        return f1, f2, f3, f4, self.layer_4(f4)
