"""The times of the pictures of a video, made exact and ever growing."""

from __future__ import annotations

from fractions import Fraction


class PictureClock:
    """Turns the time stamps of one video, in the order of presentation, into s since its start.

    Containers that count in milliseconds cannot hold the times of a rate like 30000/1001. Where
    the rate is constant (`steady`) and a time is that of a whole number of pictures but for such
    rounding, it is that of the whole number; every other time is kept as it is.

    rate: pictures a second. time_base: what stamps count in, s. start: s, of the first picture.
    """

    def __init__(
        self, *, rate: Fraction, time_base: Fraction, start: Fraction, steady: bool
    ) -> None:
        self._rate, self._period, self._tick = rate, 1 / rate, time_base
        self._start, self._steady = start, steady
        held_exactly = (self._period / time_base).denominator == 1
        self._rounding = time_base if steady and not held_exactly else Fraction(0)
        self._last: Fraction | None = None
        self._shift = Fraction(0)

    def read(self, stamp: int | None, length: int | None = None) -> tuple[Fraction, Fraction]:
        """Time and duration of the next picture, s; one without a stamp follows its predecessor.

        Stamps that jump back, as where recordings were joined, go on behind the last picture.
        """
        time = self._time(stamp)
        if self._last is not None and time <= self._last:
            self._shift += self._last + self._period - time
            time = self._last + self._period
        self._last = time
        duration = self._period
        if length and not self._steady:
            duration = length * self._tick
        return time, duration

    def _time(self, stamp: int | None) -> Fraction:
        if stamp is None:
            return Fraction(0) if self._last is None else self._last + self._period
        if self._last is None:
            self._start = min(self._start, stamp * self._tick)
        time = stamp * self._tick - self._start + self._shift
        number = round(time * self._rate)
        whole = number * self._period
        return whole if abs(time - whole) <= self._rounding else time
