"""Rigs that the core tests share, built from numbers that are easy to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.camera import CameraCalibration

FOCAL_PX, BASELINE_M, SIZE = 500.0, 0.004, (640, 512)


def camera_fields(*, tx: float = 0.0, cx: float = 319.5, cy: float = 255.5, **changes) -> dict:
    """The fields of a good CameraInfo; `changes` replace some of them."""
    width, height = SIZE
    fields = {
        'width': width,
        'height': height,
        'distortion_model': 'plumb_bob',
        'd': [0.0, 0.0, 0.0, 0.0, 0.0],
        'k': [FOCAL_PX, 0, cx, 0, FOCAL_PX, cy, 0, 0, 1],
        'r': np.eye(3).ravel().tolist(),
        'p': [FOCAL_PX, 0, cx, tx, 0, FOCAL_PX, cy, 0, 0, 0, 1, 0],
        'frame_id': 'left_optical' if tx == 0 else 'right_optical',
    }
    return fields | changes


@pytest.fixture
def make_fields():
    return camera_fields


@pytest.fixture
def make_camera():
    def make(**changes) -> CameraCalibration:
        return CameraCalibration.from_camera_info_fields(**camera_fields(**changes))

    return make


@pytest.fixture
def right_tx() -> float:
    """P[0, 3] of the right camera of the good rig."""
    return -FOCAL_PX * BASELINE_M
