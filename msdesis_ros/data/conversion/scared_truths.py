"""Where the truth of SCARED's frames comes from: published points, or a cloud that moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.conversion.frame_archives import frame_files, read_poses
from msdesis_ros.data.conversion.point_clouds import (
    decode_point_map,
    known_points,
    read_cloud,
    read_point_map,
)
from msdesis_ros.data.conversion.records import Faults
from msdesis_ros.data.conversion.scared_tree import KeyFrame


class Truth(NamedTuple):
    """What is known of a frame, in its left camera's frame, mm.

    points: N x 3. depth_mm: H x W of the left view, NaN where unknown; None where the points are
    all there is.
    """

    number: int
    points: np.ndarray
    depth_mm: np.ndarray | None


def key_frame_truth(key: KeyFrame, image_size: tuple[int, int]) -> Truth:
    """The truth of the key frame itself, frame 0; FileFormatError where its TIFF is bad."""
    return _of_pixels(0, left_half(read_point_map(key.point_map), image_size, str(key.point_map)))


def published_truths(
    key: KeyFrame, image_size: tuple[int, int], faults: Faults
) -> Iterator[Truth]:
    """The truths of `scene_points.tar.gz` in its order; bad ones are given to `faults`.

    image_size: (width, height) px of one view. Raises FileFormatError where the archive is bad.
    """
    width, height = image_size
    # Both views, as doubles at the most, and a header.
    largest = 2 * height * width * 3 * 8 + (1 << 20)
    for file in frame_files(key.frame_points, suffix='.tiff', max_bytes=largest):
        try:
            both = decode_point_map(file.content, file.name)
            point_map = left_half(both, image_size, file.name)
        except FileFormatError as error:
            faults(error)
            continue
        yield _of_pixels(file.number, point_map)


def moved_clouds(
    key: KeyFrame, cloud: str | None, *, one_frame: bool, faults: Faults
) -> Iterator[Truth]:
    """The key frame's cloud as each frame of `frame_data.tar.gz` sees it; `one_frame`: unmoved.

    cloud: name of the file, None for the published one. Bad poses are given to `faults`. Raises
    FileFormatError where the cloud is bad, MissingExtraError, UsageError as `read_cloud`.
    """
    points = read_cloud(key.cloud(cloud))
    poses = {0: np.eye(4)}
    if not one_frame:
        poses, errors = read_poses(key.poses)
        for error in errors:
            faults(error)
    for number, pose in sorted(poses.items()):
        yield Truth(number, points @ pose[:3, :3].T + pose[:3, 3], None)


def left_half(point_map: np.ndarray, image_size: tuple[int, int], name: str) -> np.ndarray:
    """The rows of the left view: all, or the first half where both views lie upon each other.

    Raises FileFormatError where the size is neither that of one view nor of two.
    """
    width, height = image_size
    rows, columns = point_map.shape[:2]
    if columns != width or rows not in (height, 2 * height):
        raise FileFormatError(
            f'{name} is {columns}x{rows}; the pictures are {width}x{height}, so expected '
            f'{width}x{height}, or {width}x{2 * height} for both views'
        )
    return point_map[:height]


def _of_pixels(number: int, point_map: np.ndarray) -> Truth:
    return Truth(number, known_points(point_map), point_map[..., 2])
