from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.ros.feeder import AHEAD, Feeder
from msdesis_ros.ros.played import IMAGE_TOPIC, INFO_TOPIC, Fed, Played
from msdesis_ros.ros.schedule import CATCH_UP_NS, POLL_NS, Schedule
from msdesis_ros.ros.sent_account import SentAccount

MS = 1_000_000
START = 7_000_000_000


def pictures(count: int, *, period_ms: float = 20, late_ms: float = 4) -> list[Played]:
    """Pairs whose right picture comes a little later than the left one."""
    return [
        Played(
            side,
            IMAGE_TOPIC,
            START + round((n * period_ms + late) * MS),
            round((n * period_ms + late) * MS),
            (side, n),
        )
        for n in range(count)
        for side, late in (('left', 0), ('right', late_ms))
    ]


class List:
    """A feed that is always prepared, but for the calls named in `empty`."""

    def __init__(self, played: list[Played], *, empty: tuple[int, ...] = ()) -> None:
        self._left, self._empty, self._calls = list(played), empty, 0
        self.ended = False

    def take(self) -> Fed | None:
        self._calls += 1
        if self._calls in self._empty:
            return None
        if not self._left:
            self.ended = True
            return None
        return Fed(self._left.pop(0), 0)


def run(schedule: Schedule, *, now_ns: int = 0, limit: int = 1000) -> list[tuple[Any, float]]:
    """Play on a clock that jumps to the next turn: (message, ms) of each."""
    sent = []
    for _ in range(limit):
        if due := schedule.due(now_ns):
            sent.append((due[0].played.message, now_ns / MS))
        elif schedule.ended:
            return sent
        else:
            now_ns += schedule.wait_ns
    raise AssertionError('the schedule does not end')


def test_everything_is_sent_at_its_time() -> None:
    schedule = Schedule(List(pictures(3)), speed=1.0, period_ns=20 * MS)
    assert not schedule.started
    schedule.start(50 * MS)
    assert schedule.running
    assert run(schedule, now_ns=50 * MS) == [
        (('left', 0), 50),
        (('right', 0), 54),
        (('left', 1), 70),
        (('right', 1), 74),
        (('left', 2), 90),
        (('right', 2), 94),
    ]


def test_half_the_speed_is_twice_the_time_between_pairs() -> None:
    schedule = Schedule(List(pictures(2)), speed=0.5, period_ns=20 * MS)
    schedule.start(0)
    assert [ms for _, ms in run(schedule)] == [0, 4, 40, 44]


def test_while_stopped_nothing_is_due_and_then_it_goes_on_as_before() -> None:
    schedule = Schedule(List(pictures(3)), speed=1.0, period_ns=20 * MS)
    schedule.stop(0)
    assert not schedule.running
    schedule.start(0)
    assert schedule.due(0) and schedule.due(4 * MS)
    schedule.stop(10 * MS)
    schedule.stop(15 * MS)
    assert not schedule.running and schedule.started
    schedule.resume(1010 * MS)
    schedule.resume(1020 * MS)
    assert schedule.running
    assert [ms for _, ms in run(schedule, now_ns=1010 * MS)] == [1020, 1024, 1040, 1044]


def test_a_camera_that_was_late_skips_turns_and_keeps_its_phase() -> None:
    schedule = Schedule(List(pictures(4, late_ms=0)), speed=1.0, period_ns=20 * MS)
    schedule.start(0)
    assert schedule.due(0) and schedule.due(0)
    late_ms = 73
    assert [ms for _, ms in run(schedule, now_ns=late_ms * MS)] == [73, 73, 80, 80, 100, 100]


def test_a_recording_that_is_far_behind_goes_on_later_instead_of_all_at_once() -> None:
    schedule = Schedule(List(pictures(4, late_ms=0)), speed=1.0, period_ns=None)
    schedule.start(0)
    assert schedule.due(0) and schedule.due(0)
    behind = 20 * MS + CATCH_UP_NS // 2
    first = schedule.due(behind)
    assert first and schedule.due(behind) and schedule.due(behind), 'a little: it catches up'
    assert schedule.due(behind)
    far = 60 * MS + 2 * CATCH_UP_NS
    assert [ms for _, ms in run(schedule, now_ns=far)] == [far / MS] * 2


def test_while_nothing_is_prepared_it_asks_again_soon() -> None:
    schedule = Schedule(List(pictures(1), empty=(2,)), speed=1.0, period_ns=20 * MS)
    schedule.start(0)
    assert schedule.due(0)
    assert schedule.due(0) is None
    assert schedule.wait_ns == POLL_NS and not schedule.ended
    assert [ms for _, ms in run(schedule, now_ns=2 * MS)] == [4]


class Source:
    """A source with these messages, which may fail at the end."""

    period_ns: int | None = None

    def __init__(self, played: list[Played], *, error: Exception | None = None) -> None:
        self._played, self._error = played, error

    def play(self) -> Iterator[Played]:
        yield from self._played
        if self._error:
            raise self._error


def fed(source: Source, **options: Any) -> list[Fed]:
    """Everything a feeder gives of it, at most 100 messages."""
    feeder = Feeder(source, **{'loop': False, 'frames': 0, **options})  # type: ignore[arg-type]
    taken: list[Fed] = []
    deadline = time.monotonic() + 60
    try:
        while not feeder.ended and len(taken) < 100:
            assert time.monotonic() < deadline
            one = feeder.take()
            if one is None:
                time.sleep(0.001)
            else:
                taken.append(one)
    finally:
        feeder.close()
    return taken


def test_the_feeder_gives_the_messages_in_order_and_then_ends() -> None:
    played = pictures(20)
    assert [one.played.message for one in fed(Source(played))] == [p.message for p in played]


@pytest.mark.parametrize(('period_ns', 'gap_ms'), [(20 * MS, 20), (None, 22)])
def test_rounds_follow_each_other_after_a_usual_period(
    period_ns: int | None, gap_ms: float
) -> None:
    source = Source(pictures(3))
    source.period_ns = period_ns
    taken = fed(source, loop=True)[:18]
    assert [one.round for one in taken] == [0] * 6 + [1] * 6 + [2] * 6
    times = [(one.played.time_ns - START) / MS for one in taken]
    assert times[:6] == [0, 4, 20, 24, 40, 44]
    assert times[6] == 44 + gap_ms
    assert [a - b for a, b in zip(times[6:], times, strict=False)] == [44 + gap_ms] * 12
    stamps = [one.played.stamp_ns for one in taken]
    assert stamps[6:12] == stamps[:6], 'the stamps are those that were recorded'


def test_the_end_comes_after_so_many_pictures_of_each_side_whatever_lies_between() -> None:
    info = Played('left', INFO_TOPIC, START, 0, 'info')
    played = [info, *pictures(5)]
    assert [one.played.message for one in fed(Source(played), frames=2)] == [
        'info',
        ('left', 0),
        ('right', 0),
        ('left', 1),
        ('right', 1),
    ]
    lost = [p for p in pictures(5) if p.message != ('right', 0)]
    assert [one.played.message for one in fed(Source(lost), frames=2)] == [
        ('left', 0),
        ('left', 1),
        ('right', 1),
    ]
    assert len(fed(Source(pictures(3)), frames=7, loop=True)) == 14


def test_what_goes_wrong_with_the_source_comes_in_its_place() -> None:
    feeder = Feeder(
        Source(pictures(1), error=FileFormatError('damaged')),  # type: ignore[arg-type]
        loop=False,
        frames=0,
    )
    while not feeder.filled:
        time.sleep(0.001)
    assert feeder.take() and feeder.take() is not None
    with pytest.raises(FileFormatError, match='damaged'):
        while feeder.take() is None:
            time.sleep(0.001)
    feeder.close()


def test_the_feeder_prepares_a_few_messages_and_stops_when_it_is_closed() -> None:
    given = []

    class Endless(Source):
        def play(self) -> Iterator[Played]:
            while True:
                given.append(1)
                yield pictures(1)[0]

    feeder = Feeder(Endless([]), loop=False, frames=0)  # type: ignore[arg-type]
    deadline = time.monotonic() + 60
    while len(given) <= AHEAD and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(given) == AHEAD + 1
    feeder.close()
    feeder._thread.join(timeout=60)
    assert not feeder._thread.is_alive()


def test_an_empty_source_ends_even_in_a_loop() -> None:
    assert fed(Source([]), loop=True) == []


def test_pairs_are_counted_by_what_was_recorded_not_by_the_stamps_that_were_sent() -> None:
    account = SentAccount()
    for number in range(10):
        recorded = number * 33 * MS
        account.sent('left', stamp_ns=recorded, recorded_ns=recorded, round_number=number // 5)
        if number != 3:
            account.sent(
                'right',
                stamp_ns=recorded + 500 * MS,
                recorded_ns=recorded + 2 * MS,
                round_number=number // 5,
            )
    assert account.pairs == 9
    report = account.report()
    assert report['pairs_sent'] == 9
    assert len(report['sent_left_stamps_ns']) == 10
    assert report['sent_right_stamps_ns'][0] == 500 * MS
