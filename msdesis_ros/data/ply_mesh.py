"""Meshes as binary PLY files, as MeshLab, CloudCompare, Blender and Open3D open them."""

from __future__ import annotations

import os

import numpy as np

from msdesis_ros.core.surface_mesh import SurfaceMesh
from msdesis_ros.data.images import atomic_write

_VERTEX = [
    *((name, '<f4') for name in ('x', 'y', 'z', 'nx', 'ny', 'nz')),
    *((name, 'u1') for name in ('red', 'green', 'blue', 'label')),
]
_TYPES = {'<f4': 'float', 'u1': 'uchar'}


def write_mesh_ply(path: str | os.PathLike[str], mesh: SurfaceMesh) -> None:
    """Write a mesh as binary little-endian PLY, metres, whole or not at all.

    Every point has its normal, its colour and a label (0 tissue, 1 instrument); every face is a
    triangle. Missing folders are made. Raises MsdesisError where the file cannot be written.
    """
    vertices = np.empty(len(mesh.points_m), _VERTEX)
    for columns, values in (
        (('x', 'y', 'z'), mesh.points_m),
        (('nx', 'ny', 'nz'), mesh.normals),
        (('red', 'green', 'blue'), mesh.colours),
    ):
        for column, name in enumerate(columns):
            vertices[name] = values[:, column]
    vertices['label'] = mesh.labels
    faces = np.empty(len(mesh.faces), [('count', 'u1'), ('corners', '<i4', 3)])
    faces['count'] = 3
    faces['corners'] = mesh.faces
    lines = [
        'ply',
        'format binary_little_endian 1.0',
        'comment metres, optical frame: x right, y down, z forward',
        f'element vertex {len(vertices)}',
        *(f'property {_TYPES[kind]} {name}' for name, kind in _VERTEX),
        f'element face {len(faces)}',
        'property list uchar int vertex_indices',
        'end_header',
    ]
    with atomic_write(path) as temporary, temporary.open('wb') as stream:
        stream.write(('\n'.join(lines) + '\n').encode('ascii'))
        stream.write(vertices.tobytes())
        stream.write(faces.tobytes())
