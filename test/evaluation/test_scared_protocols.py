"""The two protocols on planes so small that every figure is written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.evaluation.scared_protocols import (
    LOOSE,
    PAPER_DEPTHMAP,
    PAPER_DISPARITY,
    FrameScore,
    KeyFrameScore,
    RectifiedDepth,
    coverage,
    final_mean,
    find_protocol,
    score_loose,
    score_paper,
    set_mean,
)

NAN = np.nan
TRUTH = np.array([[10.0, 20.0, 30.0], [40.0, NAN, NAN]], np.float32)
FOUND = np.array([[11.0, 20.0, 36.0], [NAN, 5.0, -7.0]], np.float32)
DEPTH = RectifiedDepth(400.0)


def test_loose_is_epe_bad3_and_depth_over_all_pixels_with_a_truth():
    measures = score_loose(FOUND, TRUTH, DEPTH)
    # Errors of 1, 0 and 6 px, and 40 px where there is no answer: that is a disparity of 0.
    assert measures['EPE'] == pytest.approx((1 + 0 + 6 + 40) / 4)
    assert measures['Bad3'] == pytest.approx(50.0)
    # Depths of 400 / d; the unknown one is off by 40 mm whatever its truth of 10 mm.
    errors = [400 / 10 - 400 / 11, 0, 400 / 30 - 400 / 36, 40]
    assert measures['Depth_MAE'] == pytest.approx(sum(errors) / 4)


@pytest.mark.parametrize('lost', [NAN, 0.0, -3.0, -np.inf, np.inf])
def test_a_depth_that_is_none_counts_40_mm(lost):
    truth, found = np.full((1, 2), 8.0), np.array([[8.0, lost]])
    assert score_loose(found, truth, DEPTH)['Depth_MAE'] == 20.0
    assert score_loose(found, truth, DEPTH)['EPE'] == 4.0


def test_a_disparity_beyond_infinity_is_a_depth_that_is_none():
    # cx apart by 3 px: disparities of 3 px and less lie at infinity and behind the cameras.
    shifted = RectifiedDepth(400.0, cx_offset_px=3.0)
    truth, found = np.full((1, 2), 8.0), np.array([[3.0, 2.5]])
    assert score_loose(found, truth, shifted)['Depth_MAE'] == 40.0
    # A small positive one is a depth, however wrong: nothing caps it.
    measures = score_loose(np.array([[3.5, 8.0]]), truth, shifted)
    assert measures['Depth_MAE'] == pytest.approx((400 / 0.5 - 400 / 5) / 2)


def test_an_error_of_exactly_3_px_is_not_bad():
    truth = np.full((1, 4), 10.0)
    found = np.array([[13.0, 7.0, 13.01, 6.99]])
    assert score_loose(found, truth, None)['Bad3'] == 50.0
    assert score_paper(found, truth, PAPER_DISPARITY)['bad3'] == 50.0


def test_without_a_calibration_there_is_no_depth_error_and_never_zero():
    assert score_loose(FOUND, TRUTH, None)['Depth_MAE'] is None


def test_paper_counts_an_unknown_prediction_with_its_whole_truth():
    assert score_paper(FOUND, TRUTH, PAPER_DEPTHMAP) == {'MAE': (1 + 0 + 6 + 40) / 4}
    measures = score_paper(FOUND, TRUTH, PAPER_DISPARITY)
    assert measures == {'MAE': 11.75, 'bad3': 50.0}


def test_nothing_that_is_given_is_altered_and_the_answer_has_always_one_form():
    # The published function writes into its arguments, and answers differently for sparse truth.
    sparse = np.full((20, 20), NAN)
    sparse[0, 0] = 5.0
    forms = set()
    for truth in (sparse, np.full((20, 20), 5.0)):
        found = np.full((20, 20), NAN)
        found[:2] = 4.0
        given = truth.copy(), found.copy()
        truth.setflags(write=False)
        found.setflags(write=False)
        for protocol in (PAPER_DEPTHMAP, PAPER_DISPARITY):
            forms.add(tuple(score_paper(found, truth, protocol)))
        forms.add(tuple(score_loose(found, truth, DEPTH)))
        np.testing.assert_array_equal(truth, given[0])
        np.testing.assert_array_equal(found, given[1])
    assert forms == {('MAE',), ('MAE', 'bad3'), ('EPE', 'Bad3', 'Depth_MAE')}


def test_coverage_is_of_the_whole_picture():
    assert coverage(TRUTH) == pytest.approx(4 / 6)
    assert coverage(np.full((2, 2), NAN)) == 0


@pytest.mark.parametrize(
    ('found', 'truth', 'words'),
    [
        (np.ones((2, 3)), np.ones((3, 2)), r'\(2, 3\) and the truth \(3, 2\)'),
        (np.ones((2, 3)), np.full((2, 3), NAN), 'no known pixel'),
    ],
)
def test_what_cannot_be_scored_is_refused(found, truth, words):
    with pytest.raises(UsageError, match=words):
        score_paper(found, truth, PAPER_DEPTHMAP)
    with pytest.raises(UsageError, match=words):
        score_loose(found, truth, None)


def frames(*values: float) -> list[FrameScore]:
    return [FrameScore(str(n), 1.0, 1.0, {'MAE': value}) for n, value in enumerate(values)]


def test_means_go_from_frames_to_key_frames_to_sets_to_the_end():
    scores = [
        KeyFrameScore(8, 0, frames(1.0)),
        KeyFrameScore(8, 1, frames(2.0, 4.0, 6.0)),
        KeyFrameScore(9, 0, frames(10.0)),
    ]
    assert scores[1].mean('MAE') == 4.0
    # A mean over all frames would be 3.25, and over all key frames 5.
    assert set_mean(scores, 8, 'MAE') == 2.5
    assert final_mean(scores, (8, 9), 'MAE') == 6.25


def test_a_key_frame_without_frames_has_no_figure_and_a_set_without_any_ends_the_mean():
    scores = [KeyFrameScore(8, 0), KeyFrameScore(8, 1, frames(3.0)), KeyFrameScore(9, 0)]
    assert scores[0].mean('MAE') is None
    assert set_mean(scores, 8, 'MAE') == 3.0
    assert set_mean(scores, 9, 'MAE') is None
    assert final_mean(scores, (8, 9), 'MAE') is None


def test_protocols_are_found_by_their_names():
    assert find_protocol('loose') is LOOSE and LOOSE.least_coverage == 0.07
    assert find_protocol('paper') is PAPER_DEPTHMAP and PAPER_DEPTHMAP.least_coverage == 0.10
    assert find_protocol('paper', 'disparity') is PAPER_DISPARITY
    with pytest.raises(UsageError, match='known are loose, paper'):
        find_protocol('strict')
    with pytest.raises(UsageError, match='known are disparity'):
        find_protocol('loose', 'depthmap')
