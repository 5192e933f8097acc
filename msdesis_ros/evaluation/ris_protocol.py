"""The protocol of RIS 2017: IoU of instrument masks, frame by frame, set by set.

A frame's IoU is (|P and G| + 1e-6) / (|P or G| + 1e-6), so that an empty prediction of an empty
mask is 1. The score of a set is the mean over its frames, and the final one the mean over the
sets, each of which counts alike: a set of 300 frames as much as one of 75.

Parts and types are scored class by class with the same fraction. There a frame counts for a class
only where the class is in its truth or in its prediction: a class that is nowhere to be seen is
not found, and its 1 would hide those that were missed.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.picture_pairs import natural_order

EPSILON = 1e-6
FINAL = 'final_mean'
PUBLISHED_SETS = tuple(f'instrument_dataset_{number}' for number in range(1, 11))


def iou(prediction: np.ndarray, truth: np.ndarray) -> float:
    """The IoU of two H x W bool masks, 1e-6 px added to both sides of the fraction.

    Raises UsageError for masks of different sizes.
    """
    if prediction.shape != truth.shape:
        raise UsageError(
            f'the prediction is {_size(prediction)} px and the truth {_size(truth)} px; predict '
            'at the size of the truth'
        )
    both = np.count_nonzero(prediction & truth)
    either = np.count_nonzero(prediction | truth)
    return (both + EPSILON) / (either + EPSILON)


def class_ious(
    prediction: np.ndarray, truth: np.ndarray, classes: int
) -> tuple[float | None, ...]:
    """The IoU of the classes 1 to `classes` of two H x W planes; None for one in neither."""
    found = []
    for number in range(1, classes + 1):
        predicted, true = prediction == number, truth == number
        there = predicted.any() or true.any()
        found.append(iou(predicted, true) if there else None)
    return tuple(found)


@dataclass
class RisTable:
    """Scores of frames by set.

    columns: what a frame is scored by, `IoU` or the names of classes. frames: by set, the name of
    each frame and its scores, None where a class does not count.
    """

    columns: tuple[str, ...] = ('IoU',)
    frames: dict[str, list[tuple[str, tuple[float | None, ...]]]] = field(default_factory=dict)

    def add(self, of_set: str, frame: str, *scores: float | None) -> None:
        """Add one frame."""
        if len(scores) != len(self.columns):
            raise UsageError(f'{len(scores)} scores for {", ".join(self.columns)}')
        self.frames.setdefault(of_set, []).append((frame, scores))

    @property
    def sets(self) -> dict[str, tuple[float | None, ...]]:
        """The mean of each column over the frames that have one, by set, 10 behind 9."""
        return {
            name: tuple(_mean(column) for column in zip(*(s for _, s in frames), strict=True))
            for name, frames in sorted(
                self.frames.items(), key=lambda item: natural_order(item[0])
            )
        }

    @property
    def final(self) -> tuple[float | None, ...]:
        """The mean of each column over the sets that have one, each counting alike."""
        sets = list(self.sets.values())
        return (
            tuple(_mean(column) for column in zip(*sets, strict=True))
            if sets
            else ((None,) * len(self.columns))
        )

    @property
    def as_json(self) -> dict[str, Any]:
        """Everything, with the scores by name; None becomes null."""
        return {
            FINAL: self._named(self.final),
            'sets': {
                name: {'frames': len(self.frames[name]), **self._named(scores)}
                for name, scores in self.sets.items()
            },
            'frames': {
                name: {frame: self._named(scores) for frame, scores in self.frames[name]}
                for name in self.sets
            },
        }

    def write_csv(self, path: Path) -> None:
        """Write the table as published: an index without a name, `dataset`, the columns.

        The last row is `final_mean`. Several columns are followed by their `mean`.
        """
        many = len(self.columns) > 1
        rows = [*self.sets.items(), (FINAL, self.final)]
        with (
            atomic_write(path) as temporary,
            temporary.open('w', encoding='utf-8', newline='') as file,
        ):
            writer = csv.writer(file, lineterminator='\n')
            writer.writerow(['', 'dataset', *self.columns, *(['mean'] if many else [])])
            for number, (name, scores) in enumerate(rows):
                cells = [*scores, *([_mean(scores)] if many else [])]
                writer.writerow([number, name, *('' if c is None else c for c in cells)])

    def _named(self, scores: tuple[float | None, ...]) -> dict[str, float | None]:
        named = dict(zip(self.columns, scores, strict=True))
        return named | ({'mean': _mean(scores)} if len(self.columns) > 1 else {})


def write_scores(path: Path, tables: dict[str, RisTable], about: dict[str, Any]) -> None:
    """Write `about` and the tables by what they score, as JSON, whole or not at all."""
    content = {**about, **{name: table.as_json for name, table in tables.items()}}
    with atomic_write(path) as temporary:
        text = json.dumps(content, indent=2, allow_nan=False)
        temporary.write_text(text + '\n', encoding='utf-8')


def _mean(values: tuple[float | None, ...]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _size(plane: np.ndarray) -> str:
    return f'{plane.shape[1]}x{plane.shape[0]}'
