"""What commands that train share: when they end."""

from __future__ import annotations

import pytest

from msdesis_ros.cli import training_run


@pytest.fixture
def clock(monkeypatch):
    """Seconds on a clock that stands still."""
    now = [1000.0]
    monkeypatch.setattr(training_run.time, 'monotonic', lambda: now[0])
    return now


def test_half_is_of_the_time_that_is_left_when_it_is_first_asked(clock):
    end = training_run.End(15)
    clock[0] += 5 * 60  # making ready
    assert not end.half_over() and end() is None
    clock[0] += 5 * 60 - 1
    assert not end.half_over()
    clock[0] += 2
    assert end.half_over() and end() is None
    clock[0] += 5 * 60
    assert end() == '15 minutes are over'


def test_without_a_limit_half_never_comes(clock):
    end = training_run.End(None)
    assert not end.half_over()
    clock[0] += 1e9
    assert not end.half_over() and end() is None
