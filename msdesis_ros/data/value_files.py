"""Planes of disparities (px) or depths (mm) in files: scaled 16-bit PNG, or floats in a TIFF.

A folder of them may hold `values.json`, which says what its files cannot: what the numbers are,
and their scale.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError, shown
from msdesis_ros.data.conversion.point_clouds import read_point_map
from msdesis_ros.data.images import atomic_write, read_plane, write_image
from msdesis_ros.data.scaled_png import DEFAULT_SCALE, read_scaled, write_scaled

ABOUT_FILE = 'values.json'
DISPARITY, DEPTH = 'disparity_px', 'depth_mm'
QUANTITIES = (DISPARITY, DEPTH)
PNG_SUFFIX, TIFF_SUFFIXES = '.png', ('.tif', '.tiff')
SUFFIXES = (PNG_SUFFIX, *TIFF_SUFFIXES)


def read_values(path: Path, scale: float, quantity: str | None = None) -> np.ndarray:
    """Read one plane: H x W float32, NaN where it is unknown.

    A PNG holds value x scale and 0 for unknown; a TIFF holds the values, and what is not positive
    and finite is unknown. quantity: what the values are; where they are depths, a TIFF may hold
    the points X, Y, Z in three channels (mm), as SCARED publishes them, and Z is taken.

    Raises:
        FileFormatError: the file is missing, damaged, or of another kind.
        UsageError: the scale is not a positive number, or the suffix is another one.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f'{path}: planes of values end in {", ".join(SUFFIXES)}')
    if suffix == PNG_SUFFIX:
        return read_scaled(path, scale)
    stored = read_plane(path, remedy='write or copy it again')
    points = stored.ndim == 3 and stored.shape[2] == 3
    floats = np.issubdtype(stored.dtype, np.floating)
    if points and floats and quantity == DEPTH:
        stored = read_point_map(path)[..., 2]
    elif points and floats:
        raise FileFormatError(
            f'{path} has three channels, as the points X, Y, Z of a depth map have; expected one '
            'channel of floats'
        )
    elif stored.ndim != 2 or not floats:
        raise FileFormatError(
            f'{path} holds {stored.dtype} of the shape {stored.shape}; expected one channel of '
            'floats, or, for depths in mm, the three of points X, Y, Z'
        )
    known = np.isfinite(stored) & (stored > 0)
    return np.where(known, stored, np.nan).astype(np.float32)


def write_values(path: Path, values: np.ndarray, scale: float) -> int:
    """Write one plane (H x W float, NaN = unknown), whole or not at all.

    Returns how many values were too large for a PNG of this scale; they are stored as the largest
    one. Raises as `write_scaled` and `write_image`.
    """
    if path.suffix.lower() == PNG_SUFFIX:
        return write_scaled(path, values, scale)
    write_image(path, values.astype(np.float32, copy=False))
    return 0


def write_about(folder: Path, *, quantity: str, scale: float, **more: Any) -> None:
    """Write what the files of a folder hold, and whatever else there is to say (JSON values)."""
    content = {'quantity': quantity, 'scale': scale, **more}
    text = json.dumps(content, indent=2, allow_nan=False)
    with atomic_write(folder / ABOUT_FILE) as path:
        path.write_text(text + '\n', encoding='utf-8')


def read_about(folder: Path) -> dict[str, Any]:
    """What a folder says of its files; nothing where it holds no `values.json`.

    Raises FileFormatError for a file that `write_about` did not make.
    """
    path = folder / ABOUT_FILE
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FileFormatError(
            f'{path} cannot be read ({error}); remove it or write it again'
        ) from error
    scale = content.get('scale') if isinstance(content, dict) else None
    if not _is_scale(scale) or content.get('quantity') not in QUANTITIES:
        raise FileFormatError(
            f'{path} does not say what its folder holds: expected a scale above 0 and a quantity '
            f'({" or ".join(QUANTITIES)}), got {shown(content)}; remove it or write it again'
        )
    return content


def agreed_scale(
    folder: str | os.PathLike[str],
    *,
    quantity: str,
    scale: float | None,
    option: str = '--scale-factor',
) -> float:
    """The scale of a folder's PNGs: the one given, else the one it states, else 128.

    Raises UsageError where the folder states another scale or another quantity.
    """
    about = read_about(Path(folder))
    if not about:
        return DEFAULT_SCALE if scale is None else scale
    if about['quantity'] != quantity:
        raise UsageError(
            f'{folder} holds {about["quantity"]} by its {ABOUT_FILE}; expected {quantity}'
        )
    if scale is not None and scale != about['scale']:
        raise UsageError(
            f'{option} is {scale:g} but {folder} holds {about["scale"]:g} for 1 by its '
            f'{ABOUT_FILE}; leave {option} out'
        )
    return float(about['scale'])


def _is_scale(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value < float('inf')
