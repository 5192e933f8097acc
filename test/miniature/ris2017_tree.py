"""RIS 2017 in miniature, in exactly the published layout, drawn by formulas that tests know.

instrument_dataset_{n}/left_frames/frameNNN.png, right_frames/frameNNN.png
instrument_dataset_{n}/ground_truth/{label}/frameNNN.png      values of mappings.json
instrument_dataset_{n}/camera_calibration.txt, mappings.json

A wall of waves stands before two cameras, at `DEPTH_MM` of the left one, with two bars on it as
instruments. The camera's picture lies in a black frame, as in the published 1920x1080 px. Rows of
the field that conversions drop show the instruments somewhere else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

FRAME_SIZE = (192, 108)
DEPTH_MM = 60.0
LABELS = ('Left_Prograsp_Forceps_labels', 'Other_labels', 'Right_Large_Needle_Driver_labels')
COLOURS = ((235, 235, 240), (200, 205, 210), (190, 200, 235))
MAPPINGS = {'Background': 0, 'Shaft': 10, 'Wrist': 20, 'Claspers': 30, 'Probe': 40}
TRAINING, TEST, ALL = range(225), range(225, 300), range(300)


@dataclass(frozen=True)
class RisRig:
    """The calibration text: for pictures of 1280x1024 px, which lie at (320, 28) of the frame."""

    focal_px: tuple[float, float] = (1080.0, 1084.0)
    centres_px: tuple[tuple[float, float], ...] = ((620.0, 500.0), (640.0, 520.0))
    distortion: tuple[tuple[float, ...], ...] = ((0.0,) * 5, (0.0,) * 5)
    omega: tuple[float, float, float] = (0.004, -0.012, 0.006)
    translation_mm: tuple[float, float, float] = (-4.4, 0.06, 0.03)

    @property
    def text(self) -> str:
        lines = ['Width: 1280 // pixels', 'Height: 1024 // pixels']
        for number in (0, 1):
            name = f'Camera-{number}'
            lines += [
                f'{name}-F: {_row(self.focal_px)} // focal lengths',
                f'{name}-C: {_row(self.centres_px[number])} // principal point',
                f'{name}-Alpha: 0 // skew',
                f'{name}-K: {_row(self.distortion[number])} // distortion',
            ]
        lines += [f'Extrinsic-Omega: {_row(self.omega)} // rotation']
        lines += [f'Extrinsic-T: {_row(self.translation_mm)} // position']
        return '\n'.join(lines) + '\n'

    def camera_matrix(self, number: int) -> np.ndarray:
        (fx, fy), (cx, cy) = self.focal_px, self.centres_px[number]
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])

    def rays(self, number: int, frame_size: tuple[int, int]) -> np.ndarray:
        """The direction (x, y, 1) of every pixel of a frame in its camera, H x W x 3."""
        width, height = frame_size
        scale = width / 1920
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        pixels = np.stack(
            [(x + 0.5) / scale - 320 - 0.5, (y + 0.5) / scale - 28 - 0.5], axis=-1
        ).reshape(-1, 1, 2)
        k, d = self.camera_matrix(number), np.array(self.distortion[number])
        directions = cv2.undistortPoints(pixels, k, d).reshape(height, width, 2)
        return np.concatenate([directions, np.ones((height, width, 1))], axis=-1)

    def wall(self, number: int, frame_size: tuple[int, int]) -> np.ndarray:
        """The place on the wall, mm, that every pixel of a frame shows, H x W x 2."""
        rays = self.rays(number, frame_size)
        if number == 0:
            return rays[..., :2] * DEPTH_MM
        r = cv2.Rodrigues(np.array(self.omega))[0]
        begin = -r.T @ np.array(self.translation_mm)
        rays = rays @ r  # each r.T @ ray
        length = (DEPTH_MM - begin[2]) / rays[..., 2:]
        return (begin + rays * length)[..., :2]


@dataclass(frozen=True)
class RisTree:
    """What is drawn. `frames`: numbers of the frames by set."""

    frames: dict[int, tuple[int, ...]]
    frame_size: tuple[int, int] = FRAME_SIZE
    stereo: bool = True
    plural: bool = True
    rig: RisRig = field(default_factory=RisRig)

    def write(self, root: Path) -> Path:
        for number, frames in self.frames.items():
            folder = root / f'instrument_dataset_{number}'
            for frame in frames:
                self.write_frame(folder, number, frame)
            (folder / 'mappings.json').write_text(json.dumps(MAPPINGS))
            (folder / 'camera_calibration.txt').write_text(self.rig.text)
        return root

    def write_frame(self, folder: Path, number: int, frame: int) -> None:
        ending = 's' if self.plural else ''
        name = f'frame{frame:03d}.png'
        _put(folder / f'left_frame{ending}' / name, self.picture(0, number, frame))
        if self.stereo:
            _put(folder / f'right_frame{ending}' / name, self.picture(1, number, frame))
        for label, plane in self.labels(number, frame).items():
            _put(folder / 'ground_truth' / label / name, plane)

    def picture(self, eye: int, number: int, frame: int) -> np.ndarray:
        """H x W x 3 uint8 RGB, interlaced, black around the camera's picture."""
        places = self.rig.wall(eye, self.frame_size)
        picture = texture(places, number)
        for label, colour in enumerate(COLOURS):
            picture[parts_of(places, label, number, frame) > 0] = colour
        window = published_window(self.frame_size)
        # The other field: as if the instruments had moved on by 7 mm.
        other = places - np.array([7.0, 0.0])
        late = texture(places, number)
        for label, colour in enumerate(COLOURS):
            late[parts_of(other, label, number, frame) > 0] = colour
        dropped = (np.arange(self.frame_size[1]) - window[1]) % 2 == 1
        picture[dropped] = late[dropped]
        return _black_outside(picture, camera_window(self.frame_size))

    def labels(self, number: int, frame: int) -> dict[str, np.ndarray]:
        """H x W uint8 by label: values of MAPPINGS in the left frame."""
        places = self.rig.wall(0, self.frame_size)
        planes = {
            label: parts_of(places, index, number, frame) for index, label in enumerate(LABELS)
        }
        return {k: _black_outside(v, camera_window(self.frame_size)) for k, v in planes.items()}


def published_window(frame_size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, width, height: columns 328 to 1590, rows 37 to 1046 of 1920x1080, in proportion."""
    scale = frame_size[0] / 1920
    return tuple(round(side * scale) for side in (328, 37, 1263, 1010))


def camera_window(frame_size: tuple[int, int]) -> tuple[int, int, int, int]:
    scale = frame_size[0] / 1920
    return tuple(round(side * scale) for side in (320, 28, 1280, 1024))


def texture(places: np.ndarray, number: int) -> np.ndarray:
    """Reddish waves on the wall, H x W x 3 uint8."""
    x, y = places[..., 0], places[..., 1]
    wave = np.sin(0.9 * x + number) + np.sin(1.1 * y) + np.sin(0.5 * (x + y))
    red = 140 + 20 * wave
    return np.stack([red, 70 + 12 * wave, 75 + 14 * wave], axis=-1).astype(np.uint8)


def parts_of(places: np.ndarray, label: int, number: int, frame: int) -> np.ndarray:
    """Values of MAPPINGS, H x W uint8: a bar on the wall, or a small probe."""
    x, y = places[..., 0], places[..., 1]
    centre = (-14.0, -2.0, 10.0)[label] + 0.5 * (frame % 5) + 0.3 * number
    plane = np.zeros(x.shape, np.uint8)
    if label == 1:
        plane[(np.abs(x - centre) < 2) & (np.abs(y + 20) < 2)] = 40
        return plane
    along = np.abs(x - centre) < 4
    plane[along & (y < -2)] = 10
    plane[along & (y >= -2) & (y < 5)] = 20
    plane[along & (y >= 5) & (y < 12)] = 30
    return plane


def _black_outside(plane: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = window
    kept = np.zeros_like(plane)
    kept[y : y + height, x : x + width] = plane[y : y + height, x : x + width]
    return kept


def _put(path: Path, plane: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), plane[..., ::-1] if plane.ndim == 3 else plane)


def _row(numbers: tuple[float, ...]) -> str:
    return ' '.join(f'{number:g}' for number in numbers)
