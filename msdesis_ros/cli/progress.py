"""The progress bar of the commands that take their time."""

from __future__ import annotations

import sys

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


def progress_bar(*further: ProgressColumn, quiet: bool = False) -> Progress:
    """What is done, how many of how many, and the time left; nothing where nobody looks.

    further: columns before the time left. quiet: nothing in any case, of a process that is not the
    one to tell.
    """
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), *further)
    quiet = quiet or not sys.stdout.isatty()
    return Progress(*columns, TimeRemainingColumn(), disable=quiet, transient=True)
