"""The same pairs through several pipelines in turns: how long they and their stages take."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.rig import StereoGeometry, StereoRig
from msdesis_ros.core.surface import SurfaceBuilder
from msdesis_ros.runtime.pipeline import PerceptionPipeline, PerceptionResult

# Between the stamps of two pairs: the pictures change as those of a camera do.
PERIOD_NS = 33_000_000


@dataclass(frozen=True)
class PipelineTiming:
    """One pipeline in one comparison.

    `wall_ms`: of each run, from the raw pair to the packed point cloud; `stages_ms`: the same by
    stage. `verdicts`: how many runs had which. `coverage`: mean share of pixels with a disparity.
    """

    wall_ms: tuple[float, ...]
    stages_ms: Mapping[str, tuple[float, ...]]
    verdicts: Mapping[str, int]
    coverage: float

    def percentile_ms(self, percent: float) -> float:
        """Of the wall times."""
        return float(np.percentile(self.wall_ms, percent))

    def median_of_stages_ms(self) -> dict[str, float]:
        return {stage: float(np.median(ms)) for stage, ms in self.stages_ms.items()}


def compare_pipelines(
    pipelines: Mapping[str, PerceptionPipeline],
    pairs: Sequence[RawPair],
    rig: StereoRig,
    *,
    runs: int,
    warm_up_runs: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, PipelineTiming]:
    """Time every pipeline on pairs of one rig, as the node has them: raw pictures in, cloud out.

    Round after round every pipeline takes the same pair once, so that whatever else the machine
    does falls on all of them alike; `pairs` are taken one after the other, again and again, with
    stamps of their own. Maps are made before. `progress` gets the rounds done. Raises UsageError
    without a pipeline, a pair or a run, and whatever a pipeline raises.
    """
    if not pipelines or not pairs or runs < 1 or warm_up_runs < 1:
        raise UsageError('a comparison needs a pipeline, a pair, and 1 or more runs of each kind')
    timed = {name: _Timed(pipeline, rig) for name, pipeline in pipelines.items()}
    for number in range(warm_up_runs + runs):
        stamp_ns = (number + 1) * PERIOD_NS
        pair = replace(pairs[number % len(pairs)], stamp_ns=stamp_ns, right_stamp_ns=stamp_ns)
        for each in timed.values():
            each.run(pair, counts=number >= warm_up_runs)
        progress(number + 1 - warm_up_runs)
    return {name: each.timing() for name, each in timed.items()}


class _Timed:
    """A pipeline, the cloud behind it, and what was noted of both."""

    def __init__(self, pipeline: PerceptionPipeline, rig: StereoRig) -> None:
        self._pipeline, self._rig = pipeline, rig
        pipeline.prepare(rig, rig.image_size)
        geometry = pipeline.geometry
        assert isinstance(geometry, StereoGeometry)
        self._cloud = SurfaceBuilder(geometry)
        width, height = self._cloud.cloud_size
        self._points = np.zeros((height, width, 4), np.float32)
        self._wall_ms: list[float] = []
        self._stages_ms: dict[str, list[float]] = {}
        self._verdicts: Counter[str] = Counter()
        self._coverage: list[float] = []

    def run(self, pair: RawPair, *, counts: bool) -> None:
        begun = time.perf_counter()
        result = self._pipeline.process(pair, self._rig)
        processed = time.perf_counter()
        self._pack(result)
        ended = time.perf_counter()
        if not counts:
            return
        self._wall_ms.append((ended - begun) * 1e3)
        for stage, ms in (result.stages_ms | {'cloud': (ended - processed) * 1e3}).items():
            self._stages_ms.setdefault(stage, []).append(ms)
        self._verdicts[result.verdict.state.name] += 1
        self._coverage.append(result.prediction.coverage)

    def _pack(self, result: PerceptionResult) -> None:
        prediction = result.prediction
        if prediction.depth_m is not None:
            self._cloud.pack(
                prediction.depth_m,
                prediction.left_rect,
                instrument_mask=prediction.instrument_mask,
                out=self._points,
            )

    def timing(self) -> PipelineTiming:
        return PipelineTiming(
            tuple(self._wall_ms),
            {stage: tuple(ms) for stage, ms in self._stages_ms.items()},
            dict(self._verdicts),
            float(np.mean(self._coverage)),
        )
