"""A plane of twice the size as four planes of this size, its phases.

Plane c of twice the size lies in channels 4c .. 4c + 3 here: pixels of even rows and columns, even
rows and odd columns, odd rows and even columns, odd rows and columns. So `nn.PixelShuffle(2)` puts
them together. Both functions are exact, borders included: the zeros beyond a border are zeros in
every phase.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Of a 4 x 4 transposed convolution with stride 2 and padding 1, along one axis: from which pixel
# beside it, and by which tap, an even and an odd pixel of the larger plane come.
TAPS_OF_PHASE = (((-1, 3), (0, 1)), ((0, 2), (1, 0)))


def double_up_to_phases(up: nn.ConvTranspose2d) -> nn.Conv2d:
    """What `layers.double_up` computes, as phases: N x in x H x W -> N x 4 out x H x W."""
    inputs, outputs = up.weight.shape[:2]
    weight = up.weight.new_zeros(outputs, 2, 2, inputs, 3, 3)
    for row, vertical in enumerate(TAPS_OF_PHASE):
        for column, horizontal in enumerate(TAPS_OF_PHASE):
            for y, tap_y in vertical:
                for x, tap_x in horizontal:
                    tap = up.weight.detach()[:, :, tap_y, tap_x].T
                    weight[:, row, column, :, y + 1, x + 1] = tap
    return _convolution(weight.flatten(0, 2), up.bias)


def convolution_on_phases(convolution: nn.Conv2d) -> nn.Conv2d:
    """A padded 3 x 3 convolution of the larger plane: N x 4 in x H x W -> N x 4 out x H x W."""
    outputs, inputs = convolution.weight.shape[:2]
    weight = convolution.weight.new_zeros(outputs, 2, 2, inputs, 2, 2, 3, 3)
    for row in range(2):
        for column in range(2):
            for tap_y in range(3):
                for tap_x in range(3):
                    # Where it reads, in pixels of the larger plane from an even row and column.
                    y, x = row + tap_y - 1, column + tap_x - 1
                    tap = convolution.weight.detach()[:, :, tap_y, tap_x]
                    weight[:, row, column, :, y % 2, x % 2, y // 2 + 1, x // 2 + 1] = tap
    return _convolution(weight.flatten(3, 5).flatten(0, 2), convolution.bias)


def _convolution(weight: Tensor, bias_of_planes: Tensor | None) -> nn.Conv2d:
    outputs, inputs = weight.shape[:2]
    made = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias_of_planes is not None)
    made.weight = nn.Parameter(weight)
    if bias_of_planes is not None:
        made.bias = nn.Parameter(torch.repeat_interleave(bias_of_planes.detach(), 4))
    return made.to(weight.dtype)
