from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.overlay import overlay_picture


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    left = rng.integers(60, 200, (64, 96, 3), dtype=np.uint8)
    disparity = np.broadcast_to(np.linspace(10, 60, 96, dtype=np.float32), (64, 96)).copy()
    valid = np.ones((64, 96), bool)
    valid[:, :20] = False
    disparity[:, :10] = np.nan
    return left, disparity, valid


def test_pixels_without_an_answer_show_the_picture_as_it_is(frame):
    left, disparity, valid = frame
    before = left.copy()
    shown = overlay_picture(left, disparity, valid)
    np.testing.assert_array_equal(shown[~valid], left[~valid])
    assert np.abs(shown[valid].astype(int) - left[valid]).mean() > 20
    np.testing.assert_array_equal(left, before, 'the given picture is not changed')


def test_near_is_redder_and_far_is_bluer(frame):
    left, disparity, valid = frame
    flat = np.full_like(left, 100)
    shown = overlay_picture(flat, disparity, valid).astype(int)
    redness = shown[..., 0] - shown[..., 2]
    assert redness[:, 85:94].mean() > 50 and redness[:, 25:35].mean() < -20


def test_instruments_are_tinted_also_where_there_is_no_disparity(frame):
    left, disparity, valid = frame
    mask = np.zeros(valid.shape, bool)
    mask[20:40, 5:30] = True
    shown = overlay_picture(left, disparity, valid, instrument_mask=mask, tool_colour=(0, 255, 0))
    inside = np.s_[25:35, 8:28]
    assert (shown[inside][..., 1] >= left[inside][..., 1]).all()
    np.testing.assert_allclose(shown[inside][..., 0], left[inside][..., 0] / 2, atol=1)
    assert (shown[20, 10] == (0, 255, 0)).all(), 'the outline'
    np.testing.assert_array_equal(shown[50], overlay_picture(left, disparity, valid)[50])


def test_nothing_known_at_all_is_the_picture(frame):
    left, disparity, valid = frame
    nothing = np.zeros_like(valid)
    np.testing.assert_array_equal(overlay_picture(left, disparity, nothing), left)
