"""Mesh files, read back by a parser that knows the format and not our writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.core.surface_mesh import SurfaceMesh
from msdesis_ros.data.ply_mesh import write_mesh_ply

TYPES = {'float': '<f4', 'uchar': '<u1', 'int': '<i4'}


def parse_ply(path: Path) -> dict[str, list[dict]]:
    """The elements of a binary little-endian PLY, by what its header says."""
    data = path.read_bytes()
    end = data.index(b'end_header\n') + len(b'end_header\n')
    lines = data[:end].decode('ascii').splitlines()
    assert lines[:2] == ['ply', 'format binary_little_endian 1.0']
    elements: list[tuple[str, int, list[list[str]]]] = []
    for line in lines[2:-1]:
        word, *rest = line.split()
        if word == 'element':
            elements.append((rest[0], int(rest[1]), []))
        elif word == 'property':
            elements[-1][2].append(rest)
    at, found = end, {}
    for name, count, properties in elements:
        rows = found[name] = []
        for _ in range(count):
            row = {}
            for kind, *rest in properties:
                if kind == 'list':
                    length = int(np.frombuffer(data, TYPES[rest[0]], 1, at)[0])
                    at += np.dtype(TYPES[rest[0]]).itemsize
                    values = np.frombuffer(data, TYPES[rest[1]], length, at)
                    at += values.nbytes
                    row[rest[2]] = values.tolist()
                else:
                    value = np.frombuffer(data, TYPES[kind], 1, at)
                    at += value.nbytes
                    row[rest[0]] = value[0].item()
            rows.append(row)
    assert at == len(data)
    return found


@pytest.fixture
def mesh() -> SurfaceMesh:
    rng = np.random.default_rng(2)
    normals = rng.normal(size=(7, 3))
    return SurfaceMesh(
        points_m=rng.normal(size=(7, 3)).astype(np.float32),
        normals=(normals / np.linalg.norm(normals, axis=1)[:, None]).astype(np.float32),
        colours=rng.integers(0, 256, (7, 3), np.uint8),
        labels=rng.integers(0, 2, 7, np.uint8),
        faces=rng.integers(0, 7, (5, 3)).astype(np.int32),
    )


def test_points_normals_colours_labels_and_faces_are_read_back(tmp_path, mesh):
    write_mesh_ply(tmp_path / 'deep' / 'a.ply', mesh)
    found = parse_ply(tmp_path / 'deep' / 'a.ply')
    assert list(found) == ['vertex', 'face']

    def column(*names: str) -> np.ndarray:
        return np.array([[vertex[name] for name in names] for vertex in found['vertex']])

    np.testing.assert_array_equal(column('x', 'y', 'z'), mesh.points_m)
    np.testing.assert_array_equal(column('nx', 'ny', 'nz'), mesh.normals)
    np.testing.assert_array_equal(column('red', 'green', 'blue'), mesh.colours)
    np.testing.assert_array_equal(column('label')[:, 0], mesh.labels)
    assert [face['vertex_indices'] for face in found['face']] == mesh.faces.tolist()


def test_a_mesh_without_a_face_is_a_file_too(tmp_path):
    empty = SurfaceMesh(
        *(np.zeros((0, 3), np.float32) for _ in range(2)),
        np.zeros((0, 3), np.uint8),
        np.zeros(0, np.uint8),
        np.zeros((0, 3), np.int32),
    )
    write_mesh_ply(tmp_path / 'a.ply', empty)
    assert parse_ply(tmp_path / 'a.ply') == {'vertex': [], 'face': []}


def test_a_place_that_cannot_be_written_is_named(tmp_path, mesh):
    (tmp_path / 'file').write_text('')
    with pytest.raises(MsdesisError, match=r'a\.ply'):
        write_mesh_ply(tmp_path / 'file' / 'a.ply', mesh)
