"""The bridge between own frames without truth and the training loop, and what it compares."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.fast.model import FastOutput
from msdesis_ros.training.batch import UNKNOWN, Batch
from msdesis_ros.training.comparison import Comparison
from msdesis_ros.training.config import MaskEncoderSettings, TrainConfig
from msdesis_ros.training.look import Look
from msdesis_ros.training.losses import DISPARITY_TERMS, fast_terms
from msdesis_ros.training.model_runner import Runner
from msdesis_ros.training.objectives import Answer, Objective
from msdesis_ros.training.own_frames_source import unlabelled
from msdesis_ros.training.self_supervised import (
    anchor_loss,
    inconsistency_px,
    roughness,
    steps_loss,
    unlikeness,
    views_of,
    visible,
)

# A pixel whose disparities differ by more than this between the eyes is inconsistent.
INCONSISTENT_PX = 1.0
TERMS = ('photometric', 'smooth', 'consistency', 'steps', 'anchor', 'scale', 'rehearsal')
# What moves or hides things in one view alone: own pairs have no truth to say so.
# A stream of random numbers that must not repeat another.
_LOOKS = 4
ONE_SIDED = ('one_eye', 'erase', 'misalignment_px', 'mirror')


class FineTuning(Objective):
    """Losses of own pairs (self-supervised) and of rehearsed pairs (as usual) in one batch.

    The network that it is made with is the initial one: a copy stays as it is, as a teacher.
    Disparity and uncertainty learn; the mask's branch, which shares no weight with them, is
    neither run nor changed. Raises UsageError for another family, a task or mode that is not
    'disparity', settings of the mask's encoder, augmentations of one view alone, and where
    `frozen` leaves nothing to learn.
    """

    learns_mask = False

    def __init__(self, config: TrainConfig, network: nn.Module) -> None:
        settings = config.self_supervised
        assert settings is not None
        _require_fitting(config, network)
        self._config, self._settings = config, settings
        self._teacher = copy.deepcopy(network).eval().requires_grad_(False)
        self._max_disparity = network.config.max_disparity
        for name, weights in network.named_parameters():
            learns = network.answering(name) and not name.startswith(settings.frozen)
            weights.requires_grad_(learns)
        if not any(weights.requires_grad for weights in network.parameters()):
            raise UsageError(
                f'self_supervised.frozen is {list(settings.frozen)}, which leaves nothing to '
                'learn; leave some of it out'
            )

    def prepare(self, network: nn.Module) -> None:
        """Before each step: batch-norm keeps its statistics unless the settings say otherwise."""
        network.train(self._settings.learn_statistics)

    def shown(self, batch: Batch) -> Batch:
        """The batch, and after it the mirror images of its own pairs."""
        own = own_pairs(batch)
        mirrored = [batch.right[own].flip(-1), batch.left[own].flip(-1)]
        planes = [*mirrored, *(plane[own] for plane in batch[2:6])]
        both = (torch.cat(pair) for pair in zip(batch[:6], planes, strict=True))
        return Batch(*both, batch.skipped)

    def terms(self, output: FastOutput, batch: Batch) -> dict[str, Tensor]:
        """The weighted terms of `shown` pairs; 0 where a batch lacks their kind of pairs."""
        weights, own = self._settings, own_pairs(batch)
        found = dict.fromkeys(TERMS, output.disparity_px.new_zeros(()))
        if bool(own.any()):
            found |= self._without_truth(_rows(output, own), _taken(batch, own))
        if not bool(own.all()):
            terms = fast_terms(
                _rows(output, ~own),
                _taken(batch, ~own),
                max_disparity=self._max_disparity,
                occluded_weight=self._config.fast_loss.occluded,
            )
            found['rehearsal'] = sum(
                getattr(self._config.fast_loss, name) * terms[name] for name in DISPARITY_TERMS
            )
        return {name: getattr(weights, name) * term for name, term in found.items()}

    def _without_truth(self, output: FastOutput, batch: Batch) -> dict[str, Tensor]:
        settings, initial = self._settings, self._taught(batch)
        views = views_of(batch.left, batch.right, output.disparity_px)
        counted = visible(views)
        apart = torch.log1p(inconsistency_px(views)) * counted
        scale = nn.functional.smooth_l1_loss(output.log_scale, initial.log_scale)
        return {
            'photometric': unlikeness(views, counted, scales=settings.scales),
            'smooth': roughness(output.disparity_px, batch.left),
            'consistency': apart.sum() / counted.sum().clamp(min=1),
            'steps': steps_loss(output, counted),
            'anchor': anchor_loss(output.disparity_px, initial, unsure_px=settings.unsure_px),
            'scale': scale,
        }

    def answer(self, output: FastOutput) -> Answer:
        return Answer(output.disparity_px, mask_logits=None)

    @torch.no_grad()
    def judge(
        self, network: nn.Module, batches: Iterable[Batch], *, look: Look | None = None
    ) -> Comparison:
        """Compare a network in eval mode with the initial one, both as they are used. look: of
        the own pairs.
        """
        device = next(network.parameters()).device
        self._teacher.to(device)
        runner = Runner(self._config, device)
        sums, in_look = ({'now': _Sums(), 'before': _Sums()} for _ in range(2))
        rng = np.random.default_rng([self._config.seed, _LOOKS])
        for plain in batches:
            batch = self.shown(plain.to(device))
            own, initial = own_pairs(batch), runner.deployed(self._teacher, batch)
            counted = (
                visible(views_of(batch.left, batch.right, initial.disparity_px))
                if bool(own.all())
                else None
            )
            for name, answer in (('now', runner.deployed(network, batch)), ('before', initial)):
                if counted is None:
                    sums[name].add_known(answer, batch, self._max_disparity)
                else:
                    views = views_of(batch.left, batch.right, answer.disparity_px)
                    sums[name].add_own(views, counted, scales=self._settings.scales)
            if counted is None and look is not None:
                worn = dressed(plain, look, rng).to(device)
                for name, judged in (('now', network), ('before', self._teacher)):
                    answer = runner.deployed(judged, worn)
                    in_look[name].add_known(answer, worn, self._max_disparity)
        now, before = (each.figures() for each in sums.values())
        look_now, look_before = (each.figures() for each in in_look.values())
        return Comparison(
            unlikeness=now[0],
            unlikeness_before=before[0],
            inconsistent_percent=now[1],
            inconsistent_before_percent=before[1],
            general_epe_px=now[2],
            general_epe_before_px=before[2],
            look_epe_px=look_now[2],
            look_epe_before_px=look_before[2],
            own_pairs=sums['now'].own_pairs,
            general_pairs=sums['now'].general_pairs,
        )

    @torch.no_grad()
    def _taught(self, batch: Batch) -> FastOutput:
        self._teacher.to(batch.left.device)
        return Runner(self._config, batch.left.device).output(self._teacher, batch)


class _Sums:
    """Of one network over the frames of a comparison; each own pair counts alike."""

    def __init__(self) -> None:
        self._unlike, self._inconsistent, self.own_pairs = 0.0, 0.0, 0
        self._error_px, self._known, self.general_pairs = 0.0, 0, 0

    def add_own(self, views, counted: Tensor, *, scales: int) -> None:
        there = int(counted.sum())
        if there:
            apart = (inconsistency_px(views) > INCONSISTENT_PX) & counted
            self._unlike += float(unlikeness(views, counted, scales=scales))
            self._inconsistent += int(apart.sum()) / there
            self.own_pairs += 1

    def add_known(self, answer: FastOutput, batch: Batch, max_disparity: int) -> None:
        known = (batch.disparity_px >= 0) & (batch.disparity_px < max_disparity)
        errors = (answer.disparity_px - batch.disparity_px).abs()[known]
        self._error_px += float(errors.double().sum())
        self._known += int(known.sum())
        self.general_pairs += int(known.flatten(1).any(1).sum())

    def figures(self) -> tuple[float, float, float]:
        pairs = self.own_pairs or math.nan
        known = self._known or math.nan
        return self._unlike / pairs, 100 * self._inconsistent / pairs, self._error_px / known


def dressed(batch: Batch, look: Look, rng: np.random.Generator) -> Batch:
    """A batch with other pictures and the same truth."""
    found = []
    for left, right in zip(batch.left, batch.right, strict=True):
        views = (view.permute(1, 2, 0).contiguous().numpy() for view in (left, right))
        worn = look.worn_by(unlabelled(*views), rng)
        found.append([torch.from_numpy(view).permute(2, 0, 1) for view in (worn.left, worn.right)])
    left, right = (torch.stack(views) for views in zip(*found, strict=True))
    return batch._replace(left=left, right=right)


def own_pairs(batch: Batch) -> Tensor:
    """N bool: pairs of which no truth is known."""
    nothing = ~torch.isfinite(batch.disparity_px) & (batch.mask == UNKNOWN)
    return nothing.flatten(1).all(1)


def _require_fitting(config: TrainConfig, network: nn.Module) -> None:
    if config.network['family'] != 'msdesis_fast' or config.task != 'disparity':
        raise UsageError(
            'fine-tuning without truth knows the task disparity of the family msdesis_fast, not '
            f'{config.task} of {config.network["family"]}'
        )
    if network.config.mode != config.task:
        raise UsageError(
            f'the mode of the network is {network.config.mode}, in which the mask would learn '
            'too; make it in the mode disparity'
        )
    if config.mask_encoder != MaskEncoderSettings():
        raise UsageError(
            'mask_encoder is set, but fine-tuning leaves the mask alone; leave it out'
        )
    for name in ONE_SIDED:
        value = getattr(config.augment, name)
        if value > 0:
            raise UsageError(
                f'augment.{name} is {value:g}, which teaches pairs without truth wrong '
                'disparities; set it to 0'
            )


def _taken(batch: Batch, rows: Tensor) -> Batch:
    return Batch(*(plane[rows] for plane in batch[:6]), batch.skipped)


def _rows(output: FastOutput, rows: Tensor) -> FastOutput:
    taken = {
        name: tuple(step[rows] for step in plane) if isinstance(plane, tuple) else plane[rows]
        for name, plane in output._asdict().items()
        if plane is not None
    }
    return FastOutput(**taken)
