from __future__ import annotations

import cv2
import numpy as np
import pytest

from msdesis_ros.core.alignment import measure_vertical_offset


def scene(width: int = 640, height: int = 480) -> np.ndarray:
    rng = np.random.default_rng(3)
    picture = np.zeros((height, width, 3), np.float32)
    for step in (4, 8, 16, 32):
        coarse = rng.uniform(0, 60, (height // step, width // step, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def moved(picture: np.ndarray, dx: float, dy: float) -> np.ndarray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], flags=cv2.INTER_CUBIC)


@pytest.mark.parametrize('dy', [-14.0, -2.5, 0.0, 1.25, 9.0])
def test_a_known_offset_is_measured_to_a_tenth_of_a_pixel(dy):
    left = scene()
    # The right view sits 30 px further left and dy px further down: left row - right row = -dy.
    offset = measure_vertical_offset(left, moved(left, -30, dy))
    assert offset is not None
    assert offset.median_px == pytest.approx(-dy, abs=0.1)
    assert offset.matches >= 30


def test_large_pictures_are_measured_in_their_own_pixels():
    left = scene(1280, 1024)
    offset = measure_vertical_offset(left, moved(left, -40, 6.0))
    assert offset is not None and offset.median_px == pytest.approx(-6.0, abs=0.2)


def test_the_same_pair_gives_the_same_answer():
    left = scene()
    right = moved(left, -20, 3.0)
    assert measure_vertical_offset(left, right) == measure_vertical_offset(left, right)


@pytest.mark.parametrize('value', [0, 127])
def test_a_picture_without_features_gives_no_answer(value):
    flat = np.full((480, 640, 3), value, np.uint8)
    assert measure_vertical_offset(flat, scene()) is None


def test_unrelated_pictures_give_no_answer():
    other = np.random.default_rng(9).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    assert measure_vertical_offset(scene(), other) is None
