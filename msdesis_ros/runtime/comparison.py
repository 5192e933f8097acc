"""The same pair through several backends: how long each takes, and how far apart they answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.runtime.backend import Backend, RawOutput

PLANES = {'disparity_px': 'px', 'mask_logits': 'logits', 'uncertainty_px': 'px'}


@dataclass(frozen=True)
class Difference:
    """How far one plane lies from that of the reference, over all pixels."""

    greatest: float
    mean: float


@dataclass(frozen=True)
class BackendTiming:
    """One backend in one comparison.

    `wall_ms`: of each run; `processor_ms`: what all threads of the process spent on it. A busy
    machine lengthens the first, hardly the second. `differences`: from the reference, by plane.
    """

    wall_ms: tuple[float, ...]
    processor_ms: tuple[float, ...]
    differences: Mapping[str, Difference]

    def percentile_ms(self, percent: float) -> float:
        """Of the wall times."""
        return float(np.percentile(self.wall_ms, percent))


def compare_backends(
    backends: Mapping[str, Backend],
    left: np.ndarray,
    right: np.ndarray,
    *,
    runs: int,
    warm_up_runs: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, BackendTiming]:
    """Time every backend on one pair; the first one is the reference of the differences.

    Round after round every backend runs once, so that whatever else the machine does falls on all
    of them alike. `left`, `right`: H x W x 3 uint8 RGB. `progress` gets the rounds done. Raises
    UsageError without a backend or a run, and whatever a backend raises.
    """
    if not backends or runs < 1 or warm_up_runs < 1:
        raise UsageError('a comparison needs a backend, and 1 or more runs of each kind')
    answers = {}
    for name, backend in backends.items():
        for _ in range(warm_up_runs):
            answers[name] = backend.run(left, right)
    wall_ms: dict[str, list[float]] = {name: [] for name in backends}
    processor_ms: dict[str, list[float]] = {name: [] for name in backends}
    for done in range(runs):
        for name, backend in backends.items():
            wall, processor = time.perf_counter(), time.process_time()
            backend.run(left, right)
            processor_ms[name].append((time.process_time() - processor) * 1e3)
            wall_ms[name].append((time.perf_counter() - wall) * 1e3)
        progress(done + 1)
    reference = next(iter(answers.values()))
    return {
        name: BackendTiming(
            tuple(wall_ms[name]), tuple(processor_ms[name]), _differences(answer, reference)
        )
        for name, answer in answers.items()
    }


def _differences(answer: RawOutput, reference: RawOutput) -> dict[str, Difference]:
    found = {}
    for name in PLANES:
        one, other = getattr(answer, name), getattr(reference, name)
        if one is not None and other is not None:
            apart = np.abs(one - other)
            # Where both have no value they agree; where one has none, NaN says so.
            apart[np.isnan(one) & np.isnan(other)] = 0.0
            found[name] = Difference(float(apart.max()), float(apart.mean()))
    return found
