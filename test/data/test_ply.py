"""Point clouds survive their files."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.ply import read_ply, write_ply


@pytest.fixture()
def cloud():
    rng = np.random.default_rng(3)
    points_m = rng.normal(size=(57, 3)).astype(np.float32)
    colours = rng.integers(0, 256, (57, 3), np.uint8)
    labels = rng.integers(0, 2, 57).astype(np.uint8)
    return points_m, colours, labels


@pytest.mark.parametrize('with_labels', [True, False])
@pytest.mark.parametrize('count', [57, 0])
def test_a_cloud_reads_back_as_written(tmp_path, cloud, with_labels, count):
    points_m, colours, labels = (array[:count] for array in cloud)
    write_ply(tmp_path / 'a.ply', points_m, colours, labels if with_labels else None)
    stored = read_ply(tmp_path / 'a.ply')
    np.testing.assert_array_equal(stored.points_m, points_m)
    np.testing.assert_array_equal(stored.colours, colours)
    if with_labels:
        np.testing.assert_array_equal(stored.labels, labels)
    else:
        assert stored.labels is None


def test_the_bytes_are_those_the_ply_format_asks_for(tmp_path):
    points_m = np.array([[1.0, 2.0, 3.0]], np.float32)
    write_ply(tmp_path / 'a.ply', points_m, np.array([[7, 8, 9]], np.uint8), np.ones(1, np.uint8))
    header, _, body = (tmp_path / 'a.ply').read_bytes().partition(b'end_header\n')
    assert header.decode('ascii').splitlines() == [
        'ply',
        'format binary_little_endian 1.0',
        'comment metres, optical frame: x right, y down, z forward',
        'element vertex 1',
        'property float x',
        'property float y',
        'property float z',
        'property uchar red',
        'property uchar green',
        'property uchar blue',
        'property uchar label',
    ]
    assert body == bytes.fromhex('0000803f 00000040 00004040 07 08 09 01')


def test_points_without_a_value_are_refused(tmp_path, cloud):
    points_m, colours, labels = cloud
    points_m[4, 2] = np.nan
    with pytest.raises(UsageError, match='valid points only'):
        write_ply(tmp_path / 'a.ply', points_m, colours, labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('damage', ['points', 'colours', 'labels'])
def test_arrays_that_do_not_fit_are_named(tmp_path, cloud, damage):
    arrays = dict(zip(('points', 'colours', 'labels'), cloud, strict=True))
    arrays[damage] = arrays[damage].astype(np.float64)
    with pytest.raises(UsageError, match=f'{damage}.* is float64'):
        write_ply(tmp_path / 'a.ply', arrays['points'], arrays['colours'], arrays['labels'])


def test_a_truncated_cloud_is_refused(tmp_path, cloud):
    write_ply(tmp_path / 'a.ply', *cloud)
    data = (tmp_path / 'a.ply').read_bytes()
    (tmp_path / 'a.ply').write_bytes(data[:-1])
    with pytest.raises(FileFormatError, match='truncated'):
        read_ply(tmp_path / 'a.ply')


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'ply\n',
        b'ply\nformat ascii 1.0\nelement vertex 0\nend_header\n',
        b'ply\nformat binary_little_endian 1.0\nelement vertex x\nend_header\n',
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, content):
    (tmp_path / 'a.ply').write_bytes(content)
    with pytest.raises(FileFormatError, match='not a PLY'):
        read_ply(tmp_path / 'a.ply')


def test_a_mesh_is_named_as_one(tmp_path, cloud):
    write_ply(tmp_path / 'a.ply', *cloud)
    data = (tmp_path / 'a.ply').read_bytes()
    (tmp_path / 'a.ply').write_bytes(data.replace(b'end_header', b'element face 0\nend_header'))
    with pytest.raises(FileFormatError, match='is a mesh: expected points'):
        read_ply(tmp_path / 'a.ply')


def test_a_missing_cloud_is_named(tmp_path):
    with pytest.raises(FileFormatError, match=r'nothing\.ply'):
        read_ply(tmp_path / 'nothing.ply')
