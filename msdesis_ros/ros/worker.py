"""The one thread that turns jobs into published results: a short loop, read top to bottom."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from rclpy.node import Node

from msdesis_ros.core.errors import BackendError, CalibrationError, ImageError
from msdesis_ros.core.health import StreamHealth
from msdesis_ros.core.latest import LatestSlot
from msdesis_ros.core.quality import Verdict
from msdesis_ros.core.rig import AnyRig
from msdesis_ros.ros.diagnostics import (
    backend_failure,
    pair_status,
    refused_pair,
    result_figures,
)
from msdesis_ros.ros.jobs import Job
from msdesis_ros.ros.outputs import StereoOutputs
from msdesis_ros.ros.rectified_frame import result_frame_id
from msdesis_ros.runtime.pipeline import PerceptionPipeline, PerceptionResult

# A backend may be in the middle of a frame when the node is stopped; SIGINT must end it in 2 s.
STOP_TIMEOUT_S = 1.5
# The first frames of a stream are the slowest: the measurement does not compete with them.
FIRST_ALIGNMENT_S = 1.0


class PerceptionWorker:
    """Takes the newest job, processes and publishes it; a newer one replaces a waiting one.

    `submit` and `prepare` may be called from any thread. `on_event(key, sentence)` is told, once
    at each change, why results stop or resume (an empty sentence: all is well again).
    """

    def __init__(
        self,
        node: Node,
        pipeline: PerceptionPipeline,
        outputs: StereoOutputs,
        health: StreamHealth,
        *,
        frame_id: str,
        alignment_period_s: float,
        on_event: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._pipeline = pipeline
        self._outputs = outputs
        self._health = health
        self._frame_id = frame_id
        self._on_event = on_event
        self.alignment_period_s = alignment_period_s
        self.last_verdict: Verdict | None = None
        self._slot: LatestSlot[Job | AnyRig] = LatestSlot()
        self._forget = threading.Event()
        self._alignment_due_s: float | None = None
        self._alignment_thread: threading.Thread | None = None
        self._thread = threading.Thread(target=self._loop, name='perception', daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand over a job; one that still waits is dropped and counted as overload."""
        if isinstance(self._slot.put(job), Job):
            self._health.drop('overload')

    def prepare(self, rig: AnyRig) -> None:
        """Make maps and buffers of a new rig before its first job needs them."""
        if isinstance(self._slot.put(rig), Job):
            self._health.drop('calibration_change')

    def forget_stream(self) -> None:
        """Time went backwards: drop what waits and what was learned about the stream."""
        if isinstance(self._slot.clear(), Job):
            self._health.drop('time_reset')
        self._forget.set()

    def stop(self) -> bool:
        """End the loop; False where a thread is still busy with a frame."""
        self._slot.close()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        if self._thread.ident is not None:  # it was started
            self._thread.join(STOP_TIMEOUT_S)
        if self._alignment_thread is not None and not self._thread.is_alive():
            self._alignment_thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self.held_up

    @property
    def held_up(self) -> bool:
        """Whether a thread is still alive; after `stop`, because it is busy with a frame."""
        threads = (self._thread, self._alignment_thread)
        return any(thread is not None and thread.is_alive() for thread in threads)

    def _loop(self) -> None:
        while not self._slot.closed:
            item = self._slot.take(timeout_s=0.5)
            if item is None:
                continue
            if self._forget.is_set():
                self._forget.clear()
                self._pipeline.monitor.reset()
            try:
                if isinstance(item, Job):
                    self._process(item)
                else:
                    self._prepare(item)
                self._on_event('internal', '')
            except Exception as error:  # the loop must survive whatever one frame does
                self._health.drop('internal')
                noun = item.noun if isinstance(item, Job) else 'rig'
                text = f'a {noun} was dropped: {type(error).__name__}: {error}'
                self._on_event('internal', text)

    def _prepare(self, rig: AnyRig) -> None:
        try:
            self._pipeline.prepare(rig, rig.image_size)
            self._pipeline.backend.warm_up(rig.image_size)
            geometry = self._pipeline.geometry
            if geometry is not None:
                self._outputs.warm_up(geometry)
        except (CalibrationError, BackendError) as error:
            self._on_event('pair', str(error))

    def _process(self, job: Job) -> None:
        frame_id = result_frame_id(job.rig, override=self._frame_id)
        try:
            result = job.process(self._pipeline)
        except (ImageError, CalibrationError) as error:
            self._health.drop('bad_image' if isinstance(error, ImageError) else 'calibration')
            self._on_event('pair', f'{job.noun}s are dropped: {error}')
            self._publish_status(refused_pair(error), job, frame_id, figures={})
            return
        except BackendError as error:
            self._health.drop('backend')
            self._on_event('pair', str(error))
            verdict = backend_failure(str(error))
            self._publish_status(verdict, job, frame_id, figures={})
            return
        if self._slot.closed:  # the node left the graph meanwhile: nobody waits for this result
            return
        self._on_event('pair', '')
        self._publish(result, job, frame_id)
        self._measure_alignment_when_due(result)

    def _publish(self, result: PerceptionResult, job: Job, frame_id: str) -> None:
        topics, publish_ms = self._outputs.publish(result, frame_id=frame_id)
        result.stages_ms.update(publish_ms)
        figures = result_figures(result)
        figures.update({f'stage_ms.{name}': ms for name, ms in result.stages_ms.items()})
        latency_ms = self._publish_status(result.verdict, job, frame_id, figures)
        self._health.done(
            now_s=time.monotonic(),
            latency_ms=latency_ms,
            skew_ms=job.skew_ms,
            verdict=result.verdict.state.value,
            topics=[*topics, 'status'],
            stages_ms=result.stages_ms,
        )

    def _publish_status(
        self, verdict: Verdict, job: Job, frame_id: str, figures: dict[str, float]
    ) -> float:
        """Publish the status of a job; returns the age of its left stamp in ms.

        It is NaN while simulated time has not begun.
        """
        self.last_verdict = verdict
        now_ns = self._node.get_clock().now().nanoseconds
        latency_ms = (now_ns - job.stamp_ns) / 1e6 if now_ns else math.nan
        status = pair_status(
            verdict,
            node_name=self._node.get_fully_qualified_name(),
            model=self._pipeline.backend.identity,
            skew_ms=job.skew_ms,
            latency_ms=latency_ms,
            figures=figures,
        )
        self._outputs.publish_status(status, stamp_ns=job.stamp_ns, frame_id=frame_id)
        return latency_ms

    def _measure_alignment_when_due(self, result: PerceptionResult) -> None:
        if self.alignment_period_s <= 0:  # switched off: an old measurement says nothing for ever
            self._pipeline.monitor.vertical_offset = None
        if result.right_rect is None:
            return
        now_s = time.monotonic()
        if self._alignment_due_s is None:
            self._alignment_due_s = now_s + FIRST_ALIGNMENT_S
        busy = self._alignment_thread is not None and self._alignment_thread.is_alive()
        if self.alignment_period_s <= 0 or busy or now_s < self._alignment_due_s:
            return
        self._alignment_due_s = now_s + self.alignment_period_s
        self._alignment_thread = threading.Thread(
            target=self._pipeline.measure_vertical_offset,
            args=(result,),
            name='alignment',
            daemon=True,
        )
        self._alignment_thread.start()
