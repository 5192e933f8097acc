"""How alike both views are at every candidate disparity, as one product of matrices."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cost_volume(left: Tensor, right: Tensor, *, bins: int, groups: int) -> Tensor:
    """Compare every left pixel with the right pixels 0 .. bins - 1 columns to its left.

    left, right: N x C x H x W. Returns N x (groups * bins) x H x W, group by group, the mean over
    the C / groups channels of left[x] * right[x - k]; 0 where x - k lies outside.

    Each row is multiplied with the whole other row, W x W products, of which a band is wanted.
    The band is cut out by a skew: rows of length L laid out again with length L + 1 move by one
    column each. It needs no loop and no scatter, in training as in every exported graph.
    """
    batch, channels, height, width = left.shape
    share = channels // groups
    rows = (batch, groups, share, height, width)
    # N x G x H x W x C' times N x G x H x C' x W -> N x G x H x W x W, [.., x, x'].
    by_left = left.reshape(rows).permute(0, 1, 3, 4, 2)
    by_right = right.reshape(rows).permute(0, 1, 3, 2, 4)
    products = (by_left * (1.0 / share)) @ by_right
    # x' = x - k is at column x - k + bins - 1 once bins - 1 zeros stand before each row.
    length = width + bins - 1
    flat = functional.pad(products, (bins - 1, 0)).reshape(batch, groups, height, width * length)
    skewed = functional.pad(flat, (0, width)).reshape(batch, groups, height, width, length + 1)
    # Now k counts backwards over the first `bins` columns.
    band = skewed[..., :bins].flip(-1)
    return band.permute(0, 1, 4, 2, 3).reshape(batch, groups * bins, height, width)
