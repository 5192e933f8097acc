"""What goes wrong on the way from two cameras, on purpose: skew, jitter, loss, repeats, disorder.

The same settings and seed give the same faults, picture by picture, and each kind of fault has
its own random numbers: to switch one on does not move the others.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

from msdesis_ros.core.errors import UsageError

T = TypeVar('T')

SIDES = ('left', 'right')
_KINDS = ('jitter', 'drop', 'duplicate', 'reorder')


@dataclass(frozen=True)
class StampFaults:
    """How much goes wrong; all zero: nothing.

    skew_ns: added to every right stamp. drift_ppm: how much faster the right clock runs.
    jitter_ns: every stamp is later by 0 to that, evenly spread. drop_left, drop_right: the share
    of pictures that never arrive; duplicate: that arrive twice; reorder: that arrive after their
    successor, 0 to 1. Raises UsageError for a share outside 0 to 1 and a negative jitter.
    """

    skew_ns: int = 0
    drift_ppm: float = 0.0
    jitter_ns: int = 0
    drop_left: float = 0.0
    drop_right: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('drop_left', 'drop_right', 'duplicate', 'reorder'):
            share = getattr(self, name)
            if not 0.0 <= share <= 1.0:
                raise UsageError(f'{name} is {share}; it is a share of the pictures, 0 to 1')
        if self.jitter_ns < 0:
            raise UsageError(f'jitter_ns is {self.jitter_ns}; it must be 0 or more')

    @property
    def any(self) -> bool:
        """Whether anything goes wrong at all."""
        return any(getattr(self, f.name) for f in fields(self) if f.name != 'seed')


class FaultInjector(Generic[T]):
    """Takes the pictures of both sides as they come, and hands out what arrives of them.

    `counts` says what was done, by kind and side: `dropped_left`, `duplicated_right`,
    `reordered_left`, ... A repeated picture has the stamp of the first. Not thread-safe.
    """

    def __init__(self, faults: StampFaults) -> None:
        self._faults = faults
        self._random = {
            (kind, side): random.Random(f'{faults.seed} {kind} {side}')
            for kind in _KINDS
            for side in SIDES
        }
        self._start_ns: int | None = None
        self._held: dict[str, tuple[int, T]] = {}
        self.counts: Counter[str] = Counter()

    def arrivals(self, side: str, stamp_ns: int, item: T) -> list[tuple[int, T]]:
        """What arrives now that the picture `item`, stamped `stamp_ns`, has been taken.

        Returns (stamp in ns, item), in the order of arrival: none, one, or several.
        """
        drawn = {kind: self._random[kind, side].random() for kind in _KINDS}
        faults = self._faults
        stamped = (self._stamp(side, stamp_ns, drawn['jitter']), item)
        if drawn['drop'] < getattr(faults, f'drop_{side}'):
            self.counts[f'dropped_{side}'] += 1
            return []
        held = self._held.pop(side, None)
        if held is None and drawn['reorder'] < faults.reorder:
            self._held[side] = stamped
            return []
        arrived = [stamped]
        if drawn['duplicate'] < faults.duplicate:
            self.counts[f'duplicated_{side}'] += 1
            arrived.append(stamped)
        if held is not None:
            self.counts[f'reordered_{side}'] += 1
            arrived.append(held)
        return arrived

    def leftovers(self) -> list[tuple[str, int, T]]:
        """At the end of the stream: (side, stamp in ns, item) of what waits for a successor."""
        held, self._held = self._held, {}
        return [(side, stamp_ns, item) for side, (stamp_ns, item) in held.items()]

    def _stamp(self, side: str, stamp_ns: int, drawn: float) -> int:
        faults = self._faults
        if self._start_ns is None:
            self._start_ns = stamp_ns
        shifted = stamp_ns + round(drawn * faults.jitter_ns)
        if side == 'right':
            shifted += faults.skew_ns
            shifted += round((stamp_ns - self._start_ns) * faults.drift_ppm / 1e6)
        return shifted
