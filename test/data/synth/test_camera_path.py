from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.data.synth.camera_path import sample_camera_path

seeds = st.integers(0, 2**31)


@given(seeds, st.floats(0, 60))
def test_every_pose_is_rigid(seed: int, time_s: float):
    pose = sample_camera_path(np.random.default_rng(seed), 60.0).world_from_left(time_s)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose[:3, :3]) > 0
    np.testing.assert_array_equal(pose[3], [0, 0, 0, 1])


@given(seeds)
def test_the_camera_begins_at_the_origin_and_moves(seed: int):
    path = sample_camera_path(np.random.default_rng(seed), 60.0)
    np.testing.assert_allclose(path.world_from_left(0.0), np.eye(4), atol=1e-12)
    assert np.abs(path.world_from_left(1.0) - np.eye(4)).max() > 1e-4


@given(seeds, st.floats(20, 200))
def test_it_stays_near_and_moves_slowly(seed: int, distance_mm: float):
    path = sample_camera_path(np.random.default_rng(seed), distance_mm)
    places = np.array([path.world_from_left(t / 25)[:3, 3] for t in range(250)])
    assert np.linalg.norm(places, axis=1).max() < 0.75 * distance_mm
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) * 25
    assert speed.max() < 1.2 * distance_mm  # mm a second
