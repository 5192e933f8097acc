"""Pairing of left and right images by time stamp, approximately and without ROS.

Two camera drivers never stamp alike, so partners are the images whose stamps are close. Close
means less than 0.45 of the measured period: with a wider window one lost image lets its partner
take the neighbour's, and from then on every pair is one frame off although nothing looks wrong.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.stamp_stream import StampStream

T = TypeVar('T')

# Until the period is known, a window that is under half a period for every camera up to 45 Hz.
UNMEASURED_SKEW_NS = 10_000_000
_ENOUGH_DIFFERENCES = 4


@dataclass(frozen=True)
class StampPair(Generic[T]):
    """One left and one right image that belong together; stamps in ns."""

    left_stamp_ns: int
    right_stamp_ns: int
    left: T
    right: T

    @property
    def skew_ns(self) -> int:
        """|left stamp - right stamp|, ns."""
        return abs(self.left_stamp_ns - self.right_stamp_ns)


@dataclass(frozen=True)
class PairingCounters:
    """What became of the images so far; never set back, not by `reset` either.

    On each side: received = paired + alone + unpaired + duplicates + late + waiting.
    alone_left: used without a partner, see `take_left_alone`; there is no such count on the right.
    unpaired: given up, because a newer pair left, the queue was full, or time was reset.
    duplicates: a stamp this side already had. late: not newer than this side's last pair.
    skew_*_ns: of all pairs; None before the first.
    """

    received_left: int = 0
    received_right: int = 0
    paired: int = 0
    alone_left: int = 0
    unpaired_left: int = 0
    unpaired_right: int = 0
    duplicates_left: int = 0
    duplicates_right: int = 0
    late_left: int = 0
    late_right: int = 0
    waiting_left: int = 0
    waiting_right: int = 0
    time_resets: int = 0
    skew_last_ns: int | None = None
    skew_mean_ns: float | None = None
    skew_max_ns: int | None = None


@dataclass(frozen=True)
class Silence:
    """For how long nothing came, ns of the arrival clock; None: nothing came yet, since unknown.

    left_ns, right_ns: since the last image of that side, whatever its stamp. pair_ns: since the
    last pair. nearest_ns: the closest two stamps since then that were not close enough, None if
    there were none to compare. limit_ns: how close they would have had to be.
    """

    left_ns: int | None
    right_ns: int | None
    pair_ns: int | None
    nearest_ns: int | None
    limit_ns: int

    def of_left_alone(self) -> Silence:
        """The same where nobody waits for the right side."""
        return replace(self, right_ns=0, pair_ns=0)

    def missing(self, after_ns: int = 1_000_000_000) -> tuple[str, ...]:
        """The sides ('left', 'right') that have been silent for more than `after_ns`."""
        sides = (('left', self.left_ns), ('right', self.right_ns))
        return tuple(name for name, ns in sides if ns is None or ns > after_ns)

    def sentence(self, after_ns: int = 1_000_000_000) -> str | None:
        """Why there has been no pair for more than `after_ns`, in words; None while there are."""
        missing = self.missing(after_ns)
        silent = [ns for ns in (self.left_ns, self.right_ns) if ns is not None and ns > after_ns]
        noun = ' and '.join(missing) + (' images are' if len(missing) == 2 else ' image is')
        if missing:
            return f'{noun} missing for {min(silent) / 1e9:.1f} s' if silent else f'{noun} missing'
        if self.pair_ns is None or self.pair_ns <= after_ns:
            return None
        text = f'left and right images arrive, but no two belong together for {_s(self.pair_ns)}'
        if self.nearest_ns is None:
            return text + ': their stamps are repeated or old'
        return (
            f'{text}: the nearest stamps are {self.nearest_ns / 1e6:.1f} ms apart, '
            f'{self.limit_ns / 1e6:.1f} ms are allowed'
        )


class StampPairer(Generic[T]):
    """Pairs two streams of stamped items as they arrive.

    Each item is used at most once; the left and the right stamps of the pairs strictly increase
    (until time is reset); no pair is further apart than `skew_limit_ns` at that moment. A pair is
    returned by the call that brings its second item, never later: of the partners present, the
    closest. Items that arrive out of order find their partner as long as no newer pair has left.

    Time running backwards (a bag or simulation restarted) forgets what waits and the period, is
    counted, and the new stream pairs at once. Stamps are integers in ns of any clock that both
    sides share. Not thread-safe: call it from one thread.
    """

    def __init__(
        self,
        *,
        max_skew_ns: int = 10_000_000,
        queue_size: int = 10,
        period_fraction: float = 0.45,
        start_ns: int | None = None,
    ) -> None:
        """Allow `max_skew_ns`, or `period_fraction` of the measured period where that is less.

        queue_size: items that wait on each side; the oldest gives way. start_ns: arrival time from
        which silence is counted, by default the first arrival. Raises UsageError.
        """
        if max_skew_ns < 0:
            raise UsageError(f'max_skew_ns is {max_skew_ns}; expected 0 or more nanoseconds')
        if queue_size < 1:
            raise UsageError(f'queue_size is {queue_size}; expected 1 or more')
        if not 0 < period_fraction < 0.5:
            raise UsageError(
                f'period_fraction is {period_fraction}; expected more than 0 and less than 0.5: '
                'from half a period on, a lost image makes all later pairs one frame off'
            )
        self._max_skew_ns = max_skew_ns
        self._queue_size = queue_size
        self._period_fraction = period_fraction
        self._left: StampStream[T] = StampStream()
        self._right: StampStream[T] = StampStream()
        self._paired = self._alone = self._time_resets = self._skew_sum_ns = 0
        self._skew_last_ns: int | None = None
        self._skew_max_ns: int | None = None
        self._nearest_miss_ns: int | None = None
        self._pair_arrival_ns: int | None = None
        self.reset(start_ns=start_ns)

    def add_left(
        self, stamp_ns: int, item: T, *, arrival_ns: int | None = None
    ) -> list[StampPair[T]]:
        """Take a left item; returns the pairs it completes, in order (at most one).

        arrival_ns: monotonic clock, by default `time.monotonic_ns()` now.
        """
        now_ns = time.monotonic_ns() if arrival_ns is None else arrival_ns
        partner = self._add(self._left, self._right, stamp_ns, item, now_ns)
        return [] if partner is None else [StampPair(stamp_ns, partner[0], item, partner[1])]

    def add_right(
        self, stamp_ns: int, item: T, *, arrival_ns: int | None = None
    ) -> list[StampPair[T]]:
        """Take a right item; otherwise as `add_left`."""
        now_ns = time.monotonic_ns() if arrival_ns is None else arrival_ns
        partner = self._add(self._right, self._left, stamp_ns, item, now_ns)
        return [] if partner is None else [StampPair(partner[0], stamp_ns, partner[1], item)]

    def take_left_alone(self, stamp_ns: int) -> bool:
        """Use the left item that waits under this stamp without a partner; False: none waits.

        It counts as one that left in a pair: no later pair holds it, or a left item before it.
        """
        index = self._left.nearest(stamp_ns)
        if index is None or self._left.stamps[index] != stamp_ns:
            return False
        self._left.take(index)
        self._alone += 1
        return True

    @property
    def period_ns(self) -> int | None:
        """The measured period of the faster side, ns; None before two stamps of one side."""
        periods = [s.period_ns for s in (self._left, self._right) if s.period_ns is not None]
        return min(periods, default=None)

    @property
    def skew_limit_ns(self) -> int:
        """How far apart the stamps of a pair may be at present, ns."""
        return self._limit_ns

    @property
    def counters(self) -> PairingCounters:
        """A snapshot of the counters."""
        left, right, paired = self._left, self._right, self._paired
        return PairingCounters(
            received_left=left.received,
            received_right=right.received,
            paired=paired,
            alone_left=self._alone,
            unpaired_left=left.unpaired,
            unpaired_right=right.unpaired,
            duplicates_left=left.duplicates,
            duplicates_right=right.duplicates,
            late_left=left.late,
            late_right=right.late,
            waiting_left=len(left.stamps),
            waiting_right=len(right.stamps),
            time_resets=self._time_resets,
            skew_last_ns=self._skew_last_ns,
            skew_mean_ns=self._skew_sum_ns / paired if paired else None,
            skew_max_ns=self._skew_max_ns,
        )

    def silence(self, now_ns: int) -> Silence:
        """How long each side and the pairs have been silent at `now_ns` of the arrival clock."""

        def since(last_ns: int | None) -> int | None:
            begin_ns = self._start_ns if last_ns is None else last_ns
            return None if begin_ns is None else max(now_ns - begin_ns, 0)

        return Silence(
            left_ns=since(self._left.arrival_ns),
            right_ns=since(self._right.arrival_ns),
            pair_ns=since(self._pair_arrival_ns),
            nearest_ns=self._nearest_miss_ns,
            limit_ns=self._limit_ns,
        )

    def reset(self, *, start_ns: int | None = None) -> None:
        """Forget waiting items, stamps, period and arrivals, as if new; the counters go on."""
        self._forget_stamps()
        self._left.arrival_ns = self._right.arrival_ns = None
        self._pair_arrival_ns = None
        self._start_ns = start_ns

    def _add(
        self, own: StampStream[T], other: StampStream[T], stamp_ns: int, item: T, now_ns: int
    ) -> tuple[int, T] | None:
        own.received += 1
        own.arrival_ns = now_ns
        if self._start_ns is None:
            self._start_ns = now_ns
        if own.ran_backwards(stamp_ns):
            self._forget_stamps()
            self._time_resets += 1
        elif own.is_stale(stamp_ns):
            return None
        own.accept(stamp_ns)
        self._limit_ns = self._allowed_skew_ns()
        partner = self._partner(own, other, stamp_ns)
        if partner is not None:
            own.leave_behind(stamp_ns)
            self._count_pair(abs(other.stamps[partner] - stamp_ns), now_ns)
            return other.take(partner)
        own.wait(stamp_ns, item, self._queue_size)
        return None

    def _partner(self, own: StampStream[T], other: StampStream[T], stamp_ns: int) -> int | None:
        """Index of the item waiting in `other` for the new one of `own`; None: none near enough.

        The one decision that another pairer may take in its own way; all else stays as it is.
        """
        nearest = other.nearest(stamp_ns)
        if nearest is None:
            return None
        skew_ns = abs(other.stamps[nearest] - stamp_ns)
        if skew_ns <= self._limit_ns:
            return nearest
        if self._nearest_miss_ns is None or skew_ns < self._nearest_miss_ns:
            self._nearest_miss_ns = skew_ns
        return None

    def _allowed_skew_ns(self) -> int:
        allowed_ns = self._max_skew_ns
        if max(len(self._left.differences), len(self._right.differences)) < _ENOUGH_DIFFERENCES:
            allowed_ns = min(allowed_ns, UNMEASURED_SKEW_NS)
        period_ns = self.period_ns
        if period_ns is None:
            return allowed_ns
        return min(allowed_ns, int(self._period_fraction * period_ns))

    def _count_pair(self, skew_ns: int, now_ns: int) -> None:
        self._pair_arrival_ns = now_ns
        self._nearest_miss_ns = None
        self._paired += 1
        self._skew_sum_ns += skew_ns
        self._skew_last_ns = skew_ns
        self._skew_max_ns = max(skew_ns, self._skew_max_ns or 0)

    def _forget_stamps(self) -> None:
        self._left.forget_stamps()
        self._right.forget_stamps()
        self._nearest_miss_ns = None
        self._limit_ns = self._allowed_skew_ns()


def _s(duration_ns: int) -> str:
    return f'{duration_ns / 1e9:.1f} s'
