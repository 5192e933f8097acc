"""The whole network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from msdesis_ros.core.errors import ImageError
from msdesis_ros.nets.fast.config import COARSEST_STRIDE, REFINE_STRIDE, FastConfig
from msdesis_ros.nets.fast.encoder import Encoder
from msdesis_ros.nets.fast.layers import enlarge
from msdesis_ros.nets.fast.mask_head import MaskHead
from msdesis_ros.nets.fast.matcher import Matcher
from msdesis_ros.nets.fast.refinement import DISPARITY_UNIT_PX, Correction
from msdesis_ros.nets.fast.upsampling import ConvexUpsampling
from msdesis_ros.nets.fast.working_size import working_size

# Of log b: a Laplace scale of 0.02 px is better than any truth, 150 px as bad as not knowing.
LOG_SCALE_RANGE = (-4.0, 5.0)


class FastOutput(NamedTuple):
    """All that training looks at; disparities in px of the full picture, float32.

    disparity_px, log_scale: N x 1 x H x W; log_scale is the logarithm of the scale b of a Laplace
    distribution, px. mask_logits: N x 1 x H x W. part_logits: N x (1 + parts) x H/4 x W/4.
    match_logits: N x bins x H/8 x W/8. steps_px: the disparity at 1/8, and at 1/4 after each
    correction, N x 1 x h x w. What the mode of the network leaves out is None.
    """

    disparity_px: Tensor | None = None
    log_scale: Tensor | None = None
    mask_logits: Tensor | None = None
    part_logits: Tensor | None = None
    match_logits: Tensor | None = None
    steps_px: tuple[Tensor, Tensor, Tensor] | None = None


class FastStereo(nn.Module):
    """Disparity of the left view, how sure it is, and where it shows instruments."""

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        quarter = widths.features[1]
        first, second = widths.refine
        self.encoder = Encoder(widths)
        self.matcher = Matcher(config)
        carried = first // 2
        self.carry = nn.Conv2d(widths.matcher[0], carried, 1, bias=False)
        self.first = Correction(
            features=quarter,
            local=widths.local,
            extra=carried + 1,
            width=first,
            reach=4,
            wide=True,
        )
        self.second = Correction(
            features=quarter,
            local=widths.local,
            extra=first,
            width=second,
            reach=2,
            wide=False,
        )
        self.upsample = ConvexUpsampling(second + quarter)
        self.scale = nn.Conv2d(second + quarter, REFINE_STRIDE**2, 1)
        self.mask_head = MaskHead(config)

    def forward(self, left: Tensor, right: Tensor | None = None) -> FastOutput:
        """left, right: N x 3 x H x W, normalised float32, rectified, sides multiples of 32
        (ImageError otherwise). The mode 'segmentation' does not look at the right one.
        """
        return self._answered(left, right, self._matched)

    def deployed(self, left: Tensor, right: Tensor | None = None) -> FastOutput:
        """As `forward`, at the size that suits the picture best (`working_size`), and without what
        only training looks at.
        """
        return self._answered(left, right, self._matched_at_working_size)

    def answering(self, name: str) -> bool:
        """Whether the mode makes use of a weight of this name."""
        masks = name.startswith('mask_head.')
        return ('instrument_mask' if masks else 'disparity') in self.config.heads

    def _answered(
        self,
        left: Tensor,
        right: Tensor | None,
        matched: Callable[[Tensor, Tensor | None], FastOutput],
    ) -> FastOutput:
        heads = self.config.heads
        self._require_sizes(left, right if 'disparity' in heads else left)
        found = matched(left, right) if 'disparity' in heads else FastOutput()
        if 'instrument_mask' in heads:
            found = found._replace(**self.mask_head(left)._asdict())
        return found

    def _matched_at_working_size(self, left: Tensor, right: Tensor) -> FastOutput:
        given = left.shape[-2:]
        working = working_size(*given, self.config.enlarged)
        if tuple(working) == tuple(given):
            found = self._matched(left, right)
            return FastOutput(found.disparity_px, found.log_scale)
        found = self._matched(enlarge(left, working), enlarge(right, working))
        # A number, but while a graph for any size is traced.
        factor = given[1] / working[1]
        shift = factor.log() if isinstance(factor, Tensor) else math.log(factor)
        return FastOutput(
            disparity_px=enlarge(found.disparity_px, given) * factor,
            log_scale=enlarge(found.log_scale, given) + shift,
        )

    def _matched(self, left: Tensor, right: Tensor) -> FastOutput:
        # One batch for both views: batch-norm sees both alike, and convolutions run once.
        features, other = self.encoder(torch.cat((left, right))).of_views()
        match = self.matcher(features, other)
        size = features.quarter.shape[-2:]
        coarse_px = enlarge(match.disparity_px, size)
        unsure = enlarge(match.deviation_px, size) / DISPARITY_UNIT_PX
        carried = enlarge(self.carry(match.features), size)
        extra = torch.cat((carried, unsure.to(carried.dtype)), dim=1)
        first_px, seen = self.first(features.quarter, other.quarter, coarse_px, extra)
        second_px, seen = self.second(features.quarter, other.quarter, first_px, seen)
        last = torch.cat((seen, features.detail), dim=1)
        log_scale = nn.functional.pixel_shuffle(self.scale(last).float(), REFINE_STRIDE)
        return FastOutput(
            disparity_px=self.upsample(second_px, last),
            log_scale=log_scale.clamp(*LOG_SCALE_RANGE),
            match_logits=match.logits,
            steps_px=(match.disparity_px, first_px, second_px),
        )

    @staticmethod
    def _require_sizes(left: Tensor, right: Tensor | None) -> None:
        height, width = left.shape[-2:]
        if height % COARSEST_STRIDE or width % COARSEST_STRIDE or not height * width:
            raise ImageError(
                f'the network takes heights and widths that are multiples of {COARSEST_STRIDE}, '
                f'not {width}x{height}; pad the pictures (PictureNetwork does)'
            )
        if right is None:
            raise ImageError('the right picture is missing; only the mode segmentation needs none')
        if left.shape != right.shape:
            raise ImageError(
                f'the views differ in shape: {tuple(left.shape)} and {tuple(right.shape)}'
            )
