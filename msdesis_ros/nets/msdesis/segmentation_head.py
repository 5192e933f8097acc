"""From the features of the left view to the instrument mask: the decoder of a U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from msdesis_ros.nets.msdesis.config import MsdesisConfig
from msdesis_ros.nets.msdesis.layers import TwoConvNormLeaky, double_up


class DoubleConv(nn.Module):
    """Joins skip and upsampled features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = TwoConvNormLeaky(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """N x 2C x H x W -> N x C x H x W."""
        return self.layer(x)


class Decode(nn.Module):
    """One step up."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.d_conv = DoubleConv(channels_out)
        self.up_conv = double_up(channels_in, channels_out, bias=True)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """N x in x H x W and skip N x out x 2H x 2W -> N x out x 2H x 2W."""
        return self.d_conv(torch.cat((skip, self.up_conv(x)), dim=1))


class SegmentationHead(nn.Module):
    """Four steps up with skip connections, one without."""

    def __init__(self, config: MsdesisConfig) -> None:
        super().__init__()
        channels = config.feature_channels
        for step in (1, 2, 3, 4):
            self.add_module(f'decode_{step}', Decode(channels[5 - step], channels[4 - step]))
        self.upsample = double_up(channels[0], channels[0], bias=True)
        self.out_conv = nn.Conv2d(channels[0], config.n_classes, 1)

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        """Left features f1 .. f5 -> logits N x n_classes x H x W, float32, no sigmoid."""
        f1, f2, f3, f4, x = features
        x = self.decode_1(x, f4)
        x = self.decode_2(x, f3)
        x = self.decode_3(x, f2)
        x = self.decode_4(x, f1)
        return self.out_conv(self.upsample(x)).float()
