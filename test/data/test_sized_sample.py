"""The sample at other sizes: the same rig, seen with larger or smaller pixels."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.data.sample import sample_folder
from msdesis_ros.data.sized_sample import sized_sample

POINTS_M = np.array([[0.0, 0.0, 0.1], [0.01, -0.02, 0.08], [-0.03, 0.015, 0.12]])


def seen(camera):
    """Where the rectified camera sees the points, px."""
    projected = camera.projection @ np.vstack((POINTS_M.T, np.ones(len(POINTS_M))))
    return (projected[:2] / projected[2]).T


@pytest.mark.parametrize('image_size', [(1280, 1024), (320, 256), (800, 512)])
def test_both_cameras_see_every_point_at_the_same_place_of_the_picture(image_size):
    scale = np.array(image_size) / (640, 512)
    own = read_calibration(str(sample_folder() / 'calibration.json'))
    with sized_sample(image_size) as folder:
        resized = read_calibration(str(folder / 'calibration.json'), image_size=image_size)
    for camera, other in zip(own, resized, strict=True):
        # From the outer edges of the picture, half a pixel beside the first centre.
        np.testing.assert_allclose(seen(other) + 0.5, (seen(camera) + 0.5) * scale, atol=1e-9)
        np.testing.assert_array_equal(camera.distortion, other.distortion)
        np.testing.assert_array_equal(camera.rectification, other.rectification)


def test_the_pictures_are_the_sample_resized_in_its_order():
    with sized_sample((640, 512)) as own, sized_sample((320, 256)) as smaller:
        pairs, halved = (
            find_pairs(left=str(folder / 'left'), right=str(folder / 'right'))
            for folder in (own, smaller)
        )
        assert len(pairs) == len(halved) == 10
        for views, half_views in zip(pairs, halved, strict=True):
            for path, half_path in zip(views, half_views, strict=True):
                picture, half = read_rgb(path).astype(np.float32), read_rgb(half_path)
                assert half.shape == (256, 320, 3)
                means = picture.reshape(256, 2, 320, 2, 3).mean(axis=(1, 3))
                assert np.abs(means - half).max() <= 1


def test_the_package_keeps_its_own_sample():
    before = {path: path.read_bytes() for path in sample_folder().rglob('*') if path.is_file()}
    with sized_sample((64, 64)):
        pass
    assert before == {path: path.read_bytes() for path in before}
