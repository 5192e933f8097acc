"""Colours and tool share of converted RIS 2017 sets: what pictures are normalised with."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.conversion.ris2017_tree import BINARY, pngs_in, set_folders
from msdesis_ros.data.images import atomic_write, read_rgb
from msdesis_ros.data.layouts.samples import read_mask
from msdesis_ros.data.picture_pairs import natural_order

ALL = 'average'


@dataclass(frozen=True)
class SetStatistics:
    """Means over the frames of a set, every frame alike.

    mean, std: of the pixels of a left picture, R, G, B from 0 to 1; std divides by the number of
    pixels. coverage: share of the pixels that are tool, 0 to 1. None where there is no frame.
    """

    frames: int
    masks: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    coverage: float | None


@dataclass
class Statistics:
    """Statistics by set, and sentences about what could not be read and is not in them."""

    sets: dict[str, SetStatistics] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def average(self) -> SetStatistics:
        """The means over the sets, every set alike, as published."""
        known = list(self.sets.values())
        return SetStatistics(
            frames=sum(each.frames for each in known),
            masks=sum(each.masks for each in known),
            mean=_mean([each.mean for each in known]),
            std=_mean([each.std for each in known]),
            coverage=_mean([each.coverage for each in known]),
        )


def statistics_files(roots: Sequence[Path]) -> dict[str, tuple[list[Path], list[Path]]]:
    """Left pictures and binary masks by set; a set that several roots have is one.

    Raises FileFormatError for a root without sets.
    """
    found: dict[str, tuple[list[Path], list[Path]]] = {}
    for root in roots:
        for folder in set_folders(root):
            pictures, masks = found.setdefault(folder.name, ([], []))
            pictures += pngs_in(folder / 'left_frame').values()
            masks += pngs_in(folder / 'ground_truth' / BINARY).values()
    return {name: found[name] for name in sorted(found, key=natural_order)}


def ris_statistics(
    files: dict[str, tuple[list[Path], list[Path]]], *, each: Callable[[], None] = lambda: None
) -> Statistics:
    """Read all files of `statistics_files`, calling `each` behind every one."""
    statistics = Statistics()
    for name, (pictures, masks) in files.items():
        colours = _read(pictures, _colours, statistics, each)
        shares = _read(masks, lambda path: read_mask(path).mean(), statistics, each)
        statistics.sets[name] = SetStatistics(
            frames=len(colours),
            masks=len(shares),
            mean=_mean([mean for mean, _ in colours]),
            std=_mean([std for _, std in colours]),
            coverage=_mean(shares),
        )
    return statistics


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write `.csv` (a row for each set, then the average) or else JSON, whole or not at all."""
    rows = {**statistics.sets, ALL: statistics.average}
    with atomic_write(path) as temporary:
        if path.suffix.lower() != '.csv':
            content: dict[str, Any] = {name: asdict(row) for name, row in rows.items()}
            text = json.dumps(content, indent=2, allow_nan=False) + '\n'
            temporary.write_text(text, encoding='utf-8')
            return
        with temporary.open('w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file, lineterminator='\n')
            colours = [f'{what}_{channel}' for what in ('mean', 'std') for channel in 'rgb']
            writer.writerow(['dataset', 'frames', *colours, 'masks', 'coverage'])
            for name, row in rows.items():
                cells = [*(row.mean or [''] * 3), *(row.std or [''] * 3)]
                coverage = '' if row.coverage is None else row.coverage
                writer.writerow([name, row.frames, *cells, row.masks, coverage])


def _colours(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = cv2.meanStdDev(read_rgb(path))
    return tuple((mean.ravel() / 255).tolist()), tuple((std.ravel() / 255).tolist())


def _read(
    paths: list[Path], measure: Callable, statistics: Statistics, each: Callable[[], None]
) -> list:
    found = []
    for path in paths:
        try:
            found.append(measure(path))
        except FileFormatError as error:
            statistics.problems.append(str(error))
        each()
    return found


def _mean(values: list) -> Any:
    """Of numbers or of tuples of them, without those that are None; None where none is left."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = np.mean(known, axis=0)
    return tuple(mean.tolist()) if mean.ndim else float(mean)
