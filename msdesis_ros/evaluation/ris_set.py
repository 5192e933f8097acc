"""Frames of a converted RIS 2017 tree and predictions of them, paired by set and name, scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.conversion.ris2017_labels import (
    PARTS,
    TYPES,
    read_part_values,
    read_truth_classes,
)
from msdesis_ros.data.conversion.ris2017_tree import BINARY, pngs_in, set_folders
from msdesis_ros.data.images import read_plane
from msdesis_ros.data.layouts.samples import read_mask
from msdesis_ros.evaluation.ris_protocol import RisTable, class_ious, iou

CLASSES = {'parts': PARTS, 'types': TYPES}


@dataclass(frozen=True)
class RisFrame:
    """One frame with a true mask. left, right: its pictures, None where the tree lacks them.

    labels: the files of the labels by the names of their folders, for parts and types.
    """

    folder: Path
    name: str
    mask: Path
    left: Path | None
    right: Path | None
    labels: Mapping[str, Path]

    @property
    def of_set(self) -> str:
        return self.folder.name


@dataclass
class RisScores:
    """Tables by what they score, and a sentence about each file that was missing or broken.

    counted_empty: frames without a prediction, scored as if nothing had been found.
    """

    tables: dict[str, RisTable] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    counted_empty: int = 0


def list_ris(root: Path) -> tuple[list[RisFrame], list[str]]:
    """Every frame that has a mask in `ground_truth/binary`, and what is wrong with the others.

    Raises FileFormatError for a folder without sets, or without any mask.
    """
    frames: list[RisFrame] = []
    problems: list[str] = []
    for folder in set_folders(root):
        truth = folder / 'ground_truth'
        masks = pngs_in(truth / BINARY)
        if not masks:
            problems.append(f'{truth / BINARY} holds no mask: {folder.name} is not scored')
            continue
        eyes = [pngs_in(folder / f'{eye}_frame') for eye in ('left', 'right')]
        problems += [
            f'{path} has no mask in ground_truth/{BINARY}: it is not scored'
            for name, path in eyes[0].items()
            if name not in masks
        ]
        places = [
            path for path in sorted(truth.iterdir()) if path.is_dir() and path.name != BINARY
        ]
        labels = {path.name: pngs_in(path) for path in places}
        for name, mask in masks.items():
            of_labels = {label: files[name] for label, files in labels.items() if name in files}
            left, right = (files.get(name) for files in eyes)
            frames.append(RisFrame(folder, name, mask, left, right, of_labels))
    if not frames:
        raise FileFormatError(
            f'{root} has no ground_truth/{BINARY}/*.png: what is right is not known; convert the '
            'published data with msdesis convert ris2017'
        )
    return frames, problems


def score_masks(
    frames: list[RisFrame],
    predict: Callable[[RisFrame], np.ndarray],
    scores: RisScores,
    *,
    show: Callable[[RisFrame, np.ndarray, np.ndarray, float], None] = lambda *_: None,
) -> None:
    """Score the mask (H x W bool) that `predict` gives of each frame.

    Where it raises FileFormatError, or its mask has another size than the truth, the frame counts
    as an empty prediction and is named. A frame with a broken truth is named and left out. `show`
    gets every scored frame with its prediction, truth and IoU.
    """
    table = scores.tables[BINARY] = RisTable()
    for frame in frames:
        try:
            truth = read_mask(frame.mask)
        except FileFormatError as error:
            scores.problems.append(f'{error}; the frame is not scored')
            continue
        prediction = _predicted(frame, predict, truth.shape, scores)
        score = iou(prediction, truth)
        table.add(frame.of_set, frame.name, score)
        show(frame, prediction, truth, score)


def score_classes(frames: list[RisFrame], what: str, predictions: Path, scores: RisScores) -> None:
    """Score saved parts or types: `predictions`/{set}/{what}/{name}.png, numbers of CLASSES.

    As `score_masks` in what is missing or broken.
    """
    names = CLASSES[what]
    table = scores.tables[what] = RisTable(names)
    values: dict[Path, dict[int, int]] = {}
    for frame in frames:
        try:
            if frame.folder not in values:
                values[frame.folder] = read_part_values(frame.folder / 'mappings.json')
            truth = read_truth_classes(frame.labels, what=what, part_values=values[frame.folder])
        except FileFormatError as error:
            scores.problems.append(
                f'{frame.of_set}/{frame.name} has no true {what}, which are not scored: {error}'
            )
            continue

        def saved(frame: RisFrame) -> np.ndarray:
            return read_classes(existing(saved_file(predictions, frame, what)), len(names))

        prediction = _predicted(frame, saved, truth.shape, scores)
        found = class_ious(prediction, truth, len(names))
        table.add(frame.of_set, frame.name, *found)


def saved_file(folder: Path, frame: RisFrame, what: str = BINARY) -> Path:
    """Where the prediction of a frame lies: {set}/{what}/{name of the frame}.png."""
    return folder / frame.of_set / what / f'{frame.name}.png'


def has_saved(folder: Path, what: str) -> bool:
    """Whether any set has predictions of this kind."""
    return any(folder.glob(f'instrument_dataset_*/{what}/*.png'))


def existing(path: Path) -> Path:
    """The same path; FileFormatError where there is no file."""
    if not path.is_file():
        raise FileFormatError(f'{path} is missing')
    return path


def read_classes(path: Path, classes: int) -> np.ndarray:
    """H x W uint8 of 0 (none) to `classes`; FileFormatError for anything else."""
    plane = read_plane(path, remedy='predict it again')
    if plane.ndim != 2 or plane.dtype != np.uint8:
        raise FileFormatError(f'{path} holds no classes: expected one grey channel of 8 bits')
    if plane.max() > classes:
        raise FileFormatError(
            f'{path} holds the value {plane.max()}; expected 0 (none) to {classes}'
        )
    return plane


def _predicted(
    frame: RisFrame,
    predict: Callable[[RisFrame], np.ndarray],
    shape: tuple[int, ...],
    scores: RisScores,
) -> np.ndarray:
    """The prediction of a frame, or an empty one of the truth's shape, with the reason named."""
    try:
        prediction = predict(frame)
        if prediction.shape == shape:
            return prediction
        found, wanted = (f'{s[1]}x{s[0]}' for s in (prediction.shape, shape))
        reason = f'its prediction is {found} px and the truth {wanted} px'
    except FileFormatError as error:
        reason = str(error)
    where = f'{frame.of_set}/{frame.name}'
    scores.problems.append(f'{where} counts as an empty prediction: {reason}')
    scores.counted_empty += 1
    return np.zeros(shape, dtype=bool)
