"""Point clouds as binary PCD files, the format of the Point Cloud Library (PCL)."""

from __future__ import annotations

import os

import numpy as np

from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.ply import require_cloud


def write_pcd(
    path: str | os.PathLike[str],
    points_m: np.ndarray,
    colours: np.ndarray,
    labels: np.ndarray | None = None,
) -> None:
    """Write a coloured point cloud as PCD 0.7, DATA binary, whole or not at all.

    The fields are those of `pcl::PointXYZRGB`, with labels of `pcl::PointXYZRGBL`: colour is
    0x00RRGGBB in the bits of a float, as PCL has it. The cloud is unorganised (HEIGHT 1), in
    metres, in an optical frame: x right, y down, z forward.

    Args:
        path: the file; missing folders are made.
        points_m: N x 3 float32, metres, finite.
        colours: N x 3 uint8, RGB.
        labels: N uint8 (0 tissue, 1 instrument), or None to leave the field out.

    Raises:
        UsageError: shapes, types or values are not as above.
        MsdesisError: the file cannot be written.
    """
    count = require_cloud(points_m, colours, labels)
    fields = [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4')]
    records = np.empty(count, fields if labels is None else [*fields, ('label', '<u4')])
    for column, name in enumerate('xyz'):
        records[name] = points_m[:, column]
    red, green, blue = colours.astype(np.uint32).T
    records['rgb'] = (red << 16) | (green << 8) | blue
    if labels is not None:
        records['label'] = labels
    with atomic_write(path) as temporary, temporary.open('wb') as stream:
        stream.write(_header(count, with_labels=labels is not None))
        stream.write(records.tobytes())


def _header(count: int, *, with_labels: bool) -> bytes:
    fields, kinds = ('x y z rgb label', 'F F F F U') if with_labels else ('x y z rgb', 'F F F F')
    each = len(fields.split())
    lines = [
        '# .PCD v0.7 - Point Cloud Data file format',
        'VERSION 0.7',
        f'FIELDS {fields}',
        f'SIZE {" ".join(["4"] * each)}',
        f'TYPE {kinds}',
        f'COUNT {" ".join(["1"] * each)}',
        f'WIDTH {count}',
        'HEIGHT 1',
        'VIEWPOINT 0 0 0 1 0 0 0',
        f'POINTS {count}',
        'DATA binary',
    ]
    return ('\n'.join(lines) + '\n').encode('ascii')
