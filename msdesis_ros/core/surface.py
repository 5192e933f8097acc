"""The organised surface cloud: one coloured, labelled 3-D point for every rectified pixel."""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry

# Bytes of a point: x y z float32 at 0, 4, 8; rgb as b g r bytes at 12 and the label in the unused
# fourth byte of that float, at 15.
POINT_STEP = 16
LABEL_TISSUE, LABEL_INSTRUMENT = 0, 1
TOOL_CYAN = (0, 255, 255)
# How much of the tool colour is mixed into the picture's own, so that shape stays readable.
TINT = 0.5


class SurfaceBuilder:
    """Packs clouds for one geometry; the rays are computed once. One thread packs.

    `stride` n keeps every n-th row and column. Raises UsageError for a stride below 1.
    """

    def __init__(self, geometry: StereoGeometry, *, stride: int = 1) -> None:
        if stride < 1:
            raise UsageError(f'the point stride is {stride}; it must be 1 or more')
        self.stride = stride
        width, height = geometry.image_size
        columns = np.arange(0, width, stride, dtype=np.float32)
        rows = np.arange(0, height, stride, dtype=np.float32)
        self.cloud_size = (len(columns), len(rows))
        ray_x = (columns - np.float32(geometry.cx_px)) / np.float32(geometry.focal_px)
        ray_y = (rows - np.float32(geometry.cy_px)) / np.float32(geometry.focal_y_px)
        self._ray_x = np.ascontiguousarray(np.broadcast_to(ray_x, (len(rows), len(columns))))
        self._ray_y = np.ascontiguousarray(
            np.broadcast_to(ray_y[:, None], (len(rows), len(columns)))
        )
        # Planes that every cloud passes through, so that no frame waits for fresh memory.
        self._x, self._y = np.empty_like(self._ray_x), np.empty_like(self._ray_y)
        self._label = np.empty((len(rows), len(columns)), np.uint8)
        self._rgb = np.empty((len(rows), len(columns), 4), np.uint8)

    def pack(
        self,
        depth_m: np.ndarray,
        colour: np.ndarray,
        *,
        instrument_mask: np.ndarray | None = None,
        tool_colour: tuple[int, int, int] = TOOL_CYAN,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Pack one cloud: H x W x 4 float32 holding x, y, z (m) and the rgb + label bytes.

        depth_m: H x W float32, NaN invalid (x, y, z are then NaN). colour: H x W x 3 uint8 RGB.
        instrument_mask: H x W bool; its points get label 1 and are tinted with `tool_colour`.
        out: an array of the result's shape to write into, so that no memory is allocated.
        """
        depth, colour = self._strided(depth_m), self._strided(colour)
        self._label.fill(0)
        if instrument_mask is not None:
            mask = self._strided(instrument_mask)
            colour = tint(colour, mask, tool_colour)
            np.copyto(self._label, mask, casting='unsafe')
        red, green, blue = cv2.split(colour)
        cv2.merge([blue, green, red, self._label], dst=self._rgb)
        cv2.multiply(depth, self._ray_x, dst=self._x)
        cv2.multiply(depth, self._ray_y, dst=self._y)
        return cv2.merge([self._x, self._y, depth, self._rgb.view(np.float32)[..., 0]], dst=out)

    def _strided(self, array: np.ndarray) -> np.ndarray:
        if self.stride == 1:
            return np.ascontiguousarray(array)
        return np.ascontiguousarray(array[:: self.stride, :: self.stride])


def tint(colour: np.ndarray, mask: np.ndarray, tool_colour: tuple[int, int, int]) -> np.ndarray:
    """`colour` (H x W x 3 uint8 RGB) with the masked pixels mixed half and half with a colour."""
    tinted = cv2.addWeighted(
        colour, 1 - TINT, np.full_like(colour, np.array(tool_colour, np.uint8)), TINT, 0
    )
    return np.where(mask[..., None], tinted, colour)


def unpack(cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take a packed cloud apart: points_m (H x W x 3 float32), RGB (H x W x 3 uint8), label."""
    as_bytes = np.ascontiguousarray(cloud).view(np.uint8).reshape(*cloud.shape[:2], POINT_STEP)
    return cloud[..., :3], as_bytes[..., 14:11:-1], as_bytes[..., 15]
