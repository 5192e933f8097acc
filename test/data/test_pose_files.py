from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.pose_files import read_poses


def content(**changes) -> dict:
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.1, -0.2, 0.3]))[0]
    pose[:3, 3] = [10.0, -20.0, 30.0]
    frames = [
        {'frame': 3, 'stamp_ns': 0, 'world_from_left': np.eye(4).tolist()},
        {'frame': 7, 'stamp_ns': 5, 'world_from_left': pose.tolist()},
    ]
    return {'length_unit': 'mm', 'frames': frames, **changes}


def written(folder, tree) -> object:
    path = folder / 'poses.json'
    path.write_text(json.dumps(tree))
    return path


def test_poses_come_in_metres_by_the_number_of_their_frame(tmp_path):
    poses = read_poses(written(tmp_path, content()))
    assert list(poses) == [3, 7]
    np.testing.assert_allclose(poses[7][:3, 3], [0.01, -0.02, 0.03])
    np.testing.assert_allclose(cv2.Rodrigues(poses[7][:3, :3])[0].ravel(), [0.1, -0.2, 0.3])
    in_metres = read_poses(written(tmp_path, content(length_unit='m')))
    np.testing.assert_allclose(in_metres[7][:3, 3], [10, -20, 30])


def test_the_poses_of_a_sequence_are_those_that_were_written(tmp_path):
    from msdesis_ros.data.synth.sequence_files import write_sequence
    from msdesis_ros.data.synth.sequence_truth import SequenceTruth

    poses = np.array([frame['world_from_left'] for frame in content()['frames']])
    truth = SequenceTruth(
        stamps_ns=np.array([0, 40]),
        world_from_left=poses,
        points_mm=np.zeros((1, 3)),
        uv_px=np.zeros((2, 1, 2), np.float32),
        visible=np.ones((2, 1), bool),
    )
    write_sequence(tmp_path, truth)
    found = read_poses(tmp_path / 'poses.json')
    np.testing.assert_allclose(found[1][:3, 3], poses[1][:3, 3] / 1000)


@pytest.mark.parametrize(
    'changes',
    [
        {'length_unit': 'inch'},
        {'frames': []},
        {'frames': [{'frame': 0}]},
        {'frames': [{'frame': '0', 'world_from_left': np.eye(4).tolist()}]},
        {'frames': [{'frame': True, 'world_from_left': np.eye(4).tolist()}]},
        {'frames': [{'frame': 0, 'world_from_left': np.eye(3).tolist()}]},
        {'frames': [{'frame': 0, 'world_from_left': (2 * np.eye(4)).tolist()}]},
        {'frames': [{'frame': 0, 'world_from_left': [[1, 2], [3]]}]},
        {'frames': 2 * [{'frame': 0, 'world_from_left': np.eye(4).tolist()}]},
        {'frames': [{'frame': 0, 'world_from_left': np.diag([1, 1, -1, 1]).tolist()}]},
    ],
)
def test_what_holds_no_rigid_poses_is_refused(tmp_path, changes):
    with pytest.raises(FileFormatError, match=r'poses\.json'):
        read_poses(written(tmp_path, content(**changes)))


def test_a_missing_file_and_one_that_is_no_json_are_named(tmp_path):
    with pytest.raises(FileFormatError, match=r'cannot read .*poses\.json'):
        read_poses(tmp_path / 'poses.json')
    (tmp_path / 'poses.json').write_text('[1, 2')
    with pytest.raises(FileFormatError, match='holds no poses'):
        read_poses(tmp_path / 'poses.json')
