"""Which message the player sends when: in time, at any speed, with pauses. No ROS inside."""

from __future__ import annotations

from typing import Protocol

from msdesis_ros.data.replay_timeline import ReplayTimeline, Turn
from msdesis_ros.ros.played import Fed

# Turns that come this close are taken together with the one that is due.
TOGETHER_NS = 200_000
# Until the source has prepared what is next.
POLL_NS = 2_000_000
# Behind by more than this a recording goes on later, instead of all at once.
CATCH_UP_NS = 100_000_000


class Feed(Protocol):
    """Where the messages come from: `take` gives the next one, None while none is prepared."""

    ended: bool

    def take(self) -> Fed | None: ...


class Schedule:
    """Says what is due on a monotonic clock that the caller reads (`now_ns`).

    period_ns: of the source at speed 1, None where it is not steady. `running`: from `start` on,
    but while stopped; `ended`: all was due.
    """

    def __init__(self, feed: Feed, *, speed: float, period_ns: int | None) -> None:
        self._feed = feed
        self._timeline = ReplayTimeline(speed=speed)
        self._period_ns = None if period_ns is None else max(1, round(period_ns / speed))
        self._next: tuple[Fed, Turn] | None = None
        self._begin_ns: int | None = None
        self._stopped_ns: int | None = None
        self.wait_ns = 0

    @property
    def started(self) -> bool:
        return self._begin_ns is not None

    @property
    def running(self) -> bool:
        return self._begin_ns is not None and self._stopped_ns is None

    @property
    def ended(self) -> bool:
        return self._feed.ended and self._next is None

    def start(self, now_ns: int) -> None:
        """The first message is due now."""
        self._begin_ns = now_ns

    def stop(self, now_ns: int) -> None:
        """Nothing more is due; time stands still."""
        if self.running:
            self._stopped_ns = now_ns

    def resume(self, now_ns: int) -> None:
        """Go on where it was stopped."""
        if self._begin_ns is not None and self._stopped_ns is not None:
            self._begin_ns += now_ns - self._stopped_ns
            self._stopped_ns = None

    def due(self, now_ns: int) -> tuple[Fed, Turn] | None:
        """The next message that is due, or None; `wait_ns` then says when to ask again.

        Raises what went wrong with the source.
        """
        assert self._begin_ns is not None
        if self._next is None:
            fed = self._feed.take()
            if fed is None:
                self.wait_ns = POLL_NS
                return None
            self._next = (fed, self._place(fed))
        late_ns = now_ns - self._begin_ns - self._next[1].due_ns
        if late_ns < -TOGETHER_NS:
            self.wait_ns = -late_ns
            return None
        self._begin_ns += self._skipped_ns(late_ns)
        due, self._next = self._next, None
        return due

    def _place(self, fed: Fed) -> Turn:
        played = fed.played
        return self._timeline.place(
            (played.side, played.topic), time_ns=played.time_ns, stamp_ns=played.stamp_ns
        )

    def _skipped_ns(self, late_ns: int) -> int:
        """How far to move what follows: a camera that was late goes on in its phase."""
        if self._period_ns is None:
            return late_ns if late_ns > CATCH_UP_NS else 0
        return max(0, late_ns) // self._period_ns * self._period_ns
