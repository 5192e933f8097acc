"""What only the built-in pairer has to hold; `test/contract/test_pairers.py` holds the rest."""

from __future__ import annotations

import math
import time
from dataclasses import FrozenInstanceError

import pytest

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
    began = time.perf_counter()
    for k in range(5_000):
        pairer.add_left(k * PERIOD, k, arrival_ns=0)
        pairer.add_right(k * PERIOD + k % 20 * MS, k, arrival_ns=0)
    # Some 3 us on a desk computer; the bound only catches a change of the order of magnitude.
    assert (time.perf_counter() - began) / 10_000 < 100e-6


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
