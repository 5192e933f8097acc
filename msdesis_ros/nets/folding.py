"""Batch-norms that move into the convolution before them."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from msdesis_ros.core.errors import ModelError

Network = TypeVar('Network', bound=nn.Module)
Convolution = nn.Conv2d | nn.ConvTranspose2d


def fold_batch_norms(network: Network) -> Network:
    """Copy `network`, in eval mode, without its batch-norms.

    In eval mode a batch-norm is one factor and one offset a channel, which the convolution before
    it can carry; the output changes by rounding alone. The copy can no longer be trained, and its
    state_dict is not that of the network. Raises ModelError for a batch-norm that does not follow
    a convolution of the same parent.
    """
    folded = copy.deepcopy(network).eval()
    for parent in list(folded.modules()):
        before = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                if not isinstance(before, Convolution):
                    raise ModelError(f'the batch-norm {name} follows no convolution to fold into')
                _fold(before, child)
                setattr(parent, name, nn.Identity())
            before = child
    return folded


def _fold(convolution: Convolution, norm: nn.BatchNorm2d) -> None:
    """Let `convolution` do what it and `norm` do one after the other; in double precision."""
    with torch.no_grad():
        factor = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        offset = norm.bias.double() - norm.running_mean.double() * factor
        if convolution.bias is not None:
            offset = offset + convolution.bias.double() * factor
        outputs = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
        along = [1] * convolution.weight.ndim
        along[outputs] = -1
        weight = convolution.weight.double() * factor.view(along)
    convolution.weight = nn.Parameter(weight.to(convolution.weight.dtype))
    convolution.bias = nn.Parameter(offset.to(convolution.weight.dtype))
