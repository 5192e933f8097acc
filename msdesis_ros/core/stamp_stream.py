"""One side of a stereo stream for the pairing: what waits, what was seen, the measured period."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Generic, TypeVar

T = TypeVar('T')

# A stamp that far behind the newest one is no late image but a clock that was set back.
BACKWARD_NS = 500_000_000
# The same for smaller steps back: that many old stamps in a row and in order are a new stream.
STALE_RUN = 10
_DIFFERENCES = 32
# The sixth part of the stamp differences from below: lost images only lengthen differences, so the
# low end still shows the period when most images are lost (where a median would double it and open
# the window too far); the few very short ones that follow a stall of the camera lie below it.
_LOW_PART = 6


class StampStream(Generic[T]):
    """The items of one side that wait for a partner, sorted by stamp, and what the stamps tell.

    period_ns: the period of this side, None before two stamps. The counters say what became of
    the items and are never set back.
    """

    def __init__(self) -> None:
        self.received = self.unpaired = self.duplicates = self.late = 0
        self.arrival_ns: int | None = None
        self.stamps: list[int] = []
        self._items: list[T] = []
        self.forget_stamps()

    def forget_stamps(self) -> None:
        """Give up what waits and forget what was learned, as at a restart of the clock."""
        self.unpaired += len(self.stamps)
        self.stamps.clear()
        self._items.clear()
        self._newest_ns: int | None = None
        self._last_paired_ns: int | None = None
        self._seen: deque[int] = deque(maxlen=_DIFFERENCES)
        self._stale_run: list[int] = []
        self.differences: deque[int] = deque(maxlen=_DIFFERENCES)
        self._sorted_differences: list[int] = []
        self.period_ns: int | None = None

    def ran_backwards(self, stamp_ns: int) -> bool:
        """True where this stamp can only come from a clock that was set back."""
        if self._newest_ns is None:
            return False
        if self._newest_ns - stamp_ns > max(BACKWARD_NS, 2 * (self.period_ns or 0)):
            return True
        return len(self._stale_run) >= STALE_RUN - 1 and stamp_ns > self._stale_run[-1]

    def is_stale(self, stamp_ns: int) -> bool:
        """True, and counted, where this item cannot be used any more."""
        duplicate = stamp_ns in self._seen
        if not duplicate and (self._last_paired_ns is None or stamp_ns > self._last_paired_ns):
            self._stale_run.clear()
            return False
        self.duplicates += duplicate
        self.late += not duplicate
        if self._stale_run and stamp_ns <= self._stale_run[-1]:
            self._stale_run.clear()
        self._stale_run.append(stamp_ns)
        return True

    def accept(self, stamp_ns: int) -> None:
        """Learn from the stamp of a usable item."""
        self._seen.append(stamp_ns)
        if self._newest_ns is None:
            self._newest_ns = stamp_ns
        if stamp_ns <= self._newest_ns:
            return
        if len(self.differences) == _DIFFERENCES:
            oldest = bisect_left(self._sorted_differences, self.differences[0])
            del self._sorted_differences[oldest]
        self.differences.append(stamp_ns - self._newest_ns)
        insort(self._sorted_differences, stamp_ns - self._newest_ns)
        self._newest_ns = stamp_ns
        self.period_ns = self._sorted_differences[len(self.differences) // _LOW_PART]

    def nearest(self, stamp_ns: int) -> int | None:
        """Index of the waiting item nearest in time, the older of two equally near; None: none."""
        if not self.stamps:
            return None
        after = bisect_left(self.stamps, stamp_ns)
        if after == 0 or after == len(self.stamps):
            return max(after - 1, 0)
        older_ns, newer_ns = stamp_ns - self.stamps[after - 1], self.stamps[after] - stamp_ns
        return after - 1 if older_ns <= newer_ns else after

    def wait(self, stamp_ns: int, item: T, queue_size: int) -> None:
        """Keep the item for a partner to come; beyond `queue_size` the oldest is given up."""
        index = bisect_left(self.stamps, stamp_ns)
        self.stamps.insert(index, stamp_ns)
        self._items.insert(index, item)
        if len(self.stamps) > queue_size:
            self._give_up(1)

    def take(self, index: int) -> tuple[int, T]:
        """Remove that item for a pair; the older ones are left behind."""
        self._give_up(index)
        self._last_paired_ns = self.stamps.pop(0)
        return self._last_paired_ns, self._items.pop(0)

    def leave_behind(self, stamp_ns: int) -> None:
        """Note that the new item `stamp_ns` went into a pair; the older ones are left behind."""
        self._give_up(bisect_left(self.stamps, stamp_ns))
        self._last_paired_ns = stamp_ns

    def _give_up(self, count: int) -> None:
        self.unpaired += count
        del self.stamps[:count]
        del self._items[:count]
