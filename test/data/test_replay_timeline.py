from __future__ import annotations

import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.replay_timeline import ReplayTimeline, Turn

MS = 1_000_000
START = 1_700_000_000_000 * MS


def turns(speed: float, *messages: tuple[str, float, float]) -> list[Turn]:
    """Each message is (kind, recorded at, stamped), both in ms since the start."""
    timeline = ReplayTimeline(speed=speed)
    return [
        timeline.place(kind, time_ns=START + round(t * MS), stamp_ns=START + round(s * MS))
        for kind, t, s in messages
    ]


TWO_PAIRS = (
    ('left', 0, -3),
    ('right', 5, 1),
    ('left', 40, 37),
    ('right', 43, 41.5),
)


def test_as_recorded_everything_is_due_when_it_was() -> None:
    got = turns(1.0, *TWO_PAIRS)
    assert [turn.due_ns / MS for turn in got] == [0, 5, 40, 43]
    assert [turn.opens_group for turn in got] == [True, False, True, False]
    assert [turn.stamp_offset_ns / MS for turn in got] == [0, 4, 0, 4.5]


def test_slower_stretches_the_time_between_pairs_and_not_the_pairs() -> None:
    got = turns(0.1, *TWO_PAIRS)
    assert [turn.due_ns / MS for turn in got] == [0, 5, 400, 403]
    assert [turn.stamp_offset_ns / MS for turn in got] == [0, 4, 0, 4.5]


def test_faster_shrinks_the_pairs_too_so_that_they_stay_within_a_part_of_the_period() -> None:
    got = turns(4.0, *TWO_PAIRS)
    assert [turn.due_ns / MS for turn in got] == [0, 1.25, 10, 10.75]
    assert [turn.stamp_offset_ns / MS for turn in got] == [0, 1, 0, 1.125]


def test_the_right_picture_may_come_first() -> None:
    got = turns(0.5, ('right', 0, 0), ('left', 4, -2), ('right', 33, 33), ('left', 37, 31))
    assert [turn.due_ns / MS for turn in got] == [0, 4, 66, 70]
    assert [turn.stamp_offset_ns / MS for turn in got] == [0, -2, 0, -2]


def test_a_lost_picture_does_not_pull_its_successor_into_the_group() -> None:
    got = turns(0.5, ('left', 0, 0), ('left', 10, 10), ('right', 11, 11), ('right', 40, 40))
    assert [turn.opens_group for turn in got] == [True, True, False, True]
    assert [turn.due_ns / MS for turn in got] == [0, 20, 21, 80]


def test_what_comes_much_later_is_another_moment() -> None:
    got = turns(0.5, ('left', 0, 0), ('right', 16, 16))
    assert [turn.opens_group for turn in got] == [True, True]
    assert got[1].due_ns == 32 * MS


def test_time_that_steps_back_opens_a_group() -> None:
    got = turns(1.0, ('left', 100, 0), ('right', 50, 0))
    assert got[1] == Turn(due_ns=-50 * MS, opens_group=True, stamp_offset_ns=0)


@pytest.mark.parametrize('speed', [0.0, -1.0, float('nan')])
def test_a_speed_must_be_positive(speed: float) -> None:
    with pytest.raises(UsageError, match='speed is'):
        ReplayTimeline(speed=speed)
