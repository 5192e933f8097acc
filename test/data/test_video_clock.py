from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.data.video_clock import PictureClock

RATES = st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(60), Fraction(24000, 1001)])
MILLISECOND = Fraction(1, 1000)


def clock(rate=Fraction(25), *, time_base=MILLISECOND, start=Fraction(0), steady=True):
    return PictureClock(rate=rate, time_base=time_base, start=start, steady=steady)


@settings(max_examples=60, deadline=None)
@given(RATES, st.integers(0, 5000), st.lists(st.integers(0, 100_000), min_size=1, unique=True))
def test_stamps_rounded_to_milliseconds_become_the_exact_times_of_a_constant_rate(
    rate, first, numbers
):
    start = first * MILLISECOND
    reader = clock(rate, start=start)
    for number in sorted(numbers):
        stamp = round((start + number / rate) / MILLISECOND)
        assert reader.read(stamp) == (number / rate, 1 / rate)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True))
def test_stamps_of_a_varying_rate_are_kept(stamps):
    reader = clock(steady=False)
    for stamp in sorted(stamps):
        assert reader.read(stamp, 7) == (stamp * MILLISECOND, 7 * MILLISECOND)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**6)), max_size=30))
def test_times_always_grow(stamps):
    reader = clock()
    times = [reader.read(stamp)[0] for stamp in stamps]
    assert all(after > before for before, after in zip(times, times[1:], strict=False))
    assert not times or times[0] >= 0


def test_a_second_recording_goes_on_a_period_behind_the_first():
    reader = clock()
    times = [reader.read(stamp)[0] for stamp in (0, 40, 80, 0, 40, 200)]
    assert times == [Fraction(n, 25) for n in (0, 1, 2, 3, 4, 8)]


def test_a_picture_without_a_stamp_follows_its_predecessor():
    reader = clock()
    assert [reader.read(stamp)[0] for stamp in (0, None, 80)] == [
        0,
        Fraction(1, 25),
        Fraction(2, 25),
    ]
