"""Rectification is exact: known points and a known scene come back at their row and depth.

Two proofs that share no code with the rectifier. First, points in space go through camera models
written out here from their papers, are painted as dots into raw pictures, and their centroids are
measured in the rectified ones. Second, the analytic scene is photographed through its
lenses, and the rectified right view is compared with the left one at the exact disparity.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig

sys.path.append(str(Path(__file__).parents[1]))
from analytic_scene.picture import Painter, analytic_cameras
from analytic_scene.scene import Scene, rectified_truth

SIZE = (640, 480)
ROW_BAR_PX, DEPTH_BAR = 0.1, 0.005
DOT_SIGMA_PX = 2.0

DISTORTIONS = {
    'plumb_bob': (
        [-0.24, 0.07, 0.0011, -0.0008, -0.012],
        [-0.21, 0.05, -0.0007, 0.0012, -0.006],
    ),
    'rational_polynomial': (
        [0.31, -0.09, 0.0009, -0.0011, 0.012, 0.52, -0.03, 0.021],
        [0.27, -0.06, -0.0012, 0.0007, 0.008, 0.46, -0.02, 0.017],
    ),
    'equidistant': ([-0.045, 0.012, -0.006, 0.001], [-0.038, 0.009, -0.004, 0.0007]),
}


def distort(model, d, x, y):
    """Normalised pinhole coordinates to distorted ones, written from the models' definitions."""
    if model == 'equidistant':  # Kannala and Brandt 2006
        r = np.hypot(x, y)
        t = np.arctan(r)
        bent = t * (1 + d[0] * t**2 + d[1] * t**4 + d[2] * t**6 + d[3] * t**8)
        scale = np.where(r > 1e-12, bent / np.maximum(r, 1e-12), 1.0)
        return x * scale, y * scale
    k1, k2, p1, p2, k3, k4, k5, k6 = [*d, 0, 0, 0][:8]  # Brown 1966, and OpenCV's denominator
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


@dataclass(frozen=True)
class Camera:
    """A raw camera of the test: X_camera = rotation @ X_left + translation (m)."""

    model: str
    d: list[float]
    k: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    def project(self, points):
        x, y, z = self.rotation @ points.T + self.translation[:, None]
        x, y = distort(self.model, self.d, x / z, y / z)
        return np.stack([self.k[0, 0] * x + self.k[0, 2], self.k[1, 1] * y + self.k[1, 2]], axis=1)


def raw_cameras(model):
    left, right = DISTORTIONS[model]
    rotation, _ = cv2.Rodrigues(np.array([0.011, -0.02, 0.017]))
    return (
        Camera(
            model,
            left,
            np.array([[531.0, 0, 331], [0, 523, 228], [0, 0, 1]]),
            np.eye(3),
            np.zeros(3),
        ),
        Camera(
            model,
            right,
            np.array([[509.0, 0, 309], [0, 514, 251], [0, 0, 1]]),
            rotation,
            np.array([-0.0045, 0.00007, 0.00011]),
        ),
    )


def rectifying_rotations(right):
    """Turn both cameras so that x runs along the baseline and z lies between the optical axes."""
    centre = -right.rotation.T @ right.translation
    e1 = centre / np.linalg.norm(centre)
    forward = np.array([0.0, 0, 1]) + right.rotation[2]
    e2 = np.cross(forward, e1)
    e2 /= np.linalg.norm(e2)
    rotation = np.stack([e1, e2, np.cross(e1, e2)])
    return rotation, rotation @ right.rotation.T, np.linalg.norm(centre)


def camera_infos(left, right, *, focal=(490.0, 497.0), cx=(322.0, 322.0), cy=239.0, size=SIZE):
    """Both cameras as their CameraInfos describe them, by the formula above."""
    rotation_left, rotation_right, baseline_m = rectifying_rotations(right)
    calibrations = []
    for camera, rotation, cx_px, shift in (
        (left, rotation_left, cx[0], 0.0),
        (right, rotation_right, cx[1], -focal[0] * baseline_m),
    ):
        p = [focal[0], 0, cx_px, shift, 0, focal[1], cy, 0, 0, 0, 1, 0]
        calibrations.append(calibration(camera, rotation, p, size=size))
    return calibrations


def calibration(camera, rotation, p, *, size=SIZE):
    return CameraCalibration.from_camera_info_fields(
        width=size[0],
        height=size[1],
        distortion_model=camera.model,
        d=camera.d,
        k=camera.k.ravel(),
        r=rotation.ravel(),
        p=p,
    )


def points_in_space():
    """Points (m, left camera) on a curved surface 45 to 115 mm away, spread over the picture."""
    x, y = np.meshgrid(np.linspace(-0.66, 0.66, 19), np.linspace(-0.5, 0.5, 15))
    x, y = x.ravel(), y.ravel()
    z = 0.080 - 0.05 * y + 0.012 * np.sin(5 * x + 1) * np.cos(4 * y)
    return np.stack([x * z, y * z, z], axis=1)


def whole_in_both(raw, points):
    """The points whose dots lie inside both raw pictures entirely."""
    inside = [
        (np.abs(camera.project(points) - np.array(SIZE) / 2) < np.array(SIZE) / 2 - 10).all(axis=1)
        for camera in raw
    ]
    return points[inside[0] & inside[1]]


def paint_dots(pixels):
    """A picture (uint8 RGB) with a Gaussian dot at every position, brightness summed."""
    picture = np.zeros((SIZE[1], SIZE[0]))
    for u, v in pixels:
        column, row = int(round(u)), int(round(v))
        xs = np.arange(max(column - 9, 0), min(column + 10, SIZE[0]))
        ys = np.arange(max(row - 9, 0), min(row + 10, SIZE[1]))
        if xs.size and ys.size:
            square = (xs[None, :] - u) ** 2 + (ys[:, None] - v) ** 2
            picture[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] += np.exp(
                -square / 2 / DOT_SIGMA_PX**2
            )
    return np.repeat(np.rint(240 * np.minimum(picture, 1)).astype(np.uint8)[..., None], 3, axis=2)


def centroid(picture, near):
    """Centre of gravity of the dot near a position; NaN where there is none, or it is cut off."""
    u, v = near
    for _ in range(4):
        column, row = int(round(u)), int(round(v))
        if not (8 <= column < SIZE[0] - 8 and 8 <= row < SIZE[1] - 8):
            return np.nan, np.nan
        window = picture[row - 8 : row + 9, column - 8 : column + 9, 0].astype(float)
        if window.sum() < 2000:
            return np.nan, np.nan
        u = column + (window.sum(axis=0) @ np.arange(-8, 9)) / window.sum()
        v = row + (window.sum(axis=1) @ np.arange(-8, 9)) / window.sum()
    return u, v


@dataclass(frozen=True)
class Errors:
    """What the dots of one rig tell."""

    seen: int
    row_px: float
    depth: float
    position_m: float


def measure(raw, rectifier, *, rotation_left, rectified_project=None):
    """Worst errors over all dots: left row against right row, depth and position against truth."""
    points = whole_in_both(raw, points_in_space())
    pictures = [paint_dots(camera.project(points)) for camera in raw]
    left, right = rectifier.rectify(*pictures)
    geometry = rectifier.geometry
    truth = points @ rotation_left.T
    expected_d = geometry.focal_px * geometry.baseline_m / truth[:, 2]
    x = geometry.focal_px * truth[:, 0] / truth[:, 2] + geometry.cx_px
    y = geometry.focal_y_px * truth[:, 1] / truth[:, 2] + geometry.cy_px
    offset = rectifier.disparity_offset_px
    in_left = np.array([centroid(left, at) for at in zip(x, y, strict=True)])
    in_right = np.array(
        [centroid(right, at) for at in zip(x - expected_d - offset, y, strict=True)]
    )
    seen = np.isfinite(in_left[:, 0]) & np.isfinite(in_right[:, 0])
    in_left, in_right, truth = in_left[seen], in_right[seen], truth[seen]
    disparity_px = in_left[:, 0] - in_right[:, 0] - offset
    z = geometry.focal_px * geometry.baseline_m / disparity_px
    lateral = np.stack(
        [
            (in_left[:, 0] - geometry.cx_px) * z / geometry.focal_px,
            (in_left[:, 1] - geometry.cy_px) * z / geometry.focal_y_px,
        ],
        axis=1,
    )
    return Errors(
        seen=int(seen.sum()),
        row_px=float(np.abs(in_left[:, 1] - in_right[:, 1]).max()),
        depth=float(np.abs(z / truth[:, 2] - 1).max()),
        position_m=float(np.abs(lateral - truth[:, :2]).max()),
    )


def assert_exact(errors, *, at_least):
    assert errors.seen >= at_least
    assert errors.row_px < ROW_BAR_PX
    assert errors.depth < DEPTH_BAR
    assert errors.position_m < 0.00025


@pytest.mark.parametrize('cx', [(322.0, 322.0), (322.0, 345.5), (322.0, 290.25)])
@pytest.mark.parametrize('model', DISTORTIONS)
def test_dots_come_back_in_one_row_at_their_depth(model, cx):
    raw = raw_cameras(model)
    left, right = camera_infos(*raw, cx=cx)
    rectifier = Rectifier(StereoRig.from_cameras(left, right))
    assert rectifier.geometry.cx_px == 322.0
    assert rectifier.disparity_offset_px == 0.0
    assert_exact(measure(raw, rectifier, rotation_left=left.rectification), at_least=190)


@pytest.mark.parametrize('alpha', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('model', DISTORTIONS)
def test_zooming_changes_the_focal_length_and_not_the_depth(model, alpha):
    raw = raw_cameras(model)
    left, right = camera_infos(*raw, cx=(322.0, 330.0))
    rectifier = Rectifier(StereoRig.from_cameras(left, right), alpha=alpha)
    assert abs(rectifier.geometry.focal_px - 490.0) > 5
    assert_exact(measure(raw, rectifier, rotation_left=left.rectification), at_least=150)


@pytest.mark.parametrize('flags', [0, cv2.CALIB_ZERO_DISPARITY])
@pytest.mark.parametrize('model', DISTORTIONS)
def test_the_rectification_that_opencv_computes_is_applied_exactly(model, flags):
    raw = raw_cameras(model)
    (left_d, right_d), right = (np.array(camera.d) for camera in raw), raw[1]
    stereo_rectify = cv2.fisheye.stereoRectify if model == 'equidistant' else cv2.stereoRectify
    shift = right.translation.reshape(3, 1)
    arguments = (raw[0].k, left_d, right.k, right_d, SIZE, right.rotation, shift)
    r1, r2, p1, p2, *_ = stereo_rectify(*arguments, flags=flags)
    left, right = calibration(raw[0], r1, p1.ravel()), calibration(raw[1], r2, p2.ravel())
    rectifier = Rectifier(StereoRig.from_cameras(left, right))
    assert_exact(measure(raw, rectifier, rotation_left=r1), at_least=100)


@pytest.mark.parametrize('cx_right', [330.0, 352.6, 301.3])
def test_pictures_that_arrive_rectified_lose_the_offset_of_their_principal_points(cx_right):
    k = np.array([[500.0, 0, 330], [0, 500, 236], [0, 0, 1]])
    raw = (
        Camera('plumb_bob', [0.0] * 5, k, np.eye(3), np.zeros(3)),
        Camera(
            'plumb_bob',
            [0.0] * 5,
            np.array([[500.0, 0, cx_right], [0, 500, 236], [0, 0, 1]]),
            np.eye(3),
            np.array([-0.0045, 0, 0]),
        ),
    )
    infos = camera_infos(*raw, focal=(500.0, 500.0), cx=(330.0, cx_right), cy=236.0)
    rectifier = Rectifier(StereoRig.from_cameras(*infos, rectified=True))
    assert_exact(measure(raw, rectifier, rotation_left=np.eye(3)), at_least=190)


def test_the_measure_notices_a_rotation_that_is_off_by_two_hundredths_of_a_degree():
    raw = raw_cameras('plumb_bob')
    left, right = camera_infos(*raw)
    tilt, _ = cv2.Rodrigues(np.array([np.deg2rad(0.02), 0.0, 0.0]))
    wrong = replace(right, rectification=tilt @ right.rectification)
    errors = measure(
        raw, Rectifier(StereoRig.from_cameras(left, wrong)), rotation_left=left.rectification
    )
    assert errors.row_px > ROW_BAR_PX


@pytest.mark.parametrize('model', DISTORTIONS)
def test_the_measure_notices_a_coefficient_that_is_off_by_a_twentieth(model):
    raw = raw_cameras(model)
    left, right = camera_infos(*raw)
    wrong = replace(right, distortion=right.distortion * np.r_[1.05, np.ones(len(raw[1].d) - 1)])
    errors = measure(
        raw, Rectifier(StereoRig.from_cameras(left, wrong)), rotation_left=left.rectification
    )
    assert errors.row_px > ROW_BAR_PX or errors.depth > DEPTH_BAR


# The second proof: the analytic scene.


@dataclass(frozen=True)
class SceneViews:
    coloured_left: np.ndarray
    grey: tuple[np.ndarray, np.ndarray]
    disparity_px: np.ndarray
    instrument_mask: np.ndarray
    seen_by_both: np.ndarray


@pytest.fixture(scope='module')
def scene_views():
    """The analytic scene rectified, without noise, and the truth of its left view."""
    moment, painter, raw = Scene(0).at(0.5), Painter(0), analytic_cameras()
    cameras = [
        Camera(
            'plumb_bob', list(c.distortion), c.camera_matrix, c.rotation, c.translation_mm / 1e3
        )
        for c in raw
    ]
    size = raw[0].image_size
    left, right = camera_infos(
        *cameras, focal=(505.0, 505.0), cx=(320.0, 338.0), cy=256.0, size=size
    )
    rectifier = Rectifier(StereoRig.from_cameras(left, right))
    pictures = [
        np.rint(255 * np.clip(painter.render(moment, camera), 0, 1) ** 0.45).astype(np.uint8)
        for camera in raw
    ]
    coloured = rectifier.rectify(*pictures)
    views = [cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in coloured]
    geometry = rectifier.geometry
    depth_mm, mask = rectified_truth(
        moment,
        image_size=size,
        focal_px=geometry.focal_px,
        focal_y_px=geometry.focal_y_px,
        cx_px=geometry.cx_px,
        cy_px=geometry.cy_px,
        rotation=left.rectification,
    )
    disparity_px = geometry.focal_px * geometry.baseline_m * 1e3 / depth_mm
    # A pixel is seen by both eyes where the ray from the right eye ends at the same point.
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    ray_x, ray_y = (
        (x - geometry.cx_px) / geometry.focal_px,
        (y - geometry.cy_px) / geometry.focal_y_px,
    )
    points = np.dstack([ray_x, ray_y, np.ones(x.shape)]) * depth_mm[..., None] @ left.rectification
    seen = moment.trace(raw[1].centre_mm, points - raw[1].centre_mm)[0] > 1 - 1e-6
    at = (x - disparity_px).astype(np.float32), y.astype(np.float32)
    seen &= (views[0] > 0) & (cv2.remap(views[1], *at, cv2.INTER_NEAREST) > 0)
    return SceneViews(coloured[0], tuple(views), disparity_px, mask, seen)


def residual_shift(views, disparity_px, usable, *, block_px=96):
    """By how much the left view and the right one at the disparity are still apart, by blocks.

    One least-squares step of Lucas and Kanade (1981) on pictures without their slow shading:
    (blocks x 2) px, in x and y, for blocks with enough usable pixels.
    """
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in views[0].shape[::-1]))
    left, right = (view.astype(np.float32) for view in views)
    right = cv2.remap(right, x - disparity_px.astype(np.float32), y, cv2.INTER_CUBIC)
    left, right = (p - cv2.GaussianBlur(p, (0, 0), 4) for p in (left, right))
    left, right = (cv2.GaussianBlur(p, (0, 0), 1) for p in (left, right))
    dx, dy = (cv2.Sobel((left + right) / 2, cv2.CV_32F, *o, scale=1 / 8) for o in ((1, 0), (0, 1)))
    # Highlights belong to the view: leave out what differs too much to be the same texture.
    usable = usable & (np.abs(left - right) < 4)
    shifts = []
    for row in range(0, left.shape[0], block_px):
        for column in range(0, left.shape[1], block_px):
            block = np.s_[row : row + block_px, column : column + block_px]
            keep = usable[block]
            if keep.mean() < 0.6:
                continue
            slopes = np.stack([dx[block][keep], dy[block][keep]], axis=1)
            difference = (right - left)[block][keep]
            shifts.append(np.linalg.lstsq(slopes, difference, rcond=None)[0])
    return np.array(shifts)


def tissue_seen_by_both(views):
    """Away from edges of depth, where blur mixes near and far."""
    usable = views.seen_by_both & ~views.instrument_mask
    return cv2.erode(usable.astype(np.uint8), np.ones((9, 9))) > 0


def test_the_scene_lies_at_its_exact_disparity_and_row_everywhere(scene_views):
    shifts = residual_shift(
        scene_views.grey, scene_views.disparity_px, tissue_seen_by_both(scene_views)
    )
    assert len(shifts) >= 28
    nearest_to_zero_px = scene_views.disparity_px.min()
    assert np.abs(shifts[:, 0]).max() < DEPTH_BAR * nearest_to_zero_px
    assert np.abs(shifts[:, 1]).max() < ROW_BAR_PX


@pytest.mark.parametrize('off_px', [-0.15, 0.15])
def test_the_comparison_notices_a_disparity_or_a_row_that_is_off(scene_views, off_px):
    usable = tissue_seen_by_both(scene_views)
    disparity_px = scene_views.disparity_px
    along = residual_shift(scene_views.grey, disparity_px + off_px, usable)
    assert np.abs(along[:, 0]).max() > DEPTH_BAR * disparity_px.min()
    left, right = scene_views.grey
    moved = cv2.warpAffine(
        right, np.array([[1.0, 0, 0], [0, 1, off_px]]), right.shape[::-1], flags=cv2.INTER_CUBIC
    )
    across = residual_shift((left, moved), disparity_px, usable)
    assert np.abs(across[:, 1]).max() > ROW_BAR_PX


def test_the_exact_instrument_mask_covers_what_is_grey_in_the_rectified_view(scene_views):
    red, _, blue = cv2.split(scene_views.coloured_left.astype(np.float32))
    # Metal is grey, tissue red; highlights are white on both, black has no source.
    told = (scene_views.grey[0] > 0) & (red < 250)
    grey = (red < 1.12 * blue) & told
    mask = scene_views.instrument_mask & told
    assert (grey & mask).sum() / (grey | mask).sum() > 0.95
    shifted = np.roll(mask, 4, axis=1)
    assert (grey & shifted).sum() / (grey | shifted).sum() < 0.95
