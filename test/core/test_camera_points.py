from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.camera_points import (
    field_of_view_deg,
    folding_px,
    normalised_points,
    raw_points,
    rectified_points,
)

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes


def camera(d=scenes.D1, model='plumb_bob', r=None, k=scenes.K1):
    p = np.array([[200.0, 0, 150, 0], [0, 210, 120, 0], [0, 0, 1, 0]])
    return CameraCalibration.from_camera_info_fields(
        width=320,
        height=256,
        distortion_model=model,
        d=d,
        k=k,
        r=np.eye(3) if r is None else r,
        p=p,
    )


RAYS = np.array([[x, y] for x in (-0.5, -0.2, 0, 0.3, 0.55) for y in (-0.4, 0, 0.42)])


def test_undistorting_undoes_the_lens():
    lens = camera()
    raw = scenes.distorted(RAYS, scenes.D1) * [262, 263] + [161.5, 125]
    np.testing.assert_allclose(raw_points(RAYS, lens), raw, atol=1e-9)
    np.testing.assert_allclose(normalised_points(raw, lens), RAYS, atol=1e-7)


def test_rectified_points_are_turned_and_projected():
    turn = scenes.turn(2, -3, 1)
    lens = camera(r=turn)
    raw = scenes.distorted(RAYS, scenes.D1) * [262, 263] + [161.5, 125]
    turned = np.hstack([RAYS, np.ones((len(RAYS), 1))]) @ turn.T
    expected = turned[:, :2] / turned[:, 2:] * [200, 210] + [150, 120]
    np.testing.assert_allclose(rectified_points(raw, lens), expected, atol=1e-4)


def test_fisheye_lenses_are_known_too():
    d = np.array([0.02, -0.01, 0.003, 0.0])
    radius = np.linalg.norm(RAYS, axis=1)
    theta = np.arctan(radius)
    bent = theta * (1 + d[0] * theta**2 + d[1] * theta**4 + d[2] * theta**6)
    scale = np.divide(bent, radius, out=np.ones_like(bent), where=radius > 0)
    raw = RAYS * scale[:, None] * [262, 263] + [161.5, 125]
    lens = camera(d, 'equidistant')
    np.testing.assert_allclose(raw_points(RAYS, lens), raw, atol=1e-6)
    np.testing.assert_allclose(normalised_points(raw, lens), RAYS, atol=1e-6)


def test_the_field_of_view_is_that_of_the_pinhole():
    k = np.array([[160.0, 0, 159.5], [0, 128, 127.5], [0, 0, 1]])
    assert field_of_view_deg(camera(np.zeros(5), k=k)) == pytest.approx((90, 90))


def test_a_distortion_without_inverse_is_noticed():
    assert folding_px(camera()) < 1e-3
    # r (1 - 1.2 r^2) turns back at r = 0.53, and the border lies at 0.6.
    assert folding_px(camera(np.array([-1.2, 0, 0, 0, 0]))) > 1
