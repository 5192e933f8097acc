"""What a training tells: metrics.csv, a TensorBoard log where that is installed, and a line."""

from __future__ import annotations

import csv
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msdesis_ros.data.images import atomic_write

METRICS_FILE = 'metrics.csv'
VALIDATION = ('epe_px', 'epe_visible_px', 'bad3_percent', 'iou')


@dataclass(frozen=True)
class Progress:
    """How far a training is: steps done and in all, the last loss, pairs a second."""

    step: int
    steps: int
    loss: float
    pairs_per_s: float


class Journal:
    """Writes figures by step. What a resumed run writes again replaces what was written.

    metrics.csv has one row a step: means over the steps since the row before, and the validation's
    figures where there was one, by the names in `figures`. It holds no times, so that a run can be
    compared with itself.
    """

    def __init__(
        self,
        folder: Path,
        terms: Sequence[str],
        *,
        done: int,
        figures: Sequence[str] = VALIDATION,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.say, self._figures = say, figures
        self._path = folder / METRICS_FILE
        self._columns = ('step', 'lr', 'gradient_norm', 'loss', *terms, *figures)
        self._said: set[str] = set()
        self._keep_until(done)
        self._board = _tensorboard(folder, done)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Write figures after `step` steps."""
        cells = {name: _text(value) for name, value in values.items() if not math.isnan(value)}
        with self._path.open('a', newline='', encoding='utf-8') as file:
            csv.DictWriter(file, self._columns).writerow({'step': step, **cells})
        if self._board is not None:
            for name, value in values.items():
                group = 'validation' if name in self._figures else 'training'
                self._board.add_scalar(f'{group}/{name}', value, step)

    def once(self, sentences: Sequence[str]) -> None:
        """Say each sentence the first time it comes."""
        for sentence in sentences:
            if sentence not in self._said:
                self._said.add(sentence)
                self.say(sentence)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._board is not None:
            self._board.close()

    def _keep_until(self, done: int) -> None:
        rows = []
        if done and self._path.is_file():
            with self._path.open(newline='', encoding='utf-8') as file:
                rows = [row for row in csv.DictReader(file) if _step(row) <= done]
        with atomic_write(self._path) as temporary, temporary.open('w', newline='') as file:
            writer = csv.DictWriter(file, self._columns, extrasaction='ignore')
            writer.writeheader()
            writer.writerows(rows)


def _step(row: Mapping[str, str | None]) -> float:
    text = row.get('step') or ''
    # The end of a process may cut a row in two, and its step too: 4 of 40.
    return int(text) if text.isdecimal() and None not in row.values() else math.inf


def _text(value: float) -> str:
    """All digits of a number."""
    return repr(float(value))


def _tensorboard(folder: Path, done: int) -> Any:
    """A writer of TensorBoard's files, or None where the package is not installed."""
    try:
        board = importlib.import_module('torch.utils.tensorboard')
    except ImportError:
        return None
    return board.SummaryWriter(str(folder / 'tensorboard'), purge_step=done + 1 if done else None)
