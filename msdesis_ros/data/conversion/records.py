"""What a conversion leaves beside its results: settings, frames, problems; and 16-bit truths.

The record of a folder is written before its first frame, so that whatever lies there says its
scale factor; a second run goes on only with the same settings.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.errors import CalibrationError, FileFormatError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.scaled_png import DEFAULT_SCALE, write_scaled

_LARGEST = float(np.iinfo(np.uint16).max)
_STORED = '16-bit PNG: value x scale_factor, rounded; 0 = unknown; depths in mm, disparity in px'


@dataclass(frozen=True)
class Settings:
    """How the files of one run are made; a folder holds those of one setting.

    products: keys of `scared_views.PRODUCTS`. alpha: of the rectification. cloud: name of the
    point cloud that stands for the published one, or None.
    """

    products: tuple[str, ...]
    alpha: float
    scale_factor: float = DEFAULT_SCALE
    cloud: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.scale_factor < float('inf'):
            raise UsageError(
                f'the scale factor is {self.scale_factor}; expected a number above 0, usually 128'
            )
        if self.alpha != -1.0 and not 0.0 <= self.alpha <= 1.0:
            raise UsageError(f'alpha is {self.alpha:g}; expected -1 (OpenCV decides) or 0 to 1')

    @property
    def recorded(self) -> dict[str, Any]:
        """What the record of a folder says of them."""
        return {
            'scale_factor': self.scale_factor,
            'alpha': self.alpha,
            'products': self.products,
            'cloud': self.cloud,
        }


@dataclass
class Outcome:
    """What a run did: frames made and found made; problems (something is missing); notes."""

    made: int = 0
    kept: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Add what another part of the run did."""
        self.made += other.made
        self.kept += other.kept
        self.problems += other.problems
        self.notes += other.notes


@dataclass
class Faults:
    """Takes each missing or broken piece: notes it, or stops the run where `strict`."""

    strict: bool
    problems: list[str]

    def __call__(self, error: Exception) -> None:
        """Note the error; raise it where the run is strict."""
        if self.strict:
            raise error
        self.problems.append(str(error))

    @contextlib.contextmanager
    def leaving_out(self, name: str) -> Iterator[None]:
        """Take a bad file or calibration as the reason why all of `name` is left out."""
        try:
            yield
        except (FileFormatError, CalibrationError) as error:
            if self.strict:
                raise
            self(FileFormatError(f'{name} is left out: {error}'))


class Record:
    """The file that says how a folder was converted, and how far.

    Raises UsageError where the folder holds results of other settings, FileFormatError where the
    file is damaged. `overwrite`: take the folder for empty.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, overwrite: bool) -> None:
        self.path = path
        self._head = {'stored': _STORED, **settings}
        stored = {} if overwrite or not path.is_file() else _read(path)
        for name, value in self._head.items():
            if stored and stored.get(name) != _plain(value):
                raise UsageError(
                    f'{path.parent} was converted with {name} {stored.get(name)!r}, not '
                    f'{_plain(value)!r}: choose another --out, or --overwrite to make it again'
                )
        self.complete = stored.get('complete') is True
        self.frames: list[Any] = list(stored.get('frames', []))
        if not stored:
            self.write([], complete=False)

    def write(
        self, frames: Sequence[Any], *, complete: bool, problems: Sequence[str] = ()
    ) -> None:
        """Write the record: the frames that are there, and whether they are all."""
        self.frames, self.complete = list(frames), complete
        tree = {
            **self._head,
            'frames': self.frames,
            'problems': list(problems),
            'complete': complete,
        }
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(tree, indent=2) + '\n', encoding='utf-8')


def refuse_unknown(record: Path, results: Iterable[Path]) -> None:
    """Raise UsageError for results without their record: who made them, and how, nobody knows."""
    first = None if record.is_file() else next(iter(results), None)
    if first is not None:
        raise UsageError(
            f'{first} is there, but no {record.name} that says with what settings it was made: '
            'choose another --out, or --overwrite to make it again'
        )


def write_truth(path: Path, values: np.ndarray, scale_factor: float) -> int:
    """Write depths or disparities as a 16-bit PNG; how many were too large for it.

    Those are stored as unknown: the largest sample would be a truth that nobody measured. Raises
    as `data.scaled_png.write_scaled`.
    """
    with np.errstate(invalid='ignore'):
        too_large = np.rint(values * np.float64(scale_factor)) > _LARGEST
    write_scaled(path, np.where(too_large, np.nan, values), scale_factor)
    return int(too_large.sum())


def too_large_note(name: str, count: int, scale_factor: float) -> str:
    """The sentence for `count` values of a file that 16 bits cannot hold."""
    return (
        f'{name}: {count} values above {_LARGEST / scale_factor:g} are stored as unknown; a '
        f'smaller --scale-factor than {scale_factor:g} holds them'
    )


def _plain(value: Any) -> Any:
    """As it comes back from JSON."""
    return json.loads(json.dumps(value))


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise FileFormatError(
            f'{path} cannot be read ({error}); remove its folder, or give --overwrite'
        ) from error
    if not isinstance(tree, dict) or not isinstance(tree.get('frames', []), list):
        raise FileFormatError(f'{path} is no record of a conversion; give --overwrite')
    return tree
