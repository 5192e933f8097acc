"""The learning rate of a step, as a function of the step alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from msdesis_ros.core.errors import UsageError

SCHEDULES = ('cosine', 'multistep', 'constant', 'onecycle')
# Of PyTorch's OneCycleLR, whose defaults the authors of MSDESIS took: 30 % of the steps up from
# 1/25 of the highest rate, then down to 1/25e4 of it, both along a cosine.
_UP, _START, _END = 0.3, 1 / 25, 1 / 25e4


@dataclass(frozen=True)
class Schedule:
    """lr: the highest rate. steps: of the whole training; or epochs: passes over the data, of
    which `resolved` makes steps. kind: of SCHEDULES; 'cosine' falls to end_share * lr, 'multistep'
    multiplies by `factor` at each of `milestones` (shares of the steps). warmup: steps in which
    the rate rises from near 0, of all kinds but 'onecycle'. Raises UsageError for values that
    cannot be.
    """

    lr: float
    steps: int | None = None
    epochs: int | None = None
    kind: str = 'cosine'
    warmup: int = 0
    end_share: float = 0.0
    milestones: tuple[float, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES:
            raise UsageError(f'kind is {self.kind!r}; known: {", ".join(SCHEDULES)}')
        if (self.steps is None) == (self.epochs is None):
            raise UsageError('a schedule has either steps or epochs; give one of them')
        steps = self.epochs if self.steps is None else self.steps
        if steps < 1 or self.warmup < 0 or (self.steps is not None and self.warmup > steps):
            raise UsageError(
                f'{steps} steps or epochs, {self.warmup} steps of warm-up; expected 1 or more, '
                'and no more warm-up than steps'
            )
        if not 0 < self.lr < 10 or not 0 <= self.end_share <= 1 or not 0 < self.factor <= 1:
            raise UsageError(
                f'lr is {self.lr}, end_share {self.end_share}, factor {self.factor}; expected a '
                'rate above 0 and shares up to 1'
            )
        if any(not 0 < share < 1 for share in self.milestones):
            raise UsageError(f'milestones are {self.milestones}; expected shares of the steps')

    def resolved(self, *, pairs: int, batch_size: int) -> Schedule:
        """The same in steps: epochs of `pairs`; a last incomplete batch counts as one."""
        if self.epochs is None:
            return self
        steps = self.epochs * math.ceil(pairs / batch_size)
        return replace(self, steps=steps, epochs=None)

    def lr_at(self, step: int) -> float:
        """The rate with which step `step`, from 0 to steps - 1, is made."""
        if self.kind == 'onecycle':
            return self._onecycle(step)
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        if self.kind == 'cosine':
            return _cosine(self.lr, self.lr * self.end_share, done)
        if self.kind == 'multistep':
            return self.lr * self.factor ** sum(step / self.steps >= m for m in self.milestones)
        return self.lr

    def _onecycle(self, step: int) -> float:
        up = _UP * self.steps - 1
        if step <= up:
            return _cosine(self.lr * _START, self.lr, step / max(up, 1e-9))
        done = (step - up) / max(self.steps - 1 - up, 1e-9)
        return _cosine(self.lr, self.lr * _END, done)


# The part of a limited time after which the rate falls.
FALL_BEGINS = 0.2


@dataclass(frozen=True)
class Fall:
    """How a training ends whose time is limited, not its steps: from step `begin` on the rate of
    its schedule falls to nothing within `steps` steps, along a cosine.
    """

    begin: int
    steps: int

    @classmethod
    def after(cls, first: int, begin: int) -> Fall:
        """Of a run from step `first` on, whose steps to `begin` took FALL_BEGINS of its time."""
        steps = round((begin - first) * (1 / FALL_BEGINS - 1))
        return cls(begin, max(steps, 1))

    @property
    def end(self) -> int:
        """The first step that would have no rate."""
        return self.begin + self.steps

    def share_at(self, step: int) -> float:
        """Of the rate, with which step `step` is made."""
        return _cosine(1.0, 0.0, min(max(step - self.begin, 0) / self.steps, 1.0))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
