"""The published tree of RIS 2017: which files make a frame, and what is wrong with the others.

root/instrument_dataset_{n}/left_frames/frameNNN.png
root/instrument_dataset_{n}/right_frames/frameNNN.png
root/instrument_dataset_{n}/ground_truth/{label}/frameNNN.png   part numbers of one instrument
root/instrument_dataset_{n}/camera_calibration.txt
root/instrument_dataset_{n}/mappings.json

`left_frame` and `right_frame` are taken too. Files belong together by their names.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.layouts.survey import Problem, planes_in
from msdesis_ros.data.picture_pairs import natural_order

BINARY = 'binary'
_SET = re.compile(r'instrument_dataset_\d+')


@dataclass(frozen=True)
class RawFrame:
    """One frame by the name of its files; right is None unless pairs were asked for.

    labels: the file of each label.
    """

    name: str
    left: Path
    right: Path | None
    labels: dict[str, Path]


@dataclass(frozen=True)
class RawSet:
    """One video: its frames in natural order, of which every file is there.

    mappings: `mappings.json` of the set, or the one beside the sets; None where there is none.
    """

    name: str
    folder: Path
    frames: tuple[RawFrame, ...]
    mappings: Path | None

    @property
    def calibration(self) -> Path:
        return self.folder / 'camera_calibration.txt'


def set_folders(root: Path) -> list[Path]:
    """The folders `instrument_dataset_{n}`, 10 behind 9.

    Raises FileFormatError where there is none, naming what is there instead.
    """
    folders = sorted(root.iterdir()) if root.is_dir() else []
    folders = [path for path in folders if path.is_dir()]
    sets = [path for path in folders if _SET.fullmatch(path.name)]
    if not sets:
        below = [path.name for path in folders if any(path.glob('instrument_dataset_*'))]
        hint = f'; give {" or ".join(below)} in it' if below else ''
        raise FileFormatError(
            f'{root} has no folder instrument_dataset_1, instrument_dataset_2, ...{hint}'
        )
    return sorted(sets, key=lambda path: natural_order(path.name))


def list_raw(root: Path, *, stereo: bool) -> tuple[list[RawSet], list[Problem]]:
    """List the sets below a folder by the names of their files; nothing is opened.

    A frame that lacks a file is a problem and not among the frames. Raises FileFormatError where
    there is no set at all.
    """
    sets, problems = [], []
    for folder in set_folders(root):
        found, wrong = _list_set(folder, root, stereo=stereo)
        problems += wrong
        if found is not None:
            sets.append(found)
    return sets, problems


def pngs_in(folder: Path) -> dict[str, Path]:
    """The PNG files directly in a folder by their names without the suffix, in natural order."""
    return {path.stem: path for path in planes_in(folder) if path.suffix.lower() == '.png'}


def _list_set(folder: Path, root: Path, *, stereo: bool) -> tuple[RawSet | None, list[Problem]]:
    eyes: dict[str, dict[str, Path]] = {}
    places: dict[str, Path] = {}
    for eye in ('left', 'right') if stereo else ('left',):
        there = [folder / name for name in (f'{eye}_frames', f'{eye}_frame')]
        there = [path for path in there if path.is_dir()]
        if len(there) != 1:
            what = 'no such folder' if not there else f'{eye}_frame is there too; keep one of them'
            return None, [Problem(folder / f'{eye}_frames', what)]
        eyes[eye], places[eye] = pngs_in(there[0]), there[0]
        if not eyes[eye]:
            return None, [Problem(there[0], 'holds no frame (*.png)')]
    truth = folder / 'ground_truth'
    labels = sorted(path for path in truth.iterdir() if path.is_dir()) if truth.is_dir() else []
    labels = [path for path in labels if not path.name.startswith('.')]
    if truth / BINARY in labels:
        what = 'not in the published data; this set is converted already'
        return None, [Problem(truth / BINARY, what)]
    columns = {**eyes, **{path.name: pngs_in(path) for path in labels}}
    places |= {path.name: path for path in labels}
    names = sorted({name for files in columns.values() for name in files}, key=natural_order)
    frames, problems = [], []
    for name in names:
        missing = [places[column] for column, files in columns.items() if name not in files]
        problems += [
            Problem(place / f'{name}.png', 'missing, though other files of the frame are there')
            for place in missing
        ]
        if not missing:
            right = eyes['right'][name] if stereo else None
            of_labels = {path.name: columns[path.name][name] for path in labels}
            frames.append(RawFrame(name, eyes['left'][name], right, of_labels))
    mappings = [path / 'mappings.json' for path in (folder, root)]
    found = next((path for path in mappings if path.is_file()), None)
    return RawSet(folder.name, folder, tuple(frames), found), problems


def write_io_list(path: Path, root: Path, *, masks: bool) -> int:
    """Write a CSV of the frames of a converted tree; returns how many there are.

    Its header is left, right (where the tree has right pictures), mask (where asked for); paths
    are absolute. Raises FileFormatError for a tree without frames, or for a frame that lacks a
    file which others have.
    """
    rows: list[list[str]] = []
    columns = ['left', 'right', *(['mask'] if masks else [])]
    folders = {'left': 'left_frame', 'right': 'right_frame', 'mask': f'ground_truth/{BINARY}'}
    if not any((folder / 'right_frame').is_dir() for folder in set_folders(root)):
        columns.remove('right')
    for folder in set_folders(root):
        files = {column: pngs_in(folder / folders[column]) for column in columns}
        for name in files['left']:
            lacking = [folders[column] for column in columns if name not in files[column]]
            if lacking:
                raise FileFormatError(
                    f'{folder}/{lacking[0]}/{name}.png is missing, though others are there; '
                    'convert the set again'
                )
            rows.append([str(files[column][name].resolve()) for column in columns])
    if not rows:
        raise FileFormatError(f'{root} holds no converted frame; convert the data set first')
    with (
        atomic_write(path) as temporary,
        temporary.open('w', encoding='utf-8', newline='') as file,
    ):
        csv.writer(file, lineterminator='\n').writerows([columns, *rows])
    return len(rows)
