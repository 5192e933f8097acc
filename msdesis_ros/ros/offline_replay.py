"""The node's work on a recording, without a graph: the same input gives the same output bytes.

Inputs, pairing, calibration gate, pipeline and messages are those of the node, which talks to a
stand-in for ROS here. Time is that of the recording. What a live node measures of itself (latency,
time by stage) is left out, since no two runs agree on it.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import BackendError, CalibrationError, ImageError, UsageError
from msdesis_ros.core.health import StreamHealth
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.core.quality import QualityLimits, Verdict
from msdesis_ros.core.rig import AnyRig
from msdesis_ros.data.mcap_files import McapRecording
from msdesis_ros.data.stereo_recording import (
    CAMERA_INFO,
    COMPRESSED,
    StereoMessage,
    StereoRecording,
)
from msdesis_ros.ros import parameters
from msdesis_ros.ros.diagnostics import backend_failure, drops, pair_status, result_figures
from msdesis_ros.ros.inputs import StereoInputs
from msdesis_ros.ros.jobs import TRANSPORTS, Job
from msdesis_ros.ros.messages import camera_info_from_camera, make_header
from msdesis_ros.ros.outputs import TOPICS, StereoOutputs
from msdesis_ros.ros.rectified_frame import result_frame_id
from msdesis_ros.ros.tape import Tape
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.factory import create_backend
from msdesis_ros.runtime.pipeline import PerceptionPipeline, PerceptionResult
from msdesis_ros.runtime.supervisor import SupervisedBackend

NODE_NAME = '/stereo_endoscope'
# The overlay is for people, and made of what the others hold.
DEFAULT_TOPICS = tuple(topic for topic in TOPICS if topic != 'overlay')
SECOND_NS = 1_000_000_000


class ReplaySummary(NamedTuple):
    """pairs: that were processed; dropped: by cause, as the node counts them; problems: why."""

    pairs: int
    verdicts: dict[str, int]
    dropped: dict[str, int]
    written: dict[str, int]
    problems: tuple[str, ...]


class OfflineReplay:
    """Replays one stereo recording into another recording; `run` does it once.

    settings: parameters of the node that are not at their defaults. topics: what is written, of
    the node's results. cameras: for a recording without camera_info. Raises UsageError for
    parameters and topics that the node does not have, and for a missing calibration.
    """

    def __init__(
        self,
        recording: StereoRecording,
        output: McapRecording,
        *,
        make_backend: Callable[..., Backend] = create_backend,
        settings: Mapping[str, Any] | None = None,
        topics: tuple[str, ...] = DEFAULT_TOPICS,
        cameras: tuple[CameraCalibration, CameraCalibration] | None = None,
    ) -> None:
        unknown = [topic for topic in topics if topic not in TOPICS]
        if unknown:
            raise UsageError(f'no result is called {unknown[0]}; choose of {", ".join(TOPICS)}')
        if cameras is None and len(recording.info_topics) < 2:
            raise UsageError(
                f'{recording.reader.path} does not hold the camera_info of both cameras; give a '
                'calibration'
            )
        self._recording = recording
        self._kinds = {recording.image_type} | ({CAMERA_INFO} if cameras is None else set())
        transport = 'compressed' if recording.image_type == COMPRESSED else 'raw'
        self._node = Tape(output, topics, {**(settings or {}), 'image_transport': transport})
        chosen = parameters.read(self._node)  # type: ignore[arg-type]
        self._chosen = chosen
        self._pipeline = _make_pipeline(chosen, make_backend)
        self._made_infos = _made_infos(cameras) if cameras is not None else {}
        self._health = StreamHealth()
        self._problems: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._alignment_due_ns: int | None = None
        self._outputs = StereoOutputs(
            self._node,  # type: ignore[arg-type]
            heads=self._pipeline.backend.heads,
        )
        self._outputs.point_stride = chosen.point_stride
        self._outputs.disparity_invalid = chosen.disparity_invalid
        red, green, blue = chosen.tool_color
        self._outputs.tool_colour = (red, green, blue)
        self._inputs = StereoInputs(
            self._node,  # type: ignore[arg-type]
            chosen,
            self._health,
            heads=self._pipeline.backend.heads,
            on_job=self._process,
            on_rig=self._on_rig,
            on_time_reset=self._pipeline.monitor.reset,
            now_ns=lambda: self._node.now_ns,
        )
        self._subscribers = {
            f'{side}/{what}': self._node.subscribers(f'{side}/{what}{suffix}')
            for side in ('left', 'right')
            for what, suffix in (
                ('image_raw', TRANSPORTS[transport].suffix),
                ('camera_info', ''),
            )
        }

    @property
    def model(self) -> ModelIdentity:
        """Which weights are at work."""
        return self._pipeline.backend.identity

    def close(self) -> None:
        """Free the backend."""
        self._pipeline.backend.close()

    def run(self, on_pair: Callable[[int], None] = lambda _: None) -> ReplaySummary:
        """Replay all of it; `on_pair` is called with the number of pairs so far."""
        done = 0
        for _ in self._messages():
            if self._processed != done:
                done = self._processed
                on_pair(done)
        on_pair(self._processed)
        return ReplaySummary(
            pairs=self._processed,
            verdicts=dict(sorted(self._verdicts.items())),
            dropped={
                cause: count
                for cause, count in drops(
                    self._health.report(now_s=0.0), self._inputs.pairer.counters
                ).items()
                if count
            },
            written=dict(self._node.output.counts),
            problems=tuple(self._problems),
        )

    @property
    def _processed(self) -> int:
        return sum(self._verdicts.values())

    def _messages(self) -> Iterator[None]:
        """Hand every message to the inputs at its time, and let them tick once a second."""
        tick_ns: int | None = None
        for message in self._recording.messages():
            if message.kind not in self._kinds:
                continue
            now_ns = message.time_ns
            tick_ns = now_ns + SECOND_NS if tick_ns is None else tick_ns
            while tick_ns <= now_ns:
                self._node.now_ns = tick_ns
                self._inputs.tick()
                tick_ns += SECOND_NS
            self._node.now_ns = now_ns
            self._deliver(message)
            yield
        # The last pair may still wait for word of its calibration, as long as two ticks.
        for _ in range(2):
            self._inputs.tick()

    def _deliver(self, message: StereoMessage) -> None:
        if message.kind == CAMERA_INFO:
            self._tell(f'{message.side}/camera_info', deserialize_message(message.cdr, CameraInfo))
            return
        picture = deserialize_message(
            message.cdr, TRANSPORTS[self._chosen.image_transport].message_type
        )
        if message.side in self._made_infos:
            info = self._made_infos[message.side]
            info.header = make_header(
                stamp_ns=message.stamp_ns,
                frame_id=info.header.frame_id or picture.header.frame_id,
            )
            self._tell(f'{message.side}/camera_info', info)
        self._tell(f'{message.side}/image_raw', picture)

    def _tell(self, topic: str, message: Any) -> None:
        # A node has two subscriptions of camera_info, of which one hears a driver like this.
        # A model that looks at the left eye only has none of the right.
        for callback in self._subscribers[topic][:1]:
            callback(message)

    def _on_rig(self, rig: AnyRig | None, problem: str) -> None:
        if rig is None:
            # One eye speaks before the other: that is no problem yet.
            if not self._inputs.tracker.awaits_first:
                self._problems[problem] += 1
            return
        for sentence in rig.warnings:
            self._problems[sentence] += 1
        try:
            self._pipeline.prepare(rig, rig.image_size)
            self._pipeline.backend.warm_up(rig.image_size)
        except (CalibrationError, BackendError) as error:
            self._problems[str(error)] += 1

    def _process(self, job: Job) -> None:
        frame_id = result_frame_id(job.rig, override=self._chosen.frame_id)
        try:
            result = job.process(self._pipeline)
        except (ImageError, CalibrationError) as error:
            self._health.drop('bad_image' if isinstance(error, ImageError) else 'calibration')
            self._problems[str(error)] += 1
            return
        except BackendError as error:
            self._health.drop('backend')
            self._problems[str(error)] += 1
            self._status(backend_failure(str(error)), job, frame_id, {})
            return
        self._outputs.publish(result, frame_id=frame_id)
        self._status(result.verdict, job, frame_id, result_figures(result))
        self._measure_alignment_when_due(result)

    def _status(
        self, verdict: Verdict, job: Job, frame_id: str, figures: dict[str, float]
    ) -> None:
        self._verdicts[verdict.state.value] += 1
        status = pair_status(
            verdict,
            node_name=NODE_NAME,
            model=self._pipeline.backend.identity,
            skew_ms=job.skew_ms,
            latency_ms=math.nan,
            figures=figures,
        )
        self._outputs.publish_status(status, stamp_ns=job.stamp_ns, frame_id=frame_id)

    def _measure_alignment_when_due(self, result: PerceptionResult) -> None:
        """As the node does beside its work; here in turn, by the clock of the recording."""
        if self._chosen.alignment_period_s <= 0 or result.right_rect is None:
            return
        if self._alignment_due_ns is None:
            self._alignment_due_ns = self._node.now_ns + SECOND_NS
        if self._node.now_ns >= self._alignment_due_ns:
            period_ns = round(self._chosen.alignment_period_s * SECOND_NS)
            self._alignment_due_ns = self._node.now_ns + period_ns
            self._pipeline.measure_vertical_offset(result)


def _made_infos(
    cameras: tuple[CameraCalibration, CameraCalibration],
) -> dict[str, CameraInfo]:
    return {
        side: camera_info_from_camera(camera, make_header(stamp_ns=0, frame_id=camera.frame_id))
        for side, camera in zip(('left', 'right'), cameras, strict=True)
    }


def _make_pipeline(
    chosen: parameters.NodeParameters, make_backend: Callable[..., Backend]
) -> PerceptionPipeline:
    make = functools.partial(
        make_backend,
        chosen.model,
        backend=chosen.backend or None,
        threads=chosen.threads or None,
        models_dir=Path(chosen.models_dir) if chosen.models_dir else None,
    )
    return PerceptionPipeline(
        SupervisedBackend(make, max_failures=chosen.max_backend_failures),
        alpha=chosen.alpha,
        limits=QualityLimits(frozen_timeout_s=chosen.frozen_timeout_s),
    )
