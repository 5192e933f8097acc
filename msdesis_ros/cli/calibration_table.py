"""A stereo calibration in words, for `msdesis calibration show`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from msdesis_ros.core.camera import CameraCalibration, rotation_angle_deg
from msdesis_ros.core.camera_points import field_of_view_deg
from msdesis_ros.data.stored_calibration import StoredCalibration


def table_rows(stored: StoredCalibration) -> Iterator[tuple[str, ...]]:
    """A title and what to say of the left and of the right camera; of both in the first."""
    left, right = cameras = stored.cameras

    def each(title: str, text: object) -> tuple[str, ...]:
        return (title, *(text(camera) for camera in cameras))  # type: ignore[operator]

    yield each('picture, px', lambda c: f'{c.image_size[0]} x {c.image_size[1]}')
    yield each('focal length, px', lambda c: _px(c.camera_matrix, 0, 0, 1, 1))
    yield each('principal point, px', lambda c: _px(c.camera_matrix, 0, 2, 1, 2))
    yield each('field of view', lambda c: '{:.1f} x {:.1f} degrees'.format(*field_of_view_deg(c)))
    yield each('distortion', lambda c: c.distortion_model)
    yield each('', lambda c: ' '.join(f'{number:.4g}' for number in c.distortion))
    yield each('rectified focal length, px', lambda c: _px(c.projection, 0, 0, 1, 1))
    yield each('rectified centre, px', lambda c: _px(c.projection, 0, 2, 1, 2))
    yield each(
        'turned by rectifying', lambda c: f'{rotation_angle_deg(c.rectification):.2f} degrees'
    )
    if any(stored.names):
        yield ('camera name', *stored.names)
    yield from (('', '', ''), *_pair_rows(left, right), *_stored_rows(stored))


def _pair_rows(left: CameraCalibration, right: CameraCalibration) -> Iterator[tuple[str, str]]:
    baseline_mm = -1e3 * right.projection[0, 3] / right.projection[0, 0]
    turned = rotation_angle_deg(right.rectification.T @ left.rectification)
    yield 'baseline', f'{baseline_mm:.3f} mm'
    yield 'eyes turned against each other', f'{turned:.2f} degrees'
    focal_times_mm = left.projection[0, 0] * baseline_mm
    if focal_times_mm > 0:
        offset = left.projection[0, 2] - right.projection[0, 2]
        shown = ', '.join(f'{z} mm: {focal_times_mm / z + offset:.1f} px' for z in (30, 60, 150))
        yield 'disparity at a depth of', shown
        yield 'depth of one px at 60 mm', f'{60**2 / focal_times_mm:.2f} mm'


def _stored_rows(stored: StoredCalibration) -> Iterator[tuple[str, str]]:
    if stored.stereo is None:
        return
    t_mm = ', '.join(f'{number:.4f}' for number in stored.stereo.t_mm)
    yield 'T', f'{t_mm} mm'
    if stored.stereo.error_px is not None:
        yield 'error of the calibration', f'{stored.stereo.error_px:.3f} px'
    alpha = stored.stereo.rect_alpha
    yield 'alpha of the rectification', 'not stated' if alpha is None else f'{alpha:g}'


def _px(matrix: np.ndarray, *cells: int) -> str:
    x, y = matrix[cells[0], cells[1]], matrix[cells[2], cells[3]]
    return f'{x:.2f}, {y:.2f}' if math.isfinite(x) else 'unknown'
