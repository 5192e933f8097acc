"""Rectification of a raw stereo pair to one common principal point."""

from __future__ import annotations

import dataclasses
import math
from typing import TypeVar

import cv2
import numpy as np

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.camera_points import folding_radius, rectified_rays
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.left_rig import LeftRig, ViewGeometry
from msdesis_ros.core.rig import StereoGeometry, StereoRig

AnyGeometry = TypeVar('AnyGeometry', bound=ViewGeometry)

BORDER_SAMPLES = 64
# Maps are rounded to 1/32 px, so a source this far outside of the picture is read from its border.
MAP_TOLERANCE_PX = 1 / 64


class Rectifier:
    """Maps of one rig, made once, applied to every pair of it.

    Both views are rectified to the principal point of the left one, so that disparity is zero at
    infinity. `alpha`: -1 keeps the calibrated projection; 0 zooms until every rectified pixel has
    a source in both pictures; 1 until no source pixel is lost; between, in proportion.

    Pictures that arrive rectified are passed through; where their principal points differ, the
    right one is moved by whole pixels when infinity would otherwise be outside of the search, and
    `disparity_offset_px` is what remains to be subtracted from the matcher's disparity.
    Raises CalibrationError for an alpha outside -1 or 0..1, or one that no focal length can meet.
    """

    def __init__(self, rig: StereoRig, *, alpha: float = -1.0) -> None:
        _require_alpha(alpha)
        self.rig = rig
        self.alpha = alpha
        self.geometry = _calibrated_geometry(rig)
        self.disparity_offset_px = 0.0
        self._shift_px = 0
        self._maps: tuple[tuple[np.ndarray, np.ndarray], ...] | None = None
        self.left_valid: np.ndarray | None = None
        self.right_valid: np.ndarray | None = None
        if rig.rectified:
            self._shift_px = max(0, math.ceil(-rig.cx_offset_px - 1e-9))
            self.disparity_offset_px = rig.cx_offset_px + self._shift_px
            self.right_valid = _valid_after_shift(rig.image_size, self._shift_px)
            return
        if alpha >= 0:
            self.geometry = _fitted_geometry((rig.left, rig.right), self.geometry, alpha)
        (left_maps, self.left_valid), (right_maps, self.right_valid) = (
            _maps(camera, self.geometry) for camera in (rig.left, rig.right)
        )
        self._maps = (left_maps, right_maps)

    def rectify(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both pictures (H x W x 3 uint8) rectified; black where there is no source.

        Raises CalibrationError for pictures of another size than the calibrated one.
        """
        for picture in (left, right):
            self.rig.require_image_size((picture.shape[1], picture.shape[0]))
        if self._maps is None:
            return left, _shifted_left(right, self._shift_px)
        return (
            cv2.remap(left, *self._maps[0], cv2.INTER_LINEAR),
            cv2.remap(right, *self._maps[1], cv2.INTER_LINEAR),
        )

    @property
    def valid_window(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) px: the box around the left pixels that have a source."""
        return _window(self.left_valid, self.rig.image_size)

    def rectify_left(self, left: np.ndarray) -> np.ndarray:
        """The left picture alone, for what needs one eye only."""
        self.rig.require_image_size((left.shape[1], left.shape[0]))
        return left if self._maps is None else cv2.remap(left, *self._maps[0], cv2.INTER_LINEAR)


class LeftRectifier:
    """Maps of the left camera alone; otherwise as `Rectifier`, whose left view it equals.

    They differ for an `alpha` of 0 or more, which then looks at the left picture only.
    """

    def __init__(self, rig: LeftRig, *, alpha: float = -1.0) -> None:
        _require_alpha(alpha)
        self.rig = rig
        self.alpha = alpha
        self.geometry = _view_geometry(rig.left)
        self._maps: tuple[np.ndarray, np.ndarray] | None = None
        self.left_valid: np.ndarray | None = None
        if rig.rectified:
            return
        if alpha >= 0:
            self.geometry = _fitted_geometry((rig.left,), self.geometry, alpha)
        self._maps, self.left_valid = _maps(rig.left, self.geometry)

    @property
    def valid_window(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) px: the box around the pixels that have a source."""
        return _window(self.left_valid, self.rig.image_size)

    def rectify_left(self, left: np.ndarray) -> np.ndarray:
        """The left picture (H x W x 3 uint8) rectified; black where there is no source.

        Raises CalibrationError for a picture of another size than the calibrated one.
        """
        self.rig.require_image_size((left.shape[1], left.shape[0]))
        return left if self._maps is None else cv2.remap(left, *self._maps, cv2.INTER_LINEAR)


def _require_alpha(alpha: float) -> None:
    if alpha != -1.0 and not 0.0 <= alpha <= 1.0:
        raise CalibrationError(f'alpha is {alpha:g}; expected -1 (as calibrated) or 0 to 1')


def _window(valid: np.ndarray | None, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    if valid is None:
        return (0, 0, *image_size)
    return tuple(cv2.boundingRect(valid.astype(np.uint8)))  # type: ignore[return-value]


def _view_geometry(camera: CameraCalibration) -> ViewGeometry:
    projection = camera.projection
    return ViewGeometry(
        image_size=camera.image_size,
        focal_px=float(projection[0, 0]),
        focal_y_px=float(projection[1, 1]),
        cx_px=float(projection[0, 2]),
        cy_px=float(projection[1, 2]),
    )


def _calibrated_geometry(rig: StereoRig) -> StereoGeometry:
    view = _view_geometry(rig.left)
    return StereoGeometry(**dataclasses.asdict(view), baseline_m=rig.baseline_m)


def _maps(
    camera: CameraCalibration, geometry: ViewGeometry
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray | None]:
    """Fixed-point maps of one camera, and which rectified pixels have a source (None = all)."""
    if camera.distortion_model == 'equidistant':
        make_maps = cv2.fisheye.initUndistortRectifyMap
        distortion = camera.distortion.reshape(4, 1)
    else:
        make_maps, distortion = cv2.initUndistortRectifyMap, camera.distortion
    width, height = geometry.image_size
    x, y = make_maps(
        camera.camera_matrix,
        distortion,
        camera.rectification,
        geometry.camera_matrix,
        (width, height),
        cv2.CV_32FC1,
    )
    valid = (
        (x >= -MAP_TOLERANCE_PX)
        & (y >= -MAP_TOLERANCE_PX)
        & (x <= width - 1 + MAP_TOLERANCE_PX)
        & (y <= height - 1 + MAP_TOLERANCE_PX)
    )
    valid &= _before_folding(camera, geometry)
    if not valid.any():
        raise CalibrationError(
            'no rectified pixel has a source in the picture: K, D, R and P contradict each other'
        )
    # Fixed point (1/32 px) is three times as fast as float maps and interpolates as exactly:
    # OpenCV quantises float maps to the same 1/32 px.
    return cv2.convertMaps(x, y, cv2.CV_16SC2), None if valid.all() else valid


def _before_folding(camera: CameraCalibration, geometry: ViewGeometry) -> np.ndarray | bool:
    """Which rectified pixels are rays that the lens model takes to where it should."""
    width, height = geometry.image_size
    x = (np.arange(width) - geometry.cx_px) / geometry.focal_px
    y = (np.arange(height) - geometry.cy_px) / geometry.focal_y_px
    turned = camera.rectification.T  # from rectified rays to those of the camera
    rays = [turned[i, 0] * x[None] + turned[i, 1] * y[:, None] + turned[i, 2] for i in range(3)]
    radius = np.hypot(rays[0], rays[1]) / np.where(rays[2] > 0, rays[2], np.nan)
    largest = float(np.nanmax(radius, initial=0.0))
    folds = folding_radius(camera, largest=largest)
    return True if not np.isfinite(folds) else radius < folds  # False for NaN


def _fitted_geometry(
    cameras: tuple[CameraCalibration, ...], geometry: AnyGeometry, alpha: float
) -> AnyGeometry:
    """Choose the focal length by alpha; principal point and pixel aspect stay as calibrated."""
    width, height = geometry.image_size
    aspect = geometry.focal_y_px / geometry.focal_px
    inner, outer = [], []
    for camera in cameras:
        sides = [
            # (normalised coordinates of one border of the raw picture, room on that side in px)
            (-_rectified_border(camera, 'left')[:, 0], geometry.cx_px),
            (_rectified_border(camera, 'right')[:, 0], width - 1 - geometry.cx_px),
            (-_rectified_border(camera, 'top')[:, 1] * aspect, geometry.cy_px),
            (_rectified_border(camera, 'bottom')[:, 1] * aspect, height - 1 - geometry.cy_px),
        ]
        for extent, room in sides:
            if extent.min() <= 0 or room <= 0:
                raise CalibrationError(
                    'alpha cannot be applied: the principal point of P lies outside of the '
                    'rectified picture; use alpha -1'
                )
            inner.append(room / extent.min())
            outer.append(room / extent.max())
    focal = max(inner) * (1 - alpha) + min(outer) * alpha
    return dataclasses.replace(geometry, focal_px=focal, focal_y_px=focal * aspect)


def _rectified_border(camera: CameraCalibration, side: str) -> np.ndarray:
    """One border of the raw picture in normalised rectified coordinates, N x 2."""
    width, height = camera.image_size
    along_x = np.linspace(0, width - 1, BORDER_SAMPLES)
    along_y = np.linspace(0, height - 1, BORDER_SAMPLES)
    x, y = {
        'left': (np.zeros_like(along_y), along_y),
        'right': (np.full_like(along_y, width - 1), along_y),
        'top': (along_x, np.zeros_like(along_x)),
        'bottom': (along_x, np.full_like(along_x, height - 1)),
    }[side]
    return rectified_rays(np.stack([x, y], axis=1), camera)


def _shifted_left(picture: np.ndarray, shift_px: int) -> np.ndarray:
    if shift_px == 0:
        return picture
    shifted = np.zeros_like(picture)
    shifted[:, : picture.shape[1] - shift_px] = picture[:, shift_px:]
    return shifted


def _valid_after_shift(image_size: tuple[int, int], shift_px: int) -> np.ndarray | None:
    if shift_px == 0:
        return None
    width, height = image_size
    if shift_px >= width:
        raise CalibrationError(
            f'the principal points of the rectified views are {shift_px} px apart, more than the '
            f'picture is wide ({width} px): the calibration belongs to other pictures'
        )
    valid = np.ones((height, width), dtype=bool)
    valid[:, width - shift_px :] = False
    return valid
