"""What the node says of itself in `status` and `/diagnostics`, and when it is done by that."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

# After the last pair: how long nothing may come before the node counts as done with it. A slow
# machine may take longer for one pair; the node says of itself whether it has any left.
QUIET_S = 1.5


def values_of(array: Any) -> dict[str, str]:
    """The keys and values of the first status of a DiagnosticArray."""
    return {pair.key: pair.value for pair in array.status[0].values}


def figures(values: Mapping[str, str], prefix: str, kind: type) -> dict[str, Any]:
    """Those whose key begins so, without that beginning, as numbers of a kind."""
    return {k[len(prefix) :]: kind(v) for k, v in values.items() if k.startswith(prefix)}


def is_of_pairs(cause: str) -> bool:
    """Whether a cause of drops counts pairs; the others count single pictures of one side."""
    return not cause.endswith(('_left', '_right'))


def pairs_begun(values: Mapping[str, str]) -> int:
    """What the node has taken on: pairs, and left pictures that went alone."""
    return int(values['paired']) + int(values['alone_left'])


def pairs_left(values: Mapping[str, str]) -> int:
    """How many of these have neither led to a result nor been dropped."""
    dropped = figures(values, 'dropped.', int)
    ended = sum(count for cause, count in dropped.items() if is_of_pairs(cause))
    return max(0, pairs_begun(values) - int(values['processed']) - ended)


class EndOfStream:
    """Tells when a node is done with all that it was sent, by its results and diagnostics."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()
        # As the node says of itself; None before it has.
        self._pairs_left: int | None = None

    def see_result(self) -> None:
        """A result has come."""
        self._last_s = time.monotonic()

    def hear(self, values: Mapping[str, str]) -> None:
        """The node has published its diagnostics."""
        if 'paired' in values:
            self._pairs_left = pairs_left(values)

    def begin_to_wait(self) -> None:
        """All was sent: what the node said before does not count."""
        self._last_s = time.monotonic()
        self._pairs_left = None

    @property
    def reached(self) -> bool:
        """No result has come for a while, and the node says that it has no pair left."""
        return time.monotonic() - self._last_s > QUIET_S and self._pairs_left == 0
