"""When going on is a waste of time."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

from msdesis_ros.core.errors import MsdesisError

# Steps of which the first loss is the median, and of which the present one is: many, for where a
# step is a single pair, a few of them make most of every mean.
_FIRST, _PRESENT = 100, 200
_WORSE = 2.0
_BAD_GRADIENTS = 10


class DivergenceError(MsdesisError, RuntimeError):
    """A training has become useless; the message says why and where it can go on from."""


class DivergenceWatch:
    """Raises DivergenceError for a loss that is no number, gradients that are none ten times in a
    row, or a loss that stays twice as high as in the first steps, in the median.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._recent: deque[float] = deque(maxlen=_PRESENT)
        self._bad = 0

    def loss(self, step: int, terms: Mapping[str, float]) -> None:
        """Look at the terms of one step's loss."""
        wrong = [name for name, value in terms.items() if not math.isfinite(value)]
        if wrong:
            raise DivergenceError(
                f'the training diverged at step {step}: the loss term {", ".join(wrong)} is '
                f'{terms[wrong[0]]}; lower optimiser.schedule.lr, or use run.precision fp32'
            )
        self._recent.append(sum(terms.values()))
        present = statistics.median(self._recent)
        if self._first is None:
            if len(self._recent) == _FIRST:
                self._first = present
            return
        if 0 < _WORSE * self._first < present:
            raise DivergenceError(
                f'the training diverged: around step {step} the loss is {present:.4g}, '
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

    def state(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {'first': self._first, 'recent': list(self._recent), 'bad': self._bad}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state()`; from that of a version with other figures, begin anew."""
        if isinstance(state, dict):
            self._first, self._bad = state['first'], state['bad']
            self._recent = deque(state['recent'], maxlen=_PRESENT)
