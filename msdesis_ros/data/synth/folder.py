"""One synthetic pair as a folder of files, and a sequence's poses and points beside them.

left.png, right.png      the rectified pair, RGB
disparity.tiff           float32 px, NaN where there is no surface
depth.tiff               float32 m, NaN where the disparity is
instrument_mask.png      255 = instrument
parts.png, types.png     values of `Part` and `ToolType`
occlusion.png            255 = the left pixel is hidden in, or outside of, the right picture
calibration.json         OpenCV FileStorage, mm
scene.json               what the pair was made with
left_distorted.png, right_distorted.png, calibration_distorted.json
                         the raw pair, where asked for; its calibration rectifies it to the above
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.disparity import depth_from_disparity
from msdesis_ros.core.errors import FileFormatError, MsdesisError
from msdesis_ros.data.images import read_plane, read_rgb, write_image
from msdesis_ros.data.synth.distorted_pair import DistortedPair
from msdesis_ros.data.synth.frame_calibration import (
    read_rectified_geometry,
    write_calibration,
    write_rectified_calibration,
)
from msdesis_ros.data.synth.stereo_frame import Part, StereoFrame, ToolType

FRAME_FILES = (
    'left.png',
    'right.png',
    'disparity.tiff',
    'depth.tiff',
    'instrument_mask.png',
    'parts.png',
    'types.png',
    'occlusion.png',
    'calibration.json',
    'scene.json',
)
DISTORTED_FILES = ('left_distorted.png', 'right_distorted.png', 'calibration_distorted.json')
PARTIAL = '.partial'  # how the hidden name of a frame ends that is being written
_REMEDY = 'make the data set again, or copy it again'
_DEPTH_TOLERANCE = 1e-5


def write_frame(
    folder: str | os.PathLike[str], frame: StereoFrame, *, distorted: DistortedPair | None = None
) -> None:
    """Write one frame; the folder appears under its name only when it is whole.

    Raises MsdesisError where the folder cannot be written, or is there already.
    """
    folder = Path(folder)
    made = folder.with_name(f'.{folder.name}-{secrets.token_hex(4)}{PARTIAL}')
    try:
        made.mkdir(parents=True)
        _write_files(made, frame)
        if distorted is not None:
            write_image(made / 'left_distorted.png', distorted.left)
            write_image(made / 'right_distorted.png', distorted.right)
            write_calibration(made / 'calibration_distorted.json', distorted.lens)
        made.rename(folder)
    except OSError as error:
        raise MsdesisError(
            f'cannot write {folder}: {error.strerror or error}; choose a new folder that you may '
            'write to, with free space'
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def frame_is_there(folder: Path, *, distorted: bool = False) -> bool:
    """Whether every file of a frame is there; their content is `read_frame`'s to judge."""
    wanted = {*FRAME_FILES, *(DISTORTED_FILES if distorted else ())}
    return folder.is_dir() and wanted <= set(os.listdir(folder))


def read_frame(folder: str | os.PathLike[str]) -> StereoFrame:
    """Read one frame back.

    Raises:
        FileFormatError: a file is missing, damaged, or contradicts another one.
        CalibrationError: the numbers of calibration.json cannot be.
    """
    folder = Path(folder)
    missing = [name for name in FRAME_FILES if not (folder / name).is_file()]
    if missing:
        raise FileFormatError(
            f'{folder} is no frame of a synthetic data set: {", ".join(missing)} not found; give '
            'a folder such as 000000 of the data set'
        )
    left = read_rgb(folder / 'left.png')
    shape = left.shape[:2]
    disparity_px = _read_numbers(folder / 'disparity.tiff', shape)
    frame = StereoFrame(
        left=left,
        right=read_rgb(folder / 'right.png'),
        disparity_px=disparity_px,
        parts=_read_values(folder / 'parts.png', shape, [int(part) for part in Part]),
        types=_read_values(folder / 'types.png', shape, [int(kind) for kind in ToolType]),
        occluded=_read_values(folder / 'occlusion.png', shape, (0, 255)) > 0,
        geometry=read_rectified_geometry(folder / 'calibration.json', (shape[1], shape[0])),
        scene=read_json(folder / 'scene.json'),
    )
    _require_agreement(folder, frame)
    return frame


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; FileFormatError for anything else."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(f'cannot read {path}: {error}; {_REMEDY}') from error
    if not isinstance(content, dict):
        raise FileFormatError(f'{path} holds no JSON object; {_REMEDY}')
    return content


def _write_files(folder: Path, frame: StereoFrame) -> None:
    write_image(folder / 'left.png', frame.left)
    write_image(folder / 'right.png', frame.right)
    write_image(folder / 'disparity.tiff', frame.disparity_px)
    write_image(folder / 'depth.tiff', depth_from_disparity(frame.disparity_px, frame.geometry))
    write_image(folder / 'instrument_mask.png', _mask_picture(frame.instrument_mask))
    write_image(folder / 'parts.png', frame.parts)
    write_image(folder / 'types.png', frame.types)
    write_image(folder / 'occlusion.png', _mask_picture(frame.occluded))
    write_rectified_calibration(folder / 'calibration.json', frame.geometry)
    (folder / 'scene.json').write_text(json.dumps(frame.scene) + '\n', encoding='utf-8')


def _mask_picture(mask: np.ndarray) -> np.ndarray:
    return mask.astype(np.uint8) * np.uint8(255)


def _read_plane(path: Path, shape: tuple[int, int], dtype: type) -> np.ndarray:
    plane = read_plane(path, remedy=_REMEDY)
    if plane.shape != shape or plane.dtype != dtype:
        raise FileFormatError(
            f'{path} has the shape {plane.shape} and samples {plane.dtype}; expected {shape}, as '
            f'left.png has, and {np.dtype(dtype)}: {_REMEDY}'
        )
    return plane


def _read_numbers(path: Path, shape: tuple[int, int]) -> np.ndarray:
    plane = _read_plane(path, shape, np.float32)
    if not ((plane > 0) & (plane < np.inf) | np.isnan(plane)).all():
        raise FileFormatError(
            f'{path} holds numbers that are not positive and finite; expected those, or NaN where '
            f'there is no surface: {_REMEDY}'
        )
    return plane


def _read_values(path: Path, shape: tuple[int, int], allowed: Collection[int]) -> np.ndarray:
    plane = _read_plane(path, shape, np.uint8)
    counts = np.bincount(plane.ravel(), minlength=256)
    counts[list(allowed)] = 0
    if counts.any():
        raise FileFormatError(
            f'{path} holds the value {int(np.flatnonzero(counts)[0])}; expected '
            f'{", ".join(map(str, allowed))}: {_REMEDY}'
        )
    return plane


def _require_agreement(folder: Path, frame: StereoFrame) -> None:
    shape = frame.left.shape[:2]
    if frame.right.shape != frame.left.shape:
        raise FileFormatError(
            f'{folder}: left.png and right.png differ in size ({frame.left.shape} and '
            f'{frame.right.shape}); {_REMEDY}'
        )
    mask = _read_values(folder / 'instrument_mask.png', shape, (0, 255)) > 0
    if not np.array_equal(mask, frame.instrument_mask):
        raise FileFormatError(
            f'{folder}: instrument_mask.png is not the union of parts.png; {_REMEDY}'
        )
    if not np.array_equal(mask, frame.types > 0):
        raise FileFormatError(f'{folder}: types.png and parts.png name other pixels; {_REMEDY}')
    depth_m = _read_numbers(folder / 'depth.tiff', shape)
    expected_m = depth_from_disparity(frame.disparity_px, frame.geometry)
    if not np.allclose(depth_m, expected_m, rtol=_DEPTH_TOLERANCE, atol=0, equal_nan=True):
        raise FileFormatError(
            f'{folder}: depth.tiff is not f * B / disparity with the f and B of calibration.json; '
            f'{_REMEDY}'
        )
