from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.camera_points import folding_radius, raw_points
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.rectification import Rectifier, _maps, _view_geometry
from msdesis_ros.core.rig import StereoRig


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (512, 640, 3), dtype=np.uint8)


def test_a_perfect_rig_returns_the_pictures_unchanged(make_camera, right_tx, picture):
    rectifier = Rectifier(StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx)))
    left, right = rectifier.rectify(picture, picture[::-1].copy())
    np.testing.assert_array_equal(left, picture)
    np.testing.assert_array_equal(right, picture[::-1])
    assert rectifier.left_valid is None and rectifier.right_valid is None


def test_raw_views_with_other_principal_points_are_brought_to_the_left_one(make_camera, picture):
    # The right camera looks the same way, its sensor sits 20 px further left: content moves back.
    right = make_camera(tx=-2.0, cx=339.5)
    rectifier = Rectifier(StereoRig.from_cameras(make_camera(), right))
    assert rectifier.geometry.cx_px == 319.5
    assert rectifier.disparity_offset_px == 0
    rectified = rectifier.rectify(picture, picture)[1]
    np.testing.assert_array_equal(rectified[:, :620], picture[:, 20:])
    assert not rectifier.right_valid[:, 620:].any() and rectifier.right_valid[:, :620].all()


@pytest.mark.parametrize('offset', [10.0, 10.25, 0.0, -0.25, -12.0, -97.5])
def test_rectified_views_with_other_principal_points_keep_the_exact_offset(make_camera, offset):
    left, right = make_camera(cx=319.5), make_camera(tx=-2.0, cx=319.5 - offset)
    rig = StereoRig.from_cameras(left, right, rectified=True)
    rectifier = Rectifier(rig)
    # A point at infinity: the same ray in both views.
    x_left, x_right = 400.0, 400.0 - offset
    column = np.zeros((512, 640, 3), np.uint8)
    column[:, round(x_right)] = 255
    moved = rectifier.rectify(np.zeros_like(column), column)[1]
    x_seen = float(np.argmax(moved[0, :, 0])) + (x_right - round(x_right))
    assert x_left - x_seen - rectifier.disparity_offset_px == pytest.approx(0.0, abs=1e-9)
    # Infinity lies inside of a search that starts at disparity 0.
    assert x_left - x_seen >= 0


def test_a_principal_point_further_away_than_the_picture_is_wide_is_refused(make_camera):
    rig = StereoRig.from_cameras(
        make_camera(), make_camera(tx=-2.0, cx=319.5 + 700), rectified=True
    )
    with pytest.raises(CalibrationError, match='other pictures'):
        Rectifier(rig)


def _distorted_rig(make_camera):
    barrel = [-0.25, 0.05, 0.0, 0.0, 0.0]
    return StereoRig.from_cameras(make_camera(d=barrel), make_camera(d=barrel, tx=-2.0))


def test_alpha_zero_leaves_no_pixel_without_a_source(make_camera):
    rig = _distorted_rig(make_camera)
    tight = Rectifier(rig, alpha=0.0)
    assert tight.left_valid is None and tight.right_valid is None


def test_alpha_one_loses_no_source_pixel(make_camera):
    rig = _distorted_rig(make_camera)
    wide = Rectifier(rig, alpha=1.0)
    assert wide.left_valid is not None and not wide.left_valid.all()
    frame = np.zeros((512, 640, 3), np.uint8)
    corners = [(2, 2), (2, 637), (509, 2), (509, 637)]
    for y, x in corners:
        marked = frame.copy()
        marked[y - 2 : y + 3, x - 2 : x + 3] = 255
        assert wide.rectify(marked, frame)[0].max() > 128, f'corner {x},{y} was lost'


def test_rays_that_the_lens_never_let_in_are_not_valid(make_camera):
    # r (1 - 0.4 r^2 + 0.3 r^4 - 0.15 r^6) rises up to r = 1.07, and falls again beyond.
    folding = {'d': [-0.4, 0.3, 0.0, 0.0, -0.15]}
    focal = 0.45 * make_camera().camera_matrix[0, 0]
    wide = [focal, 0, 320, 0, 0, focal, 256, 0, 0, 0, 1, 0]
    camera = make_camera(**folding, p=wide)
    geometry = _view_geometry(camera)
    (_, valid) = _maps(camera, geometry)
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in camera.image_size))
    rays = np.stack([(x - 320) / focal, (y - 256) / focal], axis=-1).reshape(-1, 2)
    centre, radius = camera.camera_matrix[:2, 2], np.hypot(*rays.T).reshape(y.shape)
    raw, further = (raw_points(scale * rays, camera).reshape(*y.shape, 2) for scale in (1, 1.001))
    inside = ((raw >= 0) & (raw <= np.array(camera.image_size) - 1)).all(axis=-1)
    rises = np.hypot(*np.moveaxis(further - centre, -1, 0)) > np.hypot(
        *np.moveaxis(raw - centre, -1, 0)
    )
    ends = radius[~rises & (radius > 0.01)].min()
    folded = inside & (radius > ends + 0.002)
    assert folded.mean() > 0.1 and not valid[folded].any()
    kept = inside & (radius < ends - 0.002)
    assert kept.mean() > 0.3 and valid[kept].all()


def test_a_lens_that_does_not_fold_loses_nothing(make_camera):
    camera = make_camera(d=[-0.25, 0.05, 0.0, 0.0, 0.0])
    assert folding_radius(camera, largest=1.0) == np.inf
    fisheye = make_camera(distortion_model='equidistant', d=[-0.02, 0.003, 0.0, 0.0])
    assert folding_radius(fisheye, largest=3.0) == np.inf
    bent = make_camera(distortion_model='equidistant', d=[-0.3, 0.0, 0.0, 0.0])
    # 1 - 0.9 a^2 = 0.
    assert np.arctan(folding_radius(bent, largest=3.0)) == pytest.approx(0.9**-0.5, abs=0.01)


def test_alpha_changes_the_focal_length_between_its_ends(make_camera):
    rig = _distorted_rig(make_camera)
    focal = [Rectifier(rig, alpha=a).geometry.focal_px for a in (0.0, 0.5, 1.0)]
    assert focal[0] > focal[1] > focal[2]
    assert focal[1] == pytest.approx((focal[0] + focal[2]) / 2)


@pytest.mark.parametrize('alpha', [-0.5, 1.5, float('nan')])
def test_an_alpha_without_meaning_is_refused(make_camera, alpha):
    with pytest.raises(CalibrationError, match='alpha'):
        Rectifier(_distorted_rig(make_camera), alpha=alpha)


def test_pictures_of_another_size_are_refused(make_camera, right_tx):
    rectifier = Rectifier(StereoRig.from_cameras(make_camera(), make_camera(tx=right_tx)))
    with pytest.raises(CalibrationError, match='320x256'):
        rectifier.rectify(np.zeros((256, 320, 3), np.uint8), np.zeros((256, 320, 3), np.uint8))


def test_the_valid_window_bounds_the_pixels_with_a_source(make_camera, right_tx):
    # K sees 100 px less to the left than P asks for.
    left = make_camera(k=[500, 0, 219.5, 0, 500, 255.5, 0, 0, 1])
    rectifier = Rectifier(StereoRig.from_cameras(left, make_camera(tx=right_tx)))
    assert rectifier.valid_window == (100, 0, 540, 512)
