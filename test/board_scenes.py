"""A rig that is known exactly, and what it sees of calibration boards: corners and pictures.

Everything here is written out (projection, distortion, intersection with the plane of the board),
so that it can judge what OpenCV is asked to do. Lengths in mm, turns in degrees.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

SIZE = (320, 256)
K1 = np.array([[262.0, 0, 161.5], [0, 263.0, 125.0], [0, 0, 1]])
D1 = np.array([-0.16, 0.05, 0.001, -0.0015, 0.0])
K2 = np.array([[264.0, 0, 157.0], [0, 264.5, 129.5], [0, 0, 1]])
D2 = np.array([-0.17, 0.06, -0.001, 0.001, 0.0])
T_MM = np.array([-5.2, 0.12, 0.08])
SAMPLES = 2
TEXELS = 24


def turn(x_deg: float, y_deg: float, z_deg: float) -> np.ndarray:
    """Rotation about x, then y, then z."""
    x, y, z = np.radians([x_deg, y_deg, z_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


R = turn(0.4, -0.8, 0.6)


@dataclass(frozen=True)
class Pose:
    """Of a board: its middle at `at_mm` in the left camera, turned by `turned_deg`."""

    at_mm: tuple[float, float, float]
    turned_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def place(self, points_mm: np.ndarray, middle_mm: np.ndarray) -> np.ndarray:
        """Points of the board (N x 3) in the left camera."""
        return (points_mm - middle_mm) @ turn(*self.turned_deg).T + self.at_mm


# All over the picture, near and far, tilted about both axes.
POSES = (
    Pose((0, 0, 46), (25, 0, 0)),
    Pose((-9, -6, 50), (0, 28, 5)),
    Pose((9, -6, 52), (-22, -15, -8)),
    Pose((-9, 7, 48), (15, -25, 12)),
    Pose((10, 7, 54), (-28, 18, 0)),
    Pose((0, -8, 60), (30, 20, -15)),
    Pose((12, 0, 62), (-10, 32, 20)),
    Pose((-13, 0, 64), (18, -30, -5)),
    Pose((3, 9, 58), (-30, -8, 30)),
    Pose((-4, -3, 40), (8, 12, -25)),
)


def distorted(normalised: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Brown's model with k1 k2 p1 p2 k3, N x 2 normalised to N x 2 normalised."""
    k1, k2, p1, p2, k3 = d
    x, y = normalised.T
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=1,
    )


def undistorted(normalised: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The inverse of `distorted`, iterated until nothing moves."""
    found = normalised.copy()
    for _ in range(12):
        found += normalised - distorted(found, d)
    return found


def project(points_mm: np.ndarray, k: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Points in a camera (N x 3) to pixels (N x 2)."""
    bent = distorted(points_mm[:, :2] / points_mm[:, 2:], d)
    return bent * [k[0, 0], k[1, 1]] + k[:2, 2]


def eyes(corners_mm: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a board in both pictures, N x 2 px each."""
    left = pose.place(corners_mm, corners_mm.mean(axis=0))
    return project(left, K1, D1), project(left @ R.T + T_MM, K2, D2)


@functools.cache
def _rays(side: str) -> np.ndarray:
    """Directions of SAMPLES x SAMPLES points of each pixel in that camera, rows x columns x 3."""
    k, d = (K1, D1) if side == 'left' else (K2, D2)
    x, y = ((np.arange(n * SAMPLES) + 0.5) / SAMPLES - 0.5 for n in SIZE)
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    flat = undistorted((pixels - k[:2, 2]) / [k[0, 0], k[1, 1]], d)
    rays = np.hstack([flat, np.ones((len(flat), 1))]).astype(np.float32)
    return rays.reshape(len(y), len(x), 3)


@dataclass(frozen=True)
class Print:
    """A printed board: `texture` (grey) of `size_mm`; its middle is that of the corners."""

    texture: np.ndarray = field(repr=False)
    size_mm: tuple[float, float]


def checkerboard(columns: int, rows: int, square_mm: float) -> Print:
    """Dark square in the corner beside the first inner one; a white margin of one square."""
    y, x = np.indices((rows + 3, columns + 3))
    dark = (x + y) % 2 == 0
    inside = (x > 0) & (y > 0) & (x < columns + 2) & (y < rows + 2)
    texture = np.where(dark & inside, 30, 225).astype(np.uint8)
    texture = np.kron(texture, np.ones((TEXELS, TEXELS), np.uint8))
    return Print(texture, ((columns + 3) * square_mm, (rows + 3) * square_mm))


def picture(board: Print, pose: Pose, side: str, *, half_turn: bool = False) -> np.ndarray:
    """What an eye sees of the board before grey cloth: H x W x 3 uint8, by casting rays."""
    rotation, origin = turn(*pose.turned_deg), np.array(pose.at_mm, dtype=float)
    if side == 'right':
        rotation, origin = R @ rotation, R @ origin + T_MM
    if half_turn:
        rotation = rotation @ turn(0, 0, 180)
    start = -rotation.T @ origin
    rays = _rays(side) @ rotation.astype(np.float32)  # in the frame of the board
    scale = np.float32(-start[2]) / rays[..., 2]
    # In samples of the texture, whose middle is the middle of the board.
    rows, columns = board.texture.shape
    u = (np.float32(start[0]) + rays[..., 0] * scale) * np.float32(columns / board.size_mm[0])
    v = (np.float32(start[1]) + rays[..., 1] * scale) * np.float32(rows / board.size_mm[1])
    grey = cv2.remap(
        board.texture,
        u + np.float32((columns - 1) / 2),
        v + np.float32((rows - 1) / 2),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=120,
    )
    grey = cv2.resize(grey, SIZE, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(7).normal(0, 1, grey.shape)
    grey = np.clip(cv2.GaussianBlur(grey, (0, 0), 0.6) + noise, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def pictures(board: Print, poses: Sequence[Pose] = POSES) -> list[tuple[np.ndarray, np.ndarray]]:
    """The (left, right) pictures of every pose."""
    return [(picture(board, pose, 'left'), picture(board, pose, 'right')) for pose in poses]


def charuco(columns: int, rows: int, square_mm: float, marker_mm: float, legacy: bool) -> Print:
    """A ChArUco board of DICT_4X4_50 as the installed OpenCV prints it, with a white margin."""
    aruco = cv2.aruco
    dictionary = aruco.getPredefinedDictionary(aruco.DICT_4X4_50)
    size = (columns * TEXELS, rows * TEXELS)
    if hasattr(aruco, 'CharucoBoard_create'):
        drawn = aruco.CharucoBoard_create(columns, rows, square_mm, marker_mm, dictionary)
        texture = drawn.draw(size)
    else:
        drawn = aruco.CharucoBoard((columns, rows), square_mm, marker_mm, dictionary)
        drawn.setLegacyPattern(legacy)
        texture = drawn.generateImage(size)
    texture = np.pad(texture, TEXELS, constant_values=255)
    texture = np.clip(texture, 30, 225).astype(np.uint8)
    return Print(texture, ((columns + 2) * square_mm, (rows + 2) * square_mm))


@functools.cache
def checkerboard_pictures(columns: int = 8, rows: int = 5, square_mm: float = 3.0) -> tuple:
    """The (left, right) pictures of a checkerboard in POSES, made once."""
    return tuple(pictures(checkerboard(columns, rows, square_mm)))
