"""Optical flow of SCARED's sequences, compared with the scene's formulas."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.conversion.scared_flow import convert_flow, encode_flow
from msdesis_ros.data.conversion.scared_tree import find_key_frames

sys.path.append(str(Path(__file__).parents[2] / 'miniature'))
import scared_tree
from scared_tree import D1, KeyFrame


@pytest.fixture
def tree(tmp_path) -> Path:
    pytest.importorskip('av', reason='PyAV is not installed')
    pytest.importorskip('trimesh', reason='trimesh is not installed')
    scared_tree.write_scared_tree(tmp_path / 'tree', key_frames=((1, 2),), frames=3, sparse=())
    return tmp_path / 'tree'


def decoded(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Flow in px and where it is known, as the KITTI form is described."""
    red, green, blue = np.moveaxis(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1], -1, 0)
    flow = (np.stack([red, green], axis=-1).astype(float) - 32768) / 64
    return flow, blue > 0


def test_flow_leads_each_pixel_to_where_its_point_of_the_scene_is_seen_next(tree, tmp_path):
    (key,) = find_key_frames(tree)
    outcome = convert_flow(key, tmp_path / 'out')
    folder = tmp_path / 'out/dataset_1/keyframe_2/forward_flow'
    assert sorted(path.name for path in folder.iterdir()) == ['000000.png', '000001.png']
    assert (outcome.made, outcome.problems, outcome.notes) == (2, [], [])
    scene = KeyFrame(1, 2)
    k = scene.cameras[0]
    for frame in range(2):
        flow, known = decoded(folder / f'{frame:06d}.png')
        step = scene.pose(frame + 1) @ np.linalg.inv(scene.pose(frame))
        points = scene.point_map(frame) @ step[:3, :3].T + step[:3, 3]
        x, y, z = np.moveaxis(points, -1, 0)
        bent = scared_tree.distorted(x / z, y / z, D1)
        u, v = np.meshgrid(np.arange(64), np.arange(48))
        expected = np.stack(
            [k[0, 0] * bent[0] + k[0, 2] - u, k[1, 1] * bent[1] + k[1, 2] - v], axis=-1
        )
        error = np.abs(flow - expected).max(axis=-1)
        assert known.mean() > 0.75 and np.abs(expected[known]).max() > 1.5
        if frame == 0:  # every point is at the centre of its pixel; 6 digits of the cloud, 1/64 px
            at_centre = scene.known(0)
            assert np.array_equal(known, at_centre) and error[known].max() < 1 / 128 + 1e-4
        assert np.median(error[known]) < 0.02
        assert (flow[~known] == -512).all()


def test_unknown_and_too_large_flow_is_marked_and_never_wraps():
    flow = np.array([[[1.5, -2.25], [np.nan, 0], [600, 0], [0, -512], [511.9, -511.9]]])
    stored, too_large = encode_flow(flow)
    assert too_large == 2 and stored.dtype == np.uint16
    assert stored[0].tolist() == [
        [32864, 32624, 1],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        [65530, 6, 1],
    ]


def test_a_second_run_goes_on_and_another_cloud_is_not_mixed_in(tree, tmp_path):
    (key,) = find_key_frames(tree)
    out = tmp_path / 'out'
    convert_flow(key, out)
    folder = out / 'dataset_1/keyframe_2/forward_flow'
    content = (folder / '000001.png').read_bytes()
    stamp = (folder / '000000.png').stat().st_mtime_ns
    (folder / '000001.png').unlink()
    outcome = convert_flow(key, out)
    assert (outcome.made, outcome.kept) == (1, 1)
    assert (folder / '000001.png').read_bytes() == content
    assert (folder / '000000.png').stat().st_mtime_ns == stamp
    with pytest.raises(UsageError, match="cloud None, not 'clean.ply'"):
        convert_flow(key, out, cloud='clean.ply')
    with pytest.raises(UsageError, match='the published data'):
        convert_flow(key, tree)
    (folder.parent / 'conversion_flow.json').unlink()
    with pytest.raises(UsageError, match=r'no conversion_flow\.json'):
        convert_flow(key, out)


def test_a_bad_pose_costs_the_flows_that_need_it_and_is_named(tree, tmp_path):
    poses = {f'frame_data{n:06d}.json': b'{}' for n in range(5)}
    for number in (0, 1, 3):
        text = {'camera-pose': KeyFrame(1, 2).pose(number).tolist()}
        poses[f'frame_data{number:06d}.json'] = json.dumps(text).encode()
    scared_tree.write_tar(tree / 'dataset_1/keyframe_2/data/frame_data.tar.gz', poses)
    (key,) = find_key_frames(tree)
    outcome = convert_flow(key, tmp_path / 'out')
    assert outcome.made == 1 and len(outcome.problems) == 2
    made = [path.name for path in (tmp_path / 'out').rglob('*.png')]
    assert made == ['000000.png']
    with pytest.raises(FileFormatError, match=r'frame_data000002\.json'):
        convert_flow(key, tmp_path / 'strict', strict=True)
