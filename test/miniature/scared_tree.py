"""SCARED in miniature: its folders, names and file kinds, of a scene that is known exactly.

The scene is a tilted wall with a ball in front, seen by two distorted cameras. All geometry is
written out here by hand, so that what the converters do is compared with something else.
Lengths in mm, pictures RGB, points x right, y down, z forward.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

SIZE = (64, 48)
# The published pictures are 1280x1024 with a focal length of 1035 px and cx 597: alike, smaller.
FOCAL = (62.0, 61.5)
CENTRES = ((29.5, 24.5), (33.0, 22.5))
D1 = np.array([-0.09, 0.02, 0.0012, -0.0008, 0.0])
D2 = np.array([-0.08, 0.015, -0.0007, 0.001, 0.0])
TURN = (0.004, -0.012, 0.006)
T = np.array([-4.3, 0.06, -0.03])
TEST_KEY_FRAMES = tuple((number, frame) for number in (8, 9) for frame in range(5))


@dataclass(frozen=True)
class KeyFrame:
    """One key frame: its cameras, its scene, and how the left camera moves from frame to frame.

    A point x of the key frame's left camera is `pose(k) @ x` for the left camera of frame k, and
    `turn @ x + T` for the right camera of the same frame.
    """

    dataset: int
    number: int
    size: tuple[int, int] = SIZE
    frames: int = 3
    sparse: frozenset[int] = field(default=frozenset({1}))

    @property
    def scale(self) -> float:
        return self.size[0] / SIZE[0]

    @cached_property
    def cameras(self) -> tuple[np.ndarray, np.ndarray]:
        """K of both cameras."""
        s = self.scale
        return tuple(
            np.array([[s * FOCAL[0], 0, s * cx], [0, s * FOCAL[1], s * cy], [0, 0, 1.0]])
            for cx, cy in CENTRES
        )

    @cached_property
    def turn(self) -> np.ndarray:
        return rotation(TURN)

    def pose(self, frame: int) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, :3] = rotation((0.01 * frame, -0.015 * frame, 0.02 * frame))
        pose[:3, 3] = [0.7 * frame, -0.4 * frame, 0.9 * frame]
        return pose

    def hit(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Where rays of the key frame's left camera meet the scene first: N x 3."""
        normal = np.array([0.25, -0.1 + 0.02 * self.number, -1.0])
        wall_z = 52.0 + self.dataset + 2 * self.number
        wall = ((np.array([0, 0, wall_z]) - origin) @ normal) / (directions @ normal)
        centre = np.array([4.0 - self.number, 2.0, wall_z - 14.0])
        between = origin - centre
        a = (directions**2).sum(axis=1)
        b = directions @ between
        inside = b**2 - a * (between @ between - 8.0**2)
        ball = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
        reach = np.where(ball > 0, np.minimum(ball, wall), wall)
        return origin + reach[:, None] * directions

    def points_seen(self, directions: np.ndarray, frame: int, *, right: bool = False):
        """Scene points on rays of a camera of a frame, in that camera: N x 3."""
        motion = self.pose(frame)
        if right:
            step = np.eye(4)
            step[:3, :3], step[:3, 3] = self.turn, T
            motion = step @ motion
        turn, shift = motion[:3, :3], motion[:3, 3]
        found = self.hit(-turn.T @ shift, directions @ turn)
        return found @ turn.T + shift

    def point_map(self, frame: int, *, right: bool = False) -> np.ndarray:
        """The point of every pixel of a distorted view: H x W x 3."""
        width, height = self.size
        u, v = np.meshgrid(np.arange(width), np.arange(height))
        camera, d = self.cameras[right], (D1, D2)[right]
        x = (u.ravel() - camera[0, 2]) / camera[0, 0]
        y = (v.ravel() - camera[1, 2]) / camera[1, 1]
        rays = np.stack([*undistorted(x, y, d), np.ones(x.size)], axis=1)
        return self.points_seen(rays, frame, right=right).reshape(height, width, 3)

    def known(self, frame: int) -> np.ndarray:
        """H x W bool: the pixels of the left view whose point is published."""
        width, height = self.size
        known = np.ones((height, width), dtype=bool)
        known[height // 3 : height // 2, : width // 4] = False
        if frame in self.sparse:
            known[height // 16 :] = False
        return known

    def picture(self, frame: int, *, right: bool = False) -> np.ndarray:
        """What a camera sees, H x W x 3 uint8: colours painted on the scene itself."""
        motion = self.pose(frame)
        points = self.point_map(frame, right=right)
        if right:
            points = (points - T) @ self.turn
        fixed = (points - motion[:3, 3]) @ motion[:3, :3]
        return painted(fixed)


def rotation(turn) -> np.ndarray:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(turn))
    if angle == 0:
        return np.eye(3)
    x, y, z = np.asarray(turn) / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def distorted(x: np.ndarray, y: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brown's lens: k1 k2 p1 p2 k3."""
    k1, k2, p1, p2, k3 = d
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def undistorted(x: np.ndarray, y: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of `distorted`, by steps of the error: exact after some."""
    a, b = x.copy(), y.copy()
    for _ in range(60):
        bent_x, bent_y = distorted(a, b, d)
        a, b = a + (x - bent_x), b + (y - bent_y)
    return a, b


def painted(points: np.ndarray) -> np.ndarray:
    """Smooth colours with detail, so that stereo matching has something to match."""
    x, y, z = np.moveaxis(points, -1, 0)
    red = 150 + 40 * np.sin(0.45 * x) * np.cos(0.35 * y) + 25 * np.sin(0.19 * x + 0.3 * z)
    green = 90 + 35 * np.sin(0.5 * y + 0.2 * x) + 20 * np.cos(0.4 * x)
    blue = 100 + 30 * np.cos(0.3 * x - 0.45 * y) + 25 * np.sin(0.25 * z)
    return np.clip(np.rint(np.stack([red, green, blue], axis=-1)), 0, 255).astype(np.uint8)


# --- files ------------------------------------------------------------------------------------


def write_scared_tree(
    root: Path,
    *,
    key_frames: Iterable[tuple[int, int]] = TEST_KEY_FRAMES,
    without_video: Iterable[tuple[int, int]] = ((8, 4), (9, 4)),
    size: tuple[int, int] = SIZE,
    frames: int = 3,
    sparse: Iterable[int] = (1,),
) -> dict[tuple[int, int], KeyFrame]:
    """Write `root/dataset_N/keyframe_K/...` as published; what each key frame holds.

    Frames in `sparse` have points on less than 10 % of their pixels. Key frames in
    `without_video` have no folder `data`, and one frame.
    """
    made = {}
    for dataset, number in key_frames:
        video = (dataset, number) not in set(without_video)
        key = KeyFrame(dataset, number, size, frames if video else 1, frozenset(sparse))
        write_key_frame(root / f'dataset_{dataset}' / f'keyframe_{number}', key, video=video)
        made[dataset, number] = key
    return made


def write_key_frame(folder: Path, key: KeyFrame, *, video: bool = True) -> None:
    folder.mkdir(parents=True)
    points, right_points = key.point_map(0), key.point_map(0, right=True)
    known = key.known(0)
    points[~known] = np.nan
    put_png(folder / 'Left_Image.png', key.picture(0))
    put_png(folder / 'Right_Image.png', key.picture(0, right=True))
    (folder / 'left_depth_map.tiff').write_bytes(tiff(points))
    (folder / 'right_depth_map.tiff').write_bytes(tiff(right_points))
    lines = [f'v {x:.6f} {y:.6f} {z:.6f}' for x, y, z in points.reshape(-1, 3)]
    (folder / 'point_cloud.obj').write_text('\n'.join(lines) + '\n')
    (folder / 'endoscope_calibration.yaml').write_text(calibration_text(key))
    if video:
        write_data(folder / 'data', key)


def write_data(folder: Path, key: KeyFrame) -> None:
    folder.mkdir()
    poses, clouds, pictures = {}, {}, []
    for frame in range(key.frames):
        text = {'camera-pose': key.pose(frame).tolist(), 'camera-calibration': {}}
        poses[f'frame_data{frame:06d}.json'] = json.dumps(text).encode()
        stacked = np.concatenate([key.point_map(frame), key.point_map(frame, right=True)])
        stacked[: key.size[1]][~key.known(frame)] = 0
        clouds[f'scene_points{frame:06d}.tiff'] = tiff(stacked)
        views = [key.picture(frame), key.picture(frame, right=True)]
        pictures.append(np.concatenate(views))
    write_tar(folder / 'frame_data.tar.gz', poses)
    write_tar(folder / 'scene_points.tar.gz', clouds)
    write_video(folder / 'rgb.mp4', pictures)


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, 'w:gz', compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    """The published videos are compressed with loss; these are not, so that they compare."""
    import av

    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264rgb', rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = 'rgb24', {'crf': '0', 'preset': 'ultrafast'}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())


def put_png(path: Path, picture: np.ndarray) -> None:
    path.write_bytes(cv2.imencode('.png', picture[..., ::-1])[1].tobytes())


def tiff(points: np.ndarray) -> bytes:
    """H x W x 3 as an uncompressed TIFF of three float32 channels in the order X, Y, Z."""
    height, width, _ = points.shape
    samples = points.astype('<f4').tobytes()
    first, count = 8, 10
    behind = first + 2 + 12 * count + 4
    short, long = 3, 4
    entries = [
        (256, short, 1, width),
        (257, short, 1, height),
        (258, short, 3, behind),  # bits
        (259, short, 1, 1),  # uncompressed
        (262, short, 1, 2),  # as RGB
        (273, long, 1, behind + 12),  # where the samples are
        (277, short, 1, 3),
        (278, short, 1, height),
        (279, long, 1, len(samples)),
        (339, short, 3, behind + 6),  # floats
    ]
    directory = struct.pack('<H', count)
    for tag, kind, number, value in entries:
        # One short lies in the first half of its field.
        directory += struct.pack('<HHII', tag, kind, number, value)
    head = b'II*\0' + struct.pack('<I', first)
    return head + directory + struct.pack('<I6H', 0, 32, 32, 32, 3, 3, 3) + samples


def calibration_text(key: KeyFrame) -> str:
    """The form of `endoscope_calibration.yaml`: M1 and D1, and no picture size."""
    k1, k2 = key.cameras
    matrices = {'M1': k1, 'D1': D1[None], 'M2': k2, 'D2': D2[None], 'R': key.turn, 'T': T[:, None]}
    lines = ['%YAML:1.0', '---']
    for name, matrix in matrices.items():
        data = ', '.join(f'{value:.17g}' for value in matrix.ravel())
        rows, cols = matrix.shape
        lines += [
            f'{name}: !!opencv-matrix',
            f'   rows: {rows}',
            f'   cols: {cols}',
            '   dt: d',
            f'   data: [ {data} ]',
        ]
    return '\n'.join(lines) + '\n'
