"""How alike the two views are at a set of horizontal displacements."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def correlation(left: Tensor, right: Tensor, displacements: range) -> Tensor:
    """Compare every left pixel with the right pixels `displacements` columns to its left.

    `left`, `right`: N x C x H x W features. Returns N x D x H x W, one channel for each k of the D
    ascending displacements: the mean over C of left[x] * right[x - k], and 0 where x - k lies
    outside. Built of pad, slice and concatenate alone, which every exporter and inference engine
    has; writing into slices of a zero tensor would give the same numbers but ScatterND nodes, or
    with a tracer a constant.
    """
    # The mean, not the sum, over channels: the authors' weights expect this scale.
    before, after = max(displacements[-1], 0), max(-displacements[0], 0)
    padded = functional.pad(right, (before, after))
    width = left.shape[-1]
    products = (
        (left * padded[..., before - k : before - k + width]).mean(dim=1, keepdim=True)
        for k in displacements
    )
    return torch.cat(tuple(products), dim=1)
