"""What is in a picture, by a trunk that photographs have taught: EfficientNet-Lite0.

After Tan and Le, EfficientNet (ICML 2019), and its 'Lite' form for plain processors: no
squeeze-and-excitation, ReLU6 instead of swish. Its shapes are those of the published weights, so
that a training can begin with what ImageNet taught (`msdesis_ros.nets.fast.pretrained`). Stereo
learned from drawn scenes transfers to real pictures; what an instrument looks like does not,
unless the features come from real ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from msdesis_ros.nets.fast.config import MaskTrunk

_EPSILON, _MOMENTUM = 1e-3, 0.01


class MaskFeatures(NamedTuple):
    """N x C x H/s x W/s at s = 2, 4, 8, 16 and 32, with the channels of `MaskTrunk.features`."""

    half: Tensor
    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor
    coarse: Tensor


class Depthwise(nn.Conv2d):
    """A convolution of each channel by itself, which stays float32 where a training on a CPU runs
    convolutions in bfloat16: PyTorch 2.13 takes four times as long for its gradients there.
    """

    def forward(self, features: Tensor) -> Tensor:
        if features.device.type != 'cpu' or not _in_autocast():
            return super().forward(features)
        with torch.autocast('cpu', enabled=False):
            return super().forward(features.float())


def _in_autocast() -> bool:
    """On a CPU. PyTorch before 2.4 asks under another name."""
    if hasattr(torch, 'get_autocast_dtype'):
        return torch.is_autocast_enabled('cpu')
    return torch.is_autocast_cpu_enabled()


def _convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, depthwise: bool = False
) -> list[nn.Module]:
    """Convolution and batch-norm; the size is divided by `stride`, up."""
    kind, groups = (Depthwise, inputs) if depthwise else (nn.Conv2d, 1)
    return [
        kind(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=_EPSILON, momentum=_MOMENTUM),
    ]


class InvertedResidual(nn.Module):
    """Widen, look around in each channel by itself, narrow; around all of it the input is led."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int, expansion: int
    ) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = (
            nn.Sequential(*_convolution(inputs, width, 1), nn.ReLU6(inplace=True))
            if expansion > 1
            else nn.Identity()
        )
        self.depthwise = nn.Sequential(
            *_convolution(width, width, kernel, stride=stride, depthwise=True),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(*_convolution(width, outputs, 1))
        self.skips = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        changed = self.project(self.depthwise(self.expand(features)))
        return features + changed if self.skips else changed


class MaskEncoder(nn.Module):
    """N x 3 x H x W with values of about -1 .. 1 (`MaskHead` sees to it) -> MaskFeatures."""

    def __init__(self, trunk: MaskTrunk) -> None:
        super().__init__()
        self.trunk = trunk
        stem = _convolution(3, trunk.stem, 3, stride=2)
        self.stem = nn.Sequential(*stem, nn.ReLU6(inplace=True))
        stages, inputs = [], trunk.stem
        for expansion, outputs, kernel, stride, repeats in trunk.stages:
            blocks = []
            for number in range(repeats):
                blocks.append(
                    InvertedResidual(
                        inputs,
                        outputs,
                        kernel,
                        stride=stride if number == 0 else 1,
                        expansion=expansion,
                    )
                )
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, picture: Tensor) -> MaskFeatures:
        features, levels = self.stem(picture), []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        half, quarter, eighth, _, sixteenth, _, coarse = levels
        return MaskFeatures(half, quarter, eighth, sixteenth, coarse)
