"""Where instruments are, and which part of them: a branch of its own, of the left view alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from msdesis_ros.nets.fast.config import REFINE_STRIDE, FastConfig
from msdesis_ros.nets.fast.layers import UpAndMerge, conv_bn, enlarge
from msdesis_ros.nets.fast.mask_encoder import MaskEncoder
from msdesis_ros.nets.fast.working_size import mask_size
from msdesis_ros.nets.msdesis.config import SCARED_MEAN, SCARED_STD

# What the encoder's published weights expect: (level - 127) / 128.
_CENTRE, _SPAN = 127.0, 128.0
WIDE, NARROW, FINE = 48, 32, 16
HALF_STRIDE = 2


class Masks(NamedTuple):
    """mask_logits: N x 1 x H x W float32, above 0 = instrument. part_logits: N x (1 + parts) x
    H/4 x W/4 float32, the background first.
    """

    mask_logits: Tensor
    part_logits: Tensor


class MaskHead(nn.Module):
    """The left view -> Masks.

    It looks at every picture at one size, that of the trunk: an instrument fills much the same
    share of the view whatever the camera's resolution, the whole of it lies within what the
    encoder overlooks, and the cost does not grow with the picture. Where the disparity of a small
    picture leaves time, that size is a finer one (`mask_size`), for borders of instruments. It
    knows nothing of the disparity, so that one eye is enough.
    """

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        trunk = config.widths.mask
        half, quarter, eighth, sixteenth, coarse = trunk.features
        self.sizes = trunk.size, trunk.fine_size if config.enlarged else trunk.size
        self.encoder = MaskEncoder(trunk)
        self.enter = conv_bn(coarse, WIDE)
        # What kind of picture it is: without any instrument, smoky, under water.
        self.whole = nn.Conv2d(WIDE, WIDE, 1)
        self.up_sixteenth = UpAndMerge(WIDE, sixteenth, WIDE)
        self.up_eighth = UpAndMerge(WIDE, eighth, WIDE)
        self.up_quarter = UpAndMerge(WIDE, quarter, NARROW)
        self.up_half = UpAndMerge(NARROW, half, FINE)
        self.parts = nn.Conv2d(NARROW, 1 + config.n_parts, 1)
        # Four pixels of full size at every place of half size, so that borders lie fine.
        self.mask = nn.Conv2d(FINE, HALF_STRIDE**2, 3, padding=1)
        # From the normalisation of the whole network's pictures to that of the encoder.
        scale = 255.0 / _SPAN * torch.tensor(SCARED_STD)
        shift = (255.0 * torch.tensor(SCARED_MEAN) - _CENTRE) / _SPAN
        self.register_buffer('scale', scale.view(1, 3, 1, 1), persistent=False)
        self.register_buffer('shift', shift.view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: Tensor) -> Masks:
        """picture: N x 3 x H x W, normalised as the whole network's input, any size."""
        height, width = picture.shape[-2:]
        size = mask_size(height, width, *self.sizes)
        seen = enlarge(picture, size) * self.scale + self.shift
        levels = self.encoder(seen.to(self.mask.weight.dtype))
        coarse = self.enter(levels.coarse)
        coarse = coarse + functional.relu(self.whole(coarse.mean(dim=(2, 3), keepdim=True)))
        sixteenth = self.up_sixteenth(coarse, levels.sixteenth)
        eighth = self.up_eighth(sixteenth, levels.eighth)
        quarter = self.up_quarter(eighth, levels.quarter)
        half = self.up_half(quarter, levels.half)
        quarter_size = (height // REFINE_STRIDE, width // REFINE_STRIDE)
        logits = functional.pixel_shuffle(self.mask(half).float(), HALF_STRIDE)
        return Masks(
            mask_logits=enlarge(logits, (height, width)),
            part_logits=enlarge(self.parts(quarter).float(), quarter_size),
        )
