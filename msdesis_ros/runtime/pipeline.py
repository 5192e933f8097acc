"""From a raw pair to a prediction and a verdict: the one path of node, files and benchmarks.

RawPair --rectify--> rectified pair --Backend.run--> RawOutput --validity, metres--> Prediction
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.alignment import VerticalOffset, measure_vertical_offset
from msdesis_ros.core.disparity import MatchDomain, depth_from_disparity
from msdesis_ros.core.errors import BackendError, UsageError
from msdesis_ros.core.left_rig import LeftRig, ViewGeometry
from msdesis_ros.core.prediction import Prediction, RawPair, require_rgb
from msdesis_ros.core.quality import QualityLimits, QualityMonitor, Reason, Verdict
from msdesis_ros.core.rectification import LeftRectifier, Rectifier
from msdesis_ros.core.rig import AnyRig, StereoGeometry, StereoRig
from msdesis_ros.runtime.backend import Backend, RawOutput


@dataclass(frozen=True, eq=False)
class PerceptionResult:
    """Everything that is known about one pair once it went through.

    `right_rect`: H x W x 3 uint8, the rectified right picture; it and `skew_ns` are None where
    only the left one was used. `raw`: the backend's own numbers. `stages_ms`: wall time by stage.
    """

    prediction: Prediction
    raw: RawOutput
    verdict: Verdict
    right_rect: np.ndarray | None
    skew_ns: int | None
    stages_ms: dict[str, float]


class StageTimer:
    """Wall time of named stages, in milliseconds."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - start) * 1e3


@dataclass(frozen=True, eq=False)
class _View:
    """What is derived from a rig once: maps, geometry and where matches can exist.

    stereo: None for a `LeftRig`. left: what rectifies the left picture. Both None: it comes
    rectified, by nobody knows which camera.
    """

    stereo: Rectifier | None
    left: Rectifier | LeftRectifier | None
    geometry: ViewGeometry | None
    domain: MatchDomain
    valid_window: tuple[int, int, int, int]
    key: tuple[str, tuple[int, int]]


class PerceptionPipeline:
    """Rectify, match, turn into metres, judge. Not thread-safe: one thread calls `process`.

    `alpha` as in `Rectifier`. Where a pair comes without a rig, its pictures are taken as
    rectified and `depth_m` is None.
    """

    def __init__(
        self, backend: Backend, *, alpha: float = -1.0, limits: QualityLimits | None = None
    ) -> None:
        self.backend = backend
        self.alpha = alpha
        self.monitor = QualityMonitor(limits)
        self._view: _View | None = None

    def prepare(self, rig: AnyRig | None, image_size: tuple[int, int]) -> None:
        """Make the maps of a rig now, so that the first pair does not wait for them."""
        self._view_of(rig, image_size)

    @property
    def geometry(self) -> ViewGeometry | None:
        """The rectified geometry of the rig last prepared or processed.

        It is a `StereoGeometry` but for a `LeftRig`.
        """
        return self._view.geometry if self._view is not None else None

    def process(self, pair: RawPair, rig: StereoRig | None) -> PerceptionResult:
        """Raises CalibrationError or ImageError for a pair that does not fit, BackendError where
        the backend fails or answers in another shape; the next pair may be processed all the same.
        """
        timer = StageTimer()
        with timer.stage('maps'):
            view = self._view_of(rig, pair.image_size)
        with timer.stage('rectify'):
            left, right = pair.left, pair.right
            if view.stereo is not None:
                left, right = view.stereo.rectify(left, right)
        with timer.stage('quality'):
            verdict = self.monitor.judge_pair(pair)
        with timer.stage('infer'):
            output = self.backend.run(left, right)
        with timer.stage('geometry'):
            _require_heads(output, self.backend.heads, left.shape[:2])
            prediction = self._predict(pair.stamp_ns, left, output, view, verdict)
        if verdict.depth_usable and output.disparity_px is not None:
            verdict = verdict.also(*self.monitor.judge_coverage(prediction.coverage).reasons)
        return PerceptionResult(prediction, output, verdict, right, pair.skew_ns, timer.ms)

    def process_left(
        self,
        left: np.ndarray,
        stamp_ns: int,
        rig: AnyRig | None,
        *reasons: Reason,
    ) -> PerceptionResult:
        """What one eye allows: the instrument mask, and no disparity or depth at all.

        left: H x W x 3 uint8 RGB. `reasons` (why there is one eye only) enter the verdict. Raises
        UsageError for a model without the head `instrument_mask`, else as `process`.
        """
        require_rgb(left, name='left')
        if 'instrument_mask' not in self.backend.heads:
            raise UsageError(
                f'{self.backend.identity.name} finds nothing from one eye alone; choose a model '
                'with the head instrument_mask'
            )
        timer = StageTimer()
        size = (left.shape[1], left.shape[0])
        with timer.stage('maps'):
            view = self._view_of(rig, size)
        with timer.stage('rectify'):
            rectified = left if view.left is None else view.left.rectify_left(left)
        with timer.stage('quality'):
            verdict = self.monitor.judge_left(left, stamp_ns).also(*reasons)
        with timer.stage('infer'):
            # No family's mask looks at the right picture.
            both = self.backend.run(rectified, rectified)
        with timer.stage('geometry'):
            output = RawOutput(None, mask_logits=both.mask_logits)
            _require_heads(output, {'instrument_mask'}, rectified.shape[:2])
            prediction = self._predict(stamp_ns, rectified, output, view, verdict)
        return PerceptionResult(prediction, output, verdict, None, None, timer.ms)

    def measure_vertical_offset(self, result: PerceptionResult) -> VerticalOffset | None:
        """Measure how far the rectified views of a result stand apart, px.

        The measurement enters the verdict of the pairs that follow, unless they have another rig
        or the stream began anew meanwhile. It takes tens of milliseconds and touches nothing else,
        so another thread may do it.
        """
        if result.right_rect is None:
            return None
        stream = self.monitor.stream
        offset = measure_vertical_offset(result.prediction.left_rect, result.right_rect)
        if result.prediction.geometry is self.geometry:
            self.monitor.set_vertical_offset(offset, stream=stream)
        return offset

    def _predict(
        self, stamp_ns: int, left: np.ndarray, output: RawOutput, view: _View, verdict: Verdict
    ) -> Prediction:
        disparity = output.disparity_px
        if disparity is None:  # a model that finds instruments only, or one eye alone
            disparity = np.full(left.shape[:2], np.nan, np.float32)
        offset = view.stereo.disparity_offset_px if view.stereo is not None else 0.0
        if verdict.depth_usable:
            valid = view.domain.valid(disparity)
        else:
            valid = np.zeros(disparity.shape, dtype=bool)
        if offset:
            disparity = disparity - np.float32(offset)
            valid &= disparity > 0
        depth = None
        if isinstance(view.geometry, StereoGeometry) and output.disparity_px is not None:
            depth = depth_from_disparity(disparity, view.geometry, valid=valid)
        mask = None if output.mask_logits is None else output.mask_logits > 0
        most_px = output.max_disparity_px
        if most_px is None:
            most_px = self.backend.max_disparity_px
        return Prediction(
            stamp_ns=stamp_ns,
            left_rect=left,
            disparity_px=disparity,
            valid=valid,
            depth_m=depth,
            instrument_mask=mask,
            uncertainty_px=output.uncertainty_px,
            geometry=view.geometry,
            model=self.backend.identity,
            min_disparity_px=self.backend.min_disparity_px - offset,
            max_disparity_px=most_px - offset,
            disparity_step_px=self.backend.disparity_step_px,
            valid_window=view.valid_window,
        )

    def _view_of(self, rig: AnyRig | None, image_size: tuple[int, int]) -> _View:
        key = (rig.fingerprint if rig is not None else '', image_size)
        if self._view is None or self._view.key != key:
            self._view = _make_view(rig, image_size, self.alpha, key)
            # It was that of another calibration.
            self.monitor.vertical_offset = None
        return self._view


def _make_view(
    rig: AnyRig | None,
    image_size: tuple[int, int],
    alpha: float,
    key: tuple[str, tuple[int, int]],
) -> _View:
    if rig is None:
        whole = (0, 0, *image_size)
        return _View(None, None, None, MatchDomain(image_size=image_size), whole, key)
    rig.require_image_size(image_size)
    if isinstance(rig, LeftRig):
        left = LeftRectifier(rig, alpha=alpha)
        domain = MatchDomain(image_size=image_size, left_valid=left.left_valid)
        return _View(None, left, left.geometry, domain, left.valid_window, key)
    both = Rectifier(rig, alpha=alpha)
    domain = MatchDomain(
        image_size=image_size, left_valid=both.left_valid, right_valid=both.right_valid
    )
    return _View(both, both, both.geometry, domain, both.valid_window, key)


def _require_heads(output: RawOutput, heads: Collection[str], shape: tuple[int, ...]) -> None:
    """Raise BackendError unless the output has these heads, and all it has that shape."""
    planes = {
        'disparity': output.disparity_px,
        'instrument_mask': output.mask_logits,
        'uncertainty': output.uncertainty_px,
    }
    for head, plane in planes.items():
        name = head.replace('_', ' ')
        if plane is None and head in heads:
            raise BackendError(f'the backend gave no {name}, which its model has')
        if plane is not None and plane.shape != shape:
            raise BackendError(
                f'the backend answered with a {name} of {plane.shape}; expected {shape}'
            )
