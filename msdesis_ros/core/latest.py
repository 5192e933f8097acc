"""A hand-over between two threads that keeps only the newest item."""

from __future__ import annotations

import math
import threading
from typing import Generic, TypeVar

from msdesis_ros.core.errors import UsageError

T = TypeVar('T')


class LatestSlot(Generic[T]):
    """One place for one item: a newer item replaces the one still waiting.

    A queue would turn overload into latency that grows; here the latency stays that of one item
    and the overload shows as lost items, which every method returns so that the caller can count
    them: items put = taken + returned by `put`, `clear` and `close` + the one waiting.

    Thread-safe, for any number of producers and consumers; no item is handed out twice. After
    `close` the slot stays empty: nothing raises because a producer was slower than the shutdown.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """True after `close`: tells a `take` that returned None from one that ran out of time."""
        with self._changed:
            return self._closed

    def put(self, item: T) -> T | None:
        """Offer `item` to the next `take`; never waits.

        Returns the item that is lost by it: the one that was still waiting, `item` itself when the
        slot is closed, None when nothing is lost. Raises UsageError for None, which stands for
        "no item".
        """
        if item is None:
            raise UsageError('a slot cannot hold None, which means "no item"; put a value')
        with self._changed:
            if self._closed:
                return item
            lost, self._item = self._item, item
            self._changed.notify()
            return lost

    def take(self, timeout_s: float) -> T | None:
        """Remove and return the waiting item; wait up to `timeout_s` seconds for one.

        Returns None when the time is over or the slot is (or becomes) closed; see `closed`.
        Raises UsageError for a negative, infinite or NaN time: a worker must look up now and then.
        """
        if not (math.isfinite(timeout_s) and timeout_s >= 0):
            raise UsageError(f'timeout_s is {timeout_s}; expected a finite number of seconds >= 0')
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            return self._remove()

    def clear(self) -> T | None:
        """Remove and return the waiting item, None where there is none; never waits."""
        with self._changed:
            return self._remove()

    def close(self) -> T | None:
        """Refuse items from now on and wake every waiting `take`; may be called again.

        Returns the item that was waiting and is now lost, None where there was none.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self._remove()

    def _remove(self) -> T | None:
        item, self._item = self._item, None
        return item
