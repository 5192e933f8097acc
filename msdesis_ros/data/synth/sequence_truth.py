"""What is known of a moving scene beside its pairs: camera poses, and sparse points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.stereo_frame import FrameSource, StereoFrame

# A point counts as seen where the surface at its pixel is as far as the point, to this share of
# the distance: what a match that is half a pixel off at 100 px of disparity would still say.
DEPTH_TOLERANCE = 0.005


class SequenceSource(FrameSource, Protocol):
    """A source whose frames follow each other: one scene, one moving camera.

    `points_mm` are fixed to the world. A point on what moves is seen only while the surface
    passes through it.
    """

    @property
    def points_mm(self) -> np.ndarray:
        """P x 3 float64: points on surfaces, in the world's frame, mm."""

    def world_from_left(self, index: int) -> np.ndarray:
        """4 x 4: the rigid pose of the left camera at a frame, mm."""

    def stamp_ns(self, index: int) -> int:
        """When the frame was taken; grows with the index."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """One frame of a sequence: its pose, and where it sees the points.

    world_from_left: 4 x 4 float64, rigid, mm. uv_px: P x 2 float32, where each point projects to
    in the left picture; NaN behind the camera. visible: P bool, True where the picture shows it.
    """

    stamp_ns: int
    world_from_left: np.ndarray
    uv_px: np.ndarray
    visible: np.ndarray

    def __post_init__(self) -> None:
        require_pose(self.world_from_left)
        if self.uv_px.shape != (len(self.visible), 2) or self.visible.dtype != bool:
            raise UsageError(
                f'uv_px of a sighting is {self.uv_px.shape} and visible {self.visible.shape} '
                f'{self.visible.dtype}; expected P x 2 and P bool'
            )


@dataclass(frozen=True, eq=False)
class SequenceTruth:
    """Poses and points of all frames.

    stamps_ns: N int64, growing. world_from_left: N x 4 x 4 float64, mm. points_mm: P x 3 float64,
    world. uv_px: N x P x 2 float32. visible: N x P bool. As in `Sighting`.
    """

    stamps_ns: np.ndarray
    world_from_left: np.ndarray
    points_mm: np.ndarray
    uv_px: np.ndarray
    visible: np.ndarray

    def __post_init__(self) -> None:
        frames, points = len(self.stamps_ns), len(self.points_mm)
        for name, shape in (
            ('world_from_left', (frames, 4, 4)),
            ('points_mm', (points, 3)),
            ('uv_px', (frames, points, 2)),
            ('visible', (frames, points)),
        ):
            if getattr(self, name).shape != shape:
                raise UsageError(
                    f'{name} of a sequence is {getattr(self, name).shape}; expected {shape}'
                )
        if (np.diff(self.stamps_ns) <= 0).any():
            raise UsageError('the stamps of a sequence do not grow from frame to frame')
        for pose in self.world_from_left:
            require_pose(pose)

    @classmethod
    def of(cls, points_mm: np.ndarray, sightings: Sequence[Sighting]) -> SequenceTruth:
        """Put the sightings of all frames together, in the order of the frames."""
        return cls(
            stamps_ns=np.array([sighting.stamp_ns for sighting in sightings], np.int64),
            world_from_left=np.stack([sighting.world_from_left for sighting in sightings]),
            points_mm=np.asarray(points_mm, np.float64),
            uv_px=np.stack([sighting.uv_px for sighting in sightings]),
            visible=np.stack([sighting.visible for sighting in sightings]),
        )


def require_pose(pose: np.ndarray) -> None:
    """Raise UsageError unless this is a rigid 4 x 4 transform."""
    rigid = pose.shape == (4, 4) and np.isfinite(pose).all()
    if rigid:
        turn = pose[:3, :3]
        rigid = np.abs(turn @ turn.T - np.eye(3)).max() < 1e-6 and np.linalg.det(turn) > 0
        rigid &= np.array_equal(pose[3], [0, 0, 0, 1])
    if not rigid:
        raise UsageError(f'a pose of a sequence is not a rigid 4 x 4 transform: {pose.tolist()}')


def project(
    points_mm: np.ndarray, world_from_left: np.ndarray, geometry: StereoGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """Project P x 3 world points into the left picture.

    Returns uv_px, P x 2 float64, and depth_mm, P float64; both NaN behind the camera.
    """
    turn, place = world_from_left[:3, :3], world_from_left[:3, 3]
    in_camera = (points_mm - place) @ turn
    depth_mm = np.where(in_camera[:, 2] > 0, in_camera[:, 2], np.nan)
    focal = (geometry.focal_px, geometry.focal_y_px)
    centre = (geometry.cx_px, geometry.cy_px)
    return in_camera[:, :2] / depth_mm[:, None] * focal + centre, depth_mm


def sight(source: SequenceSource, index: int, frame: StereoFrame) -> Sighting:
    """Where a frame of the source sees the source's points."""
    pose = np.asarray(source.world_from_left(index), np.float64)
    uv_px, depth_mm = project(source.points_mm, pose, frame.geometry)
    return Sighting(
        stamp_ns=int(source.stamp_ns(index)),
        world_from_left=pose,
        uv_px=uv_px.astype(np.float32),
        visible=_is_seen(uv_px, depth_mm, frame.depth_mm),
    )


def _is_seen(uv_px: np.ndarray, point_mm: np.ndarray, surface_mm: np.ndarray) -> np.ndarray:
    """P bool: the surface lies at the point's depth, at a pixel beside its projection.

    A point lies between four pixels, and on a steep surface each of them is at another depth: the
    point is seen where it lies between the nearest and the farthest of them, within the tolerance.
    """
    height, width = surface_mm.shape
    known = np.isfinite(uv_px).all(axis=1)
    corner = np.floor(np.where(known[:, None], uv_px, -1)).astype(np.int64)
    known &= (corner >= 0).all(axis=1) & (corner < [width - 1, height - 1]).all(axis=1)
    x, y = np.where(known[:, None], corner, 0).T
    around = np.stack([surface_mm[y + j, x + i] for j in (0, 1) for i in (0, 1)])
    slack = DEPTH_TOLERANCE * point_mm
    with np.errstate(invalid='ignore'):  # NaN, no surface, compares as False
        behind_nearest = point_mm >= around.min(axis=0) - slack
        before_farthest = point_mm <= around.max(axis=0) + slack
    return known & behind_nearest & before_farthest
