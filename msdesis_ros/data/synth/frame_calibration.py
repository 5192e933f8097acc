"""Calibration files of synthetic pairs, as `data.calibration_files` reads them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoGeometry, StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.synth.effects.distortion import EyeLens, StereoLens


def write_rectified_calibration(path: Path, geometry: StereoGeometry) -> None:
    """An OpenCV FileStorage as JSON, mm: K1 = K2, D = 0, R = I, T = (-B, 0, 0)."""
    eye = EyeLens(
        geometry.focal_px,
        geometry.focal_y_px,
        geometry.cx_px,
        geometry.cy_px,
        distortion=(0.0, 0.0, 0.0, 0.0, 0.0),
        rotation_deg=(0.0, 0.0, 0.0),
    )
    write_calibration(path, StereoLens(left=eye, right=eye, geometry=geometry))


def write_calibration(path: Path, lens: StereoLens) -> None:
    """The same for raw pictures; R1, R2, P1, P2 lead to the rectified pair of the lens."""
    # In memory: the file writer of OpenCV says nothing where the disk is full.
    storage = cv2.FileStorage(
        path.name, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY | cv2.FILE_STORAGE_FORMAT_JSON
    )
    storage.startWriteStruct('image_size', cv2.FILE_NODE_SEQ)
    for length in lens.geometry.image_size:
        storage.write('', length)
    storage.endWriteStruct()
    for name, matrix in lens.calibration().items():
        storage.write(name, matrix)
    text = storage.releaseAndGetString()
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def read_rectified_geometry(path: Path, image_size: tuple[int, int]) -> StereoGeometry:
    """The geometry of a rectified pair from its calibration file.

    Raises FileFormatError for a file of another kind or of raw cameras, CalibrationError for
    numbers that cannot be.
    """
    left, right = read_calibration(path, image_size=image_size)
    for camera in (left, right):
        plain = np.array_equal(camera.rectification, np.eye(3)) and not camera.distortion.any()
        if not (plain and np.array_equal(camera.camera_matrix, camera.projection[:, :3])):
            raise FileFormatError(
                f'{path} is of raw pictures; expected the calibration of a rectified pair (D = 0, '
                'R = I): make the data set again'
            )
    rig = StereoRig.from_cameras(left, right, rectified=True)
    return Rectifier(rig).geometry
