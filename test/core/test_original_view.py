"""The original, distorted left view against formulas that are written out by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import CalibrationError, ImageError
from msdesis_ros.core.original_view import OriginalView
from msdesis_ros.core.rig import StereoRig

sys.path.append(str(Path(__file__).parents[1] / 'miniature'))
from scared_converted import NO_LENS, Camera


def rig_of(camera: Camera, *, model: str = 'plumb_bob', d=None) -> StereoRig:
    tree = json.loads(camera.calibration())

    def eye(side: int) -> CameraCalibration:
        k, r, p = (np.array(tree[f'{name}{side}']['data']) for name in 'KRP')
        p = p.reshape(3, 4)
        p[0, 3] /= 1000
        width, height = camera.size
        return CameraCalibration.from_camera_info_fields(
            width=width,
            height=height,
            distortion_model=model,
            d=tree[f'D{side}']['data'] if d is None else d,
            k=k,
            r=r,
            p=p,
        )

    return StereoRig.from_cameras(eye(1), eye(2))


def test_the_depth_of_a_disparity_is_that_of_the_surface_behind_the_lens():
    camera = Camera(size=(128, 96))
    depth_m = OriginalView(rig_of(camera)).depth_from_disparity(camera.disparity())
    assert depth_m.dtype == np.float32
    seen = camera.seen()
    assert 0.6 < seen.mean() < 1
    error = np.abs(depth_m * 1e3 - camera.depth())
    assert error[seen].max() < 0.01 and error[seen].mean() < 0.001
    # The same without the lens is off by far more: the test sees the distortion.
    assert np.abs(camera.depth(lens=False) - camera.depth())[seen].max() > 1


def test_what_the_rectified_view_does_not_show_stays_unknown():
    camera = Camera()
    depth_m = OriginalView(rig_of(camera)).depth_from_disparity(camera.disparity())
    seen = camera.seen()
    assert np.isfinite(depth_m[seen]).all()
    # A pixel reaches half a pixel further than its centre, and no more.
    assert 0 < np.isnan(depth_m).sum() < (~seen).sum() < 0.4 * seen.size


def test_the_disparity_of_a_depth_map_is_that_of_the_surface():
    camera = Camera(size=(128, 96))
    found = OriginalView(rig_of(camera)).disparity_from_depth(camera.depth() / 1e3)
    shown = camera.shown()
    assert 0.8 < shown.mean() < 1
    error = np.abs(found - camera.disparity())
    assert error[shown].max() < 0.01 and error[shown].mean() < 0.001
    assert np.isnan(found).sum() > 0.5 * (~shown).sum()


def test_there_and_back_the_depth_is_kept_within_the_interpolation():
    camera = Camera(size=(128, 96))
    view = OriginalView(rig_of(camera))
    depth_m = (camera.depth() / 1e3).astype(np.float32)
    back = view.depth_from_disparity(view.disparity_from_depth(depth_m))
    both = np.isfinite(back) & camera.seen()
    assert both.sum() > 0.97 * camera.seen().sum()
    error_mm = np.abs(back - depth_m)[both] * 1e3
    # Largest at the rim of the picture, where only the nearest pixel is known. The figures of
    # docs/scared-evaluation.md: 0.001 and 0.10 mm.
    assert error_mm.mean() < 0.0015 and error_mm.max() < 0.105


@settings(max_examples=12, deadline=None)
@given(
    st.floats(-0.006, 0.006),
    st.floats(-0.006, 0.006),
    st.sampled_from([0.0, 3.25, -2.5]),
)
def test_a_plane_comes_out_exactly_whatever_its_slope(slope_x, slope_y, apart):
    # Disparity is linear in the picture of a plane, so that interpolating it costs nothing.
    camera = Camera(slope=(slope_x, slope_y), wave=0.0, apart=apart)
    view = OriginalView(rig_of(camera))
    depth_m = view.depth_from_disparity(camera.disparity())
    seen = camera.seen()
    np.testing.assert_allclose(depth_m[seen] * 1e3, camera.depth()[seen], rtol=2e-6)


def test_an_offset_of_the_principal_points_is_part_of_the_disparity():
    camera = Camera(apart=3.25, d1=NO_LENS, r1=np.eye(3), r2=np.eye(3), wave=0.0)
    disparity_px = camera.disparity()
    view = OriginalView(rig_of(camera))
    depth_m = view.depth_from_disparity(disparity_px)
    middle = (camera.size[1] // 2, camera.size[0] // 2)
    # Z = f B / (d - (cx1 - cx2)); without the offset it is another number.
    expected = camera.focal_times_baseline / (disparity_px[middle] - 3.25)
    assert depth_m[middle] * 1e3 == pytest.approx(expected, rel=0.02)
    assert depth_m[middle] * 1e3 > 1.5 * camera.focal_times_baseline / disparity_px[middle]
    back = view.disparity_from_depth((camera.depth() / 1e3).astype(np.float32))
    assert back[middle] == pytest.approx(disparity_px[middle], abs=1e-3)


@pytest.mark.parametrize('nothing', [0.0, -2.0, np.nan, np.inf, -np.inf])
def test_no_disparity_is_no_point_and_never_an_infinite_one(nothing):
    camera = Camera()
    disparity_px = camera.disparity()
    disparity_px[20:28, 20:40] = nothing
    with np.errstate(all='raise'):
        depth_m = OriginalView(rig_of(camera)).depth_from_disparity(disparity_px)
    assert not np.isinf(depth_m).any()
    # The hole is a hole, neither grown over nor grown.
    whole = OriginalView(rig_of(camera)).depth_from_disparity(camera.disparity())
    lost = np.isnan(depth_m) & np.isfinite(whole)
    assert 0.5 * 160 < lost.sum() < 2 * 160


@pytest.mark.parametrize('nothing', [0.0, -5.0, np.nan, np.inf])
def test_no_depth_is_no_disparity(nothing):
    camera = Camera()
    depth_m = camera.depth() / 1e3
    depth_m[20:28, 20:40] = nothing
    disparity_px = OriginalView(rig_of(camera)).disparity_from_depth(depth_m)
    assert not np.isinf(disparity_px).any()
    assert 0.5 * 160 < np.isnan(disparity_px).sum() < 2.5 * 160


def test_the_two_sides_of_an_edge_are_never_mixed():
    camera = Camera(slope=(0.0, 0.0), wave=0.0, r1=np.eye(3), r2=np.eye(3))
    far, near = 4.0, 12.0
    disparity_px = np.full(camera.size[::-1], far)
    disparity_px[:, 30:] = near
    depth_m = OriginalView(rig_of(camera)).depth_from_disparity(disparity_px)
    levels = camera.focal_times_baseline / np.array([far, near])
    found = depth_m[np.isfinite(depth_m)] * 1e3
    off = np.abs(found[:, None] - levels).min(axis=1)
    assert off.max() < 1e-3
    # A step of less than a pixel is a slanted surface, and is interpolated.
    disparity_px[:, 30:] = far + 0.9
    depth_m = OriginalView(rig_of(camera)).depth_from_disparity(disparity_px)
    found = depth_m[np.isfinite(depth_m)] * 1e3
    between = (found < levels[0] - 0.1) & (found > camera.focal_times_baseline / (far + 0.9) + 0.1)
    assert between.any()


def test_nothing_that_is_given_is_altered():
    camera = Camera()
    view = OriginalView(rig_of(camera))
    for convert, plane in (
        (view.depth_from_disparity, camera.disparity()),
        (view.disparity_from_depth, camera.depth() / 1e3),
    ):
        plane[5:9, 5:9], plane[0, 0] = 0, np.nan
        before = plane.copy()
        plane.setflags(write=False)
        convert(plane)
        np.testing.assert_array_equal(plane, before)


def test_without_lens_and_turn_the_view_is_the_rectified_one():
    camera = Camera.plain()
    view = OriginalView(rig_of(camera))
    disparity_px = camera.disparity()
    depth_m = view.depth_from_disparity(disparity_px)
    np.testing.assert_allclose(
        depth_m * 1e3, camera.focal_times_baseline / disparity_px, rtol=1e-5
    )


def test_a_fisheye_lens_is_taken_too():
    camera = Camera(wave=0.0, r1=np.eye(3))
    d = np.array([0.05, -0.02, 0.004, -0.001])
    depth_m = OriginalView(rig_of(camera, model='equidistant', d=d)).depth_from_disparity(
        camera.disparity()
    )
    # By hand: the pixel of a ray at the angle theta lies at theta (1 + k1 theta^2 + ...).
    x, y = 0.21, -0.13
    radius = np.hypot(x, y)
    theta = np.arctan(radius)
    bent = theta * (1 + sum(k * theta ** (2 * n + 2) for n, k in enumerate(d)))
    k = camera.k1
    u, v = k[0, 0] * x * bent / radius + k[0, 2], k[1, 1] * y * bent / radius + k[1, 2]
    expected = 1 / camera.nearness(x, y)
    around = depth_m[int(v) : int(v) + 2, int(u) : int(u) + 2] * 1e3
    assert around.min() - 0.02 < expected < around.max() + 0.02
    assert np.ptp(around) < 0.5


def test_where_the_lens_polynomial_folds_back_there_is_no_ray():
    # r (1 - 0.5 r^2) grows up to r = 0.816 only, where the lens shows it at 0.544.
    fold = Camera(size=(128, 96), d1=np.array([-0.5, 0, 0, 0, 0]), r1=np.eye(3), r2=np.eye(3))
    rig = rig_of(fold)
    k = np.array([[60.0, 0, 64], [0, 60, 48], [0, 0, 1]])
    p = np.array([[60.0, 0, 64, 0], [0, 60, 48, 0], [0, 0, 1, 0]])
    left = CameraCalibration.from_camera_info_fields(
        width=128, height=96, distortion_model='plumb_bob', d=fold.d1, k=k, r=np.eye(3), p=p
    )
    right = CameraCalibration.from_camera_info_fields(
        width=128,
        height=96,
        distortion_model='plumb_bob',
        d=fold.d1,
        k=k,
        r=np.eye(3),
        p=p + np.array([[0, 0, 0, -60 * 0.0042], [0] * 4, [0] * 4]),
    )
    assert rig.rectified is False
    view = OriginalView(StereoRig.from_cameras(left, right))
    u, v = np.meshgrid(np.arange(128), np.arange(96))
    radius = np.hypot((u - 64) / 60, (v - 48) / 60)
    depth_m = view.depth_from_disparity(np.full((96, 128), 5.0))
    assert np.isfinite(depth_m[radius < 0.53]).all()
    assert np.isnan(depth_m[radius > 0.56]).all()
    disparity_px = view.disparity_from_depth(np.full((96, 128), 0.05))
    assert np.isfinite(disparity_px[radius < 0.78]).all()
    assert np.isnan(disparity_px[radius > 0.85]).all()


def test_pictures_that_arrive_rectified_have_no_original_view():
    rig = StereoRig.from_focal_and_baseline(image_size=(64, 48), focal_px=60, baseline_m=0.004)
    with pytest.raises(CalibrationError, match='no original view'):
        OriginalView(rig)


@pytest.mark.parametrize('way', ['depth_from_disparity', 'disparity_from_depth'])
def test_a_plane_of_another_size_is_refused(way):
    view = OriginalView(rig_of(Camera()))
    with pytest.raises(ImageError, match=r'\(48, 63\); expected \(48, 64\)'):
        getattr(view, way)(np.ones((48, 63)))
