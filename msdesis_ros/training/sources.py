"""Where training pairs come from, and in which order.

Sample `number` of a training is a function of the seed and the number alone: a run that was ended
goes on with the pair that would have come next, whatever the number of worker processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.layouts.catalogue import LAYOUTS
from msdesis_ros.data.synth.shards import ShardReader
from msdesis_ros.training.batch import Sample, sample_of_frame
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.layout_sources import layout_sources
from msdesis_ros.training.own_frames_source import with_own_frames

# After this many broken records in a row a data set is not worth going on with.
MOST_BROKEN = 32


class PairSource(Protocol):
    """Pairs that can be read in any order, from any process."""

    @property
    def name(self) -> str:
        """Where the pairs lie, for messages."""

    @property
    def kind(self) -> str:
        """What they are, in the plural, for messages."""

    def __len__(self) -> int:
        """How many there are."""

    def sample(self, number: int) -> Sample:
        """Read one; FileFormatError, naming it, where it is damaged."""


class ShardSource:
    """Synthetic frames of a folder of shards."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._reader = ShardReader(folder)

    @property
    def name(self) -> str:
        return str(self._reader.folder)

    @property
    def kind(self) -> str:
        return 'synthetic pairs'

    def __len__(self) -> int:
        return len(self._reader)

    def sample(self, number: int) -> Sample:
        return sample_of_frame(self._reader.frame(number))


class Mixture:
    """Sources shuffled together.

    One epoch has as many pairs as all sources. Of these each source gives its share by weight (by
    default: by its size), each of its pairs once before any comes again; a step with a large crop
    passes over some of them (see StepPlan). `when_broken`: 'stop'
    raises for a damaged record, 'skip' takes the next one and says so in the sample.
    """

    def __init__(
        self,
        sources: Sequence[PairSource],
        *,
        weights: Sequence[float | None] | None = None,
        seed: int,
        when_broken: str = 'stop',
    ) -> None:
        if not sources or not all(len(source) for source in sources):
            raise UsageError('there is nothing to train on; give at least one source with pairs')
        if when_broken not in ('stop', 'skip'):
            raise UsageError(f'when_broken is {when_broken!r}; known: stop, skip')
        self.sources, self.seed, self.when_broken = tuple(sources), seed, when_broken
        self.weights = given = tuple(weights or [None] * len(sources))
        # A source without a weight counts by its pairs.
        self._shares = np.array(
            [len(s) if w is None else w for s, w in zip(sources, given, strict=True)], np.float64
        )
        if (self._shares < 0).any() or not self._shares.sum() > 0:
            raise UsageError(f'the weights of the sources are {list(given)}; expected 0 or more')
        self._shares /= self._shares.sum()
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def epoch_size(self) -> int:
        """Pairs in one epoch."""
        return sum(len(source) for source in self.sources)

    @property
    def described(self) -> str:
        """Every source with its number of pairs, for a model card."""
        shares = ('' if weight is None else f', weight {weight:g}' for weight in self.weights)
        return '; '.join(
            f'{source.name}: {len(source)} {source.kind}{share}'
            for source, share in zip(self.sources, shares, strict=True)
        )

    def sample(self, number: int) -> Sample:
        """Pair `number`, 0 or more, of the endless training."""
        skipped: list[str] = []
        for attempt in range(MOST_BROKEN):
            source, record = self.place(number + attempt)
            try:
                found = self.sources[source].sample(record)
            except FileFormatError as error:
                if self.when_broken == 'stop':
                    raise
                skipped.append(str(error))
                continue
            return Sample(found.left, found.right, found.truth, found.right_truth, tuple(skipped))
        raise FileFormatError(
            f'{MOST_BROKEN} records in a row are broken, the last one: {skipped[-1]}'
        )

    def place(self, number: int) -> tuple[int, int]:
        """Which source gives pair `number`, and which of its records."""
        epoch, index = divmod(number, self.epoch_size)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self._ordered(epoch)
        source, record = self._order[1][index]
        return int(source), int(record)

    def _ordered(self, epoch: int) -> np.ndarray:
        """epoch_size x 2: source and record."""
        rng = np.random.default_rng([self.seed, epoch])
        ends = np.rint(np.cumsum(self._shares) * self.epoch_size).astype(np.int64)
        rows = []
        for number, count in enumerate(np.diff(ends, prepend=0)):
            size = len(self.sources[number])
            # Counted on from epoch to epoch, so that a source with a small share is seen whole.
            passes = np.arange(epoch * count, (epoch + 1) * count) // size
            within = np.arange(epoch * count, (epoch + 1) * count) % size
            records = np.empty(count, np.int64)
            for once in np.unique(passes):
                shuffled = np.random.default_rng([self.seed, number, once]).permutation(size)
                records[passes == once] = shuffled[within[passes == once]]
            rows.append(np.stack([np.full(count, number), records], axis=1))
        return rng.permutation(np.concatenate(rows))


def mixtures_of(
    config: TrainConfig, *, say: Callable[[str], None] = lambda sentence: None
) -> tuple[Mixture, Mixture | None]:
    """What a configuration trains on, and what it validates on, if anything.

    Data sets in layouts are looked through here, all files of all of them. Raises UsageError for
    a source that cannot teach the task, FileFormatError, naming file by file, for what is wrong;
    `when_broken` 'skip' says it and goes on with the samples that are whole.
    """
    data = config.data
    require_fitting(config)
    settings = [*data.train, *data.validation]
    in_layouts = [one for one in settings if one.layout is not None]
    looked = iter(layout_sources(in_layouts, when_broken=data.when_broken, say=say))
    sources = [next(looked) if one.layout else ShardSource(str(one.shards)) for one in settings]
    train = len(data.train)

    def mixture(
        chosen: Sequence[PairSource], weights: Sequence[float | None], part: str
    ) -> Mixture:
        if config.self_supervised is not None:
            chosen, weights = with_own_frames(
                chosen, weights, config.self_supervised, part, when_broken=data.when_broken
            )
        return Mixture(chosen, weights=weights, seed=config.seed, when_broken=data.when_broken)

    training = mixture(sources[:train], [one.weight for one in data.train], 'train')
    if not data.validation and config.self_supervised is None:
        return training, None
    return training, mixture(sources[train:], [one.weight for one in data.validation], 'held_out')


def require_fitting(config: TrainConfig) -> None:
    """UsageError where a data set that is trained on cannot teach what the configuration says."""
    in_layouts = [one for one in config.data.train if one.layout is not None]
    family, task, loss = config.network['family'], config.task, config.published_loss
    by_pictures = (
        family == 'msdesis'
        and task != 'segmentation'
        and loss.disparity_loss == 'unsupervised_multiscale'
    )
    wanted = {
        'disparity': {'disparity'},
        'segmentation': {'instrument_mask'},
        'multitask': {'disparity', 'instrument_mask'},
    }[task]
    for one in in_layouts:
        layout = LAYOUTS[str(one.layout)]
        if by_pictures and layout.monocular:
            raise UsageError(
                f'{one.place} has no right views, which the loss unsupervised_multiscale compares '
                'with the left ones; use a layout of pairs, or the task segmentation'
            )
        if not by_pictures and not wanted.intersection(layout.truth):
            raise UsageError(
                f'{one.place} has no {" or ".join(sorted(wanted))}, so that it teaches nothing '
                f'for the task {task}; it has {", ".join(layout.truth) or "no truth"}'
            )
