from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput
from msdesis_ros.runtime.supervisor import FRAMES_TO_FORGIVE, SupervisedBackend

PICTURE = np.zeros((8, 8, 3), np.uint8)


class Flaky:
    identity = ModelIdentity('flaky', None, 'flaky')
    heads = frozenset({'disparity'})
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 1.0, 0.0

    def __init__(self, plan: list[Exception | None]) -> None:
        self.plan, self.closed, self.warmed = plan, 0, []

    def warm_up(self, image_size):
        self.warmed.append(image_size)

    def run(self, left, right):
        error = self.plan.pop(0) if self.plan else None
        if error is not None:
            raise error
        return RawOutput(np.zeros((8, 8), np.float32))

    def close(self):
        self.closed += 1


class Factory:
    """Makes backends that share one plan of successes (None) and failures."""

    def __init__(self, *plan: Exception | None) -> None:
        self.plan = list(plan)
        self.made: list[Flaky] = []
        self.refuse = False

    def __call__(self) -> Flaky:
        if self.refuse:
            raise ModelError('the weights are gone')
        self.made.append(Flaky(self.plan))
        return self.made[-1]


def run(backend: SupervisedBackend, times: int) -> list[bool]:
    """Whether each run succeeded."""
    results = []
    for _ in range(times):
        try:
            backend.run(PICTURE, PICTURE)
            results.append(True)
        except BackendError:
            results.append(False)
    return results


def test_whatever_a_backend_raises_becomes_a_counted_backend_error():
    factory = Factory(MemoryError(), KeyError('x'), None)
    backend = SupervisedBackend(factory, max_failures=5)
    with pytest.raises(BackendError, match='MemoryError'):
        backend.run(PICTURE, PICTURE)
    assert run(backend, 2) == [False, True]
    assert backend.failures == 2 and not backend.dead and backend.restarts == 0


def test_failures_in_a_row_restart_it_once_warm():
    factory = Factory(*[RuntimeError('boom')] * 3)
    backend = SupervisedBackend(factory, max_failures=3)
    backend.warm_up((8, 8))
    assert run(backend, 4) == [False, False, False, True]
    assert [b.closed for b in factory.made] == [1, 0]
    assert factory.made[1].warmed == [(8, 8)]
    assert backend.restarts == 1


def test_a_success_between_failures_starts_the_count_anew():
    factory = Factory(ValueError(), None, ValueError(), None)
    backend = SupervisedBackend(factory, max_failures=2)
    run(backend, 4)
    assert backend.restarts == 0


def test_after_a_restart_that_did_not_help_it_stays_dead_and_says_why():
    factory = Factory(*[RuntimeError('no memory')] * 100)
    backend = SupervisedBackend(factory, max_failures=2)
    run(backend, 4)
    assert backend.dead
    left = len(factory.plan)
    with pytest.raises(BackendError, match='out of use.*no memory'):
        backend.run(PICTURE, PICTURE)
    assert len(factory.plan) == left, 'a dead backend is not run again'
    assert len(factory.made) == 2


def test_a_restart_that_cannot_load_is_the_end():
    factory = Factory(RuntimeError('boom'))
    backend = SupervisedBackend(factory, max_failures=1)
    factory.refuse = True
    run(backend, 1)
    assert backend.dead and 'the weights are gone' in backend.last_error


def test_a_long_good_run_forgives_an_earlier_restart():
    factory = Factory(ValueError(), *[None] * FRAMES_TO_FORGIVE, ValueError(), None)
    backend = SupervisedBackend(factory, max_failures=1)
    run(backend, FRAMES_TO_FORGIVE + 2)
    assert not backend.dead and backend.restarts == 2


def test_a_short_good_run_does_not():
    factory = Factory(ValueError(), *[None] * (FRAMES_TO_FORGIVE - 1), ValueError())
    backend = SupervisedBackend(factory, max_failures=1)
    run(backend, FRAMES_TO_FORGIVE + 1)
    assert backend.dead
