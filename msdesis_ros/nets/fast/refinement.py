"""Two corrections of the disparity at 1/4 of the picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.fast.config import REFINE_STRIDE
from msdesis_ros.nets.fast.layers import conv_bn, enlarge

# Disparities enter the convolutions in units that are about as large as features are.
DISPARITY_UNIT_PX = 32.0


def warp_columns(right: Tensor, disparity_px: Tensor) -> Tensor:
    """Sample `right` at column x - d of every left pixel, bilinearly, with zeros outside.

    right: N x C x h x w; disparity_px: N x 1 x h x w float32, in px of this size. Pixel centres
    are at whole numbers, so d = 0 gives `right` itself. The grid is float32 in every precision.
    """
    height, width = right.shape[-2:]
    like = {'dtype': torch.float32, 'device': right.device}
    # Of a picture that spans -1 .. 1 from outer edge to outer edge.
    x = (torch.arange(width, **like) * 2 + 1) / width - 1
    y = (torch.arange(height, **like) * 2 + 1) / height - 1
    column = x.view(1, 1, width) - disparity_px[:, 0] * (2.0 / width)
    row = y.view(1, height, 1).expand_as(column)
    grid = torch.stack((column, row), dim=-1)
    return functional.grid_sample(
        right.float(), grid, mode='bilinear', padding_mode='zeros', align_corners=False
    ).to(right.dtype)


def local_correlation(left: Tensor, warped: Tensor, reach: int) -> Tensor:
    """N x C x h x w each -> N x (2 reach + 1) x h x w: mean of left[x] * warped[x - k]."""
    width = left.shape[-1]
    padded = functional.pad(warped, (reach, reach))
    products = [
        (left * padded[..., reach - k : reach - k + width]).mean(dim=1, keepdim=True)
        for k in range(-reach, reach + 1)
    ]
    return torch.cat(products, dim=1)


class Correction(nn.Module):
    """Look again around a disparity and correct it.

    `reach`: px of 1/4 size to either side. `extra`: channels of what else is known. With `wide`
    the correction sees as far as a detour over 1/8 lets it.
    """

    def __init__(
        self, *, features: int, local: int, extra: int, width: int, reach: int, wide: bool
    ) -> None:
        super().__init__()
        self.reach = reach
        self.compare = nn.Conv2d(features, local, 1, bias=False)
        self.enter = conv_bn(2 * reach + 1 + features + extra + 1, width)
        self.detour = (
            nn.Sequential(
                conv_bn(width, width, stride=2),
                conv_bn(width, width, dilation=2),
                conv_bn(width, width, dilation=4),
            )
            if wide
            else None
        )
        self.leave = conv_bn(width, width)
        self.residual = nn.Conv2d(width, 1, 3, padding=1)

    def forward(
        self, left: Tensor, right: Tensor, disparity_px: Tensor, extra: Tensor
    ) -> tuple[Tensor, Tensor]:
        """left, right: N x C x h x w features at 1/4; disparity_px: N x 1 x h x w float32, px of
        the full picture; extra: N x E x h x w. Returns the corrected disparity and features.
        """
        warped = warp_columns(self.compare(right), disparity_px / REFINE_STRIDE)
        seen = local_correlation(self.compare(left), warped, self.reach)
        known = (disparity_px / DISPARITY_UNIT_PX).to(seen.dtype)
        features = self.enter(torch.cat((seen, left, extra, known), dim=1))
        if self.detour is not None:
            features = features + enlarge(self.detour(features), features.shape[-2:])
        features = self.leave(features)
        return disparity_px + REFINE_STRIDE * self.residual(features).float(), features
