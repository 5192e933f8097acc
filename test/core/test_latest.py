"""The newest-wins hand-over between threads."""

from __future__ import annotations

import math
import threading
import time

import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.latest import LatestSlot

SOON_S = 30.0  # a deadline that only a hanging test reaches


def start(target) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def test_an_item_that_was_put_is_taken_once():
    slot = LatestSlot[str]()
    assert slot.put('a') is None
    assert slot.take(0.0) == 'a'
    assert slot.take(0.0) is None


def test_a_newer_item_replaces_the_waiting_one_and_the_lost_one_is_returned():
    slot = LatestSlot[str]()
    slot.put('old')
    assert slot.put('new') == 'old'
    assert slot.take(0.0) == 'new'


def test_items_whose_truth_value_is_false_are_items():
    slot = LatestSlot[int]()
    slot.put(0)
    assert slot.put(1) == 0
    slot.put(0)
    began = time.monotonic()
    assert slot.take(SOON_S) == 0
    assert time.monotonic() - began < SOON_S


def test_none_cannot_be_put():
    with pytest.raises(UsageError, match='None'):
        LatestSlot().put(None)


@pytest.mark.parametrize('timeout_s', [-0.1, math.nan, math.inf])
def test_a_time_that_is_no_bounded_wait_is_refused(timeout_s):
    with pytest.raises(UsageError, match='timeout_s'):
        LatestSlot().take(timeout_s)


def test_take_waits_no_longer_than_asked():
    slot = LatestSlot[str]()
    began = time.monotonic()
    assert slot.take(0.05) is None
    assert 0.045 <= time.monotonic() - began < SOON_S
    assert not slot.closed


def test_a_waiting_take_gets_the_item_as_soon_as_it_is_put():
    slot = LatestSlot[str]()
    got = []
    taker = start(lambda: got.append(slot.take(SOON_S)))
    time.sleep(0.05)
    began = time.monotonic()
    slot.put('a')
    taker.join(SOON_S)
    assert got == ['a']
    assert time.monotonic() - began < SOON_S


def test_close_wakes_every_waiting_take():
    slot = LatestSlot[str]()
    got = []
    takers = [start(lambda: got.append(slot.take(60.0))) for _ in range(3)]
    time.sleep(0.05)
    slot.close()
    for taker in takers:
        taker.join(SOON_S)
    assert got == [None, None, None]
    assert slot.closed


def test_a_closed_slot_stays_empty_and_says_what_is_lost():
    slot = LatestSlot[str]()
    slot.put('waiting')
    assert slot.close() == 'waiting'
    assert slot.put('late') == 'late'
    began = time.monotonic()
    assert slot.take(60.0) is None
    assert time.monotonic() - began < SOON_S
    assert slot.close() is None


def test_clear_removes_the_waiting_item_and_the_slot_goes_on():
    slot = LatestSlot[str]()
    slot.put('a')
    assert slot.clear() == 'a'
    assert slot.clear() is None
    assert slot.put('b') is None
    assert slot.take(0.0) == 'b'


def test_no_item_is_handed_out_twice_none_vanishes_uncounted_and_order_is_kept():
    slot = LatestSlot[int]()
    count = 20_000
    taken: list[list[int]] = [[], []]

    def consume(mine: list[int]) -> None:
        while True:
            item = slot.take(SOON_S)
            if item is None:
                return
            mine.append(item)

    takers = [start(lambda mine=mine: consume(mine)) for mine in taken]
    lost = [slot.put(number) for number in range(count)]
    deadline = time.monotonic() + SOON_S
    while sum(map(len, taken)) + sum(item is not None for item in lost) < count:
        assert time.monotonic() < deadline, 'items are missing'
        time.sleep(0.001)
    assert slot.close() is None
    for taker in takers:
        taker.join(SOON_S)
    for mine in taken:
        assert mine == sorted(mine)
    everything = taken[0] + taken[1] + [item for item in lost if item is not None]
    assert sorted(everything) == list(range(count))
    assert count - 1 in taken[0] + taken[1], 'the newest item always gets through'
