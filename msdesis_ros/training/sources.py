"""Where training pairs come from, and in which order.

Sample `number` of a training is a function of the seed and the number alone: a run that was ended
goes on with the pair that would have come next, whatever the number of worker processes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.synth.shards import ShardReader
from msdesis_ros.training.batch import Sample, sample_of_frame

# After this many broken records in a row a data set is not worth going on with.
MOST_BROKEN = 32


class PairSource(Protocol):
    """Pairs that can be read in any order, from any process."""

    @property
    def name(self) -> str:
        """Where the pairs lie, for messages."""

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

    def __len__(self) -> int:
        return len(self._reader)

    def sample(self, number: int) -> Sample:
        return sample_of_frame(self._reader.frame(number))


class Mixture:
    """Sources shuffled together.

    One epoch has as many pairs as all sources. Of these each source gives its share by weight (by
    default: by its size), each of its pairs once before any comes again. `when_broken`: 'stop'
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
        given = weights or [None] * len(sources)
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
