"""How well an instrument mask fits the true one, as counts that add up over frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.evaluation.disparity_sums import Measures, ratio


@dataclass(frozen=True)
class MaskSums:
    """Pixels that are tool in both masks (`hit`), in the prediction only (`false_alarm`), in the
    truth only (`missed`), in neither (`background`); `+` joins frames.
    """

    hit: int = 0
    false_alarm: int = 0
    missed: int = 0
    background: int = 0

    def __add__(self, other: MaskSums) -> MaskSums:
        return MaskSums(
            self.hit + other.hit,
            self.false_alarm + other.false_alarm,
            self.missed + other.missed,
            self.background + other.background,
        )

    @property
    def measures(self) -> Measures:
        """0 to 1 each, None where nothing is divided by nothing.

        mask_iou: hit / (hit + false_alarm + missed), Jaccard's index; without a tool in either
        mask it has no value, and is not 1. mask_precision: hit / what was painted. mask_recall:
        hit / what is tool. mask_painted: the share of all pixels that was painted as tool.
        """
        painted, tool = self.hit + self.false_alarm, self.hit + self.missed
        return {
            'mask_iou': ratio(self.hit, painted + self.missed),
            'mask_precision': ratio(self.hit, painted),
            'mask_recall': ratio(self.hit, tool),
            'mask_painted': ratio(painted, painted + self.missed + self.background),
        }


def mask_sums(prediction: np.ndarray, truth: np.ndarray) -> MaskSums:
    """Count the pixels of two H x W bool masks of one shape."""
    return MaskSums(
        hit=int(np.count_nonzero(prediction & truth)),
        false_alarm=int(np.count_nonzero(prediction & ~truth)),
        missed=int(np.count_nonzero(~prediction & truth)),
        background=int(np.count_nonzero(~prediction & ~truth)),
    )
