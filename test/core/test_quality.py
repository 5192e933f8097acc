from __future__ import annotations

import cv2
import numpy as np
import pytest

from msdesis_ros.core.alignment import VerticalOffset
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.quality import (
    QualityLimits,
    QualityMonitor,
    Reason,
    State,
    Verdict,
    judge_picture,
)

SECOND = 1_000_000_000


def textured(seed: int = 0) -> np.ndarray:
    """A picture with structure at every scale, like tissue."""
    rng = np.random.default_rng(seed)
    picture = np.full((256, 320, 3), 90.0, np.float32)
    for step in (2, 4, 8, 16, 32):
        coarse = rng.normal(0, 12, (256 // step, 320 // step, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (320, 256), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def codes(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


def pair(left: np.ndarray, right: np.ndarray, stamp_s: float = 0.0) -> RawPair:
    stamp_ns = round(stamp_s * SECOND)
    return RawPair(left, right, stamp_ns, stamp_ns)


def test_a_good_pair_is_ok():
    verdict = QualityMonitor().judge_pair(pair(textured(0), textured(1)))
    assert verdict.state is State.OK and verdict.depth_usable


@pytest.mark.parametrize(
    ('picture', 'code'),
    [
        (np.zeros((256, 320, 3), np.uint8), 'black_left'),
        (np.full((256, 320, 3), 255, np.uint8), 'white_left'),
    ],
)
def test_a_picture_without_content_withholds_depth(picture, code):
    verdict = QualityMonitor().judge_pair(pair(picture, textured()))
    assert codes(verdict) == {code}
    assert verdict.state is State.INVALID and not verdict.depth_usable


def test_a_dark_but_readable_picture_is_not_called_black():
    dim = (textured() * 0.3).astype(np.uint8)
    assert codes(QualityMonitor().judge_pair(pair(dim, textured()))) == set()


def test_heavy_blur_degrades():
    blurred = cv2.GaussianBlur(textured(), (0, 0), 5)
    verdict = QualityMonitor().judge_pair(pair(textured(), blurred))
    assert codes(verdict) == {'blur_right'}
    assert verdict.state is State.DEGRADED and verdict.depth_usable


def test_smoke_degrades():
    veiled = (textured() * 0.4 + 0.6 * 235).astype(np.uint8)
    assert 'haze_left' in codes(QualityMonitor().judge_pair(pair(veiled, textured())))


def test_real_laparoscopy_is_clean_and_its_blurred_and_veiled_twins_are_not(test_data):
    limits = QualityLimits()
    frames = sorted((test_data / 'cholec80_frames' / 'frames').glob('*.png'))
    assert frames
    for path in frames:
        frame = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        blurred = cv2.GaussianBlur(frame, (0, 0), frame.shape[1] * 0.01)
        veiled = (frame * 0.5 + 127).astype(np.uint8)
        found = [
            [r.code for r in judge_picture(picture, name='left', limits=limits)]
            for picture in (frame, blurred, veiled)
        ]
        assert found == [[], ['blur_left'], ['haze_left']], path.name


def test_a_frozen_eye_degrades_at_once_and_is_invalid_after_the_timeout():
    monitor = QualityMonitor(QualityLimits(frozen_timeout_s=2.0))
    still = textured(0)
    states = []
    for i in range(5):
        live = textured(10 + i)
        states.append(monitor.judge_pair(pair(live, still.copy(), stamp_s=i)))
    assert [v.state for v in states] == [
        State.OK,
        State.DEGRADED,
        State.INVALID,
        State.INVALID,
        State.INVALID,
    ]
    assert codes(states[1]) == {'frozen_right'}
    assert states[3].reasons[0].value == pytest.approx(3.0)


def test_without_a_timeout_a_frozen_eye_stays_degraded():
    monitor = QualityMonitor(QualityLimits(frozen_timeout_s=0.0))
    still = textured(0)
    states = [monitor.judge_pair(pair(still, textured(i), i)).state for i in range(5)]
    assert states == [State.OK] + [State.DEGRADED] * 4


def test_a_freeze_that_ends_is_forgotten():
    monitor = QualityMonitor()
    still = textured(0)
    monitor.judge_pair(pair(still, textured(1), 0))
    assert codes(monitor.judge_pair(pair(still, textured(2), 1))) == {'frozen_left'}
    assert codes(monitor.judge_pair(pair(textured(3), textured(4), 2))) == set()
    second = monitor.judge_pair(pair(textured(3), textured(5), 3))
    assert second.reasons[0].value == pytest.approx(1.0)


def test_one_changed_pixel_is_not_a_freeze():
    monitor = QualityMonitor()
    still = textured(0)
    changed = still.copy()
    changed[100, 101, 1] ^= 1
    monitor.judge_pair(pair(still, textured(1), 0))
    assert codes(monitor.judge_pair(pair(changed, textured(2), 1))) == set()


def test_the_same_pair_judged_again_is_not_a_freeze():
    monitor = QualityMonitor()
    same = pair(textured(0), textured(1), 5)
    monitor.judge_pair(same)
    assert codes(monitor.judge_pair(same)) == set()


def test_a_vertical_offset_stays_in_the_verdict_until_measured_again():
    monitor = QualityMonitor()
    monitor.vertical_offset = VerticalOffset(median_px=12.0, p95_abs_px=14.0, matches=100)
    verdict = monitor.judge_pair(pair(textured(0), textured(1), 0))
    assert codes(verdict) == {'vertical_offset'}
    assert '+12.0 px' in verdict.reasons[0].sentence
    monitor.vertical_offset = VerticalOffset(median_px=0.2, p95_abs_px=0.6, matches=100)
    assert codes(monitor.judge_pair(pair(textured(2), textured(3), 1))) == set()


def test_a_rotation_shows_in_the_spread_though_not_in_the_median():
    monitor = QualityMonitor()
    monitor.vertical_offset = VerticalOffset(median_px=1.0, p95_abs_px=7.3, matches=300)
    verdict = monitor.judge_pair(pair(textured(0), textured(1), 0))
    assert codes(verdict) == {'vertical_spread'} and verdict.state is State.DEGRADED


def test_little_coverage_degrades():
    monitor = QualityMonitor()
    assert monitor.judge_coverage(0.5).state is State.OK
    assert codes(monitor.judge_coverage(0.1)) == {'low_coverage'}


def test_the_worst_reason_decides():
    degraded = Reason('a', State.DEGRADED, 0, 0, '')
    invalid = Reason('b', State.INVALID, 0, 0, '')
    assert Verdict().state is State.OK
    assert Verdict((degraded,)).also(invalid, degraded).state is State.INVALID


def test_a_reset_forgets_the_stream():
    monitor = QualityMonitor()
    still = textured(0)
    monitor.judge_pair(pair(still, textured(1), 0))
    monitor.vertical_offset = VerticalOffset(9.0, 9.0, 99)
    monitor.reset()
    assert codes(monitor.judge_pair(pair(still, textured(2), 1))) == set()
