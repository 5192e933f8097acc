"""Batches for a loop: which samples a step takes, and how workers make them."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.nets.fast.config import COARSEST_STRIDE
from msdesis_ros.training.augment import AugmentSettings, augmented, cropped
from msdesis_ros.training.batch import Batch, Sample, collate
from msdesis_ros.training.look import Dressing
from msdesis_ros.training.sources import Mixture, PairSource

# Streams of random numbers that must not repeat one another.
_CROPS, _SAMPLES, _LOOKS = 1, 2, 5


@dataclass(frozen=True)
class StepPlan:
    """How steps take samples: every step up to `batch_size` on each of `ranks` processes, for
    `rank`.

    Step s takes samples from s * batch_size * ranks on. crops: the (width, height) of crops, px,
    of which each step takes one. A step whose crop is larger than the first one takes fewer
    samples, so that no step has more pixels than batch_size crops of the first size: large crops
    show whole instruments, and cost no more. Raises UsageError for a side that is no multiple of
    32.
    """

    batch_size: int
    crops: tuple[tuple[int, int], ...]
    seed: int
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        if self.batch_size < 1 or not self.crops:
            raise UsageError('a step takes at least one sample, and needs at least one crop size')
        for size in self.crops:
            if min(size) < 1 or any(side % COARSEST_STRIDE for side in size):
                raise UsageError(
                    f'the crop {size[0]}x{size[1]} has a side that is no multiple of '
                    f'{COARSEST_STRIDE}'
                )

    def crop(self, step: int) -> tuple[int, int]:
        """(width, height) of a step's samples, the same in every process."""
        rng = np.random.default_rng([self.seed, _CROPS, step])
        return self.crops[int(rng.integers(len(self.crops)))]

    def samples(self, step: int) -> int:
        """How many samples each process takes in a step: 1 to batch_size."""
        (first_width, first_height), (width, height) = self.crops[0], self.crop(step)
        fitting = self.batch_size * first_width * first_height // (width * height)
        return min(max(fitting, 1), self.batch_size)

    def numbers(self, step: int) -> list[tuple[int, int]]:
        """(step, number of the sample) of what this process takes."""
        first = (step * self.ranks + self.rank) * self.batch_size
        return [(step, number) for number in range(first, first + self.samples(step))]


class TrainingSet(Dataset):
    """Augmented samples by (step, number): both decide the sample, nothing else does.

    dress: what gives pairs with truth the look of those without, if anything does.
    """

    def __init__(
        self,
        mixture: Mixture,
        settings: AugmentSettings,
        plan: StepPlan,
        *,
        dress: Dressing | None = None,
    ) -> None:
        self.mixture, self.settings, self.plan, self.dress = mixture, settings, plan, dress

    def __getitem__(self, key: tuple[int, int]) -> Sample | MsdesisError:
        """What is wrong is handed on as it is: raised in a worker, it would come as a report of
        many lines.
        """
        try:
            return self._sample(*key)
        except MsdesisError as error:
            return error

    def _sample(self, step: int, number: int) -> Sample:
        rng = np.random.default_rng([self.plan.seed, _SAMPLES, number])
        sample = self.mixture.sample(number)
        size = self.plan.crop(step)
        if self.dress is None:
            return augmented(sample, self.settings, size=size, rng=rng)
        looks = np.random.default_rng([self.plan.seed, _LOOKS, number])
        dress = partial(self.dress, rng=looks)
        return augmented(sample, self.settings, size=size, rng=rng, dress=dress)


class _Steps(Sampler):
    def __init__(self, plan: StepPlan, first: int, stop: int) -> None:
        self.plan, self.first, self.stop = plan, first, stop

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return (self.plan.numbers(step) for step in range(self.first, self.stop))

    def __len__(self) -> int:
        return self.stop - self.first


def training_batches(
    samples: TrainingSet, *, first: int, stop: int, workers: int
) -> Iterator[Batch]:
    """The batches of the steps `first` to `stop` - 1, the same for any number of workers.

    Raises what is wrong with a record when its batch is due.
    """
    loader = DataLoader(
        samples,
        batch_sampler=_Steps(samples.plan, first, stop),
        num_workers=workers,
        collate_fn=_whole_or_wrong,
        worker_init_fn=_leave_signals_alone,
        persistent_workers=False,
        prefetch_factor=4 if workers else None,
        # A fork would copy locks that other threads of this process hold.
        multiprocessing_context='spawn' if workers else None,
    )
    for batch in loader:
        if isinstance(batch, MsdesisError):
            raise batch
        yield batch


def _whole_or_wrong(samples: Sequence[Sample | MsdesisError]) -> Batch | MsdesisError:
    wrong = next((sample for sample in samples if isinstance(sample, MsdesisError)), None)
    return collate(samples) if wrong is None else wrong


def _leave_signals_alone(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the one that trains decides when to end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def validation_batches(mixture: Mixture, *, frames: int) -> Iterator[Batch]:
    """The first records of each source, one after the other, in turn; unchanged but for a border
    that makes the sides multiples of 32. Where the mixture skips what is broken, so does this.
    """
    longest = max(len(source) for source in mixture.sources)
    places = ((s, n) for n in range(longest) for s in mixture.sources if n < len(s))
    samples = _read_in_turn(places, skip=mixture.when_broken == 'skip')
    for (source, number, sample), _ in zip(samples, range(frames), strict=False):
        height, width = sample.left.shape[:2]
        size = tuple(side // COARSEST_STRIDE * COARSEST_STRIDE for side in (width, height))
        if not min(size):
            raise UsageError(
                f'frame {number} of {source.name} is {width}x{height} px; expected 32x32 or more'
            )
        left, top = (width - size[0]) // 2, (height - size[1]) // 2
        yield collate([cropped(sample, left=left, top=top, size=size)])


def _read_in_turn(
    places: Iterable[tuple[PairSource, int]], *, skip: bool
) -> Iterator[tuple[PairSource, int, Sample]]:
    """Sentences on what was skipped come with the next sample."""
    skipped: tuple[str, ...] = ()
    for source, number in places:
        try:
            sample = source.sample(number)
        except FileFormatError as error:
            if not skip:
                raise
            skipped += (str(error),)
            continue
        yield source, number, replace(sample, skipped=sample.skipped + skipped)
        skipped = ()
