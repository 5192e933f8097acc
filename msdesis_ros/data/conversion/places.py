"""Where converted files go, and what has to be there before the first of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.calibration_writer import write_stereo_calibration
from msdesis_ros.data.conversion.records import Outcome, too_large_note, write_truth
from msdesis_ros.data.conversion.scared_views import TRUTHS
from msdesis_ros.data.images import write_image
from msdesis_ros.data.structured_text import matrix, numbers, parse_tree, read_text
from msdesis_ros.data.value_files import DEPTH, DISPARITY, write_about

CALIBRATION_FILE = 'stereo_calib.json'
# Told as (key frame, number of a frame) before each of them.
Tell = Callable[[str, int], None]


def silent(name: str, frame: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Writer:
    """Writes the products of one frame to `path_of(product)`, but not those that are there."""

    path_of: Callable[[str], Path]
    scale_factor: float
    outcome: Outcome

    def missing(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the products that are still to be written."""
        return tuple(name for name in names if not self.path_of(name).is_file())

    def write(self, products: Mapping[str, np.ndarray]) -> None:
        """Write what is missing; pictures as they are, truths with the scale factor."""
        for name in self.missing(tuple(products)):
            path = self.path_of(name)
            if name not in TRUTHS:
                write_image(path, products[name])
                continue
            too_large = write_truth(path, products[name], self.scale_factor)
            if too_large:
                note = too_large_note(str(path), too_large, self.scale_factor)
                self.outcome.notes.append(note)


def say_scale(folder: Path, name: str, scale_factor: float) -> None:
    """Write beside the truths of a folder what their samples mean."""
    quantity = DISPARITY if name == 'disparity' else DEPTH
    write_about(folder, quantity=quantity, scale=scale_factor)


def refuse_source(source: Path, results: Path) -> None:
    """Raise UsageError where results would be written into the published data itself."""
    if results.resolve() == source.resolve():
        raise UsageError(
            f'the results would be written into {source}, which is the published data; choose '
            'another --out'
        )


def place_calibration(path: Path, calibration: StereoCalibration, *, overwrite: bool) -> None:
    """Write the calibration of a key frame, unless the same is there.

    Raises UsageError where another alpha, or other cameras, were used for what lies beside it.
    """
    if path.is_file() and not overwrite:
        _require_same(path, calibration)
        return
    write_stereo_calibration(path, calibration)


def _require_same(path: Path, calibration: StereoCalibration) -> None:
    tree = parse_tree(read_text(path), path)
    try:
        alpha = float(tree['rect_alpha'])
        size = numbers(tree, 'image_size', path)
        p1, p2 = (matrix(tree, name, (3, 4), path) for name in ('P1', 'P2'))
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f'{path} is no calibration of a conversion ({error}); choose another --out, or '
            '--overwrite'
        ) from error
    if alpha != calibration.rect_alpha:
        raise UsageError(
            f'{path} was rectified with alpha {alpha:g}, not {calibration.rect_alpha:g}: choose '
            'another --out, or --overwrite to make it again'
        )
    same = (
        tuple(size) == calibration.image_size[::-1]
        and np.allclose(p1, calibration.p1, rtol=1e-9, atol=1e-9)
        and np.allclose(p2, calibration.p2, rtol=1e-9, atol=1e-9)
    )
    if not same:
        raise UsageError(
            f'{path} is the calibration of other cameras: choose another --out, or --overwrite to '
            'make it again'
        )
