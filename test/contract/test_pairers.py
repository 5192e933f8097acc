"""One contract for both pairers: invariants, a simulated camera pair, and restarted clocks."""

from __future__ import annotations

import importlib.util
import itertools
import math
import random
import types
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.pairing import UNMEASURED_SKEW_NS, StampPairer

MS = 1_000_000
S = 1_000_000_000
PERIOD = 33_333_333


HAS_FILTERS = all(importlib.util.find_spec(name) for name in ('rclpy', 'message_filters'))
KINDS = ('builtin', 'message_filters') if HAS_FILTERS else ('builtin',)
needs_filters = pytest.mark.skipif(
    not HAS_FILTERS, reason='message_filters is not installed: only ROS distributions have it'
)


# For the whole module, because hypothesis runs many examples within one fixture.
@pytest.fixture(scope='module', params=KINDS)
def new_pairer(request) -> Callable[..., StampPairer]:
    """Make a pairer with the arguments of `StampPairer`."""
    if request.param == 'builtin':
        return StampPairer
    from msdesis_ros.ros.sync import FilterPairer

    return FilterPairer


@needs_filters
def test_the_contract_is_checked_for_both_pairers():
    assert KINDS == ('builtin', 'message_filters')


def feed(pairer, events):
    """Feed (side, stamp, item) in order; returns the pairs."""
    pairs = []
    for side, stamp_ns, item in events:
        add = pairer.add_left if side == 'left' else pairer.add_right
        pairs += add(stamp_ns, item, arrival_ns=0)
    return pairs


def stereo(frames, *, start_ns=0, period_ns=PERIOD, right_later_ns=2 * MS):
    """Regular frames of both sides, left first."""
    for k in frames:
        yield 'left', start_ns + k * period_ns, k
        yield 'right', start_ns + k * period_ns + right_later_ns, k


def conserved(counters):
    """True where every received image is accounted for on both sides."""
    c = counters
    left = c.paired + c.unpaired_left + c.duplicates_left + c.late_left + c.waiting_left
    right = c.paired + c.unpaired_right + c.duplicates_right + c.late_right + c.waiting_right
    return (left, right) == (c.received_left, c.received_right)


# --- one pair ---------------------------------------------------------------------------------


@pytest.mark.parametrize('order', [('left', 'right'), ('right', 'left')])
def test_a_pair_leaves_with_its_second_image_whichever_comes_last(new_pairer, order):
    stamps = {'left': 5 * S, 'right': 5 * S + 3 * MS}
    pairer = new_pairer()
    first, second = ((side, stamps[side], side.upper()) for side in order)
    assert feed(pairer, [first]) == []
    [pair] = feed(pairer, [second])
    assert (pair.left_stamp_ns, pair.right_stamp_ns) == (5 * S, 5 * S + 3 * MS)
    assert (pair.left, pair.right) == ('LEFT', 'RIGHT')
    assert pair.skew_ns == 3 * MS


def test_the_skew_may_be_exactly_the_limit_and_not_a_nanosecond_more(new_pairer):
    assert len(feed(new_pairer(max_skew_ns=MS), [('left', 0, 0), ('right', MS, 0)])) == 1
    assert feed(new_pairer(max_skew_ns=MS), [('left', 0, 0), ('right', MS + 1, 0)]) == []


def test_equal_stamps_pair_even_where_no_skew_is_allowed(new_pairer):
    assert len(feed(new_pairer(max_skew_ns=0), [('left', 7, 0), ('right', 7, 0)])) == 1


@pytest.mark.parametrize(('left_ms', 'right'), [(4, 'first'), (6, 'first'), (7, 'second')])
def test_of_two_partners_present_the_closest_is_taken_and_the_older_of_equals(
    new_pairer, left_ms, right
):
    # Enough regular stamps for a window of 14 ms; then the right camera stutters.
    pairer = new_pairer(max_skew_ns=14 * MS)
    feed(pairer, stereo(range(-40, -1), right_later_ns=0))
    events = [('right', 0, 'first'), ('right', 12 * MS, 'second'), ('left', left_ms * MS, 'it')]
    [pair] = feed(pairer, events)
    assert (pair.left, pair.right) == ('it', right)


def test_an_image_without_partner_is_left_behind_by_a_newer_pair(new_pairer):
    pairer = new_pairer()
    pairs = feed(pairer, [('left', 0, 0), *stereo([1, 2])])
    assert [p.left for p in pairs] == [1, 2]
    assert pairer.counters.unpaired_left == 1
    # Its partner, arriving now, would break the order.
    assert feed(pairer, [('right', 0, 0)]) == []
    assert pairer.counters.late_right == 1


def test_what_a_newer_pair_left_behind_stands_in_nobodys_way(new_pairer):
    pairer = new_pairer()
    feed(pairer, stereo(range(40)))
    begin = 40 * PERIOD
    events = [('left', 0), ('left', 9), ('right', 5), ('left', 30), ('right', 6), ('left', 12)]
    pairs = feed(pairer, [(side, begin + ms * MS, ms) for side, ms in events])
    # For the right image at 6 the left one at 0 is near enough, but too old to be used.
    assert [(p.left, p.right) for p in pairs] == [(9, 5), (12, 6)]
    assert conserved(pairer.counters)


def test_an_image_that_is_older_than_a_full_queue_still_finds_its_partner(new_pairer):
    pairer = new_pairer(queue_size=2)
    events = [('right', 2), ('left', 3), ('left', 4), ('left', 2)]
    pairs = feed(pairer, [(side, k * PERIOD, k) for side, k in events])
    assert [(p.left, p.right) for p in pairs] == [(2, 2)]


def test_the_nearest_stamps_that_did_not_pair_are_remembered_until_a_pair(new_pairer):
    pairer = new_pairer()
    for right_ms in (30, 12, 25):
        feed(pairer, [('right', right_ms * MS, 0)])
        feed(pairer, [('left', 0, 0)])
    assert pairer.silence(S).nearest_ns == 12 * MS
    feed(pairer, [('left', 12 * MS, 0)])
    assert pairer.silence(S).nearest_ns is None


# --- duplicates, order, bounds ----------------------------------------------------------------


def test_a_stamp_that_repeats_is_dropped_and_counted_before_and_after_its_pair_left(new_pairer):
    pairer = new_pairer()
    events = [('left', 0, 'a'), ('left', 0, 'b'), ('right', MS, 'c'), ('left', 0, 'd')]
    [pair] = feed(pairer, [*events, ('right', MS, 'e')])
    assert (pair.left, pair.right) == ('a', 'c')
    counters = pairer.counters
    assert (counters.duplicates_left, counters.duplicates_right) == (2, 1)
    assert counters.paired == 1


def test_images_that_arrive_in_swapped_order_pair_as_long_as_no_newer_pair_left(new_pairer):
    rights = [('right', k * PERIOD, k) for k in (1, 0, 2)]
    lefts = [('left', k * PERIOD, k) for k in (0, 1, 2)]
    pairs = feed(new_pairer(), rights + lefts)
    assert [(p.left, p.right) for p in pairs] == [(0, 0), (1, 1), (2, 2)]


def test_a_stamp_that_never_changes_is_no_restarted_clock(new_pairer):
    pairer = new_pairer()
    feed(pairer, [('left', 5 * S, k) for k in range(1000)])
    assert pairer.counters.time_resets == 0
    assert pairer.counters.duplicates_left == 999


@pytest.mark.parametrize('order', [[*range(9, -1, -1)] * 3, [*range(9), 3]])
def test_repeated_images_that_are_no_stream_are_no_restarted_clock(new_pairer, order):
    pairer = new_pairer()
    feed(pairer, stereo(range(10)))
    feed(pairer, [('left', k * PERIOD, 'again') for k in order])
    assert pairer.counters.time_resets == 0
    assert pairer.counters.duplicates_left == len(order)


def test_the_memory_is_bounded_when_one_side_is_silent(new_pairer):
    pairer = new_pairer(queue_size=4)
    feed(pairer, [('left', k * PERIOD, k) for k in range(1000)])
    assert pairer.counters.waiting_left == 4
    assert pairer.counters.unpaired_left == 996
    # The newest ones are the ones kept.
    assert [p.left for p in feed(pairer, [('right', 999 * PERIOD, 999)])] == [999]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(['left', 'right']),
            st.one_of(
                st.integers(0, 40).map(lambda k: k * 5 * MS),
                st.integers(-3 * S, 3 * S),
                st.integers(-(2**31) * S, 2**32 * S),
            ),
        ),
        max_size=120,
    ),
    st.integers(0, 60 * MS),
    st.integers(1, 6),
)
def test_whatever_arrives_the_invariants_hold(new_pairer, events, max_skew_ns, queue_size):
    pairer = new_pairer(max_skew_ns=max_skew_ns, queue_size=queue_size)
    used: dict[str, set[int]] = {'left': set(), 'right': set()}
    last, resets = None, 0
    for number, (side, stamp_ns) in enumerate(events):
        add = pairer.add_left if side == 'left' else pairer.add_right
        pairs = add(stamp_ns, number, arrival_ns=number)
        counters = pairer.counters
        assert conserved(counters)
        assert max(counters.waiting_left, counters.waiting_right) <= queue_size
        assert 0 <= pairer.skew_limit_ns <= max_skew_ns
        if counters.time_resets > resets:
            last, resets = None, counters.time_resets
        for pair in pairs:
            assert pair.skew_ns <= pairer.skew_limit_ns
            assert number in (pair.left, pair.right), 'a pair leaves with its second image'
            assert events[pair.left] == ('left', pair.left_stamp_ns)
            assert events[pair.right] == ('right', pair.right_stamp_ns)
            assert pair.left not in used['left']
            assert pair.right not in used['right']
            used['left'].add(pair.left)
            used['right'].add(pair.right)
            if last is not None:
                assert pair.left_stamp_ns > last.left_stamp_ns
                assert pair.right_stamp_ns > last.right_stamp_ns
            last = pair


@given(st.permutations(range(8)), st.permutations(range(8)))
def test_any_order_of_arrival_within_the_queue_pairs_each_image_once(new_pairer, lefts, rights):
    pairer = new_pairer(queue_size=8)
    feed(pairer, [('right', k * PERIOD, k) for k in rights])
    pairs = feed(pairer, [('left', k * PERIOD, k) for k in lefts])
    # What can leave is what keeps the order: the running maxima of the left arrivals.
    expected = [k for i, k in enumerate(lefts) if k == max(lefts[: i + 1])]
    assert [(p.left, p.right) for p in pairs] == [(k, k) for k in expected]


# --- the period and the limit -----------------------------------------------------------------


@pytest.mark.parametrize('hertz', [10, 30, 60, 120])
def test_the_limit_is_the_smaller_of_max_skew_and_045_of_the_period(new_pairer, hertz):
    period_ns = S // hertz
    pairer = new_pairer(max_skew_ns=20 * MS)
    feed(pairer, stereo(range(50), period_ns=period_ns, right_later_ns=0))
    assert pairer.period_ns == period_ns
    assert pairer.skew_limit_ns == min(20 * MS, int(0.45 * period_ns))


def test_before_the_period_is_known_the_limit_is_careful(new_pairer):
    pairer = new_pairer(max_skew_ns=100 * MS)
    assert pairer.period_ns is None
    assert pairer.skew_limit_ns == UNMEASURED_SKEW_NS
    assert new_pairer(max_skew_ns=MS).skew_limit_ns == MS


@pytest.mark.parametrize('loss', [0.05, 0.3, 0.6])
def test_the_measured_period_ignores_losses_duplicates_and_swaps(new_pairer, loss):
    rng = random.Random(3)
    pairer = new_pairer(max_skew_ns=100 * MS)
    kept = [k for k in range(2000) if rng.random() > loss]
    for i in range(0, len(kept) - 1, 17):
        kept[i], kept[i + 1] = kept[i + 1], kept[i]
    limits = []
    for k in kept:
        for _ in range(1 + (rng.random() < 0.1)):
            pairer.add_left(k * PERIOD, k, arrival_ns=0)
        limits.append(pairer.skew_limit_ns)
    late_ones = limits[40:]
    assert sorted(late_ones)[len(late_ones) // 2] == int(0.45 * PERIOD)
    assert sum(limit > PERIOD // 2 for limit in late_ones) < 0.01 * len(late_ones)


def test_the_side_that_loses_less_tells_the_period(new_pairer):
    pairer = new_pairer(max_skew_ns=100 * MS)
    feed(pairer, [event for event in stereo(range(80)) if event[0] == 'left' or not event[2] % 4])
    assert pairer.period_ns == PERIOD


def test_the_period_follows_a_change_of_the_frame_rate(new_pairer):
    pairer = new_pairer(max_skew_ns=100 * MS)
    feed(pairer, stereo(range(100), period_ns=10 * MS))
    feed(pairer, stereo(range(35), start_ns=1000 * MS))
    assert pairer.period_ns == PERIOD


def test_a_burst_after_a_stall_of_the_camera_does_not_close_the_window(new_pairer):
    pairer = new_pairer()
    feed(pairer, stereo(range(40)))
    burst = 40 * PERIOD + 200 * MS
    feed(pairer, [('left', burst + i * MS, 0) for i in range(4)])
    assert pairer.skew_limit_ns == 10 * MS


# --- a simulated camera pair ------------------------------------------------------------------


@dataclass(frozen=True)
class Image:
    side: str
    frame: int
    stamp_ns: int
    arrival_ns: int


def simulate(
    frames,
    *,
    seed,
    phase_ns=0,
    jitter_ns=0,
    loss=0.0,
    duplicates=0.0,
    swaps=0.0,
    right_period_ns=PERIOD,
):
    """Two cameras at 30 Hz with noisy stamps, noisy delays, losses, duplicates and swaps."""
    rng = random.Random(seed)
    images = []
    for side, period_ns, offset_ns in (('left', PERIOD, 0), ('right', right_period_ns, phase_ns)):
        stream = []
        for k in range(frames):
            stamp_ns = k * period_ns + offset_ns + rng.randint(0, jitter_ns)
            if rng.random() >= loss:
                # Under half a period of delay: swaps within one side happen only where asked for.
                stream.append(Image(side, k, stamp_ns, stamp_ns + rng.randint(0, 9 * MS)))
        for i in range(len(stream) - 1):
            if rng.random() < swaps:
                a, b = stream[i], stream[i + 1]
                stream[i] = Image(side, b.frame, b.stamp_ns, a.arrival_ns)
                stream[i + 1] = Image(side, a.frame, a.stamp_ns, b.arrival_ns)
        images += stream
        images += [
            Image(side, i.frame, i.stamp_ns, i.arrival_ns + rng.randint(1, 60 * MS))
            for i in stream
            if rng.random() < duplicates
        ]
    return sorted(images, key=lambda image: image.arrival_ns)


def run(pairer, images):
    """Returns (pair, limit at its time) and the limit by (side, frame) of each image."""
    pairs, limits = [], {}
    for image in images:
        add = pairer.add_left if image.side == 'left' else pairer.add_right
        new = add(image.stamp_ns, image, arrival_ns=image.arrival_ns)
        limits.setdefault((image.side, image.frame), pairer.skew_limit_ns)
        pairs += [(pair, pairer.skew_limit_ns) for pair in new]
    return pairs, limits


def check_pairs(pairs):
    """None beyond the limit, none twice, order kept, no pair held back."""
    for pair, limit_ns in pairs:
        assert pair.skew_ns <= limit_ns
    for (a, _), (b, _) in zip(pairs, pairs[1:]):  # noqa: B905 - strict= pairs equal lengths only
        assert a.left_stamp_ns < b.left_stamp_ns
        assert a.right_stamp_ns < b.right_stamp_ns


@pytest.mark.parametrize(
    ('phase_ns', 'drift'), [(0, 0), (5 * MS, 0), (-7 * MS, 0), (0, 50e-6), (0, 500e-6)]
)
def test_99_percent_of_the_pairs_of_two_noisy_lossy_cameras_are_found(new_pairer, phase_ns, drift):
    images = simulate(
        20_000,
        seed=1,
        phase_ns=phase_ns,
        jitter_ns=15 * MS,
        loss=0.05,
        duplicates=0.02,
        swaps=0.005,
        right_period_ns=round(PERIOD * (1 - drift)),
    )
    pairer = new_pairer()
    pairs, _ = run(pairer, images)
    check_pairs(pairs)
    most = most_pairs(images, limit_ns=10 * MS)
    assert most > 10_000
    assert len(pairs) >= 0.99 * most
    if not drift:
        assert [p for p, _ in pairs if p.left.frame != p.right.frame] == []
    counters = pairer.counters
    assert conserved(counters)
    assert counters.time_resets == 0
    assert counters.duplicates_left > 200
    assert counters.skew_max_ns <= 10 * MS


def most_pairs(images, *, limit_ns):
    """How many pairs within the limit, each image once, one could find who knows all images."""
    lefts, rights = (
        sorted({image.stamp_ns for image in images if image.side == side})
        for side in ('left', 'right')
    )
    found = i = j = 0
    while i < len(lefts) and j < len(rights):
        skew_ns = lefts[i] - rights[j]
        near = abs(skew_ns) <= limit_ns
        found += near
        i += near or skew_ns < 0
        j += near or skew_ns > 0
    return found


def test_the_most_possible_pairs_are_counted_right():
    def images(left_ms, right_ms):
        return [
            Image(side, 0, ms * MS, 0)
            for side, all_ms in (('left', left_ms), ('right', right_ms))
            for ms in all_ms
        ]

    assert most_pairs(images([0, 10, 20], [0, 10, 20]), limit_ns=0) == 3
    # Nearest first would take 9 with 10 and leave 0 and 19 alone.
    assert most_pairs(images([0, 10], [9, 19]), limit_ns=9 * MS) == 2
    assert most_pairs(images([0, 40], [11, 29]), limit_ns=10 * MS) == 0


def test_two_free_running_cameras_pair_with_their_nearest_neighbour(new_pairer):
    # The right camera is 0.1 % faster: the phase turns through 20 whole periods.
    images = simulate(
        20_000, seed=2, jitter_ns=MS, loss=0.05, right_period_ns=PERIOD - PERIOD // 1000
    )
    pairs, limits = run(new_pairer(), images)
    check_pairs(pairs)
    lefts = {i.stamp_ns for i in images if i.side == 'left'}
    rights = sorted(i.stamp_ns for i in images if i.side == 'right')
    limit_ns = min(list(limits.values())[100:])
    assert limit_ns == 10 * MS
    # Where the window is under half a period, near enough already means nearest.
    possible = [t for t in lefts if _distance(rights, t) <= limit_ns]
    assert len(possible) > 8_000
    assert len(pairs) >= 0.99 * len(possible)
    assert all(p.skew_ns == _distance(rights, p.left_stamp_ns) for p, _ in pairs)


def _distance(sorted_stamps, stamp_ns):
    i = bisect(sorted_stamps, stamp_ns)
    return min(abs(t - stamp_ns) for t in sorted_stamps[max(i - 1, 0) : i + 1])


class NaivePairer:
    """Oldest with oldest within a fixed slop: what a pairer must not do."""

    def __init__(self, slop_ns):
        self.slop_ns, self.left, self.right = slop_ns, [], []

    def add(self, image):
        (self.left if image.side == 'left' else self.right).append(image)
        while self.left and self.right:
            skew_ns = self.left[0].stamp_ns - self.right[0].stamp_ns
            if abs(skew_ns) <= self.slop_ns:
                return self.left.pop(0), self.right.pop(0)
            (self.right if skew_ns > 0 else self.left).pop(0)
        return None


def test_a_lost_image_under_a_wide_slop_does_not_make_the_pairs_one_frame_off(new_pairer):
    images = [
        image
        for image in simulate(300, seed=5, jitter_ns=MS)
        if (image.side, image.frame) not in {('right', 0), ('right', 100), ('left', 200)}
    ]
    pairs, _ = run(new_pairer(max_skew_ns=100 * MS), images)
    assert [p.left.frame - p.right.frame for p, _ in pairs] == [0] * 297
    # The control: the same input makes a naive pairer go wrong for good.
    naive = NaivePairer(100 * MS)
    offsets = [a.frame - b.frame for a, b in filter(None, map(naive.add, images))]
    assert offsets.count(0) < 0.5 * len(offsets)


class BareFilters:
    """The synchronizer of ROS without what the pairer around it adds."""

    def __init__(self, *, slop_s, callback):
        import message_filters
        from rclpy.time import Time

        self._time = Time
        self._inputs = {side: message_filters.SimpleFilter() for side in ('left', 'right')}
        self.synchronizer = message_filters.ApproximateTimeSynchronizer(
            list(self._inputs.values()), queue_size=10, slop=slop_s
        )
        self.synchronizer.registerCallback(callback)

    def add(self, image):
        stamp = self._time(nanoseconds=S + image.stamp_ns)
        header = types.SimpleNamespace(stamp=stamp)
        message = types.SimpleNamespace(header=header, image=image)
        self._inputs[image.side].signalMessage(message)


@needs_filters
def test_the_bare_synchronizer_breaks_the_contract_that_the_pairer_around_it_keeps():
    noisy = simulate(
        2_000, seed=1, phase_ns=5 * MS, jitter_ns=15 * MS, loss=0.05, duplicates=0.02, swaps=0.005
    )
    pairs = []
    bare = BareFilters(
        slop_s=0.015, callback=lambda *pair: pairs.append([m.image.stamp_ns for m in pair])
    )
    for image in noisy:
        bare.add(image)
    backwards = sum(a[0] >= b[0] or a[1] >= b[1] for a, b in itertools.pairwise(pairs))
    assert backwards > 0


@needs_filters
def test_the_bare_synchronizer_stays_locked_after_an_exception_in_its_callback():
    def fail(*pair):
        raise RuntimeError('planted')

    bare = BareFilters(slop_s=0.01, callback=fail)
    bare.add(Image('left', 0, 0, 0))
    with pytest.raises(RuntimeError, match='planted'):
        bare.add(Image('right', 0, 0, 0))
    assert bare.synchronizer.lock.locked()


# --- time that jumps --------------------------------------------------------------------------


@pytest.mark.parametrize('back_s', [0.6, 3, 1e6])
def test_time_running_backwards_resets_and_the_new_stream_pairs_at_once(new_pairer, back_s):
    pairer = new_pairer()
    begin = int(2e6) * S
    feed(pairer, stereo(range(60), start_ns=begin))
    again = begin + 60 * PERIOD - int(back_s * S)
    pairs = feed(pairer, stereo(range(5), start_ns=again))
    assert [p.left for p in pairs] == [0, 1, 2, 3, 4]
    assert pairer.counters.time_resets == 1
    assert conserved(pairer.counters)


def test_a_restart_forgets_the_period_of_the_old_stream(new_pairer):
    pairer = new_pairer()
    feed(pairer, stereo(range(300), period_ns=8 * MS, right_later_ns=MS))
    assert pairer.skew_limit_ns == int(0.45 * 8 * MS)
    pairs = feed(pairer, stereo(range(2), right_later_ns=9 * MS))
    assert len(pairs) == 2


def test_what_waits_at_a_restart_is_given_up_and_counted(new_pairer):
    pairer = new_pairer()
    feed(pairer, [('left', 10 * S, 'old'), ('right', 20 * S, 'old')])
    assert feed(pairer, [('left', 0, 'new')]) == []
    counters = pairer.counters
    assert (counters.unpaired_left, counters.unpaired_right) == (1, 1)
    assert (counters.waiting_left, counters.waiting_right) == (1, 0)


def test_a_small_step_back_blocks_the_stream_for_ten_images_at_most(new_pairer):
    pairer = new_pairer()
    feed(pairer, stereo(range(100)))
    pairs = feed(pairer, stereo(range(30), start_ns=100 * PERIOD - 450 * MS))
    assert len(pairs) >= 20
    assert pairs[-1].left == 29


def test_a_huge_step_forward_pairs_at_once(new_pairer):
    pairer = new_pairer()
    feed(pairer, stereo(range(10)))
    pairs = feed(pairer, stereo(range(5), start_ns=10**18))
    assert [p.left for p in pairs] == [0, 1, 2, 3, 4]
    assert pairer.counters.time_resets == 0


@pytest.mark.parametrize('glitch_ns', [0, 2**62])
def test_one_senseless_stamp_costs_one_pair(new_pairer, glitch_ns):
    pairer = new_pairer()
    begin = 10**18
    pairs = feed(pairer, stereo(range(20), start_ns=begin))
    pairs += feed(pairer, [('left', glitch_ns, 20), ('right', begin + 20 * PERIOD, 20)])
    pairs += feed(pairer, stereo(range(21, 60), start_ns=begin))
    assert [p.left for p in pairs] == [k for k in range(60) if k != 20]


def test_reset_forgets_everything_but_the_counters(new_pairer):
    pairer = new_pairer()
    feed(pairer, [*stereo(range(10)), ('left', 10 * PERIOD, 10)])
    pairer.reset()
    assert pairer.period_ns is None
    assert (pairer.counters.paired, pairer.counters.unpaired_left) == (10, 1)
    assert pairer.counters.time_resets == 0
    assert len(feed(pairer, stereo(range(3)))) == 3


# --- skew figures and silence -----------------------------------------------------------------


def test_the_skew_figures_are_those_of_all_pairs(new_pairer):
    pairer = new_pairer()
    assert pairer.counters.skew_last_ns is None
    assert pairer.counters.skew_mean_ns is None
    feed(pairer, [('left', 0, 0), ('right', 3 * MS, 0), ('right', S, 1), ('left', S + MS, 1)])
    counters = pairer.counters
    assert (counters.skew_last_ns, counters.skew_max_ns) == (MS, 3 * MS)
    assert math.isclose(counters.skew_mean_ns, 2 * MS)
