"""Networks with fixed random weights in which every part visibly changes the answer."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from msdesis_ros.nets.registry import create_network


def lively_network(encoder: str, *, seed: int = 0, **options) -> nn.Module:
    """An MSDESIS network in eval mode whose activations and disparities have everyday sizes.

    Freshly created weights let the signal fade from layer to layer, until a wrong warp or a
    forgotten running mean costs less than the tolerance of a test.
    """
    network = create_network('msdesis', encoder=encoder, **options).eval()
    random = torch.Generator().manual_seed(seed)

    def normal(tensor, std, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=random) * std + mean)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=random) * (high - low) + low)

    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                # The branch that a residual block adds stays below what it is added to.
                gain = 0.2 if name.endswith('bn2') else 1.0
                uniform(module.weight, 0.7 * gain, 1.3 * gain)
                normal(module.bias, 0.1)
                normal(module.running_mean, 0.1)
                uniform(module.running_var, 0.7, 1.4)
                module.num_batches_tracked.fill_(1234)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # How many products each output pixel sums up.
                terms = module.in_channels * module.kernel_size[0] ** 2
                if isinstance(module, nn.ConvTranspose2d):
                    terms /= module.stride[0] ** 2
                normal(module.weight, (2.0 / terms) ** 0.5)
                if module.bias is not None:
                    normal(module.bias, 0.1)
        head = network.disparity_head
        for level in (5, 4, 3, 2, 1):
            head.get_submodule(f'disp_decoder_{level}').estimation[-1].weight.mul_(0.3)
            # Some px in all, which every finer level counts as about twice as many.
            upsample = head.get_submodule(f'upsample{level}').conv
            normal(upsample.weight, 0.03, mean=2.0 / 9.0)
            normal(upsample.bias, 0.1, mean=0.2)
    return network


# What is added to something else counts less; answers keep to what trained ones are like: some px
# of correction, weights that are no choice of one neighbour, log b within its range.
FAST_GAINS = {
    'coarse': 0.7,
    'fine': 0.7,
    'classify': 0.5,
    'residual': 0.07,
    'weigh': 0.2,
    'scale': 0.15,
    'mask': 0.2,
}


def lively_fast(size: str = 'small', *, seed: int = 0, **options) -> nn.Module:
    """The same of the family msdesis_fast."""
    network = create_network('msdesis_fast', size=size, **{'max_disparity': 64, **options}).eval()
    random = torch.Generator().manual_seed(seed)

    def normal(tensor, std):
        tensor.copy_(torch.randn(tensor.shape, generator=random) * std)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=random) * (high - low) + low)

    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                gain = 0.2 if name.endswith('second.1') else 1.0
                uniform(module.weight, 0.7 * gain, 1.3 * gain)
                normal(module.bias, 0.1)
                normal(module.running_mean, 0.1)
                uniform(module.running_var, 0.7, 1.4)
                module.num_batches_tracked.fill_(1234)
            elif isinstance(module, nn.Conv2d):
                gain = FAST_GAINS.get(name.split('.')[-1], 1.0)
                terms = module.weight[0].numel()
                normal(module.weight, gain * (2.0 / terms) ** 0.5)
                if module.bias is not None:
                    normal(module.bias, 0.1)
    return network


def picture_pair(width: int, height: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A random texture of several scales, and itself shifted by some px: H x W x 3 uint8 each."""
    rng = np.random.default_rng(seed)
    wall = np.zeros((height, width + 8, 3))
    for cell in (1, 4, 16):
        rows, columns = -(-height // cell), -(-(width + 8) // cell)
        coarse = rng.normal(0, 30, (rows, columns, 3))
        wall += np.repeat(np.repeat(coarse, cell, axis=0), cell, axis=1)[:height, : width + 8]
    wall = np.clip(wall + 120, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(wall[:, :width]), np.ascontiguousarray(wall[:, 8:])
