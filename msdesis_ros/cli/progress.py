"""The progress bar of the commands that take their time."""

from __future__ import annotations

import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def progress_bar() -> Progress:
    """What is done, how many of how many, and the time left; nothing where nobody looks."""
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, TimeRemainingColumn(), disable=not sys.stdout.isatty(), transient=True
    )
