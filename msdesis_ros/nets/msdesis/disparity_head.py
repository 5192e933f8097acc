"""From the features of both views to disparity, coarse to fine."""

from __future__ import annotations

from torch import Tensor, nn

from msdesis_ros.nets.msdesis.config import MsdesisConfig
from msdesis_ros.nets.msdesis.correlation import correlation
from msdesis_ros.nets.msdesis.estimator import Estimator, Upsampler
from msdesis_ros.nets.msdesis.hourglass import Hourglass
from msdesis_ros.nets.msdesis.warp import warp

# Around the coarser level's answer, every finer level looks this far to both sides.
RADIUS = 2
AROUND = range(-RADIUS, RADIUS + 1)


class DisparityHead(nn.Module):
    """Search everything at 1/32, correct at 1/16 to 1/2, refine at full size.

    finest_level: 0; a training of the coarse levels alone sets it to the finest that it looks at.
    Levels 0 and 1 are nine tenths of the work. keeps_features: False; a training that looks at
    the features themselves sets it, and finds those of the last forward pass in `kept`.
    """

    def __init__(self, config: MsdesisConfig) -> None:
        super().__init__()
        self.candidates = range(config.candidates)
        costs = {5: len(self.candidates), **dict.fromkeys((4, 3, 2, 1), len(AROUND))}
        for level, count in costs.items():
            channels = count + config.feature_channels[level - 1]
            self.add_module(f'disp_decoder_{level}', Estimator(channels))
        for level in costs:
            self.add_module(f'upsample{level}', Upsampler())
        self.refine = Hourglass()
        self.finest_level = 0
        self.keeps_features = False
        self.kept: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None = None

    def forward(
        self, left: tuple[Tensor, ...], right: tuple[Tensor, ...], right_image: Tensor
    ) -> tuple[Tensor, ...]:
        """Features f1 .. f5 of both views, right image N x 3 x H x W -> d0 .. d5, or from
        d_finest_level on.

        d_i is N x 1 x H/2^i x W/2^i, float32, in px of its own level (times 2^i = px of the
        picture), left x minus right x, and unbounded: negative numbers occur.

        Features may be float16; disparities, the positions read by the warp and the costs never
        are: at 200 px float16 counts in steps of 0.125 px.
        """
        if self.keeps_features and self.training:
            self.kept = left, right
        costs = correlation(left[4].float(), right[4].float(), self.candidates)
        answers = [self.disp_decoder_5(costs, left[4])]
        for level in range(4, max(self.finest_level, 1) - 1, -1):
            coarse = self.get_submodule(f'upsample{level + 1}')(answers[0])
            answers.insert(0, self._correct(level, coarse, left[level - 1], right[level - 1]))
        if self.finest_level:
            return tuple(answers)
        full = self.upsample1(answers[0])
        # The right image, unwarped, where one would expect the left one: as in the authors'
        # release, whose weights were trained so.
        answers.insert(0, self.refine(full, right_image) + full)
        return tuple(answers)

    def _correct(self, level: int, coarse: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Disparity N x 1 x h x w of the coarser level at this size -> that of this level."""
        costs = correlation(left.float(), warp(right.float(), coarse), AROUND)
        return self.get_submodule(f'disp_decoder_{level}')(costs, left) + coarse
