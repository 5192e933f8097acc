"""All that a stereo calibration file holds, so that it can be written in another format."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msdesis_ros.core.calibration_sanity import exchanged_sides_warnings, sanity_warnings
from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.core.stereo_calibration import Region, StereoCalibration
from msdesis_ros.data.calibration_files import Unit, calibration_paths, read_calibration
from msdesis_ros.data.stereo_fields import StereoFields, read_stereo_fields
from msdesis_ros.data.structured_text import numbers, parse_tree, read_text

OPENCV, ROS, ENDOVIS = 'OpenCV', 'ROS camera_info', 'EndoVis 2018'
_OPENCV_NAMES = (
    *('error', 'image_size', 'K1', 'M1', 'D1', 'K2', 'M2', 'D2', 'R', 'T', 'E', 'F'),
    *('R1', 'R2', 'P1', 'P2', 'Q', 'roi1', 'roi2', 'rect_alpha'),
)
_ROS_NAMES = (
    *('image_width', 'image_height', 'camera_name', 'camera_matrix', 'distortion_model'),
    *('distortion_coefficients', 'rectification_matrix', 'projection_matrix'),
)
_TO_MM = {'mm': 1.0, 'm': 1e3}


@dataclass(frozen=True, eq=False)
class StoredCalibration:
    """What was read. `kind`: OPENCV, ROS or ENDOVIS; `cameras`: left and right one, in metres.

    stereo: what an OpenCV file says beyond the cameras, None for ROS files. names: the
    `camera_name` of both ROS files, '' where there is none. others: names of entries that neither
    format knows, as they stand in the file.
    """

    kind: str
    cameras: tuple[CameraCalibration, CameraCalibration]
    stereo: StereoCalibration | None = None
    names: tuple[str, str] = ('', '')
    others: tuple[str, ...] = ()

    @property
    def calibration(self) -> StereoCalibration:
        """As an OpenCV file holds it; CalibrationError where it cannot (fisheye cameras)."""
        return self.stereo or StereoCalibration.from_cameras(*self.cameras)

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) px."""
        return self.cameras[0].image_size

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what is strange in it; those of its rig are not repeated."""
        found = sanity_warnings(*self.cameras)
        return found if self.stereo is None else found + exchanged_sides_warnings(self.stereo)

    def lost_as(self, kind: str) -> tuple[str, ...]:
        """Sentences of what a file of `kind` (OPENCV or ROS) cannot hold of this."""
        lost = [f'the entry {name}' for name in self.others]
        if kind == OPENCV:
            lost += [
                f'the name {name!r} of the {side} camera'
                for side, name in zip(('left', 'right'), self.names, strict=True)
                if name not in ('', side)
            ]
        elif self.stereo is not None:
            stored = self.stereo
            if stored.error_px is not None:
                lost.append(f'the error of the calibration ({stored.error_px:.3g} px)')
            if stored.rect_alpha is not None:
                lost.append(f'the alpha of the rectification ({stored.rect_alpha:g})')
            if stored.roi1 is not None or stored.roi2 is not None:
                lost.append('the regions roi1 and roi2')
            lost.append('R and T themselves (R1, R2 and P of the right camera imply them)')
        return tuple(lost)


def read_stored_calibration(
    source: str | os.PathLike[str],
    *,
    image_size: tuple[int, int] | None = None,
    unit: Unit | None = None,
) -> StoredCalibration:
    """Read a calibration of any format that `read_calibration` takes, with all it holds.

    Arguments and errors as those of `read_calibration`.
    """
    cameras = read_calibration(source, image_size=image_size, unit=unit)
    paths = calibration_paths(source)
    if len(paths) == 2:
        trees = [parse_tree(read_text(path), path) for path in paths]
        left, right = (str(tree.get('camera_name', '') or '') for tree in trees)
        others = {str(name) for tree in trees for name in tree if name not in _ROS_NAMES}
        return StoredCalibration(ROS, cameras, None, (left, right), tuple(sorted(others)))
    (path,) = paths
    tree = _tree(path)
    stereo = _stereo(cameras, read_stereo_fields(path), _TO_MM[unit or 'mm'], tree, path)
    others = {str(name) for name in tree if name not in _OPENCV_NAMES}
    kind = OPENCV if tree else ENDOVIS
    return StoredCalibration(kind, cameras, stereo, others=tuple(sorted(others)))


def _tree(path: Path) -> Mapping[str, Any]:
    """The entries of an OpenCV file, none of an EndoVis 2018 text."""
    try:
        tree = parse_tree(read_text(path), path)
    except FileFormatError:
        return {}
    return tree if {'K1', 'M1'} & set(tree) else {}


def _stereo(
    cameras: tuple[CameraCalibration, CameraCalibration],
    fields: StereoFields,
    to_mm: float,
    tree: Mapping[str, Any],
    path: Path,
) -> StereoCalibration:
    left, _ = cameras
    computed = StereoCalibration.from_pose(
        image_size=left.image_size,
        k1=fields.k[0],
        d1=fields.d[0],
        k2=fields.k[1],
        d2=fields.d[1],
        r=fields.r,
        t_mm=fields.t * to_mm,
        error_px=_number(tree, 'error', path),
    )
    if fields.rectification is None:
        return computed
    r1, r2, p1, p2 = fields.rectification
    lengths = [1.0, 1.0, 1.0, to_mm]
    return dataclasses.replace(
        computed,
        r1=r1,
        r2=r2,
        p1=p1 * lengths,
        p2=p2 * lengths,
        rect_alpha=_number(tree, 'rect_alpha', path),
        roi1=_region(tree, 'roi1', path),
        roi2=_region(tree, 'roi2', path),
    )


def _number(tree: Mapping[str, Any], name: str, path: Path) -> float | None:
    value = tree.get(name)
    if value in (None, '', []):
        return None
    listed = value if isinstance(value, list) else [value]
    found = numbers({name: listed}, name, path)
    if len(found) != 1:
        raise FileFormatError(f'{path}: {name} holds {len(found)} numbers; expected one')
    return float(found[0])


def _region(tree: Mapping[str, Any], name: str, path: Path) -> Region | None:
    value = tree.get(name)
    if value in (None, '', [], {}) or (isinstance(value, dict) and not value.get('data')):
        return None
    found = numbers(tree, name, path)
    if len(found) != 4 or (found % 1).any():
        raise FileFormatError(f'{path}: {name} is {found}; expected x, y, width and height')
    x, y, width, height = (int(number) for number in found)
    return (x, y, width, height) if width > 0 and height > 0 else None
