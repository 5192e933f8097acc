"""The bridge between own frames without truth and the training loop."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.fast.model import FastOutput
from msdesis_ros.training.batch import Batch
from msdesis_ros.training.config import MaskEncoderSettings, TrainConfig
from msdesis_ros.training.judge import Judge
from msdesis_ros.training.look import Look
from msdesis_ros.training.losses import DISPARITY_TERMS, fast_terms
from msdesis_ros.training.model_runner import Runner
from msdesis_ros.training.objectives import Answer, Objective
from msdesis_ros.training.self_supervised import (
    anchor_loss,
    inconsistency_px,
    own_pairs,
    roughness,
    steps_loss,
    unlikeness,
    views_of,
    visible,
    with_mirrors,
)

TERMS = ('photometric', 'smooth', 'consistency', 'steps', 'anchor', 'scale', 'rehearsal')
# What moves, hides or exchanges things in the views: own pairs have no truth to say so.
MISLEADING = ('one_eye', 'erase', 'misalignment_px', 'mirror', 'letterbox')
# Parts of the way from the initial weights to the last ones that are tried at the end.
WAYS = (0.75, 0.5, 0.25)


class FineTuning(Objective):
    """Losses of own pairs (self-supervised) and of rehearsed pairs (as usual) in one batch.

    The network that it is made with is the initial one: a copy stays as it is, as a teacher.
    Disparity and uncertainty learn; the mask's branch, which shares no weight with them, is
    neither run nor changed. Raises UsageError for another family, a task or mode that is not
    'disparity', settings of the mask's encoder, augmentations that need truth, and where
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
        return with_mirrors(batch)

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

    def alternatives(self, network: nn.Module) -> Iterator[tuple[float, nn.Module]]:
        """Networks part of the way from the initial one to `network`, and which part: they have
        learned less, and forgotten less still (Wortsman et al., Robust fine-tuning of zero-shot
        models, CVPR 2022).
        """
        begin, end = self._teacher.state_dict(), network.state_dict()
        for share in WAYS:
            between = copy.deepcopy(network)
            between.load_state_dict(
                {
                    name: begin[name].to(plane.device).lerp(plane, share)
                    if plane.is_floating_point()
                    else plane
                    for name, plane in end.items()
                }
            )
            yield share, between

    def judge(self, *, look: Look | None = None) -> Judge:
        """What compares networks with the initial one. look: of the own pairs."""
        return Judge(self._teacher, self._config, look)

    @torch.no_grad()
    def _taught(self, batch: Batch) -> FastOutput:
        self._teacher.to(batch.left.device)
        return Runner(self._config, batch.left.device).output(self._teacher, batch)


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
    for name in MISLEADING:
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
