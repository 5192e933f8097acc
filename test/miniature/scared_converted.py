"""SCARED's converted test sets in miniature, of a surface whose every value is a formula.

The rectification is chosen first and the cameras follow from it, all by hand: x_rect = R1 x_left,
R = R2^T R1, T = R2^T (-B, 0, 0). The surface is given by its inverse depth over the rays of the
rectified left view. Lengths in mm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from scared_tree import distorted, rotation, undistorted

SIZE = (64, 48)
BASELINE = 4.2
D1 = np.array([-0.22, 0.06, 0.002, -0.0015, 0.0])
D2 = np.array([-0.2, 0.05, -0.001, 0.001, 0.0])
SCALE = 128


NO_LENS = np.zeros(5)


@dataclass(frozen=True)
class Camera:
    """Both cameras and the surface.

    apart: cx of P1 less cx of P2. slope, wave: of the surface; lift: what its disparity has more.
    """

    size: tuple[int, int] = SIZE
    apart: float = 0.0
    slope: tuple[float, float] = (0.004, -0.003)
    wave: float = 0.0004
    lift: float = 0.0
    same: bool = False
    d1: np.ndarray = field(default_factory=lambda: D1)
    r1: np.ndarray = field(default_factory=lambda: rotation((0.012, -0.03, 0.015)))
    r2: np.ndarray = field(default_factory=lambda: rotation((-0.004, -0.021, 0.009)))

    @property
    def focal(self) -> float:
        return 0.95 * self.size[0]

    @classmethod
    def plain(cls) -> Camera:
        """A left camera whose original view is the rectified one."""
        return cls(d1=NO_LENS, r1=np.eye(3), r2=np.eye(3), same=True)

    @property
    def k1(self) -> np.ndarray:
        if self.same:
            return self.p1[:, :3]
        width, height = self.size
        f = self.focal
        return np.array([[f, 0, 0.47 * width], [0, 1.004 * f, 0.52 * height], [0, 0, 1.0]])

    @property
    def k2(self) -> np.ndarray:
        width, height = self.size
        f = 1.002 * self.focal
        return np.array([[f, 0, 0.51 * width], [0, f, 0.49 * height], [0, 0, 1.0]])

    @property
    def p1(self) -> np.ndarray:
        width, height = self.size
        f = 0.9 * self.focal
        return np.array([[f, 0, 0.49 * width, 0], [0, f, 0.5 * height, 0], [0, 0, 1, 0.0]])

    @property
    def p2(self) -> np.ndarray:
        p2 = self.p1.copy()
        p2[0, 2] -= self.apart
        p2[0, 3] = -p2[0, 0] * BASELINE
        return p2

    @property
    def focal_times_baseline(self) -> float:
        return float(self.p1[0, 0] * BASELINE)

    def nearness(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """1 / Z of the surface on the ray (x, y, 1) of the rectified left view."""
        plane = (
            1 / 60 + self.lift / self.focal_times_baseline + self.slope[0] * x + self.slope[1] * y
        )
        return plane + self.wave * np.sin(5 * x) * np.cos(4 * y)

    def disparity(self) -> np.ndarray:
        """H x W px of the rectified left view."""
        u, v = self._grid()
        p = self.p1
        x, y = (u - p[0, 2]) / p[0, 0], (v - p[1, 2]) / p[1, 1]
        return self.focal_times_baseline * self.nearness(x, y) + self.apart

    def depth(self, *, lens: bool = True) -> np.ndarray:
        """H x W mm of the original left view; `lens`: False leaves the distortion out."""
        u, v = self._grid()
        k = self.k1
        x, y = (u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1]
        if lens:
            x, y = undistorted(x, y, self.d1)
        turned = np.stack([x, y, np.ones_like(x)], axis=-1) @ self.r1.T
        z = turned[..., 2]
        return 1 / (self.nearness(turned[..., 0] / z, turned[..., 1] / z) * z)

    def seen(self) -> np.ndarray:
        """H x W bool: the original pixels whose four neighbours lie in the rectified view."""
        u, v = self._grid()
        k, p = self.k1, self.p1
        x, y = undistorted((u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], self.d1)
        turned = np.stack([x, y, np.ones_like(x)], axis=-1) @ self.r1.T
        column = p[0, 0] * turned[..., 0] / turned[..., 2] + p[0, 2]
        row = p[1, 1] * turned[..., 1] / turned[..., 2] + p[1, 2]
        width, height = self.size
        return (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)

    def shown(self) -> np.ndarray:
        """H x W bool: the rectified pixels whose four neighbours lie in the original view."""
        u, v = self._grid()
        k, p = self.k1, self.p1
        rays = np.stack(
            [(u - p[0, 2]) / p[0, 0], (v - p[1, 2]) / p[1, 1], np.ones_like(u)], axis=-1
        )
        turned = rays @ self.r1
        x, y = distorted(turned[..., 0] / turned[..., 2], turned[..., 1] / turned[..., 2], self.d1)
        column, row = k[0, 0] * x + k[0, 2], k[1, 1] * y + k[1, 2]
        width, height = self.size
        return (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)

    def calibration(self) -> str:
        """`stereo_calib.json`, in the published form: rows before columns in image_size."""
        width, height = self.size
        matrices = {
            'K1': self.k1,
            'D1': self.d1[None],
            'K2': self.k2,
            'D2': D2[None],
            'R': self.r2.T @ self.r1,
            'T': self.r2.T @ np.array([[-BASELINE], [0], [0]]),
            'R1': self.r1,
            'R2': self.r2,
            'P1': self.p1,
            'P2': self.p2,
            'image_size': np.array([[height], [width]]),
        }
        return json.dumps({name: _opencv(matrix) for name, matrix in matrices.items()})

    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        width, height = self.size
        return tuple(np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float)))


def _opencv(matrix: np.ndarray) -> dict:
    matrix = np.atleast_2d(matrix)
    rows, cols = matrix.shape
    kind = {'type_id': 'opencv-matrix', 'rows': rows, 'cols': cols, 'dt': 'd'}
    return {**kind, 'data': matrix.astype(float).ravel().tolist()}


def put(path: Path, plane: np.ndarray) -> Path:
    """Any picture as it is; colours in the order of OpenCV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, plane)[1].tobytes())
    return path


def put_scaled(path: Path, values: np.ndarray, scale: float = SCALE) -> Path:
    """Values as the published tools store them: truncated, 0 = unknown."""
    return put(path, (np.nan_to_num(values) * scale).astype(np.uint16))


class Converted:
    """A tree of test sets; each frame has `share` of its truth, from the top row down."""

    def __init__(self, root: Path, camera: Camera | None = None) -> None:
        self.root, self.camera = root, camera or Camera()
        self._truths: dict[float, dict[str, np.ndarray]] = {}
        width, height = self.camera.size
        rng = np.random.default_rng(4)
        self.wall = cv2.GaussianBlur(
            rng.integers(0, 255, (height, width + 5, 3), dtype=np.uint8), (0, 0), 0.8
        )

    def add_key_frame(self, dataset: int, number: int, shares: dict[str, float]) -> Path:
        """A key frame with frames of these names."""
        folder = self.root / f'dataset_{dataset}' / f'keyframe_{number}'
        folder.mkdir(parents=True)
        (folder / 'stereo_calib.json').write_text(self.camera.calibration())
        for name, share in shares.items():
            self.add_frame(folder, name, share)
        return folder

    def add_frame(self, folder: Path, name: str, share: float = 1.0, lift: float = 0.0) -> None:
        """A frame whose truth is `lift` px nearer than that of the others."""
        if lift not in self._truths:
            camera = replace(self.camera, lift=lift)
            self._truths[lift] = {'disparity': camera.disparity(), 'depthmap': camera.depth()}
        width, height = self.camera.size
        known = np.zeros((height, width), bool)
        known.ravel()[: round(share * known.size)] = True
        put(folder / f'data/left_rectified/{name}.png', self.wall[:, :width])
        put(folder / f'data/right_rectified/{name}.png', self.wall[:, 5 : 5 + width])
        for truth, plane in self._truths[lift].items():
            put_scaled(folder / f'data/{truth}/{name}.png', np.where(known, plane, np.nan))


def whole_tree(root: Path, camera: Camera | None = None, frames: int = 1) -> Converted:
    """All ten key frames, every frame with all of its truth."""
    tree = Converted(root, camera)
    for dataset in (8, 9):
        for number in range(5):
            tree.add_key_frame(dataset, number, {f'{n:06d}': 1.0 for n in range(frames)})
    return tree
