"""Bring the right view to the left one by a disparity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def warp(right: Tensor, disparity_px: Tensor) -> Tensor:
    """Sample `right` at column x - d of every left pixel, bilinearly, with zeros outside.

    `right`: N x C x H x W; `disparity_px`: N x 1 x H x W in px of this size, float32. Returns
    N x C x H x W.

    The grid is scaled as if -1 and 1 were the centres of the corner pixels, but sampled as if they
    were the outer edges of the picture (`align_corners=False`). So the position read is
    (x - d) * W / (W - 1) - 0.5, and y * H / (H - 1) - 0.5: even d = 0 shifts, from -0.5 px at the
    left and top to +0.5 px at the right and bottom, and the borders fade to zero. The authors'
    network was trained with this, so its weights need it.
    """
    height, width = right.shape[-2:]
    like = {'dtype': disparity_px.dtype, 'device': disparity_px.device}
    step_x, step_y = 2.0 / max(width - 1, 1), 2.0 / max(height - 1, 1)
    corner_x = torch.arange(width, **like).view(1, 1, width, 1) * step_x - 1.0
    corner_y = torch.arange(height, **like).view(1, height, 1, 1) * step_y - 1.0
    x = corner_x - disparity_px.permute(0, 2, 3, 1) * step_x
    grid = torch.cat((x, corner_y.expand_as(x)), dim=-1)
    return functional.grid_sample(
        right, grid, mode='bilinear', padding_mode='zeros', align_corners=False
    )
