"""The light encoder: five stages that halve the picture."""

from __future__ import annotations

from torch import Tensor, nn

from msdesis_ros.nets.msdesis.config import FEATURE_CHANNELS
from msdesis_ros.nets.msdesis.layers import TwoConvNormLeaky


class Stage(nn.Module):
    """Half the size, then one more convolution."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.encoder = TwoConvNormLeaky(channels_in, channels_out, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H/2 x W/2."""
        return self.encoder(x)


class LightEncoder(nn.Module):
    """Features of one view at five scales."""

    def __init__(self) -> None:
        super().__init__()
        channels = (3, *FEATURE_CHANNELS['light'])
        for stage in range(5):
            self.add_module(f'encoder_{stage}', Stage(channels[stage], channels[stage + 1]))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """N x 3 x H x W, normalised -> f1 .. f5 of 16, 32, 64, 96, 128 channels.

        f_i has size H/2^i x W/2^i.
        """
        features = [image]
        for stage in self.children():
            features.append(stage(features[-1]))
        return tuple(features[1:])
