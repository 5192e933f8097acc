from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import CalibrationError, ImageError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.synth.effects.distortion import (
    Distorter,
    margin_px,
    sample_lens,
    with_margin,
)
from msdesis_ros.data.synth.effects.raw_cameras import EyeLens, StereoLens
from msdesis_ros.data.synth.noise import spectral_noise
from msdesis_ros.data.synth.rigs import EndoscopeRig, sample_rig

SIZE = (320, 256)
BARREL = EyeLens(270.0, 270.5, 150.0, 120.0, (-0.2, 0.03, 0.001, -0.001, 0.0), (0.5, -1.0, 0.8))


def drawn_lens(seed: int) -> tuple[EndoscopeRig, StereoLens]:
    rng = np.random.default_rng(seed)
    rig = sample_rig(rng, SIZE)
    return rig, sample_lens(rng, rig)


def textured(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Smooth shading and texture of some pixels' size, H x W x 3 uint8."""
    channels = [
        cv2.resize(
            spectral_noise(np.random.default_rng([seed, c]), 256, exponent=1.5, high=40), size
        )
        for c in range(3)
    ]
    return (np.stack(channels, axis=-1) * 255).astype(np.uint8)


@pytest.mark.parametrize('seed', range(6))
def test_rectification_restores_the_views_that_were_distorted(seed: int) -> None:
    rig, lens = drawn_lens(seed)
    margin = margin_px(lens)
    wide = with_margin(lens.geometry, margin)
    view = textured(wide.image_size, seed)
    distorters = [
        Distorter(eye, view_geometry=wide, image_size=SIZE) for eye in (lens.left, lens.right)
    ]
    rectifier = Rectifier(lens.rig())

    restored = rectifier.rectify(*(distorter.distort(view) for distorter in distorters))

    x, y = margin[:2]
    expected = view[y : y + SIZE[1], x : x + SIZE[0]].astype(np.int16)
    for picture, valid in zip(
        restored, (rectifier.left_valid, rectifier.right_valid), strict=True
    ):
        inner = np.ones(picture.shape[:2], np.uint8) if valid is None else valid.astype(np.uint8)
        inner = cv2.erode(inner, np.ones((5, 5)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
        assert inner.mean() > 0.75
        error = np.abs(picture.astype(np.int16) - expected)[inner > 0]
        assert error.mean() < 0.6
        assert np.percentile(error, 99) <= 3


def test_a_picture_that_is_not_distorted_back_differs() -> None:
    # The negative control of the test above: its bounds tell 1 px apart.
    rig, lens = drawn_lens(0)
    view = textured(SIZE)
    raw = Distorter(lens.left, view_geometry=lens.geometry, image_size=SIZE).distort(view)
    assert np.abs(raw[60:-60, 60:-60].astype(int) - view[60:-60, 60:-60]).mean() > 3


@given(
    seed=st.integers(0, 2**31),
    x=st.floats(-0.2, 0.2),
    y=st.floats(-0.2, 0.2),
    depth_mm=st.floats(20, 200),
)
@settings(max_examples=60, deadline=None)
def test_calibration_projects_a_point_to_where_its_rectified_pixel_comes_from(
    seed: int, x: float, y: float, depth_mm: float
) -> None:
    rig, lens = drawn_lens(seed)
    values = lens.calibration()
    point = np.array([[x * depth_mm, y * depth_mm, depth_mm]])  # in the rectified left frame
    in_left = point @ values['R1']
    left_raw, _ = cv2.projectPoints(in_left, np.zeros(3), np.zeros(3), values['K1'], values['D1'])
    rotation, _ = cv2.Rodrigues(values['R'])
    right_raw, _ = cv2.projectPoints(in_left, rotation, values['T'], values['K2'], values['D2'])

    left = lens.left.rectified_points(left_raw.reshape(-1, 2), lens.geometry)[0]
    right = lens.right.rectified_points(right_raw.reshape(-1, 2), lens.geometry)[0]

    expected_x = rig.cx_px + rig.focal_px * x
    assert left == pytest.approx([expected_x, rig.cy_px + rig.focal_px * y], abs=1e-6)
    disparity_px = rig.focal_px * rig.baseline_mm / depth_mm
    assert left[0] - right[0] == pytest.approx(disparity_px, abs=1e-6)
    assert left[1] == pytest.approx(right[1], abs=1e-6)


def test_a_written_calibration_is_read_as_the_same_rig(tmp_path) -> None:
    rig, lens = drawn_lens(3)
    path = tmp_path / 'calibration.json'
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in lens.calibration().items():
        storage.write(name, value)
    storage.release()
    assert set(json.loads(path.read_text())) >= {'K1', 'D1', 'K2', 'D2', 'R', 'T', 'R1', 'P2'}

    cameras = read_calibration(path, image_size=SIZE)

    for camera, own in zip(cameras, (lens.rig().left, lens.rig().right), strict=True):
        for field in ('camera_matrix', 'distortion', 'rectification', 'projection'):
            np.testing.assert_allclose(getattr(camera, field), getattr(own, field), atol=1e-9)


def test_with_its_margin_a_view_fills_the_whole_raw_picture() -> None:
    for seed in range(5):
        _, lens = drawn_lens(seed)
        wide = with_margin(lens.geometry, margin_px(lens))
        for eye in (lens.left, lens.right):
            assert Distorter(eye, view_geometry=wide, image_size=SIZE).inside.all()


def test_what_the_view_does_not_show_is_black_and_reported() -> None:
    geometry = EndoscopeRig(SIZE, 265.0, 159.5, 127.5, 4.3).geometry
    distorter = Distorter(BARREL, view_geometry=geometry, image_size=SIZE)
    raw = distorter.distort(np.full((SIZE[1], SIZE[0], 3), 200, np.uint8))
    assert 0.02 < (~distorter.inside).mean() < 0.6
    assert (raw[distorter.inside] == 200).all()
    assert (raw[~distorter.inside] == 0).all()


def test_maps_equal_the_inversion_at_every_pixel() -> None:
    geometry = EndoscopeRig(SIZE, 265.0, 159.5, 127.5, 4.3).geometry
    distorter = Distorter(BARREL, view_geometry=geometry, image_size=SIZE)
    grid_x, grid_y = np.meshgrid(
        np.arange(geometry.image_size[0], dtype=np.float32), np.arange(256)
    )
    # A view whose value is its own coordinate shows where each raw pixel looks.
    seen_x = distorter.distort(grid_x, interpolation=cv2.INTER_LINEAR)
    seen_y = distorter.distort(grid_y.astype(np.float32), interpolation=cv2.INTER_LINEAR)
    rows, columns = np.nonzero(distorter.inside)
    points = BARREL.rectified_points(np.stack([columns, rows], axis=1).astype(float), geometry)
    np.testing.assert_allclose(seen_x[rows, columns], points[:, 0], atol=1 / 32)
    np.testing.assert_allclose(seen_y[rows, columns], points[:, 1], atol=1 / 32)


def test_a_lens_without_distortion_or_turn_changes_nothing() -> None:
    rig = EndoscopeRig(SIZE, 265.0, 150.0, 120.0, 4.3)
    lens = EyeLens(265.0, 265.0, 150.0, 120.0, (0, 0, 0, 0, 0), (0, 0, 0))
    distorter = Distorter(lens, view_geometry=rig.geometry, image_size=SIZE)
    view = textured(SIZE)
    assert distorter.inside.all()
    np.testing.assert_array_equal(distorter.distort(view), view)
    light = view.astype(np.float32)
    assert distorter.distort(light).dtype == np.float32


def test_labels_stay_labels() -> None:
    _, lens = drawn_lens(1)
    view = np.where(textured(SIZE)[..., 0] > 120, 7, 3).astype(np.uint8)
    raw = Distorter(lens.left, view_geometry=lens.geometry, image_size=SIZE).distort(
        view, interpolation=cv2.INTER_NEAREST
    )
    assert set(np.unique(raw)) <= {0, 3, 7}


def test_the_same_generator_state_draws_the_same_lens() -> None:
    assert drawn_lens(11)[1] == drawn_lens(11)[1]
    assert drawn_lens(11)[1] != drawn_lens(12)[1]


def test_both_flat_and_barrel_lenses_are_drawn() -> None:
    k1 = np.array([drawn_lens(seed)[1].left.distortion[0] for seed in range(60)])
    assert 0.25 < (k1 < -0.015).mean() < 0.75
    assert k1.min() > -0.5


def test_a_view_of_another_size_is_refused() -> None:
    _, lens = drawn_lens(0)
    distorter = Distorter(lens.left, view_geometry=lens.geometry, image_size=SIZE)
    with pytest.raises(ImageError, match='100x50'):
        distorter.distort(np.zeros((50, 100, 3), np.uint8))


def test_a_distortion_that_folds_the_picture_is_refused() -> None:
    folding = EyeLens(100.0, 100.0, 160.0, 128.0, (-0.9, 0.0, 0.0, 0.0, 0.0), (0, 0, 0))
    geometry = EndoscopeRig(SIZE, 265.0, 159.5, 127.5, 4.3).geometry
    with pytest.raises(CalibrationError, match='cannot be inverted'):
        Distorter(folding, view_geometry=geometry, image_size=SIZE)
