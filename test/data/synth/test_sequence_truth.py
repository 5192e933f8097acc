"""Poses and sparse points of a sequence, in memory and as files."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.synth.sequence_files import read_sequence, write_sequence
from msdesis_ros.data.synth.sequence_truth import SequenceTruth, Sighting, project, sight

sys.path.append(str(Path(__file__).parent))
from fake_source import FakeRecipe, fake_frame

FRAME = fake_frame(3, 0)
GEOMETRY = FRAME.geometry


def rotation(axis, degrees):
    import cv2

    return cv2.Rodrigues(np.radians(degrees) * np.asarray(axis, float))[0]


class Scene:
    """The fake frame, watched by a camera that may have moved."""

    def __init__(self, points_mm, pose=None):
        self.points_mm = np.asarray(points_mm, np.float64)
        self.pose = np.eye(4) if pose is None else pose

    def world_from_left(self, index):
        return self.pose

    def stamp_ns(self, index):
        return 5


def at_pixel(x, y, depth_mm):
    return [
        (x - GEOMETRY.cx_px) * depth_mm / GEOMETRY.focal_px,
        (y - GEOMETRY.cy_px) * depth_mm / GEOMETRY.focal_y_px,
        depth_mm,
    ]


@given(
    x=st.floats(0, 95),
    y=st.floats(0, 63),
    depth_mm=st.floats(5, 300),
    degrees=st.floats(-170, 170),
)
def test_a_point_projects_to_the_pixel_it_was_made_for(x, y, depth_mm, degrees):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation([0.6, 0, 0.8], degrees), [3, -7, 20]
    world = pose[:3, :3] @ at_pixel(x, y, depth_mm) + pose[:3, 3]
    uv, depth = project(world[None], pose, GEOMETRY)
    np.testing.assert_allclose(uv[0], [x, y], atol=1e-6)
    np.testing.assert_allclose(depth, depth_mm, rtol=1e-9)


def test_what_is_behind_the_camera_has_no_pixel():
    uv, depth = project(np.array([[1.0, 2.0, -3.0], [1.0, 2.0, 0.0]]), np.eye(4), GEOMETRY)
    assert np.isnan(uv).all() and np.isnan(depth).all()


def test_points_on_the_surface_are_seen_and_others_are_not():
    depth = FRAME.depth_mm
    between = at_pixel(70.5, 10.5, float(depth[10:12, 70:72].mean()))
    cases = [
        (at_pixel(20, 10, float(depth[10, 20])), True),
        (between, True),
        (at_pixel(20, 10, 1.02 * float(depth[10, 20])), False),  # inside of the tissue
        (at_pixel(20, 10, 0.98 * float(depth[10, 20])), False),  # floats before it
        (at_pixel(55, 50, float(depth[10, 55])), False),  # behind the tool
        (at_pixel(33, 4, 30.0), False),  # in the hole, where there is no surface
        # As far as the other end of the row, where an index of -3 would look.
        (at_pixel(-3, 10, float(depth[10, 93])), False),
        (at_pixel(20, 70, 30.0), False),
        (at_pixel(95.5, 10, float(depth[10, 95])), False),
        ([0.0, 0.0, -30.0], False),
    ]
    found = sight(Scene([point for point, _ in cases]), 0, FRAME)
    assert found.visible.tolist() == [seen for _, seen in cases]
    assert found.uv_px.dtype == np.float32
    np.testing.assert_allclose(found.uv_px[0], [20, 10], atol=1e-4)


def test_a_camera_that_moved_sees_the_point_elsewhere():
    pose = np.eye(4)
    pose[:3, 3] = [1.0, 0, 0]
    depth_mm = float(FRAME.depth_mm[10, 20])
    still = sight(Scene([at_pixel(20, 10, depth_mm)]), 0, FRAME)
    moved = sight(Scene([at_pixel(20, 10, depth_mm)], pose), 0, FRAME)
    shift_px = GEOMETRY.focal_px / depth_mm
    np.testing.assert_allclose(still.uv_px - moved.uv_px, [[shift_px, 0]], atol=1e-4)


@pytest.fixture
def truth():
    source = FakeRecipe().open()
    sightings = [sight(source, index, fake_frame(3, index)) for index in range(3)]
    return SequenceTruth.of(source.points_mm, sightings)


def test_a_sequence_comes_back_as_it_was(tmp_path, truth):
    assert truth.visible.any() and not truth.visible.all()
    write_sequence(tmp_path, truth)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['points.npz', 'poses.json']
    found = read_sequence(tmp_path)
    for name in ('stamps_ns', 'world_from_left', 'points_mm', 'uv_px', 'visible'):
        np.testing.assert_array_equal(getattr(found, name), getattr(truth, name), err_msg=name)


def test_the_files_have_no_time_of_day(tmp_path, truth, monkeypatch):
    import time

    write_sequence(tmp_path / 'a', truth)
    # Zip files tell the time by two seconds.
    later = time.time() + 86_400
    monkeypatch.setattr(time, 'time', lambda: later)
    write_sequence(tmp_path / 'b', truth)
    for name in ('points.npz', 'poses.json'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


def test_poses_json_says_what_its_numbers_are(tmp_path, truth):
    write_sequence(tmp_path, truth)
    poses = json.loads((tmp_path / 'poses.json').read_text())
    assert poses['length_unit'] == 'mm'
    assert poses['frames'][2]['stamp_ns'] == 80_001_000
    assert poses['frames'][2]['world_from_left'][0] == [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    'spoil',
    [
        lambda folder: (folder / 'points.npz').unlink(),
        lambda folder: (folder / 'points.npz').write_bytes(b'PK'),
        lambda folder: (folder / 'poses.json').write_text('{"frames": 3}'),
        lambda folder: (folder / 'poses.json').write_text('{"frames": []}'),
        lambda folder: (folder / 'poses.json').write_text('nothing'),
        lambda folder: np.savez(folder / 'points.npz', points_mm=np.zeros((40, 3))),
    ],
)
def test_damaged_files_are_refused(tmp_path, truth, spoil):
    write_sequence(tmp_path, truth)
    spoil(tmp_path)
    with pytest.raises(FileFormatError, match=r'poses\.json'):
        read_sequence(tmp_path)


def test_a_sequence_must_agree_with_itself(truth):
    with pytest.raises(UsageError, match='do not grow'):
        replace(truth, stamps_ns=truth.stamps_ns[::-1])
    with pytest.raises(UsageError, match='uv_px of a sequence'):
        replace(truth, uv_px=truth.uv_px[:, :-1])
    with pytest.raises(UsageError, match='not a rigid'):
        replace(truth, world_from_left=1.01 * truth.world_from_left)
    mirrored = np.diag([1.0, 1.0, -1.0, 1.0])
    with pytest.raises(UsageError, match='not a rigid'):
        Sighting(0, mirrored, np.zeros((1, 2), np.float32), np.zeros(1, bool))
    with pytest.raises(UsageError, match='uv_px of a sighting'):
        Sighting(0, np.eye(4), np.zeros((2, 2), np.float32), np.zeros(1, bool))
