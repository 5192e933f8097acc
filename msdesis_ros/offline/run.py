"""A whole list: what is finished is skipped, what cannot be read is named, the rest is done."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.offline.journal import Entry, Journal
from msdesis_ros.offline.pair_list import PairRow
from msdesis_ros.offline.queues import SaveQueue, read_ahead
from msdesis_ros.offline.row_work import InferredRow, ModelStoppedError, Recipe, RowWork

# What `data.images.atomic_write` leaves where its process was killed: .stem.pid-hex.suffix
_LEFTOVER = re.compile(r'\.(.+)\.\d+-[0-9a-f]{8}(\.\w+)')


@dataclass(frozen=True)
class Done:
    """A row whose results are all in place."""

    row: PairRow
    entry: Entry


@dataclass(frozen=True)
class Failed:
    """A row without results, and why."""

    row: PairRow
    reason: str


Outcome = Done | Failed


class Runner(Protocol):
    """What works through rows: this process, or others."""

    recipe: Recipe

    def heads(self, image_size: tuple[int, int]) -> frozenset[str]:
        """What the model for pictures of (width, height) gives; raises as `open_backend`."""

    def run(self, rows: Sequence[PairRow]) -> Generator[Outcome, None, None]:
        """Give the outcome of every row once, in any order.

        Raises MsdesisError at once where a result cannot be written or the model runs no more;
        what was written until then is given first.
        """


class LocalRunner:
    """Reads ahead in `jobs` threads, infers in the caller's, writes in `jobs` further ones."""

    def __init__(self, recipe: Recipe, jobs: int) -> None:
        self.recipe = recipe
        self._jobs = jobs
        self._work = RowWork(recipe)

    def __enter__(self) -> LocalRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self._work.close()

    def heads(self, image_size: tuple[int, int]) -> frozenset[str]:
        """What the model gives (see Runner)."""
        return self._work.heads(image_size)

    def run(self, rows: Sequence[PairRow]) -> Generator[Outcome, None, None]:
        """Work through the rows (see Runner)."""
        with (
            contextlib.closing(read_ahead(rows, self._work.read, self._jobs)) as pairs,
            SaveQueue[Done](self._jobs) as saves,
        ):
            try:
                for row, loaded in pairs:
                    try:
                        inferred = self._work.infer(loaded())
                    except ModelStoppedError:
                        raise
                    except MsdesisError as error:
                        yield Failed(row, str(error))
                        continue
                    saves.submit(self._save, inferred)
                    yield from saves.returned()
                saves.finish()
            except (MsdesisError, OSError):
                saves.drop()
                yield from saves.returned()
                raise
            yield from saves.returned()

    def _save(self, inferred: InferredRow) -> Done:
        return Done(inferred.row, self._work.save(inferred))


@dataclass
class Summary:
    """What became of the rows of a list."""

    done: int = 0
    finished_before: int = 0
    failed: list[Failed] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    too_large: int = 0

    def count(self, entry: Entry) -> None:
        """Add what the entry of a finished row tells."""
        about: Any = entry.about
        self.verdicts[about.get('verdict', 'unknown')] += 1
        self.reasons.update(about.get('reasons', ()))
        self.too_large += bool(about.get('too_large'))


def process_rows(
    rows: Sequence[PairRow],
    runner: Runner,
    journal: Journal,
    *,
    again: bool = False,
    jobs: int = 2,
    on_outcome: Callable[[Outcome | None], None] = lambda outcome: None,
) -> Summary:
    """Do every row that the journal does not know as finished, and write down each that is done.

    `again`: do all of them. `on_outcome` is told of each row, None for one that was finished
    before. What an earlier run made of rows that fail is removed at the end, unless all of them
    fail. Raises as `Runner.run`; the journal then knows what was done until there.
    """
    summary = Summary()
    remove_leftovers(rows)
    waiting = []
    with ThreadPoolExecutor(jobs) as pool:
        known = pool.map(
            lambda row: journal.finished(row, runner.recipe.further_inputs(row)),
            () if again else rows,
        )
        for row, entry in itertools.zip_longest(rows, known):
            if entry is None:
                waiting.append(row)
                continue
            summary.finished_before += 1
            summary.count(entry)
            on_outcome(None)
    try:
        # Closed at once where this loop is left, so that nobody writes any more after it.
        with contextlib.closing(runner.run(waiting)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome, Done):
                    journal.add(outcome.row, outcome.entry)
                    summary.done += 1
                    summary.count(outcome.entry)
                else:
                    summary.failed.append(outcome)
                on_outcome(outcome)
        # Where no row could be done a disk is missing rather than every picture broken.
        if summary.done or summary.finished_before:
            for failed in summary.failed:
                journal.remove_outdated(failed.row)
    finally:
        remove_leftovers(rows)
    return summary


def remove_leftovers(rows: Sequence[PairRow]) -> None:
    """Remove what a killed process left half written beside the results of these rows."""
    ours = {str(path) for row in rows for path in row.outputs.values()}
    for folder in {os.path.dirname(path) for path in ours}:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                found = _LEFTOVER.fullmatch(entry.name)
                if found and os.path.join(folder, ''.join(found.groups())) in ours:
                    os.unlink(entry.path)
