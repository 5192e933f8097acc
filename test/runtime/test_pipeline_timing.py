"""Pipelines in turns: what is timed, and what is told of it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.prediction import ModelIdentity, RawPair
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.runtime.backend import RawOutput
from msdesis_ros.runtime.pipeline import PerceptionPipeline
from msdesis_ros.runtime.pipeline_timing import compare_pipelines

RIG = StereoRig.from_focal_and_baseline(image_size=(64, 48), focal_px=60.0, baseline_m=0.005)


class Fake:
    """Answers 5 px everywhere after `seconds`, and notes which pair it saw."""

    heads = frozenset({'disparity'})
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 64.0, 0.125

    def __init__(self, name: str, diary: list[tuple[str, int]], seconds: float = 0.0) -> None:
        self.identity = ModelIdentity(name, None, name)
        self._diary, self._seconds = diary, seconds

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        time.sleep(self._seconds)
        self._diary.append((self.identity.name, int(left[0, 0, 0])))
        return RawOutput(np.full(left.shape[:2], 5.0, np.float32))


def pairs() -> list[RawPair]:
    random = np.random.default_rng(0)
    found = []
    for number in range(3):
        left, right = random.integers(0, 255, (2, 48, 64, 3), dtype=np.uint8)
        left[0, 0, 0] = number
        found.append(RawPair(left, right, 0, 0))
    return found


def compared(*, runs: int = 4, warm_up_runs: int = 1, **changed):
    diary: list[tuple[str, int]] = []
    pipelines = {
        'slow': PerceptionPipeline(Fake('slow', diary, 0.02)),
        'fast': PerceptionPipeline(Fake('fast', diary)),
    }
    told: list[int] = []
    given = {'pipelines': pipelines, 'pairs': pairs(), **changed}
    timings = compare_pipelines(
        given['pipelines'],
        given['pairs'],
        RIG,
        runs=runs,
        warm_up_runs=warm_up_runs,
        progress=told.append,
    )
    return timings, diary, told


def test_pipelines_take_turns_on_the_same_pair_and_pairs_come_one_after_the_other():
    _, diary, told = compared()
    assert diary == [(name, n) for n in (0, 1, 2, 0, 1) for name in ('slow', 'fast')]
    assert told == [0, 1, 2, 3, 4]


def test_warm_up_does_not_count_and_stages_add_up_to_the_whole():
    timings, _, _ = compared()
    for timing in timings.values():
        assert len(timing.wall_ms) == 4
        assert {'rectify', 'quality', 'infer', 'geometry', 'cloud'} <= set(timing.stages_ms)
        for number, whole_ms in enumerate(timing.wall_ms):
            parts_ms = sum(ms[number] for ms in timing.stages_ms.values())
            assert 0.5 * whole_ms < parts_ms <= whole_ms
    slow, fast = timings['slow'], timings['fast']
    assert min(slow.stages_ms['infer']) >= 20
    assert slow.percentile_ms(50) > fast.percentile_ms(50)
    assert slow.median_of_stages_ms()['infer'] == np.median(slow.stages_ms['infer'])


def test_pairs_that_move_are_no_frozen_camera():
    timings, _, _ = compared(runs=100)
    assert timings['fast'].verdicts == {'OK': 100}
    # 5 px of 64 lie outside of the right picture.
    assert timings['fast'].coverage == pytest.approx(59 / 64)


def test_one_pair_again_and_again_is_a_frozen_camera_and_says_so():
    timings, _, _ = compared(runs=100, pairs=pairs()[:1])
    assert timings['fast'].verdicts['INVALID'] > 20


@pytest.mark.parametrize(
    'wrong', [{'pipelines': {}}, {'pairs': []}, {'runs': 0}, {'warm_up_runs': 0}]
)
def test_nothing_to_compare_is_wrong_use(wrong):
    with pytest.raises(UsageError, match='needs a pipeline, a pair'):
        compared(**wrong)
