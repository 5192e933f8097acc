"""Video frames of RIS 2017 to pictures: the window that holds the picture, and one field of it.

The frames are 1920x1080 px with a black border around the picture, and interlaced: their even and
odd rows were taken at different times. A picture is the window of the frame, of it every other
row, and those resized. All that is measured in pixels of the frame has to follow: labels and
camera matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.errors import CalibrationError, FileFormatError

FRAME_SIZE = (1920, 1080)
# x, y, width, height: columns 328 to 1590 and rows 37 to 1046, inside of the black border.
WINDOW = (328, 37, 1263, 1010)
PICTURE_SIZE = (1280, 1024)
# The challenge: the camera's picture of 1280x1024 px begins at the pixel (320, 28) of the frame.
CAMERA_SIZE, CAMERA_BEGIN = (1280, 1024), (320, 28)
_SMALLEST_FRAME = (64, 36)


@dataclass(frozen=True)
class FrameGeometry:
    """Where a converted picture comes from.

    frame_size, picture_size: (width, height) px. window: x, y, width, height px in the frame. Row
    y of a picture shows the row `source_row(y)` of the window, column x the column
    `source_column(x)`; whole numbers are the centres of pixels everywhere.
    """

    frame_size: tuple[int, int]
    window: tuple[int, int, int, int]
    picture_size: tuple[int, int]

    @classmethod
    def of_frames(
        cls, frame_size: tuple[int, int], picture_size: tuple[int, int] = PICTURE_SIZE
    ) -> FrameGeometry:
        """The geometry of frames of a size: 1920x1080 as published, others of 16:9 in proportion.

        Raises FileFormatError for frames of another aspect, whose border nobody knows.
        """
        width, height = frame_size
        small = width < _SMALLEST_FRAME[0] or height < _SMALLEST_FRAME[1]
        if width * FRAME_SIZE[1] != height * FRAME_SIZE[0] or small:
            raise FileFormatError(
                f'{width}x{height} px; expected the frames as published, 1920x1080 px (or another '
                'size of 16:9 from 64x36 px): the black border of other sizes is not known, and '
                'converted pictures cannot be converted again'
            )
        scale = width / FRAME_SIZE[0]
        x, y, across, down = (round(side * scale) for side in WINDOW)
        return cls(frame_size, (x, y, across, down), picture_size)

    @property
    def field_rows(self) -> int:
        """How many rows of the window are kept: its even ones, 0, 2, ..."""
        return (self.window[3] + 1) // 2

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """One field of the window, resized bilinearly: H x W x 3 uint8 of `picture_size`.

        Raises FileFormatError for a frame of another size.
        """
        return cv2.resize(
            self.windowed(frame)[::2], self.picture_size, interpolation=cv2.INTER_LINEAR
        )

    def source_column(self, x: np.ndarray) -> np.ndarray:
        """Columns of the picture to columns of the window, as the resizing takes them."""
        return (x + 0.5) * (self.window[2] / self.picture_size[0]) - 0.5

    def source_row(self, y: np.ndarray) -> np.ndarray:
        """Rows of the picture to rows of the window.

        The resizing centres the field in the picture, so its rows come out half a row of the
        window lower than those of the whole window would.
        """
        return 2 * ((y + 0.5) * (self.field_rows / self.picture_size[1]) - 0.5)

    def camera_matrix(self, k: np.ndarray, calibrated_size: tuple[int, int]) -> np.ndarray:
        """The camera matrix (3 x 3, px) of the pictures from that of the calibration.

        A calibration for pictures of 5:4 is that of the camera's picture, which lies in the frame
        where the challenge says; one of 16:9 is that of whole frames. Its picture begins at
        (left, top) of the window, and one px of it is s px there:

            fx' = fx s / a      cx' = ((cx + 0.5) s + left) / a - 0.5
            fy' = fy s / b      cy' = ((cy + 0.5) s + top + 0.5) / b - 0.5

        a and b are px of the window for each px of the result; the 0.5 after `top` is that of
        `source_row`. Distortion, rotation and translation do not change. Raises CalibrationError
        for a size of another aspect.
        """
        width, height = calibrated_size
        scale = self.frame_size[0] / FRAME_SIZE[0]
        if width * CAMERA_SIZE[1] == height * CAMERA_SIZE[0]:
            left, top = (begin * scale for begin in CAMERA_BEGIN)
            px = CAMERA_SIZE[0] * scale / width
        elif width * FRAME_SIZE[1] == height * FRAME_SIZE[0]:
            left, top, px = 0.0, 0.0, self.frame_size[0] / width
        else:
            raise CalibrationError(
                f'the calibration is for pictures of {width}x{height} px; expected 1280x1024 (the '
                "camera's picture in the frame) or 1920x1080 (whole frames)"
            )
        left, top = left - self.window[0], top - self.window[1]
        across = self.window[2] / self.picture_size[0]
        down = 2 * self.field_rows / self.picture_size[1]
        moved = [
            [px / across, 0, (px / 2 + left) / across - 0.5],
            [0, px / down, (px / 2 + top + 0.5) / down - 0.5],
            [0, 0, 1],
        ]
        return np.array(moved) @ k

    def windowed(self, plane: np.ndarray) -> np.ndarray:
        """The window of a frame; FileFormatError for a frame of another size."""
        if (plane.shape[1], plane.shape[0]) != self.frame_size:
            raise FileFormatError(
                f'{plane.shape[1]}x{plane.shape[0]} px; expected {self.frame_size[0]}x'
                f'{self.frame_size[1]} px like the other frames of the set'
            )
        x, y, across, down = self.window
        return plane[y : y + down, x : x + across]


class LabelSampler:
    """Brings labels of frames to the pixels of the pictures: each takes the nearest label.

    Labels are numbers of classes, between which nothing lies: interpolated, the border of a tool
    gets values of other classes, and "above 0" grows the tool.

    at: columns and rows of the picture, H x W float, where each result pixel looks; None = where
    it is. What looks outside of the picture gets 0.
    """

    def __init__(
        self, geometry: FrameGeometry, at: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        self._geometry = geometry
        width, height = geometry.picture_size
        x, y = np.arange(width)[None, :], np.arange(height)[:, None]
        self._outside: np.ndarray | None = None
        if at is not None:
            x, y = at
            inside = (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
            self._outside = ~inside
        _, _, across, down = geometry.window
        self._columns = _nearest(geometry.source_column(x), across)
        self._rows = _nearest(geometry.source_row(y), down)

    def sample(self, labels: np.ndarray) -> np.ndarray:
        """H x W uint8 of the frame -> H x W uint8 of the picture.

        Raises FileFormatError for labels of another size than the frames.
        """
        picked = self._geometry.windowed(labels)[self._rows, self._columns]
        if self._outside is not None:
            picked[self._outside] = 0
        return picked


def _nearest(at: np.ndarray, length: int) -> np.ndarray:
    # Up to half a pixel outside is the resizing's border, which it repeats.
    return np.clip(np.floor(np.nan_to_num(at) + 0.5), 0, length - 1).astype(np.intp)
