"""One cloud of all frames of a sequence whose poses are known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.surface_frame import SurfaceFrame
from msdesis_ros.core.voxel_cloud import VoxelCloud
from msdesis_ros.data.cloud_view.viewer import SurfaceViewer
from msdesis_ros.data.ply import PlyCloud
from msdesis_ros.offline.reconstruction import (
    Account,
    Progress,
    ShowPicture,
    SurfaceSettings,
    made_surfaces,
    show_one,
    viewed,
    write_surface,
)
from msdesis_ros.offline.surface_sources import SurfaceSource


def reconstruct_world(
    source: SurfaceSource,
    poses: Mapping[int, np.ndarray],
    out: Path,
    settings: SurfaceSettings,
    *,
    viewer: SurfaceViewer | None = None,
    show: ShowPicture | None = None,
    progress: Progress = lambda done, total: None,
) -> Account:
    """Write one cloud of all frames in the frame of the poses, `world.*`.

    `poses`: as `data.pose_files.read_poses`; the last number in a frame's name is its number
    there. Each voxel becomes one point, so memory does not grow with the number of frames. The
    view is that of the first frame's camera. Raises as `reconstruct_each`; UsageError for a mesh.
    """
    if settings.mesh:
        raise UsageError('with poses all frames become one cloud of points; leave out --mesh')
    numbers = _frame_numbers(source.names, poses)
    account, cloud = Account(), VoxelCloud(settings.voxel_m, max_voxels=settings.max_voxels)
    first: SurfaceFrame | None = None
    places: list[np.ndarray] = []
    for number, made in made_surfaces(source, settings, account):
        if made is not None:
            pose, points = poses[numbers[number]], made.surface
            cloud.add(_moved(points.points_m, pose), points.colours, points.labels)
            if first is None:
                first, first_pose = made.frame, pose
            places.append(pose[:3, 3])
        progress(number + 1, len(numbers))
    if first is None:
        return account
    if cloud.size_m > settings.voxel_m:
        account.warn(
            f'the voxels grew from {1000 * settings.voxel_m:g} to {1000 * cloud.size_m:g} mm, so '
            f'that no more than {settings.max_voxels} of them are needed'
        )
    world = PlyCloud(*cloud.cloud())
    name = f'world.{settings.file_format}'
    write_surface(out / name, world)
    account.files.append(name)
    if viewer is not None:
        to_first = np.linalg.inv(first_pose)
        seen = PlyCloud(_moved(world.points_m, to_first), world.colours, world.labels)
        viewer.show(viewed(seen, width_m=1.5 * cloud.size_m), first.geometry)
        viewer.show_path(_moved(np.array(places), to_first))
        show_one(viewer, out, account, show)
    return account


def _frame_numbers(names: Sequence[str], poses: Mapping[int, np.ndarray]) -> list[int]:
    found: dict[int, str] = {}
    for name in names:
        number = _frame_number(name, poses)
        if (other := found.setdefault(number, name)) != name:
            raise FileFormatError(
                f'{other} and {name} would both have pose {number}; the last number in the name '
                'of a frame must be that of its pose'
            )
    return list(found)


def _frame_number(name: str, poses: Mapping[int, np.ndarray]) -> int:
    digits = re.findall(r'\d+', name)
    if not digits or int(digits[-1]) not in poses:
        what = f'has no frame {int(digits[-1])}' if digits else 'goes by numbers'
        raise FileFormatError(
            f'the file of the poses {what}, but a frame is called {name}; the last number in the '
            'name of a frame must be that of its pose'
        )
    return int(digits[-1])


def _moved(points_m: np.ndarray, transform: np.ndarray) -> np.ndarray:
    return (points_m @ transform[:3, :3].T + transform[:3, 3]).astype(np.float32)
