"""Point clouds and point pictures of others: what is read, and what is refused."""

from __future__ import annotations

import builtins
import struct
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, MissingExtraError, UsageError
from msdesis_ros.data.conversion.point_clouds import decode_point_map, known_points, read_cloud
from msdesis_ros.data.ply import write_ply

sys.path.append(str(Path(__file__).parents[2] / 'miniature'))
import scared_tree

HEADER = 'ply\nformat {} 1.0\nelement vertex {}\n' + ''.join(
    f'property float {axis}\n' for axis in 'xyz'
)
coordinate = st.floats(-500, 500, width=32) | st.just(float('nan'))


@pytest.fixture
def trimesh():
    return pytest.importorskip('trimesh', reason='trimesh is not installed')


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(
    st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=20),
    st.sampled_from(['\n', '\r\n']),
    st.booleans(),
)
def test_an_obj_gives_its_points_without_the_lines_that_hold_nan(
    trimesh, tmp_path, points, end, comment
):
    lines = ['# a cloud'] if comment else []
    lines += [f'v {x!r} {y!r} {z!r}' for x, y, z in points]
    path = tmp_path / 'cloud.obj'
    path.write_bytes((end.join(lines) + end).encode())
    known = [point for point in points if not np.isnan(point).any()]
    if not known:
        with pytest.raises(FileFormatError, match='holds no known point'):
            read_cloud(path)
        return
    assert np.array_equal(read_cloud(path), known)


def test_colours_behind_the_points_of_an_obj_are_passed_over(trimesh, tmp_path):
    path = tmp_path / 'cloud.obj'
    path.write_text('v 1 2 3 0.1 0.2 0.3\nv nan nan nan 0 0 0\nv 4 5 6 1 1 1\n')
    assert read_cloud(path).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_an_obj_opens_no_other_file(trimesh, tmp_path, monkeypatch):
    path = tmp_path / 'cloud.obj'
    path.write_text('mtllib stone.mtl\nusemtl stone\nv 1 2 3\nv 2 3 4\nv 4 4 4\nf 1 2 3\n')
    (tmp_path / 'stone.mtl').write_text('newmtl stone\nmap_Kd /etc/passwd\n')
    opened, plain = [], builtins.open

    def listed(file, *arguments, **options):
        opened.append(str(file))
        return plain(file, *arguments, **options)

    monkeypatch.setattr(builtins, 'open', listed)
    assert len(read_cloud(path)) == 3
    assert [name for name in opened if name.endswith(('.mtl', 'passwd'))] == []


@pytest.mark.parametrize('form', ['ascii', 'binary_little_endian', 'binary_big_endian'])
def test_a_ply_gives_its_points_whatever_its_form(trimesh, tmp_path, form):
    points = [[1.5, -2.25, 30], [4, 5.5, 61]]
    text = HEADER.format(form, 2) + 'end_header\n'
    if form == 'ascii':
        body = ''.join(f'{x} {y} {z}\n' for x, y, z in points).encode()
    else:
        order = '<' if 'little' in form else '>'
        body = b''.join(struct.pack(f'{order}3f', *point) for point in points)
    path = tmp_path / 'cloud.ply'
    path.write_bytes(text.encode() + body)
    assert read_cloud(path).tolist() == points


def test_a_ply_of_this_project_is_read_too(trimesh, tmp_path):
    points = np.array([[1, 2, 3], [4, 5, 6.5]], np.float32)
    write_ply(tmp_path / 'own.ply', points, np.zeros((2, 3), np.uint8), np.ones(2, np.uint8))
    assert np.array_equal(read_cloud(tmp_path / 'own.ply'), points)


@pytest.mark.parametrize(
    ('name', 'content', 'reason'),
    [
        ('a.obj', b'v 1 2 3\nv 4 5 6\nv 7 8', 'cut off in a line'),
        ('a.obj', b'v 1 2 3\nv 4 5 x\n', 'cannot be read as|cut off'),
        ('a.obj', b'v 1 2 3\nv\t4 5 6\nv 7 8 9\n', '3 lines .* 2 of them'),
        ('a.obj', b'hello\n', 'no points'),
        ('a.obj', b'', 'no points'),
        ('a.obj', b'v nan nan nan\n', 'no known point'),
        ('a.ply', b'', 'cannot be read'),
        ('a.ply', b'ply\n', 'cannot be read'),
        ('a.ply', HEADER.format('binary_little_endian', 9).encode() + b'end_header\n1', 'cannot'),
    ],
)
def test_a_damaged_cloud_is_refused_by_name(trimesh, tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=reason) as told:
        read_cloud(tmp_path / name)
    assert name in str(told.value)


def test_a_missing_cloud_and_another_kind_of_file_are_refused(trimesh, tmp_path):
    with pytest.raises(FileFormatError, match='No such file'):
        read_cloud(tmp_path / 'none.obj')
    with pytest.raises(UsageError, match=r'known are \.obj, \.ply'):
        read_cloud(tmp_path / 'cloud.pcd')


def test_without_trimesh_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'trimesh', None)
    with pytest.raises(MissingExtraError, match=r"pip install 'msdesis_ros\[clouds\]'"):
        read_cloud(tmp_path / 'cloud.obj')


# --- pictures of points -----------------------------------------------------------------------


def points_picture() -> np.ndarray:
    rows, columns = np.mgrid[0:5, 0:7]
    return np.stack([columns - 3.0, rows - 9.0, 40.0 + columns + rows], axis=-1)


def test_a_tiff_gives_x_y_and_z_in_this_order():
    points = points_picture()
    found = decode_point_map(scared_tree.tiff(points), 'a.tiff')
    assert found.dtype == np.float32 and np.array_equal(found, points)


@pytest.mark.parametrize('unknown', [(np.nan,) * 3, (0, 0, 0), (3, 4, 0), (1, 2, np.nan)])
def test_a_point_of_nan_or_without_a_depth_is_unknown(unknown):
    points = points_picture()
    points[2, 3] = unknown
    found = decode_point_map(scared_tree.tiff(points), 'a.tiff')
    assert np.isnan(found[2, 3]).all() and np.isnan(found).sum() == 3
    assert known_points(found).shape == (34, 3)


def test_a_tiff_that_is_cut_off_is_refused():
    whole = scared_tree.tiff(points_picture())
    for length in (0, 3, 60, 200, len(whole) - 40, len(whole) - 1):
        with pytest.raises(FileFormatError, match=r'a\.tiff .*not a whole TIFF'):
            decode_point_map(whole[:length], 'a.tiff')


def test_a_tiff_of_something_else_is_refused():
    grey = cv2.imencode('.tiff', np.ones((4, 5), np.float32))[1].tobytes()
    with pytest.raises(FileFormatError, match='expected the floats X, Y, Z'):
        decode_point_map(grey, 'a.tiff')
    colours = cv2.imencode('.png', np.ones((4, 5, 3), np.uint8))[1].tobytes()
    with pytest.raises(FileFormatError, match='expected the floats X, Y, Z'):
        decode_point_map(colours, 'a.tiff')
    with pytest.raises(FileFormatError, match='lie behind the camera'):
        decode_point_map(scared_tree.tiff(-points_picture()), 'a.tiff')
