"""The pairers that the parameter `sync` can choose: our own, or the one of `message_filters`.

`message_filters.ApproximateTimeSynchronizer` is the usual tool of ROS, but alone it does not keep
what this node promises: it takes any slop (from half a period on, a lost image makes all later
pairs one frame off), keeps what a newer pair has left behind (so that the order can break), knows
no clock that was set back, and is blocked for ever once an exception leaves its callback. So it
decides here which two images go together, and nothing else: duplicates, order, the window, resets
and counters are those of `core.pairing.StampPairer` around it. It is given the stamps alone; the
images stay outside, and so does whatever handles the pairs.
"""

from __future__ import annotations

import types
from bisect import bisect_left
from typing import Any, TypeVar

from rclpy.duration import Duration
from rclpy.time import Time

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.pairing import StampPairer
from msdesis_ros.core.stamp_stream import StampStream

T = TypeVar('T')

SYNC = ('builtin', 'message_filters')
# Seconds of a ROS stamp are 32 bits with a sign, while rclpy's Time takes no negative ones.
_ORIGIN_NS = 2**31 * 1_000_000_000


def make_pairer(
    sync: str, *, max_skew_ns: int, queue_size: int, start_ns: int | None = None
) -> StampPairer[Any]:
    """The pairer called `sync`, one of SYNC; the other arguments are those of `StampPairer`.

    Raises UsageError for another name, and where `message_filters` is not installed.
    """
    require_sync(sync)
    kind = StampPairer if sync == 'builtin' else FilterPairer
    return kind(max_skew_ns=max_skew_ns, queue_size=queue_size, start_ns=start_ns)


def require_sync(sync: str) -> None:
    """Raise UsageError unless `sync` names a pairer that can be made here."""
    if sync not in SYNC:
        raise UsageError(f'sync is {sync!r}; choose one of {", ".join(SYNC)}')
    if sync == 'message_filters':
        _message_filters()


class FilterPairer(StampPairer[T]):
    """A `StampPairer` whose partners `message_filters.ApproximateTimeSynchronizer` chooses.

    The synchronizer sees every stamp that is new and in time, with a slop of `skew_limit_ns` at
    that moment. What it chooses is used where both images are still to be had; otherwise it is
    asked again. Stamps are those of ROS: -2**31 s to 2**32 s.

    Raises UsageError where `message_filters` is not installed. Should the synchronizer ever raise,
    the call does too, and pairing starts anew with the next image.
    """

    def _forget_stamps(self) -> None:
        super()._forget_stamps()
        filters = _message_filters()
        self._inputs = (filters.SimpleFilter(), filters.SimpleFilter())
        self._synchronizer = filters.ApproximateTimeSynchronizer(
            list(self._inputs),
            # One more than may wait, since the newest image is among them while its partner is
            # sought.
            queue_size=self._queue_size + 1,
            slop=0.0,
        )
        self._chosen: list[tuple[int, int]] = []
        self._synchronizer.registerCallback(self._on_chosen)

    def _on_chosen(self, left: Any, right: Any) -> None:
        # Called within the synchronizer's lock, which an exception would leave locked.
        self._chosen.append((left.stamp_ns, right.stamp_ns))

    def _partner(self, own: StampStream[T], other: StampStream[T], stamp_ns: int) -> int | None:
        super()._partner(own, other, stamp_ns)  # for its note of the nearest miss
        # It takes what is nearer than the slop, our limit may be met exactly.
        self._synchronizer.slop = Duration(nanoseconds=self._limit_ns + 1)
        for _ in range(self._queue_size + 1):
            partner_ns = self._ask(own, stamp_ns)
            if partner_ns is None:
                break
            index = bisect_left(other.stamps, partner_ns)
            within = abs(partner_ns - stamp_ns) <= self._limit_ns
            if within and other.stamps[index : index + 1] == [partner_ns]:
                return index
            # A newer pair left this one behind. Now it is used up, so the next answer differs.
        return None

    def _ask(self, own: StampStream[T], stamp_ns: int) -> int | None:
        """Give the synchronizer a new stamp; the stamp of the partner it chooses, if any."""
        left = own is self._left
        time = Time(nanoseconds=stamp_ns + _ORIGIN_NS)
        header = types.SimpleNamespace(stamp=time)
        self._chosen.clear()
        try:
            self._inputs[0 if left else 1].signalMessage(
                types.SimpleNamespace(header=header, stamp_ns=stamp_ns)
            )
        except Exception:
            self._forget_stamps()  # its lock may still be held: take another one
            raise
        return self._chosen[-1][1 if left else 0] if self._chosen else None


def _message_filters() -> Any:
    try:
        import message_filters
    except ImportError as error:
        raise UsageError(
            f'sync is message_filters, but the ROS package message_filters cannot be imported '
            f'({error}): install ros-$ROS_DISTRO-message-filters, or choose builtin'
        ) from error
    return message_filters
