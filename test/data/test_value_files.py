from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.value_files import (
    DEPTH,
    DISPARITY,
    agreed_scale,
    read_about,
    read_values,
    write_about,
    write_values,
)

VALUES = np.array([[np.nan, 3.5, 0.0], [-1.0, np.inf, 20.25]], np.float32)
KNOWN = np.array([[np.nan, 3.5, np.nan], [np.nan, np.nan, 20.25]], np.float32)


@pytest.mark.parametrize('name', ['a.png', 'a.PNG', 'a.tiff', 'a.tif'])
def test_what_is_written_is_read_and_only_positive_numbers_are_known(tmp_path, name):
    path = tmp_path / name.lower()
    assert write_values(path, VALUES, 64.0) == 0
    path = path.rename(tmp_path / name)
    np.testing.assert_array_equal(read_values(path, 64.0), KNOWN)


def test_a_png_holds_value_times_scale(tmp_path):
    write_values(tmp_path / 'a.png', VALUES, 64.0)
    stored = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert stored.tolist() == [[0, 224, 0], [0, 0, 1296]]


def test_too_large_values_are_counted(tmp_path):
    assert write_values(tmp_path / 'a.png', np.full((2, 3), 600.0), 128) == 6
    assert write_values(tmp_path / 'a.tiff', np.full((2, 3), 600.0), 128) == 0


def test_other_kinds_of_files_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4), np.uint8))
    cv2.imwrite(str(tmp_path / 'a.tiff'), np.zeros((4, 4, 3), np.float32))
    cv2.imwrite(str(tmp_path / 'b.tiff'), np.zeros((4, 4), np.uint16))
    for name, words in (('a.png', '16 bits'), ('a.tiff', 'floats'), ('b.tiff', 'floats')):
        with pytest.raises(FileFormatError, match=words):
            read_values(tmp_path / name, 128)
    with pytest.raises(UsageError, match=r'end in \.png'):
        read_values(tmp_path / 'a.jpg', 128)
    with pytest.raises(FileFormatError, match='cannot read'):
        read_values(tmp_path / 'none.png', 128)


def test_points_in_three_channels_are_depths_by_their_z(tmp_path):
    points = np.dstack([np.full((2, 3), 7.0), np.full((2, 3), -8.0), VALUES]).astype(np.float32)
    points[1, 2, 0] = np.nan  # a point that is not whole is none
    cv2.imwrite(str(tmp_path / 'a.tiff'), points[..., ::-1])  # cv2 swaps the first and the last
    expected = KNOWN.copy()
    expected[1, 2] = np.nan
    np.testing.assert_array_equal(read_values(tmp_path / 'a.tiff', 128, DEPTH), expected)
    with pytest.raises(FileFormatError, match=r'points X, Y, Z of a depth map.*one channel'):
        read_values(tmp_path / 'a.tiff', 128, DISPARITY)


def test_a_folder_says_its_scale_and_nobody_may_say_another_one(tmp_path):
    assert read_about(tmp_path) == {}
    assert agreed_scale(tmp_path, quantity=DISPARITY, scale=None) == 128
    assert agreed_scale(tmp_path, quantity=DISPARITY, scale=64.0) == 64
    write_about(tmp_path, quantity=DISPARITY, scale=256.0, made_by='a test')
    assert read_about(tmp_path)['made_by'] == 'a test'
    for scale in (None, 256.0):
        assert agreed_scale(tmp_path, quantity=DISPARITY, scale=scale) == 256
    with pytest.raises(UsageError, match='--scale-factor is 128 but .* holds 256'):
        agreed_scale(tmp_path, quantity=DISPARITY, scale=128.0)
    with pytest.raises(UsageError, match='expected depth_mm'):
        agreed_scale(tmp_path, quantity=DEPTH, scale=None)


@pytest.mark.parametrize(
    'content',
    ['{', '[]', '{}', '{"scale": 0, "quantity": "depth_mm"}', '{"scale": "128"}', 'true'],
)
def test_a_file_that_says_nothing_is_named(tmp_path, content):
    (tmp_path / 'values.json').write_text(content)
    with pytest.raises(FileFormatError, match=r'values\.json'):
        read_about(tmp_path)
    (tmp_path / 'values.json').write_text(json.dumps({'scale': True, 'quantity': DEPTH}))
    with pytest.raises(FileFormatError, match='scale above 0'):
        read_about(tmp_path)
