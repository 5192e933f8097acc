"""The one building block most of the network is made of."""

from __future__ import annotations

from torch import Tensor, nn

# The slope of every leaky activation in the network.
NEGATIVE_SLOPE = 0.1


def leaky() -> nn.LeakyReLU:
    """The network's activation."""
    return nn.LeakyReLU(NEGATIVE_SLOPE)


def conv3x3(channels_in: int, channels_out: int, *, stride: int = 1) -> nn.Conv2d:
    """3 x 3 convolution, padded, without bias because a batch-norm follows."""
    return nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)


def double_up(channels_in: int, channels_out: int, *, bias: bool) -> nn.ConvTranspose2d:
    """4 x 4 transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)


class ConvNormLeaky(nn.Module):
    """3 x 3 convolution, batch-norm, leaky activation."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            conv3x3(channels_in, channels_out, stride=stride),
            nn.BatchNorm2d(channels_out),
            leaky(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """N x in x H x W -> N x out x H/stride x W/stride."""
        return self.layer(x)


class TwoConvNormLeaky(nn.Sequential):
    """Two of them in one flat sequence, the first with a stride."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1) -> None:
        super().__init__(
            conv3x3(channels_in, channels_out, stride=stride),
            nn.BatchNorm2d(channels_out),
            leaky(),
            conv3x3(channels_out, channels_out),
            nn.BatchNorm2d(channels_out),
            leaky(),
        )
