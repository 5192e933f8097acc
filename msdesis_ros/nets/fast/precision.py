"""Half precision where it is safe."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from msdesis_ros.nets.fast.encoder import Encoder, Features
from msdesis_ros.nets.fast.model import FastStereo


class _HalfEncoder(nn.Module):
    """The way into float16; the rest of the network follows the type of its features."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, picture: Tensor) -> Features:
        return self.encoder(picture.half())


def with_half_features(network: FastStereo) -> FastStereo:
    """Copy a network so that features are float16, and whatever is a disparity stays float32.

    The network itself keeps the softmax, the candidates, both warps, the sum of disparity and
    correction and the upsampling in float32, whatever the type of the features.
    """
    half = copy.deepcopy(network)
    # Parameters and the statistics of batch-norms. The candidates are pixels.
    candidates_px = half.matcher.candidates_px
    half.half()
    half.matcher.candidates_px = candidates_px.float()
    half.encoder = _HalfEncoder(half.encoder)
    return half
