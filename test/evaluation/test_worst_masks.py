"""The frames with the lowest IoU are drawn, with what was missed and what was wrong."""

from __future__ import annotations

import numpy as np

from msdesis_ros.evaluation.worst_masks import (
    FALSE_ALARM,
    HIT,
    MISSED,
    PANEL_PX,
    MaskCase,
    WorstMasks,
)


def case(name: str, iou: float) -> MaskCase:
    prediction, truth = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    prediction[10:20, 10:40], truth[10:20, 20:50] = True, True
    return MaskCase(name, iou, np.full((40, 60, 3), 80, np.uint8), prediction, truth)


def test_the_worst_frames_are_kept_worst_first_and_no_other_is_wanted() -> None:
    worst = WorstMasks(3)
    for number, score in enumerate((0.5, 0.9, 0.2, 0.7, 0.2, 0.95)):
        if worst.wants(score):
            worst.show(case(f'frame{number}', score))
    assert [kept.name for kept in worst.cases] == ['frame2', 'frame4', 'frame0']
    assert not worst.wants(0.6) and worst.wants(0.4)


def test_the_sheet_has_the_colours_of_right_false_and_missed_pixels() -> None:
    worst = WorstMasks()
    worst.show(case('frame0', 0.5))
    sheet = worst.sheet('RIS 2017')
    assert sheet.dtype == np.uint8 and sheet.shape[1] > 2 * PANEL_PX
    right = sheet[:, sheet.shape[1] // 2 :].reshape(-1, 3)
    scale = (PANEL_PX / 60) ** 2
    for colour, pixels in ((HIT, 200), (FALSE_ALARM, 100), (MISSED, 100)):
        found = (right == colour).all(axis=1).sum()
        assert abs(found - pixels * scale) < 0.02 * pixels * scale, colour
