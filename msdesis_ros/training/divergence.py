"""When going on is a waste of time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msdesis_ros.core.errors import MsdesisError

# Steps over which the first loss is averaged, and over which the present one is.
_FIRST, _PRESENT = 50, 50
_WORSE = 2.0
_BAD_GRADIENTS = 10


class DivergenceError(MsdesisError, RuntimeError):
    """A training has become useless; the message says why and where it can go on from."""


class DivergenceWatch:
    """Raises DivergenceError for a loss that is no number, gradients that are none ten times in a
    row, or a loss that stays twice as high as in the first steps.
    """

    def __init__(self) -> None:
        self._seen, self._first, self._present, self._bad = 0, 0.0, 0.0, 0

    def loss(self, step: int, terms: Mapping[str, float]) -> None:
        """Look at the terms of one step's loss."""
        wrong = [name for name, value in terms.items() if not math.isfinite(value)]
        if wrong:
            raise DivergenceError(
                f'the training diverged at step {step}: the loss term {", ".join(wrong)} is '
                f'{terms[wrong[0]]}; lower optimiser.schedule.lr, or use run.precision fp32'
            )
        value = sum(terms.values())
        self._seen += 1
        share = 1 / min(self._seen, _PRESENT)
        self._present += share * (value - self._present)
        if self._seen <= _FIRST:
            self._first = self._present
        elif self._first > 0 and self._present > _WORSE * self._first:
            raise DivergenceError(
                f'the training diverged: around step {step} the loss is {self._present:.4g}, '
                f'{_WORSE:g} times that of the first {_FIRST} steps ({self._first:.4g}); lower '
                'optimiser.schedule.lr or give it a longer warm-up'
            )

    def gradient(self, step: int, norm: float) -> bool:
        """Whether the gradients of a step can be used."""
        self._bad = 0 if math.isfinite(norm) else self._bad + 1
        if self._bad >= _BAD_GRADIENTS:
            raise DivergenceError(
                f'the training diverged at step {step}: {_BAD_GRADIENTS} steps in a row had '
                f'gradients that are {norm}; lower optimiser.schedule.lr, or use run.precision '
                'fp32'
            )
        return not self._bad

    def state(self) -> list[float]:
        """As numbers, for a checkpoint."""
        return [self._seen, self._first, self._present, self._bad]

    def load(self, state: list[float]) -> None:
        """Go on from `state()`."""
        self._seen, self._first, self._present, self._bad = (
            int(state[0]),
            *state[1:3],
            int(state[3]),
        )
