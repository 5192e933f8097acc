"""Compares a fine-tuned network with the one it began with, both as they are deployed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from msdesis_ros.training.batch import Batch
from msdesis_ros.training.comparison import Comparison
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.look import Look
from msdesis_ros.training.model_runner import Runner
from msdesis_ros.training.own_frames_source import unlabelled
from msdesis_ros.training.self_supervised import (
    Views,
    inconsistency_px,
    own_pairs,
    unlikeness,
    views_of,
    visible,
    with_mirrors,
)

# A pixel whose disparities differ by more than this between the eyes is inconsistent.
INCONSISTENT_PX = 1.0
# Errors of pairs below this are alike.
_LEAST_PX = 0.01
# A stream of random numbers that must not repeat another.
_LOOKS = 4


class Judge:
    """Compares networks in eval mode with the initial one, always on the same batches.

    What the initial network answers is asked for once, at the first comparison. look: of the own
    pairs, None without one.
    """

    def __init__(self, initial: nn.Module, config: TrainConfig, look: Look | None = None) -> None:
        assert config.self_supervised is not None
        self._initial, self._config, self._look = initial, config, look
        self._scales = config.self_supervised.scales
        self._before: _Before | None = None

    @torch.no_grad()
    def compare(self, network: nn.Module, batches: Iterable[Batch]) -> Comparison:
        """Compare a network on batches, each either of own pairs or of pairs with truth."""
        batches = list(batches)
        device = next(network.parameters()).device
        if self._before is None:
            self._initial.to(device)
            counted = [self._counted(batch.to(device)) for batch in batches]
            self._before = _Before(counted, self._figures(self._initial, batches, counted))
        now, before = self._figures(network, batches, self._before.counted), self._before.figures
        return Comparison(
            unlikeness=now.unlikeness,
            unlikeness_before=before.unlikeness,
            inconsistent_percent=now.inconsistent_percent,
            inconsistent_before_percent=before.inconsistent_percent,
            general_epe_px=now.general_epe_px,
            general_epe_before_px=before.general_epe_px,
            general_growth=_growth(before.general_by_pair_px, now.general_by_pair_px),
            look_epe_px=now.look_epe_px,
            look_epe_before_px=before.look_epe_px,
            look_growth=_growth(before.look_by_pair_px, now.look_by_pair_px),
            own_pairs=now.own_pairs,
            general_pairs=now.general_pairs,
        )

    def _counted(self, batch: Batch) -> Tensor | None:
        """What the initial network takes for visible, of own pairs alone."""
        if not bool(own_pairs(batch).all()):
            return None
        batch = with_mirrors(batch)
        answer = Runner(self._config, batch.left.device).deployed(self._initial, batch)
        return visible(views_of(batch.left, batch.right, answer.disparity_px))

    def _figures(
        self, network: nn.Module, batches: list[Batch], counted: list[Tensor | None]
    ) -> _Figures:
        device = next(network.parameters()).device
        runner, own = Runner(self._config, device), _OwnSums(self._scales)
        limit_px = network.config.max_disparity
        general, in_look = _KnownSums(limit_px), _KnownSums(limit_px)
        rng = np.random.default_rng([self._config.seed, _LOOKS])
        for plain, seen in zip(batches, counted, strict=True):
            batch = with_mirrors(plain.to(device))
            answer = runner.deployed(network, batch)
            if seen is not None:
                own.add(views_of(batch.left, batch.right, answer.disparity_px), seen)
                continue
            general.add(answer.disparity_px, batch)
            if self._look is not None:
                worn = dressed(plain, self._look, rng).to(device)
                in_look.add(runner.deployed(network, worn).disparity_px, worn)
        return _Figures(
            unlikeness=own.unlikeness,
            inconsistent_percent=own.inconsistent_percent,
            own_pairs=own.pairs,
            general_epe_px=general.epe_px,
            general_pairs=general.pairs,
            general_by_pair_px=tuple(general.by_pair_px),
            look_epe_px=in_look.epe_px,
            look_by_pair_px=tuple(in_look.by_pair_px),
        )


def dressed(batch: Batch, look: Look, rng: np.random.Generator) -> Batch:
    """A batch with other pictures and the same truth."""
    found = []
    for left, right in zip(batch.left, batch.right, strict=True):
        views = (view.permute(1, 2, 0).contiguous().numpy() for view in (left, right))
        worn = look.worn_by(unlabelled(*views), rng)
        found.append([torch.from_numpy(view).permute(2, 0, 1) for view in (worn.left, worn.right)])
    left, right = (torch.stack(views) for views in zip(*found, strict=True))
    return batch._replace(left=left, right=right)


@dataclass(frozen=True)
class _Figures:
    """Of one network, as in `Comparison`."""

    unlikeness: float
    inconsistent_percent: float
    own_pairs: int
    general_epe_px: float
    general_pairs: int
    general_by_pair_px: tuple[float, ...]
    look_epe_px: float
    look_by_pair_px: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Before:
    """The initial network: what it takes for visible, by batch, and its figures."""

    counted: list[Tensor | None]
    figures: _Figures


class _OwnSums:
    """Over own pairs, each of which counts alike."""

    def __init__(self, scales: int) -> None:
        self._scales = scales
        self._unlike, self._inconsistent, self.pairs = 0.0, 0.0, 0

    def add(self, views: Views, counted: Tensor) -> None:
        there = int(counted.sum())
        if there:
            apart = (inconsistency_px(views) > INCONSISTENT_PX) & counted
            self._unlike += float(unlikeness(views, counted, scales=self._scales))
            self._inconsistent += int(apart.sum()) / there
            self.pairs += 1

    @property
    def unlikeness(self) -> float:
        return self._unlike / (self.pairs or math.nan)

    @property
    def inconsistent_percent(self) -> float:
        return 100 * self._inconsistent / (self.pairs or math.nan)


class _KnownSums:
    """Over pairs with truth, each pixel of which counts alike."""

    def __init__(self, limit_px: int) -> None:
        self._limit_px = limit_px
        self._error_px, self._known, self.pairs = 0.0, 0, 0
        self.by_pair_px: list[float] = []

    def add(self, disparity_px: Tensor, batch: Batch) -> None:
        known = (batch.disparity_px >= 0) & (batch.disparity_px < self._limit_px)
        errors = (disparity_px - batch.disparity_px).abs()[known]
        self._error_px += float(errors.double().sum())
        self._known += int(known.sum())
        self.pairs += int(known.flatten(1).any(1).sum())
        for found, truth, counted in zip(disparity_px, batch.disparity_px, known, strict=True):
            if counted.any():
                self.by_pair_px.append(float((found - truth).abs()[counted].double().mean()))

    @property
    def epe_px(self) -> float:
        return self._error_px / (self._known or math.nan)


def _growth(before_px: tuple[float, ...], now_px: tuple[float, ...]) -> float:
    """The geometric mean of how errors of the same pairs grew; NaN without pairs."""
    if not before_px:
        return math.nan
    ratios = np.maximum(now_px, _LEAST_PX) / np.maximum(before_px, _LEAST_PX)
    return float(np.exp(np.log(ratios).mean()))
