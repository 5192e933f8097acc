"""One frame of SCARED in its three views: as the left camera saw it, undistorted, rectified."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.core.disparity import disparity_from_depth
from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.core.projection import View, depth_map
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.data.stereo_fields import agreed_size, read_stereo_fields

# What each option of the published tools makes: pictures, depths in mm, disparity in px.
PRODUCTS = {
    'depth': ('left', 'depthmap'),
    'undistort': ('left_undistorted', 'depthmap_undistorted'),
    'disparity': ('left_rectified', 'right_rectified', 'depthmap_rectified', 'disparity'),
}
PICTURES = ('left', 'left_undistorted', 'left_rectified', 'right_rectified')
TRUTHS = ('depthmap', 'depthmap_undistorted', 'depthmap_rectified', 'disparity')


def read_scared_calibration(
    path: Path, *, image_size: tuple[int, int], alpha: float
) -> StereoCalibration:
    """The cameras of a key frame, rectified with `alpha` (-1, or 0 to 1, as OpenCV takes it).

    A rectification that the file brings is not used: it was made with an alpha and at a size of
    its own. image_size: (width, height) px of the pictures.

    Raises FileFormatError, CalibrationError as `data.calibration_files.read_calibration`.
    """
    fields = read_stereo_fields(path)
    return StereoCalibration.from_pose(
        image_size=agreed_size(fields, image_size, path),
        k1=fields.k[0],
        d1=fields.d[0],
        k2=fields.k[1],
        d2=fields.d[1],
        r=fields.r,
        t_mm=fields.t,
        alpha=alpha,
    )


class ScaredViews:
    """The maps of one key frame, made once, used for all its frames.

    `products`: keys of PRODUCTS. Raises CalibrationError for cameras that form no rig.
    """

    def __init__(self, calibration: StereoCalibration, products: tuple[str, ...]) -> None:
        self.calibration = calibration
        self.names = tuple(name for key in PRODUCTS if key in products for name in PRODUCTS[key])
        # The projection of `calibration` holds alpha already; -1 keeps it.
        self._rectifier = Rectifier(StereoRig.from_cameras(*calibration.cameras), alpha=-1.0)
        k, d, plain = calibration.k1, calibration.d1, np.eye(3)
        size = self.image_size = calibration.image_size
        self._maps = cv2.initUndistortRectifyMap(k, d, plain, k, size, cv2.CV_16SC2)
        self._original = View(size, k, plain, d)
        self._undistorted = View(size, k, plain)
        self._rectified = View(size, calibration.p1[:, :3], calibration.r1)

    def pictures(self, left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
        """The pictures among the products, H x W x 3 uint8 RGB; black where there is no source.

        Raises FileFormatError for pictures of another size than the calibrated one.
        """
        width, height = self.image_size
        for side, picture in (('left', left), ('right', right)):
            if picture.shape[:2] != (height, width):
                raise FileFormatError(
                    f'the {side} picture is {picture.shape[1]}x{picture.shape[0]}; expected '
                    f'{width}x{height}'
                )
        made = {'left': left}
        if 'left_undistorted' in self.names:
            made['left_undistorted'] = cv2.remap(left, *self._maps, cv2.INTER_LINEAR)
        if 'left_rectified' in self.names:
            views = self._rectifier.rectify(left, right)
            made['left_rectified'], made['right_rectified'] = views
        return {name: made[name] for name in PICTURES if name in self.names}

    def truths(
        self, points: np.ndarray, *, depth_mm: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The depths (mm) and the disparity (px) among the products: H x W float32, NaN unknown.

        points: N x 3 mm, in the left camera's frame. depth_mm: the depths of the left view, where
        they are known pixel by pixel; otherwise the points are projected, with distortion.
        """
        made = {}
        if 'depthmap' in self.names:
            made['depthmap'] = self.original_depth(points) if depth_mm is None else depth_mm
        if 'depthmap_undistorted' in self.names:
            made['depthmap_undistorted'] = depth_map(points, self._undistorted)
        if 'disparity' in self.names:
            depth = made['depthmap_rectified'] = depth_map(points, self._rectified)
            made['disparity'] = disparity_from_depth(depth * 1e-3, self._rectifier.geometry)
        return made

    def original_depth(self, points: np.ndarray) -> np.ndarray:
        """The depths of points at the pixels of the camera's own, distorted picture: mm."""
        return depth_map(points, self._original)
