"""What only the built-in pairer has to hold; `test/contract/test_pairers.py` holds the rest."""

from __future__ import annotations

import math
import time
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.pairing import Silence, StampPair, StampPairer

MS = 1_000_000
S = 1_000_000_000
PERIOD = 33_333_333


def test_a_pair_cannot_be_changed_and_knows_its_skew():
    pair = StampPair(5 * S, 5 * S - 3 * MS, 'left', 'right')
    assert pair.skew_ns == 3 * MS
    with pytest.raises(FrozenInstanceError):
        pair.left = 'other'


def test_one_image_costs_microseconds():
    pairer = StampPairer()
    began = time.process_time()
    for k in range(5_000):
        pairer.add_left(k * PERIOD, k, arrival_ns=0)
        pairer.add_right(k * PERIOD + k % 20 * MS, k, arrival_ns=0)
    # Some 3 us on a desk computer; the bound only catches a change of the order of magnitude.
    assert (time.process_time() - began) / 10_000 < 100e-6


# --- silence ------------------------------------------------------------------------------------


def test_silence_names_the_missing_side_even_when_stamps_are_senseless():
    pairer = StampPairer()
    for k in range(10):
        pairer.add_right(-k * S * 100, k, arrival_ns=k * S)
        pairer.add_left(0, k, arrival_ns=k * S)
    pairer.add_left(0, 10, arrival_ns=11 * S)
    silence = pairer.silence(now_ns=11 * S)
    assert (silence.left_ns, silence.right_ns) == (0, 2 * S)
    assert silence.missing() == ('right',)
    assert silence.sentence() == 'right image is missing for 2.0 s'


def test_silence_is_counted_from_the_start_for_a_side_that_never_came():
    pairer = StampPairer(start_ns=1 * S)
    assert pairer.silence(2 * S).sentence() is None
    assert pairer.silence(4 * S).sentence() == 'left and right images are missing for 3.0 s'
    pairer.add_right(0, 0, arrival_ns=4 * S)
    assert pairer.silence(4 * S).sentence() == 'left image is missing for 3.0 s'


def test_without_a_start_silence_is_counted_from_the_first_arrival():
    pairer = StampPairer()
    assert pairer.silence(10 * S) == Silence(None, None, None, None, pairer.skew_limit_ns)
    assert pairer.silence(10 * S).sentence() == 'left and right images are missing'
    pairer.add_left(0, 0, arrival_ns=10 * S)
    pairer.add_left(2 * S, 1, arrival_ns=12 * S)
    assert pairer.silence(12 * S).sentence() == 'right image is missing for 2.0 s'


def test_two_streams_that_never_meet_are_told_with_their_nearest_distance():
    pairer = StampPairer()
    pairer.add_left(0, 0, arrival_ns=0)
    pairer.add_right(0, 0, arrival_ns=0)
    for k in range(1, 101):
        pairer.add_left(k * PERIOD, k, arrival_ns=k * PERIOD)
        pairer.add_right(k * PERIOD + 12 * MS, k, arrival_ns=k * PERIOD + MS)
    sentence = pairer.silence(100 * PERIOD).sentence()
    assert sentence == (
        'left and right images arrive, but no two belong together for 3.3 s: '
        'the nearest stamps are 12.0 ms apart, 10.0 ms are allowed'
    )
    # A pair ends it; what was near before does not count for the next time.
    pairer.add_left(102 * PERIOD, 102, arrival_ns=102 * PERIOD)
    pairer.add_right(102 * PERIOD, 102, arrival_ns=102 * PERIOD)
    assert pairer.silence(102 * PERIOD).sentence() is None
    assert pairer.silence(102 * PERIOD).nearest_ns is None


def test_images_with_repeated_stamps_only_are_told_as_such():
    pairer = StampPairer()
    for k in range(100):
        pairer.add_left(0, k, arrival_ns=k * PERIOD)
        pairer.add_right(0, k, arrival_ns=k * PERIOD)
    assert pairer.silence(100 * PERIOD).sentence().endswith('their stamps are repeated or old')


def test_there_is_nothing_to_say_while_pairs_come():
    pairer = StampPairer()
    for k in range(100):
        pairer.add_left(k * PERIOD, k, arrival_ns=k * PERIOD)
        pairer.add_right(k * PERIOD, k, arrival_ns=k * PERIOD)
    assert pairer.silence(100 * PERIOD).sentence() is None


def test_the_arrival_time_is_now_where_none_is_given():
    pairer = StampPairer()
    before_ns = time.monotonic_ns()
    pairer.add_left(0, 0)
    pairer.add_right(0, 0)
    silence = pairer.silence(before_ns + S)
    assert 0.5 * S < silence.left_ns <= S
    assert 0.5 * S < silence.right_ns <= S


@pytest.mark.parametrize(
    'arguments',
    [
        {'max_skew_ns': -1},
        {'queue_size': 0},
        {'period_fraction': 0.5},
        {'period_fraction': 0.0},
        {'period_fraction': math.nan},
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(arguments):
    with pytest.raises(UsageError, match=next(iter(arguments))):
        StampPairer(**arguments)


def test_a_left_item_that_went_alone_is_in_no_pair_and_none_is_behind_it():
    pairer = StampPairer()
    for number in range(4):
        pairer.add_left(number * PERIOD, number)
    assert pairer.take_left_alone(2 * PERIOD)
    assert not pairer.take_left_alone(2 * PERIOD) and not pairer.take_left_alone(PERIOD)
    assert [pairer.add_right(n * PERIOD, n) for n in range(3)] == [[], [], []]
    assert pairer.add_left(2 * PERIOD, 2) == [] == pairer.add_left(PERIOD + 1, 1)
    assert [p.left for p in pairer.add_right(3 * PERIOD, 3)] == [3]
    counters = pairer.counters
    assert (counters.alone_left, counters.paired, counters.unpaired_left) == (1, 1, 2)
    assert (counters.duplicates_left, counters.late_left) == (1, 1)


def test_a_stamp_that_nobody_waits_under_cannot_go_alone():
    pairer = StampPairer()
    assert not pairer.take_left_alone(5)
    pairer.add_left(5, 'a')
    assert not pairer.take_left_alone(4) and not pairer.take_left_alone(6)
    pairer.add_right(5, 'b')
    assert not pairer.take_left_alone(5)
    assert pairer.counters.alone_left == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(['left', 'right', 'alone']), st.integers(0, 30)), max_size=80
    )
)
def test_whatever_goes_alone_each_left_item_is_used_once_and_in_order(steps):
    pairer, used = StampPairer(queue_size=4), []
    for kind, number in steps:
        stamp = number * PERIOD  # within one second: time is never set back
        if kind == 'right':
            used += [pair.left for pair in pairer.add_right(stamp + 1, stamp)]
            continue
        used += [pair.left for pair in pairer.add_left(stamp, stamp)]
        if kind == 'alone' and pairer.take_left_alone(stamp):
            used.append(stamp)
    counters = pairer.counters
    if counters.time_resets == 0:
        assert used == sorted(set(used))
    assert len(used) == counters.alone_left + counters.paired
    for side, alone in (('left', counters.alone_left), ('right', 0)):
        ends = ('unpaired', 'duplicates', 'late', 'waiting')
        total = sum(getattr(counters, f'{end}_{side}') for end in ends)
        assert getattr(counters, f'received_{side}') == counters.paired + alone + total


def test_where_nobody_waits_for_the_right_eye_only_the_left_one_is_missed():
    pairer = StampPairer(start_ns=0)
    pairer.add_left(0, 'a', arrival_ns=10 * S)
    assert 'right' in pairer.silence(10 * S).sentence()
    assert pairer.silence(10 * S).of_left_alone().sentence() is None
    assert pairer.silence(13 * S).of_left_alone().sentence() == 'left image is missing for 3.0 s'
