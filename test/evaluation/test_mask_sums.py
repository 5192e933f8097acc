"""Mask figures against counts done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.evaluation.mask_sums import MaskSums, mask_sums

TRUTH = np.array([[1, 1, 1, 1, 0, 0, 0, 0, 0, 0]], dtype=bool)
FOUND = np.array([[1, 1, 1, 0, 1, 1, 0, 0, 0, 0]], dtype=bool)


def test_a_mask_is_counted_and_measured_as_by_hand() -> None:
    sums = mask_sums(FOUND, TRUTH)
    assert sums == MaskSums(hit=3, false_alarm=2, missed=1, background=4)
    assert sums.measures == {
        'mask_iou': pytest.approx(3 / 6),
        'mask_precision': pytest.approx(3 / 5),
        'mask_recall': pytest.approx(3 / 4),
        'mask_painted': pytest.approx(5 / 10),
    }


def test_a_picture_without_tools_has_no_iou_but_a_false_alarm_makes_it_zero() -> None:
    nothing = np.zeros_like(TRUTH)
    assert mask_sums(nothing, nothing).measures == {
        'mask_iou': None,
        'mask_precision': None,
        'mask_recall': None,
        'mask_painted': 0.0,
    }
    assert mask_sums(FOUND, nothing).measures['mask_iou'] == 0.0
    assert mask_sums(nothing, TRUTH).measures['mask_recall'] == 0.0


def test_frames_join_by_pixels() -> None:
    small = mask_sums(np.ones((1, 2), bool), np.ones((1, 2), bool))
    assert (small + mask_sums(FOUND, TRUTH)).measures['mask_iou'] == pytest.approx(5 / 8)
    assert MaskSums() + small == small
