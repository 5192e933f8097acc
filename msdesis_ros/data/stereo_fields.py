"""What stereo calibration files hold, as numbers: OpenCV FileStorage and EndoVis 2018 texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from msdesis_ros.core.camera import MAX_SIDE_PX
from msdesis_ros.core.errors import CalibrationError, FileFormatError
from msdesis_ros.data.structured_text import integer, matrix, numbers, parse_tree, read_text

_RECTIFICATION = {'R1': (3, 3), 'R2': (3, 3), 'P1': (3, 4), 'P2': (3, 4)}


@dataclass(frozen=True)
class StereoFields:
    """Both cameras as the file has them: float64, px, lengths in the file's own unit.

    k: camera matrices, 3 x 3, and d: distortion in OpenCV order, left and right. r, t: a point x
    of the left camera is r x + t in the right one. sizes: the (width, height) the file may mean,
    empty where it has none. rectification: R1, R2, P1, P2, or None where the file has none.
    """

    k: tuple[np.ndarray, np.ndarray]
    d: tuple[np.ndarray, np.ndarray]
    r: np.ndarray
    t: np.ndarray
    sizes: tuple[tuple[int, int], ...]
    rectification: tuple[np.ndarray, ...] | None = None


def read_stereo_fields(path: Path) -> StereoFields:
    """Read an OpenCV FileStorage (JSON, YAML, XML) or an EndoVis 2018 camera_calibration.txt.

    Raises FileFormatError for a file of another kind, CalibrationError for one that holds half a
    rectification or a skew.
    """
    text = read_text(path)
    if re.search(r'^Camera-0-F:', text, re.MULTILINE):
        return _endovis_fields(text, path)
    return _opencv_fields(text, path)


def picture_size(width: int, height: int, path: Path) -> tuple[int, int]:
    """(width, height) px where a picture can have this size; FileFormatError otherwise."""
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise FileFormatError(
            f'{path}: pictures of {width}x{height} px; expected 1 to {MAX_SIDE_PX} px a side'
        )
    return width, height


def agreed_size(
    fields: StereoFields, image_size: tuple[int, int] | None, path: Path
) -> tuple[int, int]:
    """The (width, height) px that the file, its principal points and the pictures agree on.

    image_size: that of the pictures, None where unknown. Raises CalibrationError where the signs
    contradict each other or do not suffice.
    """
    centre_px = np.mean([k[:2, 2] for k in fields.k], axis=0)
    shown = f'the principal point ({centre_px[0]:.5g}, {centre_px[1]:.5g})'

    def off_centre(size: tuple[int, int]) -> float:
        return float(np.abs(centre_px / size - 0.5).max())

    if not fields.sizes:
        if image_size is None:
            raise CalibrationError(
                f'{path} does not say the size of its pictures; add image_size [width, height] to '
                'it, or give the size of the pictures'
            )
        if off_centre(image_size) > 0.25:
            raise CalibrationError(
                f'{path} does not say the size of its pictures, and {shown} does not fit '
                f'{_px(image_size)} px: it was likely made for other pictures; add image_size '
                '[width, height] to it if it was not'
            )
        return image_size
    best, *others = sorted(fields.sizes, key=off_centre)
    # One reading must put the principal point clearly nearer to the middle of the picture.
    told = not others or off_centre(best) < 0.5 * off_centre(others[0])
    if image_size is not None:
        if image_size != best and (told or image_size not in others):
            raise other_size(path, best, image_size)
        return image_size
    if not told:
        raise CalibrationError(
            f'{path}: image_size {_px(best)} may be width x height or height x width, and {shown} '
            'does not tell; give the size of the pictures'
        )
    return best


def other_size(path: Path, size: tuple[int, int], image_size: tuple[int, int]) -> CalibrationError:
    """The error for a calibration made at `size` used with pictures of `image_size`."""
    return CalibrationError(
        f'{path} is for pictures of {_px(size)} px, but the pictures are {_px(image_size)} px; '
        'give the calibration made at their size'
    )


def _px(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def _opencv_fields(text: str, path: Path) -> StereoFields:
    tree = {name: value for name, value in parse_tree(text, path).items() if not _empty(value)}
    if 'camera_matrix' in tree or 'projection_matrix' in tree:
        raise FileFormatError(
            f'{path} describes one camera; give both files of the pair as LEFT.yaml,RIGHT.yaml'
        )
    for ours, theirs in (('K1', 'M1'), ('K2', 'M2')):
        if ours not in tree and theirs in tree:
            tree[ours] = tree[theirs]
    missing = [name for name in ('K1', 'D1', 'K2', 'D2', 'R', 'T') if name not in tree]
    if missing:
        names = ', '.join(repr(name)[:40] for name in list(tree)[:8]) or 'nothing'
        raise FileFormatError(
            f'{path} is no stereo calibration: {", ".join(missing)} not found; expected K1 (or '
            f'M1), D1, K2 (or M2), D2, R, T, and it holds {names}'
        )
    present = [name for name in _RECTIFICATION if name in tree]
    if present and len(present) < len(_RECTIFICATION):
        raise CalibrationError(
            f'{path} holds {", ".join(present)} but not all of R1, R2, P1, P2: give all four, or '
            'none to have them computed'
        )
    return StereoFields(
        k=(matrix(tree, 'K1', (3, 3), path), matrix(tree, 'K2', (3, 3), path)),
        d=(numbers(tree, 'D1', path), numbers(tree, 'D2', path)),
        r=matrix(tree, 'R', (3, 3), path),
        t=matrix(tree, 'T', (3, 1), path)[:, 0],
        sizes=_stored_sizes(tree, path),
        rectification=tuple(matrix(tree, n, s, path) for n, s in _RECTIFICATION.items())
        if present
        else None,
    )


def _empty(value: Any) -> bool:
    """True for what FileStorage writes where a program had nothing, e.g. an empty matrix."""
    if isinstance(value, dict):
        value = value.get('data', value)
    return value in (None, '', [], {})


def _stored_sizes(tree: Mapping[str, Any], path: Path) -> tuple[tuple[int, int], ...]:
    """Both readings of `image_size`: some tools store (width, height), some rows and columns."""
    if 'image_size' not in tree:
        return ()
    values = matrix(tree, 'image_size', (2, 1), path)[:, 0]
    if (values % 1).any():
        raise FileFormatError(f'{path}: image_size is {values}; expected whole numbers')
    a, b = picture_size(int(values[0]), int(values[1]), path)
    return ((a, b),) if a == b else ((a, b), (b, a))


def _endovis_fields(text: str, path: Path) -> StereoFields:
    """`Name: numbers // remark` in each line; other lines (some files have debris) mean nothing.

    The text calls the five K "radial distortion"; their sizes fit OpenCV's k1 k2 p1 p2 k3.
    """
    tree: dict[str, list[str]] = {}
    for name, values in re.findall(r'^([A-Z][A-Za-z0-9-]*):([^/\n]*)', text, re.MULTILINE):
        if tree.setdefault(name, values.split()) != values.split():
            raise FileFormatError(f'{path}: {name} occurs twice with different values')
    counts = {'Width': 1, 'Height': 1, 'Extrinsic-Omega': 3, 'Extrinsic-T': 3}
    for camera in ('Camera-0', 'Camera-1'):
        counts |= {f'{camera}-F': 2, f'{camera}-C': 2, f'{camera}-K': 5}
    missing = [name for name in counts if name not in tree]
    if missing:
        raise FileFormatError(
            f'{path} is no complete EndoVis 2018 calibration: {", ".join(missing)} not found'
        )
    values = {name: matrix(tree, name, (n, 1), path)[:, 0] for name, n in counts.items()}
    for camera in ('Camera-0', 'Camera-1'):
        if f'{camera}-Alpha' in tree and numbers(tree, f'{camera}-Alpha', path).any():
            raise CalibrationError(f'{path}: {camera}-Alpha (skew) is not 0: not supported')
    k0, k1 = (_camera_matrix(values[f'{c}-F'], values[f'{c}-C']) for c in ('Camera-0', 'Camera-1'))
    return StereoFields(
        k=(k0, k1),
        d=(values['Camera-0-K'], values['Camera-1-K']),
        r=cv2.Rodrigues(values['Extrinsic-Omega'])[0],
        t=values['Extrinsic-T'],
        sizes=(picture_size(integer(tree, 'Width', path), integer(tree, 'Height', path), path),),
    )


def _camera_matrix(focal_px: np.ndarray, centre_px: np.ndarray) -> np.ndarray:
    return np.array([[focal_px[0], 0, centre_px[0]], [0, focal_px[1], centre_px[1]], [0, 0, 1.0]])
