"""Figures of a network on the validation frames."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from msdesis_ros.training.batch import UNKNOWN, Batch
from msdesis_ros.training.model_runner import Runner
from msdesis_ros.training.objectives import Objective


@dataclass(frozen=True)
class Figures:
    """Over all pixels of all frames; NaN where nothing is known. epe_px, bad3_percent: where
    0 <= truth < max_disparity; epe_visible_px: of these, what the right view shows too. iou: of
    the instrument mask.
    """

    epe_px: float
    epe_visible_px: float
    bad3_percent: float
    iou: float

    def score(self, task: str) -> float | None:
        """What the best weights have the least of; None where it is not known.

        The mask decides where nobody knows the disparity, as in the stereo pairs of RIS 2017.
        """
        by_mask = task == 'segmentation' or (task == 'multitask' and math.isnan(self.epe_px))
        value = 1 - self.iou if by_mask else self.epe_px
        return None if math.isnan(value) else value


@torch.no_grad()
def validate(
    network: nn.Module,
    batches: Iterable[Batch],
    *,
    runner: Runner,
    objective: Objective,
    max_disparity: int,
) -> Figures:
    """Run a network in eval mode over batches, as it will be used."""
    sums = dict.fromkeys(('known', 'error', 'bad', 'visible', 'visible error', 'both', 'any'), 0.0)
    for batch in batches:
        batch = batch.to(runner.device)
        answer = objective.answer(runner.deployed(network, batch))
        if answer.disparity_px is not None:
            known = (batch.disparity_px >= 0) & (batch.disparity_px < max_disparity)
            error_px = (answer.disparity_px - batch.disparity_px).abs().double()
            seen = known & ~batch.occluded
            sums['known'] += int(known.sum())
            sums['error'] += float(error_px[known].sum())
            sums['bad'] += int((error_px[known] > 3).sum())
            sums['visible'] += int(seen.sum())
            sums['visible error'] += float(error_px[seen].sum())
        if answer.mask_logits is not None:
            known = batch.mask != UNKNOWN
            found, wanted = (answer.mask_logits > 0) & known, (batch.mask == 1) & known
            sums['both'] += int((found & wanted).sum())
            sums['any'] += int((found | wanted).sum())
    return Figures(
        epe_px=_share(sums['error'], sums['known']),
        epe_visible_px=_share(sums['visible error'], sums['visible']),
        bad3_percent=100 * _share(sums['bad'], sums['known']),
        iou=_share(sums['both'], sums['any']),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
