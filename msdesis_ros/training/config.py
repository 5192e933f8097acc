"""A training as one JSON file: frozen dataclasses, where an unknown key is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.layouts.catalogue import LAYOUTS
from msdesis_ros.nets.fast.config import LITE0
from msdesis_ros.nets.msdesis.config import SCARED_MEAN, SCARED_STD
from msdesis_ros.training.augment import AugmentSettings
from msdesis_ros.training.json_dataclasses import build, read_object
from msdesis_ros.training.losses import FastWeights
from msdesis_ros.training.schedules import Schedule
from msdesis_ros.training.self_supervised import SelfSupervised

# On the CPU of PyTorch 2.13 the gradient of a convolution from one pixel to one pixel is whatever
# was in memory, in bfloat16: seen in the encoder's coarsest level with sides of 32 px.
BF16_SMALLEST_CROP = 64
TASKS = ('disparity', 'multitask', 'segmentation')


@dataclass(frozen=True)
class SourceSettings:
    """One set of samples: `shards`, a folder of synthetic pairs; or `root`, the folder of a data
    set in a `layout` of docs/datasets.md, of which `split` is taken. weight: its share of the
    training among the other sources' weights; null = by its number of samples.
    """

    shards: str | None = None
    weight: float | None = None
    layout: str | None = None
    root: str | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if (self.shards is None) == (self.layout is None):
            raise UsageError('a source has either shards, or a layout with its root; give one')
        if self.layout is None:
            if self.root is not None or self.split is not None:
                raise UsageError('root and split are keys of a layout; shards have neither')
            return
        _one_of('layout', self.layout, tuple(LAYOUTS))
        if not self.root:
            raise UsageError(f'the layout {self.layout} needs the root of the data set')
        splits = LAYOUTS[self.layout].splits
        if splits:
            _one_of(f'split of the layout {self.layout}', self.split, splits)
        elif self.split is not None:
            raise UsageError(f'the layout {self.layout} has no splits; leave split out')

    @property
    def place(self) -> str:
        """Where the samples lie, and which of them are meant, for people."""
        if self.layout is None:
            return str(self.shards)
        which = f'split {self.split} of the layout' if self.split else 'the layout'
        return f'{self.root} ({which} {self.layout})'


@dataclass(frozen=True)
class DataSettings:
    """train, validation: sources. crops: (width, height) px, of which each step takes one.
    when_broken: 'stop' or 'skip'. workers: processes that read ahead; 0 = none.
    """

    train: tuple[SourceSettings, ...]
    validation: tuple[SourceSettings, ...] = ()
    validation_frames: int = 64
    crops: tuple[tuple[int, int], ...] = ((320, 256),)
    when_broken: str = 'stop'
    workers: int = 1

    def __post_init__(self) -> None:
        _one_of('when_broken', self.when_broken, ('stop', 'skip'))
        if self.workers < 0:
            raise UsageError(f'workers is {self.workers}; expected 0 or more')


@dataclass(frozen=True)
class PublishedLoss:
    """Settings of the losses in the MSDESIS release, by their names there.

    disparity_loss: 'multiscale_smooth_l1' or 'unsupervised_multiscale'. Not of the release, and 0
    there: match_weight, of a loss that teaches the encoder alone to tell partners from others,
    which disparities by themselves take tens of thousands of steps to do.
    """

    disparity_loss: str = 'multiscale_smooth_l1'
    scale_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    ssim_alpha: float = 0.9
    photometric_smoothness_alpha: float = 0.7
    segmentation_criterion: str = 'dice_wbce'
    segmentation_alpha: float = 0.5
    disparity_segmentation_weight: float = 0.2
    match_weight: float = 0.0

    def __post_init__(self) -> None:
        _one_of('disparity_loss', self.disparity_loss, DISPARITY_LOSSES)
        _one_of('segmentation_criterion', self.segmentation_criterion, SEGMENTATION_CRITERIA)
        if len(self.scale_weights) != 6 or not sum(self.scale_weights) > 0:
            raise UsageError('scale_weights are six numbers whose sum is above 0')
        for name in (
            'ssim_alpha',
            'photometric_smoothness_alpha',
            'segmentation_alpha',
            'disparity_segmentation_weight',
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f'{name} is {getattr(self, name)}; expected 0 to 1')
        if not 0 <= self.match_weight < float('inf'):
            raise UsageError(f'match_weight is {self.match_weight}; expected 0 or more')


DISPARITY_LOSSES = ('multiscale_smooth_l1', 'unsupervised_multiscale')
SEGMENTATION_CRITERIA = ('dice_wbce', 'jaccard_wbce')


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW. clip_norm: highest norm of all gradients together; null = no limit. accumulate:
    batches whose gradients are averaged for one step. ema_decay: of the averaged weights, which
    are validated and saved; 0 = the last weights themselves.
    """

    schedule: Schedule
    weight_decay: float = 1e-4
    clip_norm: float | None = 5.0
    batch_size: int = 8
    accumulate: int = 1
    ema_decay: float = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.weight_decay < float('inf'):
            raise UsageError(f'weight_decay is {self.weight_decay}; expected 0 or more')
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UsageError(f'clip_norm is {self.clip_norm}; expected more than 0, or null')


@dataclass(frozen=True)
class MaskEncoderSettings:
    """How the mask's encoder of msdesis_fast learns. weights: efficientnet-lite0-*.pth to begin
    with; null = those of `init`, or random ones. frozen_stages: how many of its first stages (stem
    included, 0 to 8) stay as they are. frozen_statistics: whether its batch-norms keep theirs.
    lr_share: of the learning rate.
    """

    weights: str | None = None
    frozen_stages: int = 0
    frozen_statistics: bool = False
    lr_share: float = 1.0

    def __post_init__(self) -> None:
        stages = 1 + len(LITE0.stages)
        if not 0 <= self.frozen_stages <= stages:
            raise UsageError(f'frozen_stages is {self.frozen_stages}; expected 0 to {stages}')
        if not 0 < self.lr_share <= 1:
            raise UsageError(f'lr_share is {self.lr_share}; expected more than 0, at most 1')


@dataclass(frozen=True)
class RunSettings:
    """How it runs. precision: 'fp32' or 'bf16' (of the convolutions; geometry and losses stay
    float32). device: 'cpu', 'cuda', or 'auto' = CUDA where there is one. Periods are in steps.
    """

    precision: str = 'fp32'
    channels_last: bool = True
    device: str = 'auto'
    threads: int | None = None
    log_every: int = 20
    validate_every: int = 1000
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        _one_of('precision', self.precision, ('fp32', 'bf16'))
        _one_of('device', self.device, ('auto', 'cpu', 'cuda'))
        if self.threads is not None and self.threads < 1:
            raise UsageError(f'threads is {self.threads}; expected 1 or more, or null')


@dataclass(frozen=True)
class TrainConfig:
    """One training. network: family and options of `create_network`. mean, std: normalisation of
    R, G, B from 0 to 1. init: weights to begin with; null = fresh ones. mask_encoder: how
    that of msdesis_fast learns. self_supervised: learn from own pairs without truth too, null =
    from `data` alone.
    """

    name: str
    task: str
    network: dict[str, Any]
    data: DataSettings
    optimiser: OptimiserSettings
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    fast_loss: FastWeights = field(default_factory=FastWeights)
    mask_encoder: MaskEncoderSettings = field(default_factory=MaskEncoderSettings)
    published_loss: PublishedLoss = field(default_factory=PublishedLoss)
    run: RunSettings = field(default_factory=RunSettings)
    seed: int = 5
    init: str | None = None
    mean: tuple[float, float, float] = SCARED_MEAN
    std: tuple[float, float, float] = SCARED_STD
    self_supervised: SelfSupervised | None = None

    def __post_init__(self) -> None:
        _one_of('task', self.task, TASKS)
        if not self.name or not all(c.isalnum() or c in '_-' for c in self.name):
            raise UsageError(f'name is {self.name!r}; expected letters, digits, _ and -')
        if not isinstance(self.network.get('family'), str):
            raise UsageError('network needs a family, e.g. {"family": "msdesis_fast"}')
        for name, value in (
            ('batch_size', self.optimiser.batch_size),
            ('accumulate', self.optimiser.accumulate),
            ('log_every', self.run.log_every),
            ('validate_every', self.run.validate_every),
            ('checkpoint_every', self.run.checkpoint_every),
            ('validation_frames', self.data.validation_frames),
        ):
            if value < 1:
                raise UsageError(f'{name} is {value}; expected 1 or more')
        if not 0 <= self.optimiser.ema_decay < 1:
            raise UsageError(
                f'ema_decay is {self.optimiser.ema_decay}; expected 0 or more, below 1'
            )
        smallest = min((min(crop) for crop in self.data.crops), default=0)
        if self.run.precision == 'bf16' and smallest < BF16_SMALLEST_CROP:
            raise UsageError(
                f'data.crops has a side of {smallest} px; run.precision bf16 needs '
                f'{BF16_SMALLEST_CROP} px or more'
            )
        if self.mask_encoder != MaskEncoderSettings() and self.network['family'] != 'msdesis_fast':
            raise UsageError('mask_encoder is for the family msdesis_fast; leave it out')
        if self.seed < 0:
            raise UsageError(f'seed is {self.seed}; expected 0 or more')
        if min(self.std) <= 0:
            raise UsageError(f'std is {self.std}; expected numbers above 0')


def read_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a JSON file and apply `key=value` changes (keys with dots, values in JSON or text).

    Raises FileFormatError where the file is no JSON object, UsageError for an unknown, missing or
    wrong key.
    """
    content = read_object(path, changes, what='training configuration')
    return build(TrainConfig, content, where='')


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise UsageError(f'{name} is {value!r}; known: {", ".join(known)}')
