"""What the player has sent: stamps, rate, and how many of the pictures were pairs."""

from __future__ import annotations

import time
from typing import Any

from msdesis_ros.core.pairing import StampPairer


class SentAccount:
    """Counts pictures as they are sent; `pairs` by the rules of the node and the recorded stamps.

    So pictures that were lost on purpose are not pairs, while those whose stamps were moved on
    purpose are: what becomes of them is what the receiver is judged by.
    """

    def __init__(self) -> None:
        self._stamps_ns: dict[str, list[int]] = {'left': [], 'right': []}
        self._times_s: list[float] = []
        self._round = 0
        self._pairs_before = 0
        self._pairer: StampPairer[None] = StampPairer()

    def sent(self, side: str, *, stamp_ns: int, recorded_ns: int, round_number: int) -> None:
        """Note one picture, sent as `stamp_ns` and recorded as `recorded_ns`."""
        self._stamps_ns[side].append(stamp_ns)
        if side == 'left':
            self._times_s.append(time.monotonic())
        if round_number != self._round:
            self._pairs_before = self.pairs
            self._round, self._pairer = round_number, StampPairer()
        add = self._pairer.add_left if side == 'left' else self._pairer.add_right
        add(recorded_ns, None)

    @property
    def pairs(self) -> int:
        """Pairs of which both pictures were sent."""
        return self._pairs_before + self._pairer.counters.paired

    def report(self) -> dict[str, Any]:
        """Counts, the rate of the left pictures, and all stamps in nanoseconds."""
        duration_s = self._times_s[-1] - self._times_s[0] if self._times_s else 0.0
        return {
            'pairs_sent': self.pairs,
            'rate_achieved_hz': (len(self._times_s) - 1) / duration_s if duration_s > 0 else None,
            **{f'sent_{side}_stamps_ns': stamps for side, stamps in self._stamps_ns.items()},
        }
