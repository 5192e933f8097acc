"""When to go on with the left eye alone: the right one is silent while the left one is not."""

from __future__ import annotations

from msdesis_ros.core.quality import Reason, State

# An eye that is silent for longer is missing.
MISSING_AFTER_NS = 1_000_000_000


class RightEyeWatch:
    """Follows the arrival of pictures, ns of a monotonic clock, and notices a lost right eye.

    It is lost where the left pictures have come for more than a second, without a gap as long,
    since the last right one. So a pause of both eyes is no loss, whichever comes back first.
    """

    def __init__(self) -> None:
        self._left_ns: int | None = None
        self._since_ns: int | None = None

    def see_right(self) -> None:
        """A right picture has arrived."""
        self._since_ns = None

    def see_left(self, arrival_ns: int) -> bool:
        """A left picture has arrived; whether it has to go without its right partner."""
        paused = self._left_ns is None or arrival_ns - self._left_ns > MISSING_AFTER_NS
        self._left_ns = arrival_ns
        if paused or self._since_ns is None:
            self._since_ns = arrival_ns
        return arrival_ns - self._since_ns > MISSING_AFTER_NS


def one_eye(silent_ns: int) -> Reason:
    """The finding against a result of the left eye alone, the right one silent for so long."""
    silent_s, limit_s = silent_ns / 1e9, MISSING_AFTER_NS / 1e9
    sentence = (
        f'the right image is missing for {silent_s:.1f} s: an instrument mask of the left eye '
        'alone, no disparity and no depth'
    )
    return Reason('one_eye', State.DEGRADED, silent_s, limit_s, sentence)
