from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.stamp_faults import FaultInjector, StampFaults

PERIOD_NS = 33_333_333
SIDES = ('left', 'right')


def play(faults: StampFaults, count: int = 2000) -> tuple[list[tuple[str, int, int]], Counter]:
    """What arrives of `count` pairs, as (side, stamp, number of the pair), and the counts."""
    injector: FaultInjector[int] = FaultInjector(faults)
    arrived = []
    for number in range(count):
        for side in SIDES:
            for stamp, item in injector.arrivals(side, number * PERIOD_NS, number):
                arrived.append((side, stamp, item))
    arrived += injector.leftovers()
    return arrived, injector.counts


def of(arrived: list[tuple[str, int, int]], side: str) -> list[tuple[int, int]]:
    return [(stamp, number) for s, stamp, number in arrived if s == side]


def test_without_faults_everything_arrives_as_it_was_taken() -> None:
    arrived, counts = play(StampFaults(), 50)
    assert arrived == [(side, n * PERIOD_NS, n) for n in range(50) for side in SIDES]
    assert not counts and not StampFaults(seed=3).any


def test_skew_and_drift_move_the_right_stamps_alone() -> None:
    arrived, _ = play(StampFaults(skew_ns=-2_000_000, drift_ppm=50.0), 1000)
    assert [stamp for stamp, _ in of(arrived, 'left')] == [n * PERIOD_NS for n in range(1000)]
    last, _ = of(arrived, 'right')[-1]
    assert last == 999 * PERIOD_NS - 2_000_000 + round(999 * PERIOD_NS * 50e-6)


def test_jitter_spreads_both_clocks_evenly_and_independently() -> None:
    arrived, _ = play(StampFaults(jitter_ns=15_000_000, seed=1), 5000)
    late = {side: np.array([s - n * PERIOD_NS for s, n in of(arrived, side)]) for side in SIDES}
    for side in SIDES:
        assert 0 <= late[side].min() < 100_000
        assert 14_900_000 < late[side].max() <= 15_000_000
        assert abs(late[side].mean() - 7_500_000) < 300_000
    assert abs(np.corrcoef(late['left'], late['right'])[0, 1]) < 0.05


@pytest.mark.parametrize('side', SIDES)
def test_a_share_of_one_side_is_lost_and_counted(side: str) -> None:
    arrived, counts = play(StampFaults(**{f'drop_{side}': 0.05}))
    other = SIDES[side == 'left']
    assert len(of(arrived, other)) == 2000
    assert len(of(arrived, side)) == 2000 - counts[f'dropped_{side}']
    assert 60 < counts[f'dropped_{side}'] < 140
    assert set(counts) == {f'dropped_{side}'}


def test_repeated_pictures_have_the_stamp_of_the_first() -> None:
    arrived, counts = play(StampFaults(duplicate=0.1, jitter_ns=5_000_000))
    for side in SIDES:
        repeated = Counter(of(arrived, side))
        assert set(repeated.values()) == {1, 2}
        assert list(repeated.values()).count(2) == counts[f'duplicated_{side}'] > 100


def test_disorder_swaps_neighbours_and_loses_nothing() -> None:
    arrived, counts = play(StampFaults(reorder=0.1), 1000)
    for side in SIDES:
        numbers = [number for _, number in of(arrived, side)]
        assert sorted(numbers) == list(range(1000))
        swaps = sum(a > b for a, b in zip(numbers, numbers[1:], strict=False))
        assert swaps == counts[f'reordered_{side}'] > 50
        assert max(abs(number - place) for place, number in enumerate(numbers)) == 1


def test_a_picture_held_back_at_the_end_still_arrives() -> None:
    injector: FaultInjector[str] = FaultInjector(StampFaults(reorder=1.0))
    assert injector.arrivals('left', 7, 'a') == []
    assert injector.leftovers() == [('left', 7, 'a')]
    assert injector.leftovers() == []


def test_the_same_seed_gives_the_same_faults_and_another_one_others() -> None:
    faults = StampFaults(
        jitter_ns=10**7, drop_left=0.1, drop_right=0.1, duplicate=0.1, reorder=0.1, seed=5
    )
    assert play(faults) == play(faults)
    assert play(faults) != play(dataclasses.replace(faults, seed=6))


def test_one_fault_does_not_move_the_others() -> None:
    alone, _ = play(StampFaults(drop_left=0.1, jitter_ns=10**7, seed=2))
    with_others, _ = play(StampFaults(drop_left=0.1, jitter_ns=10**7, duplicate=0.2, seed=2))
    assert set(alone) == set(with_others) and len(alone) < len(with_others)


def test_the_faults_of_a_seed_stay_the_same_from_version_to_version() -> None:
    arrived, _ = play(StampFaults(jitter_ns=1000, drop_right=0.5, seed=11), 3)
    assert arrived == [
        ('left', 471, 0),
        ('right', 136, 0),
        ('left', 33334093, 1),
        ('left', 66666690, 2),
    ]


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'drop_left': 1.5}, 'drop_left is 1.5'),
        ({'reorder': -0.1}, 'reorder is -0.1'),
        ({'duplicate': float('nan')}, 'duplicate is nan'),
        ({'jitter_ns': -1}, 'jitter_ns is -1'),
    ],
)
def test_impossible_settings_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        StampFaults(**wrong)
