"""What commands that train share: when they end."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.cli import training_run  # noqa: E402
from msdesis_ros.training.schedules import FALL_BEGINS  # noqa: E402


@pytest.fixture
def clock(monkeypatch):
    """Seconds on a clock that stands still."""
    now = [1000.0]
    monkeypatch.setattr(training_run.time, 'monotonic', lambda: now[0])
    return now


def test_the_rate_falls_after_a_part_of_the_time_that_is_left_when_it_is_first_asked(clock):
    end = training_run.End(15)
    clock[0] += 5 * 60  # making ready
    assert not end.falls() and end() is None
    clock[0] += FALL_BEGINS * 10 * 60 - 1
    assert not end.falls()
    clock[0] += 2
    assert end.falls() and end() is None
    clock[0] += (1 - FALL_BEGINS) * 10 * 60
    assert end() == '15 minutes are over'


def test_without_a_limit_the_rate_does_not_fall(clock):
    end = training_run.End(None)
    assert not end.falls()
    clock[0] += 1e9
    assert not end.falls() and end() is None
