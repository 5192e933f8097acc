"""Frames whose depth is on disk: folders of `msdesis infer pair`, or of anybody's depth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import CalibrationError, FileFormatError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoGeometry, StereoRig
from msdesis_ros.core.surface_frame import SurfaceFrame
from msdesis_ros.data.images import read_plane, read_rgb
from msdesis_ros.data.picture_pairs import SUFFIXES, natural_order
from msdesis_ros.data.ply import read_ply

DEPTH, POINTS, REPORT, MASK = 'depth.tiff', 'points.ply', 'report.json', 'instrument_mask.png'
UNCERTAINTY, CALIBRATION = 'uncertainty.tiff', 'calibration.json'
# From the calibration's path and the (width, height) of the pictures to the rig.
RigReader = Callable[[str, tuple[int, int]], StereoRig]


def is_surface_folder(path: Path) -> bool:
    """Whether a folder holds the depth of a frame."""
    return (path / DEPTH).is_file()


def surface_folders(path: Path) -> list[Path]:
    """The folders right below `path` that hold the depth of a frame, in natural order."""
    found = [entry for entry in path.iterdir() if entry.is_dir() and is_surface_folder(entry)]
    visible = [entry for entry in found if not entry.name.startswith('.')]
    return sorted(visible, key=lambda entry: natural_order(entry.name))


def read_mask(path: Path) -> np.ndarray:
    """H x W bool, True where a grey picture is not 0; FileFormatError for anything else."""
    plane = read_plane(path, remedy='give a grey PNG, 0 where there is no instrument')
    if plane.ndim != 2 or plane.dtype != np.uint8:
        raise FileFormatError(
            f'{path} is {plane.dtype} of shape {plane.shape}; expected grey of 8 bits, 0 where '
            'there is no instrument'
        )
    return plane > 0


def read_surface_folder(
    folder: Path,
    *,
    rig_of: RigReader,
    name: str | None = None,
    picture: Path | None = None,
    calibration: str | None = None,
    alpha: float = -1.0,
    instrument_mask: np.ndarray | None = None,
) -> SurfaceFrame:
    """Read one frame.

    The folder holds `depth.tiff` (float32, m, NaN invalid; of the rectified left view) and either
    `points.ply` and `report.json`, as `msdesis infer pair` leaves them, or the left picture as
    left.png (.jpg ...) and `calibration.json`, which rectifies it. `picture` and `calibration`
    stand for the latter two. `instrument_mask.png` (not 0 = instrument) and `uncertainty.tiff` are
    used where they are there. `instrument_mask`: H x W bool, in place of a mask that is not there.

    Raises FileFormatError for files that are missing, damaged or contradict each other,
    CalibrationError or ImageError for what does not fit together.
    """
    name = name or folder.resolve().name
    depth_m = _read_floats(folder / DEPTH)
    sigma = folder / UNCERTAINTY
    uncertainty_px = _read_floats(sigma) if sigma.is_file() else None
    mask_file = folder / MASK
    if instrument_mask is not None and mask_file.is_file():
        raise FileFormatError(
            f'{mask_file} is there already; give a mask only for a frame that has none'
        )
    whole = picture is None and calibration is None
    if whole and (folder / POINTS).is_file() and (folder / REPORT).is_file():
        geometry, model = _reported(folder / REPORT)
        coloured, labels = _point_colours(folder / POINTS, depth_m)
        if instrument_mask is None:
            return SurfaceFrame(name, depth_m, coloured, labels, geometry, uncertainty_px, model)
        shown = coloured
    else:
        taken = read_rgb(picture or _left_picture(folder))
        source = calibration or str(folder / CALIBRATION)
        rectifier = Rectifier(rig_of(source, (taken.shape[1], taken.shape[0])), alpha=alpha)
        model = None
        shown, geometry = rectifier.rectify_left(taken), rectifier.geometry
        if mask_file.is_file():
            instrument_mask = read_mask(mask_file)
    return SurfaceFrame.of_mask(
        name,
        depth_m=depth_m,
        picture=shown,
        instrument_mask=instrument_mask,
        geometry=geometry,
        uncertainty_px=uncertainty_px,
        model=model,
    )


def _read_floats(path: Path) -> np.ndarray:
    plane = read_plane(path)
    if plane.ndim != 2 or plane.dtype != np.float32:
        raise FileFormatError(
            f'{path} is {plane.dtype} of shape {plane.shape}; expected float32 of H x W'
        )
    if path.name == DEPTH and (np.isinf(plane).any() or (plane <= 0).any()):
        raise FileFormatError(f'{path} has depths that are infinite, 0 or negative; mark them NaN')
    return plane


def _reported(path: Path) -> tuple[StereoGeometry, ModelIdentity]:
    """The rectified geometry and the model that `report.json` names."""
    try:
        report = json.loads(path.read_text(encoding='utf-8'))
        geometry, model = report['geometry'], report['model']
        width, height = geometry['image_size']
        return (
            StereoGeometry(**{**geometry, 'image_size': (int(width), int(height))}),
            ModelIdentity(model['name'], model['sha256'], report['backend']),
        )
    except CalibrationError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(
            f'{path} does not say geometry and model of the frame ({type(error).__name__}: '
            f'{error}); run msdesis infer pair again, with a calibration'
        ) from error


def _point_colours(path: Path, depth_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """H x W x 3 colours and H x W labels; the points are the pixels with a depth, in order."""
    cloud, known = read_ply(path), np.isfinite(depth_m)
    count = int(np.count_nonzero(known))
    agree = len(cloud.points_m) == count and np.array_equal(cloud.points_m[:, 2], depth_m[known])
    if not agree:
        raise FileFormatError(
            f'{path} is not the cloud of {DEPTH} beside it ({len(cloud.points_m)} points, {count} '
            'pixels with a depth); run msdesis infer pair again'
        )
    colours = np.zeros((*depth_m.shape, 3), np.uint8)
    labels = np.zeros(depth_m.shape, np.uint8)
    colours[known] = cloud.colours
    if cloud.labels is not None:
        labels[known] = cloud.labels
    return colours, labels


def _left_picture(folder: Path) -> Path:
    for suffix in SUFFIXES:
        path = folder / f'left{suffix}'
        if path.is_file():
            return path
    raise FileFormatError(
        f'{folder} has a depth but no colours: expected {POINTS} with {REPORT}, or the picture '
        f'left.png and {CALIBRATION}'
    )
