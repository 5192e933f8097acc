from __future__ import annotations

import threading

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, ModelError, PictureSizeError
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


def test_pictures_of_a_wrong_size_are_no_failure_of_the_backend():
    factory = Factory(*[PictureSizeError('cannot take 8x8 pictures')] * 20)
    backend = SupervisedBackend(factory, max_failures=2)
    with pytest.raises(PictureSizeError, match='cannot take 8x8'):
        backend.run(PICTURE, PICTURE)
    assert run(backend, 20) == [False] * 19 + [True]
    assert (backend.failures, backend.restarts, backend.dead) == (0, 0, False)


def test_a_restart_warms_up_for_the_last_size_that_could_be(monkeypatch):
    factory = Factory(MemoryError())
    backend = SupervisedBackend(factory, max_failures=1)
    backend.warm_up((64, 48))

    def refuse(image_size):
        raise PictureSizeError('not this one')

    monkeypatch.setattr(factory.made[0], 'warm_up', refuse)
    with pytest.raises(PictureSizeError):
        backend.warm_up((640, 480))
    assert run(backend, 2) == [False, True]
    assert factory.made[1].warmed == [(64, 48)]


class Held:
    """A thread that is inside of a backend until it is let go."""

    def __init__(self, backend: SupervisedBackend, made: Flaky, error: Exception | None = None):
        self.go, inside = threading.Event(), threading.Event()
        run_freely = made.run

        def run_held(left, right):
            inside.set()
            assert self.go.wait(60)
            if error is not None:
                raise error
            return run_freely(left, right)

        made.run = run_held
        self.results = []
        self.thread = threading.Thread(target=lambda: self.results.extend(run(backend, 1)))
        self.thread.start()
        assert inside.wait(60)
        made.run = run_freely

    def let_go(self) -> list[bool]:
        self.go.set()
        self.thread.join(60)
        return self.results


def test_a_second_thread_is_refused_while_one_is_inside():
    factory = Factory()
    backend = SupervisedBackend(factory)
    held = Held(backend, factory.made[0])
    for enter in (lambda: backend.run(PICTURE, PICTURE), lambda: backend.warm_up((8, 8))):
        with pytest.raises(BackendError, match='busy with an earlier frame'):
            enter()
    assert held.let_go() == [True]
    assert run(backend, 1) == [True] and backend.failures == 0


def test_closing_leaves_a_thread_that_is_inside_its_backend():
    factory = Factory()
    backend = SupervisedBackend(factory)
    held = Held(backend, factory.made[0])
    backend.close()
    assert factory.made[0].closed == 0
    assert held.let_go() == [True]
    assert factory.made[0].closed == 1


def test_what_fails_after_closing_is_not_started_again():
    factory = Factory()
    backend = SupervisedBackend(factory, max_failures=1)
    held = Held(backend, factory.made[0], MemoryError())
    backend.close()
    assert held.let_go() == [False]
    assert len(factory.made) == 1 and factory.made[0].closed == 1


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
