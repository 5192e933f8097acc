from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.data.synth.mesh import Mesh, grid_mesh, merged, revolved, swept


def sphere(radius: float = 10.0, rows: int = 33, columns: int = 65) -> np.ndarray:
    polar = np.linspace(0.3, np.pi - 0.3, rows)[:, None]
    around = np.linspace(0, 2 * np.pi, columns)[None, :]
    return radius * np.stack(
        np.broadcast_arrays(
            np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)
        ),
        axis=-1,
    )


def face_normals(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.positions[mesh.faces[:, k]].astype(float) for k in range(3))
    return np.cross(b - a, c - a)


def test_normals_of_a_grid_on_a_sphere_point_along_its_radius():
    points = sphere()
    mesh = grid_mesh(points, closed_columns=True)
    radial = points.reshape(-1, 3) / 10.0
    alignment = (mesh.normals * radial).sum(-1)
    assert np.abs(alignment).min() > 0.998
    assert len(set(np.sign(alignment))) == 1


def test_inside_out_turns_the_normals():
    points = sphere()
    plain, turned = grid_mesh(points), grid_mesh(points, inside_out=True)
    np.testing.assert_array_equal(plain.normals, -turned.normals)


def test_a_closed_grid_has_equal_normals_at_its_seam():
    mesh = grid_mesh(sphere(), closed_columns=True)
    normals = mesh.normals.reshape(33, 65, 3)
    np.testing.assert_allclose(normals[:, 0], normals[:, -1], atol=1e-5)
    open_seam = grid_mesh(sphere()).normals.reshape(33, 65, 3)
    assert np.abs(open_seam[:, 0] - open_seam[:, -1]).max() > 1e-2


def test_texture_coordinates_of_a_grid_are_lengths_in_millimetres():
    y, x = np.mgrid[0:40:21j, 0:60:31j]
    mesh = grid_mesh(np.stack([x, y, np.zeros_like(x)], axis=-1))
    np.testing.assert_allclose(mesh.coords[:, 0], mesh.positions[:, 0], atol=1e-4)
    np.testing.assert_allclose(mesh.coords[:, 1], mesh.positions[:, 1], atol=1e-4)


def test_a_cylinder_has_radial_normals_and_tangents_along_its_axis():
    mesh = revolved(np.array([[4.0, 0.0], [4.0, 50.0]]))
    np.testing.assert_allclose(np.linalg.norm(mesh.positions[:, :2], axis=1), 4.0, rtol=1e-5)
    np.testing.assert_allclose(mesh.normals[:, :2], mesh.positions[:, :2] / 4.0, atol=1e-5)
    np.testing.assert_allclose(np.abs(mesh.tangents[:, 2]), 1.0, atol=1e-5)


def test_a_doubled_profile_point_makes_a_sharp_edge_and_a_single_one_a_round_edge():
    corner = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 10.0]])
    sharp = revolved(corner, segments=8).normals.reshape(9, 4, 3)
    np.testing.assert_allclose(sharp[0, 1], [0, 0, -1], atol=1e-6)
    np.testing.assert_allclose(sharp[0, 2], [1, 0, 0], atol=1e-6)
    rounded = revolved(corner[[0, 1, 3]], segments=8).normals.reshape(9, 3, 3)
    np.testing.assert_allclose(rounded[0, 1], [2**-0.5, 0, -(2**-0.5)], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 3.0))
def test_a_tube_keeps_its_radius_about_any_smooth_path(seed: int, radius_mm: float):
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 40)[:, None]
    path = np.array([30.0, 0, 60.0]) * t + 8 * np.sin(t * rng.uniform(1, 4, 3))
    mesh = swept(path, radius_mm, segments=8)
    ring = mesh.positions.reshape(9, 40, 3)
    np.testing.assert_allclose(np.linalg.norm(ring - path, axis=-1), radius_mm, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-5)
    out = ((ring - path) / radius_mm).reshape(-1, 3)
    assert (out * mesh.normals).sum(-1).min() > 0.99


def test_faces_of_a_merged_mesh_show_the_same_triangles():
    parts = [revolved(np.array([[2.0, 0.0], [3.0, 5.0]])), grid_mesh(sphere())]
    whole = merged(parts)
    expected = np.concatenate([face_normals(part) for part in parts])
    np.testing.assert_allclose(face_normals(whole), expected)


def test_a_moved_mesh_keeps_its_shape_and_turns_its_normals():
    mesh = grid_mesh(sphere())
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    pose[:3, 3] = [5, 6, 7]
    moved = mesh.transformed(pose)
    np.testing.assert_allclose(
        moved.positions, mesh.positions @ pose[:3, :3].T + [5, 6, 7], atol=1e-5
    )
    np.testing.assert_allclose(moved.normals[:, 1], mesh.normals[:, 0], atol=1e-6)


def test_arrays_that_do_not_fit_are_refused_by_name():
    mesh = grid_mesh(sphere())
    with pytest.raises(ValueError, match='paint'):
        Mesh(mesh.positions, mesh.normals, mesh.tangents, mesh.coords, mesh.coords, mesh.faces)
