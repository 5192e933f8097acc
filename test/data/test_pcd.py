"""PCD files, read back by a parser that knows the format and not our writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.pcd import write_pcd


def parse_pcd(path: Path) -> tuple[dict[str, list[str]], np.ndarray]:
    """Header and records of a binary PCD 0.7, by the format's description alone."""
    data = path.read_bytes()
    header: dict[str, list[str]] = {}
    at = 0
    while 'DATA' not in header:
        end = data.index(b'\n', at)
        line = data[at:end].decode('ascii')
        at = end + 1
        if not line.startswith('#'):
            key, *values = line.split()
            header[key] = values
    assert header['VERSION'] == ['0.7'] and header['DATA'] == ['binary']
    kinds = {'F': 'f', 'U': 'u', 'I': 'i'}
    fields = [
        (name, f'<{kinds[kind]}{size}', int(count))
        for name, kind, size, count in zip(
            header['FIELDS'], header['TYPE'], header['SIZE'], header['COUNT'], strict=True
        )
    ]
    records = np.frombuffer(data[at:], np.dtype(fields))
    assert len(records) == int(header['WIDTH'][0]) * int(header['HEIGHT'][0])
    assert len(records) == int(header['POINTS'][0])
    return header, records


@pytest.fixture
def cloud():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(31, 3)).astype(np.float32)
    return points, rng.integers(0, 256, (31, 3), np.uint8), rng.integers(0, 2, 31, np.uint8)


@pytest.mark.parametrize('count', [31, 0])
def test_a_cloud_is_read_as_points_with_colour_and_label(tmp_path, cloud, count):
    points, colours, labels = (part[:count] for part in cloud)
    write_pcd(tmp_path / 'a.pcd', points, colours, labels)
    header, records = parse_pcd(tmp_path / 'a.pcd')
    # The fields, in this order and of these types, are pcl::PointXYZRGBL.
    assert header['FIELDS'] == ['x', 'y', 'z', 'rgb', 'label']
    assert header['TYPE'] == ['F', 'F', 'F', 'F', 'U'] and header['SIZE'] == ['4'] * 5
    assert header['HEIGHT'] == ['1'] and header['VIEWPOINT'] == ['0', '0', '0', '1', '0', '0', '0']
    flat = records.copy().view(np.uint8).reshape(count, 20)
    for column, name in enumerate('xyz'):
        np.testing.assert_array_equal(records[name].reshape(-1), points[:, column])
    # As PCL unpacks it: the float's bytes are blue, green, red, 0.
    np.testing.assert_array_equal(flat[:, 12:15], colours[:, ::-1])
    assert not flat[:, 15].any()
    np.testing.assert_array_equal(records['label'].reshape(-1), labels)


def test_without_labels_the_field_is_left_out(tmp_path, cloud):
    write_pcd(tmp_path / 'a.pcd', cloud[0], cloud[1])
    header, records = parse_pcd(tmp_path / 'a.pcd')
    assert header['FIELDS'] == ['x', 'y', 'z', 'rgb'] and records.dtype.itemsize == 16


def test_points_without_a_value_are_refused_and_nothing_is_written(tmp_path, cloud):
    cloud[0][3, 1] = np.inf
    with pytest.raises(UsageError, match='valid points only'):
        write_pcd(tmp_path / 'a.pcd', *cloud)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('part', 'name'), [(0, 'points_m'), (1, 'colours'), (2, 'labels')])
def test_arrays_that_do_not_fit_are_named(tmp_path, cloud, part, name):
    parts = list(cloud)
    parts[part] = parts[part].astype(np.float64)
    with pytest.raises(UsageError, match=f'{name} is float64'):
        write_pcd(tmp_path / 'a.pcd', *parts)


def test_a_place_that_cannot_be_written_is_named(tmp_path, cloud):
    (tmp_path / 'file').write_text('')
    with pytest.raises(MsdesisError, match=r'a\.pcd'):
        write_pcd(tmp_path / 'file' / 'a.pcd', *cloud)
