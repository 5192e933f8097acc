"""What commands that train share: when to end, and a progress bar."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msdesis_ros.cli.progress import progress_bar

if TYPE_CHECKING:
    from msdesis_ros.training.journal import Progress as Step


class End:
    """Why to stop now: the time is up, or somebody asked the process to end."""

    def __init__(self, minutes: float | None) -> None:
        self._minutes = minutes
        self._deadline = None if minutes is None else time.monotonic() + 60 * minutes
        self._fall_s: float | None = None
        self.asked: str | None = None
        # As a shell counts it; 0 where the time is up or the work is done.
        self.exit_code = 0

    def __call__(self) -> str | None:
        if self.asked:
            return self.asked
        over = self._deadline is not None and time.monotonic() > self._deadline
        return f'{self._minutes:g} minutes are over' if over else None

    def falls(self) -> bool:
        """Whether the rate is to fall: FALL_BEGINS of the time that was left when this was first
        asked is over.
        """
        from msdesis_ros.training.schedules import FALL_BEGINS

        if self._deadline is None:
            return False
        now = time.monotonic()
        if self._fall_s is None:
            self._fall_s = now + FALL_BEGINS * (self._deadline - now)
        return now > self._fall_s

    def ask(self, number: int, frame: object) -> None:
        """A signal came; the second one raises KeyboardInterrupt."""
        if self.asked:  # the second time somebody means it
            raise KeyboardInterrupt
        self.asked = f'{signal.Signals(number).name} came'
        self.exit_code = 128 + number


@contextmanager
def end_of(minutes: float | None) -> Iterator[End]:
    """The end after `minutes` from now, or at the first SIGINT or SIGTERM."""
    end = End(minutes)
    before = {number: signal.signal(number, end.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shown(first: bool) -> Iterator[Callable[[Step], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    with progress_bar(quiet=not first) as bar:
        task = bar.add_task('steps', total=None)

        def show(step: Step) -> None:
            text = f'loss {step.loss:.3f}, {step.pairs_per_s:.1f} pairs/s'
            bar.update(task, description=text, completed=step.step, total=step.steps)

        yield show
