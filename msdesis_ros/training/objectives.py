"""What each network family is trained for: from a batch to one number, and to an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.registry import create_network
from msdesis_ros.training.batch import Batch
from msdesis_ros.training.config import MaskEncoderSettings, TrainConfig
from msdesis_ros.training.losses import DISPARITY_TERMS, MASK_TERMS, fast_terms
from msdesis_ros.training.published_losses import (
    at_full_size,
    feature_match_loss,
    multiscale_smooth_l1,
    segmentation_loss,
    unsupervised_multiscale,
)


class Answer(NamedTuple):
    """N x 1 x H x W float32 each, or None where the network does not answer it."""

    disparity_px: Tensor | None
    mask_logits: Tensor | None


class Objective(Protocol):
    """The bridge between one family and the loop.

    learns_mask: whether a term of the loss looks at the mask.
    """

    learns_mask: bool = True

    def terms(self, output: object, batch: Batch) -> dict[str, Tensor]:
        """Every term of the loss, weighted, so that their sum is the loss."""

    def answer(self, output: object) -> Answer:
        """The output in the words of the metrics."""

    def prepare(self, network: nn.Module) -> None:
        """Make a network ready for a step of training."""
        network.train()

    def shown(self, batch: Batch) -> Batch:
        """What the network is run on, and `terms` is told, instead of a batch."""
        return batch

    def alternatives(self, network: nn.Module) -> Iterable[tuple[float, nn.Module]]:
        """Networks that may be better than the last one of a training, and what part of the way
        to it they went.
        """
        return ()


def network_of(config: TrainConfig) -> nn.Module:
    """A fresh network of the configuration; its weights depend on the seed alone."""
    options = dict(config.network)
    family = options.pop('family')
    if options.setdefault('mode', config.task) != config.task:
        raise UsageError(
            f'network.mode is {options["mode"]!r}, but the task is {config.task}; leave it out'
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return create_network(family, **options)


def objective_of(config: TrainConfig, network: nn.Module) -> Objective:
    """The losses of the configuration for its network, which has its initial weights."""
    if config.self_supervised is not None:
        from msdesis_ros.training.fine_tuning import FineTuning  # which builds on this module

        return FineTuning(config, network)
    kinds = {'msdesis': PublishedObjective, 'msdesis_fast': FastObjective}
    return kinds[config.network['family']](config, network)


class FastObjective(Objective):
    """Of the fast network: FastWeights, those of the task."""

    def __init__(self, config: TrainConfig, network: nn.Module) -> None:
        names = {
            'disparity': DISPARITY_TERMS,
            'segmentation': MASK_TERMS,
            'multitask': DISPARITY_TERMS + MASK_TERMS,
        }[config.task]
        weights = {name: getattr(config.fast_loss, name) for name in names}
        self._weights = {name: weight for name, weight in weights.items() if weight}
        if not self._weights:
            raise UsageError(f'every loss weight for the task {config.task} is 0')
        for name, value in network.named_parameters():
            value.requires_grad_(network.answering(name))
        self._mask_encoder = config.mask_encoder
        if network.answering('mask_head.encoder'):
            frozen_stages(network, config.mask_encoder).requires_grad_(False)
        self.learns_mask = not self._weights.keys().isdisjoint(MASK_TERMS)
        self._occluded = config.fast_loss.occluded
        self._max_disparity = network.config.max_disparity

    def terms(self, output, batch: Batch) -> dict[str, Tensor]:
        found = fast_terms(
            output, batch, max_disparity=self._max_disparity, occluded_weight=self._occluded
        )
        return {name: weight * found[name] for name, weight in self._weights.items()}

    def answer(self, output) -> Answer:
        return Answer(output.disparity_px, output.mask_logits)

    def prepare(self, network: nn.Module) -> None:
        network.train()
        if self._mask_encoder.frozen_statistics:
            network.mask_head.encoder.eval()
        frozen_stages(network, self._mask_encoder).eval()


def frozen_stages(network: nn.Module, settings: MaskEncoderSettings) -> nn.ModuleList:
    """The first stages of the mask's encoder, which stay as they are."""
    encoder = network.mask_head.encoder
    return nn.ModuleList([encoder.stem, *encoder.stages][: settings.frozen_stages])


def learning_groups(config: TrainConfig, network: nn.Module) -> list[dict[str, Any]]:
    """What learns, for an optimiser; `lr_share` is the group's part of the learning rate."""
    slow, fast = [], []
    for name, weights in network.named_parameters():
        if weights.requires_grad:
            (slow if name.startswith('mask_head.encoder.') else fast).append(weights)
    shares = (config.mask_encoder.lr_share, slow), (1.0, fast)
    return [{'params': group, 'lr_share': share} for share, group in shares if group]


class PublishedObjective(Objective):
    """Of MSDESIS: the losses of its release. Levels finer than the finest with a weight among
    `scale_weights` are not computed; the answer is then that level's, enlarged.
    """

    def __init__(self, config: TrainConfig, network: nn.Module) -> None:
        self._loss = config.published_loss
        share = self._loss.disparity_segmentation_weight
        self._shares = {
            'disparity': (1.0, 0.0),
            'segmentation': (0.0, 1.0),
            'multitask': (share, 1 - share),
        }[config.task]
        self.learns_mask = self._shares[1] > 0
        self._head = network.disparity_head
        weighted = (level for level, weight in enumerate(self._loss.scale_weights) if weight)
        self._head.finest_level = next(weighted)
        self._head.keeps_features = self._shares[0] > 0 and self._loss.match_weight > 0
        self._max_disparity = network.config.max_disparity
        if network.config.n_classes != 1:
            raise UsageError('training knows one class, the instrument; leave n_classes at 1')

    def terms(self, output, batch: Batch) -> dict[str, Tensor]:
        disparities, logits = output
        terms = {}
        if self._shares[0]:
            terms['disparity'] = self._shares[0] * self._disparity(disparities, batch)
        if self._head.kept is not None:
            features, self._head.kept = self._head.kept, None
            terms['match'] = self._loss.match_weight * feature_match_loss(
                *features,
                batch.disparity_px,
                batch.occluded,
                max_disparity=self._max_disparity,
            )
        if self._shares[1]:
            terms['segmentation'] = self._shares[1] * segmentation_loss(
                logits,
                batch.mask,
                criterion=self._loss.segmentation_criterion,
                share=self._loss.segmentation_alpha,
            )
        return terms

    def answer(self, output) -> Answer:
        disparities, logits = output
        if disparities is None:
            return Answer(None, logits)
        return Answer(at_full_size(disparities[0], self._head.finest_level), logits)

    def _disparity(self, disparities, batch: Batch) -> Tensor:
        weights = self._loss.scale_weights
        disparities = (None,) * self._head.finest_level + tuple(disparities)
        if self._loss.disparity_loss == 'multiscale_smooth_l1':
            return multiscale_smooth_l1(
                disparities,
                batch.disparity_px,
                max_disparity=self._max_disparity,
                scale_weights=weights,
            )
        return unsupervised_multiscale(
            disparities,
            batch.left.float() / 255,
            batch.right.float() / 255,
            scale_weights=weights,
            ssim_share=self._loss.ssim_alpha,
            photometric_share=self._loss.photometric_smoothness_alpha,
        )
