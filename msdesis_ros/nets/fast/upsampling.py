"""From 1/4 to the full size, along the edges of the picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.fast.config import REFINE_STRIDE

NEIGHBOURS = 9


class ConvexUpsampling(nn.Module):
    """Every full-size pixel is a weighted mean of the 3 x 3 coarse ones around it.

    After Teed and Deng, RAFT (ECCV 2020), section 3.3. `features`: channels at 1/4.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(features, NEIGHBOURS * REFINE_STRIDE**2, 1)

    def forward(self, plane: Tensor, features: Tensor) -> Tensor:
        """plane: N x 1 x h x w float32; features: N x C x h x w. Returns N x 1 x 4h x 4w float32,
        in the plane's units.
        """
        height, width = plane.shape[-2:]
        # Plane by plane in memory: pixel by pixel, as convolutions on a CPU leave it, a step of
        # training takes half as long again for the sums over neighbours below.
        weights = self.weigh(features).float().contiguous()
        batch = weights.shape[0]
        weights = weights.view(batch, NEIGHBOURS, REFINE_STRIDE**2, height, width)
        # A softmax over the second of five dimensions, spelled out: as one operation it takes half
        # of the whole network's time in ONNX Runtime 1.31 on a CPU.
        shares = torch.exp(weights - weights.amax(dim=1, keepdim=True))
        padded = functional.pad(plane, (1, 1, 1, 1), mode='replicate')
        around = torch.cat(
            [
                padded[..., row : row + height, column : column + width]
                for row in range(3)
                for column in range(3)
            ],
            dim=1,
        )
        fine = (shares * around.unsqueeze(2)).sum(dim=1) / shares.sum(dim=1)
        return functional.pixel_shuffle(fine, REFINE_STRIDE)
