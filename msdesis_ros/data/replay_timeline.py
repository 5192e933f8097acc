"""When recorded messages are due again, at another speed, and how their stamps relate."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from msdesis_ros.core.errors import UsageError

# What comes so soon after the first message of a group was taken at the same moment.
GROUP_NS = 15_000_000


@dataclass(frozen=True)
class Turn:
    """When a message is due and what its stamp is, both in ns.

    due_ns: since the first message of the replay. opens_group: the message is the first of its
    group. stamp_offset_ns: its stamp minus that of the first of its group.
    """

    due_ns: int
    opens_group: bool
    stamp_offset_ns: int


class ReplayTimeline:
    """Stretches the time between the moments of a recording, but not the moments themselves.

    A moment, or group, is what two cameras say of one instant: at most one message of each
    `kind`, within 15 ms. At half speed the moments are twice as far apart, while a right picture
    that came 5 ms after the left one still does, with the stamps as far apart as they were:
    otherwise no pair would be one any more. Faster than recorded all of it shrinks.
    """

    def __init__(self, *, speed: float) -> None:
        if not speed > 0:
            raise UsageError(f'speed is {speed}; it must be more than 0, 1 as recorded')
        self._speed = speed
        self._inner = min(1.0, 1.0 / speed)
        self._first_ns: int | None = None
        self._opened_ns = self._opened_stamp_ns = 0
        self._seen: set[Hashable] = set()

    def place(self, kind: Hashable, *, time_ns: int, stamp_ns: int) -> Turn:
        """The turn of the next message, recorded at `time_ns`; messages come in recorded order.

        kind: what occurs once in a group, such as the side and the type of the message.
        """
        if self._first_ns is None:
            self._first_ns = time_ns
        opens = (
            not self._seen or kind in self._seen or not 0 <= time_ns - self._opened_ns <= GROUP_NS
        )
        if opens:
            self._seen.clear()
            self._opened_ns, self._opened_stamp_ns = time_ns, stamp_ns
        self._seen.add(kind)
        since_first = round((self._opened_ns - self._first_ns) / self._speed)
        return Turn(
            due_ns=since_first + round((time_ns - self._opened_ns) * self._inner),
            opens_group=opens,
            stamp_offset_ns=round((stamp_ns - self._opened_stamp_ns) * self._inner),
        )
