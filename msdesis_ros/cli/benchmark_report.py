"""What the benchmarks share: which backends there are, a table, a file of figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from msdesis_ros.core.errors import MissingExtraError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.model_card import ModelCard

# Of those that a card has: what runs on any machine.
USUAL_BACKENDS = ('onnxruntime', 'openvino', 'torch', 'opencv')


def backend_names(text: str) -> list[str]:
    """The names of `--backends`; UsageError where one is there twice."""
    names = text.split(',')
    if len(set(names)) != len(names):
        raise UsageError(f'--backends {text} names one backend twice')
    return names


def backends_of(card: ModelCard, text: str | None) -> list[str]:
    """Those of `--backends`, or the usual ones that a card has."""
    if text:
        return backend_names(text)
    return [name for name in USUAL_BACKENDS if name in card.backends]


def open_backends(
    names: Sequence[str], opened: Callable[[str], Backend]
) -> tuple[dict[str, Backend], dict[str, str]]:
    """The backends that are installed, and why the others are not; UsageError where none is."""
    loaded: dict[str, Backend] = {}
    skipped: dict[str, str] = {}
    for name in names:
        try:
            loaded[name] = opened(name)
        except MissingExtraError as error:
            skipped[name] = str(error)
    if not loaded:
        raise UsageError(f'none of these backends is installed: {"; ".join(skipped.values())}')
    return loaded, skipped


def show_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], skipped: Mapping[str, str]
) -> None:
    """One line a row: a table on a terminal, cells apart by tabs elsewhere."""
    console = Console()
    if console.is_terminal:
        table = Table(*titles, box=None, padding=(0, 1))
        for row in rows:
            table.add_row(*row)
        console.print(table)
    else:
        for row in (titles, *rows):
            typer.echo('\t'.join(row))
    for name, reason in skipped.items():
        typer.echo(f'{name} was left out: {reason}', err=True)


def write_report(report: Mapping[str, Any], path: Path | None) -> None:
    """JSON, where a path is given."""
    if path is None:
        return
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    typer.echo(f'wrote {path}')
