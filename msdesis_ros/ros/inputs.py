"""The input side of the node: subscriptions, calibration gate, pairing; callbacks hand over."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from msdesis_ros.core.health import StreamHealth
from msdesis_ros.core.one_eye import MISSING_AFTER_NS, RightEyeWatch, one_eye
from msdesis_ros.core.pairing import StampPairer
from msdesis_ros.core.quality import Reason
from msdesis_ros.core.rig import AnyRig
from msdesis_ros.core.rig_tracker import RigTracker, Standing
from msdesis_ros.ros.jobs import TRANSPORTS, Job, LeftJob, PairJob
from msdesis_ros.ros.messages import camera_from_camera_info, stamp_ns
from msdesis_ros.ros.parameters import NodeParameters
from msdesis_ros.ros.qos import (
    camera_info_qos,
    input_qos,
    input_qos_overrides,
    latched_camera_info_qos,
    subscription_events,
)
from msdesis_ros.ros.sync import make_pairer

SIDES = ('left', 'right')


class Candidate(NamedTuple):
    """Pictures that are ready but for their calibration: their stamps, and the job of a rig."""

    stamps: dict[str, int]
    make_job: Callable[[Any], Job]


class StereoInputs:
    """Subscribes to the eyes; calls `on_job` for every pair that has a usable rig.

    `heads` are those of the model. Without `disparity` only the left eye is subscribed, and each
    of its pictures is a job. With it, and with `instrument_mask`, the left pictures become jobs by
    themselves while the right eye is lost.
    `on_rig` is called when the calibration state changes, with the rig or None and the reason;
    `on_time_reset` when the stamps went backwards. What gets no rig is counted in `health` as
    `no_calibration` or `calibration_change`. All calls come from the executor's thread.
    `now_ns` reads the clock by which silence is measured; a replay brings its own.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        health: StreamHealth,
        *,
        heads: frozenset[str],
        on_job: Callable[[Job], None],
        on_rig: Callable[[AnyRig | None, str], None],
        on_time_reset: Callable[[], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._node = node
        self._now_ns = now_ns
        self._health = health
        self._on_job, self._on_rig, self._on_time_reset = on_job, on_rig, on_time_reset
        self._transport = TRANSPORTS[parameters.image_transport]
        self._left_alone = 'disparity' not in heads
        self._finds_instruments = 'instrument_mask' in heads
        self._right_eye = RightEyeWatch()
        skew_ns = round(parameters.max_skew_ms * 1e6)
        self.tracker = RigTracker(
            rectified=parameters.rectified,
            stamp_tolerance_ns=skew_ns,
            left_alone=self._left_alone,
        )
        self.pairer: StampPairer[Any] = make_pairer(
            parameters.sync,
            max_skew_ns=skew_ns,
            queue_size=parameters.queue_size,
            start_ns=now_ns(),
        )
        self._time_resets = 0
        # The newest pictures wait here while their calibration is not known.
        self._waiting: Candidate | None = None
        self._waited_at_tick: Candidate | None = None
        self._internal_errors: set[str] = set()
        self._subscriptions: list[Any] = []
        try:
            for side in SIDES[:1] if self._left_alone else SIDES:
                self._subscribe(side, parameters.reliability)
        except Exception:  # a wrong QoS override: what was made so far is on the graph
            self.destroy()
            raise

    def destroy(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def tick(self) -> None:
        """Once a second: let a half-finished change of calibration settle, and what waits go."""
        self._after_calibration(self.tracker.tick(now_s=self._now_ns() / 1e9))
        waiting = self._waiting
        if waiting is not None and waiting is self._waited_at_tick:
            # The last one of a stream whose camera_info was lost; nothing newer drives it out.
            self.tracker.give_up_waiting(**waiting.stamps)
            self._settle()
        self._waited_at_tick = waiting

    def silence(self) -> str:
        """What has not come for a second, in a sentence; empty where all does."""
        silence = self.pairer.silence(self._now_ns())
        if self._left_alone:
            silence = silence.of_left_alone()
        return silence.sentence(MISSING_AFTER_NS) or ''

    def _subscribe(self, side: str, reliability: str) -> None:
        def subscribe(
            kind: type,
            topic: str,
            callback: Callable[..., None],
            qos: Any,
            twin: str | None = None,
        ) -> None:
            self._subscriptions.append(
                self._node.create_subscription(
                    kind,
                    topic,
                    functools.partial(self._guarded, callback, side),
                    qos,
                    event_callbacks=subscription_events(self._node, topic),
                    qos_overriding_options=input_qos_overrides(entity_id=twin),
                )
            )

        on_image, on_info, info = self._on_image, self._on_camera_info, f'{side}/camera_info'
        kind, suffix, _ = self._transport
        # As image_transport does: a remapping of the base topic is one of all its transports.
        picture = self._node.resolve_topic_name(f'{side}/image_raw') + suffix
        subscribe(kind, picture, on_image, input_qos(reliability))
        subscribe(CameraInfo, info, on_info, camera_info_qos())
        # A driver that latches its camera_info may have sent it before this node came up.
        subscribe(CameraInfo, info, on_info, latched_camera_info_qos(), 'latched')

    def _guarded(self, callback: Callable[[str, Any], None], side: str, message: Any) -> None:
        """rclpy goes on after some exceptions and dies of others, so none may leave a callback."""
        try:
            callback(side, message)
        except Exception as error:
            self._health.drop('internal')
            text = f'{type(error).__name__}: {error}'
            if text not in self._internal_errors and len(self._internal_errors) < 100:
                self._internal_errors.add(text)
                self._node.get_logger().error(f'a {side} message was dropped: {text}')

    def _on_camera_info(self, side: str, message: CameraInfo) -> None:
        changed = self.tracker.update(
            side,
            _content(message),
            functools.partial(camera_from_camera_info, message),
            stamp_ns=stamp_ns(message.header.stamp),
            now_s=self._now_ns() / 1e9,
        )
        self._after_calibration(changed)

    def _after_calibration(self, changed: bool) -> None:
        if changed:
            self._on_rig(self.tracker.rig, self.tracker.problem)
        self._settle()

    def _on_image(self, side: str, message: Any) -> None:
        add = self.pairer.add_left if side == 'left' else self.pairer.add_right
        stamp, arrival_ns = stamp_ns(message.header.stamp), self._now_ns()
        pairs = add(stamp, message, arrival_ns=arrival_ns)
        resets = self.pairer.counters.time_resets
        if resets != self._time_resets:
            self._time_resets = resets
            self._set_time_back(stamp)
        self.tracker.see_picture(side, stamp)
        for pair in pairs:
            stamps = {'left_ns': pair.left_stamp_ns, 'right_ns': pair.right_stamp_ns}
            self._offer(stamps, functools.partial(PairJob, pair, self._transport))
        if side == 'right':
            self._right_eye.see_right()
            return
        reasons = self._why_alone(arrival_ns)
        if reasons is not None and self.pairer.take_left_alone(stamp):
            make_job = functools.partial(LeftJob, message, stamp, reasons, self._transport)
            self._offer({'left_ns': stamp}, make_job)

    def _why_alone(self, arrival_ns: int) -> tuple[Reason, ...] | None:
        """Why this left picture goes without a right one; None where it waits for one."""
        if self._left_alone:
            return ()
        lost = self._right_eye.see_left(arrival_ns)
        silent_ns = self.pairer.silence(arrival_ns).right_ns
        if not lost or silent_ns is None or not self._finds_instruments or not self.tracker.rig:
            return None
        return (one_eye(silent_ns),)

    def _offer(self, stamps: dict[str, int], make_job: Callable[[Any], Job]) -> None:
        # What waits does so until the next one is there, and no longer.
        self._settle(last_call=True)
        self._waiting = Candidate(stamps, make_job)
        self._settle()

    def _set_time_back(self, stamp: int) -> None:
        if self._waiting is not None:
            self._waiting = None
            self._health.drop('time_reset')
        self.tracker.set_time_back(stamp)
        self._on_time_reset()

    def _settle(self, *, last_call: bool = False) -> None:
        """Let what waits go where its rig is known; on the `last_call` it goes or falls."""
        waiting = self._waiting
        if waiting is None:
            return
        if last_call:
            self.tracker.give_up_waiting(**waiting.stamps)
        standing = self.tracker.standing(**waiting.stamps)
        if standing in (Standing.OPEN, Standing.EXPECTED) and not last_call:
            return
        self._waiting = None
        rig = self.tracker.rig
        if standing is Standing.USABLE and rig is not None:
            self._on_job(waiting.make_job(rig))
        elif standing is Standing.REFUSED or self.tracker.awaits_first:
            self._health.drop('no_calibration')
        else:
            self._health.drop('calibration_change')


def _content(message: CameraInfo) -> tuple[Any, ...]:
    """Everything of a CameraInfo but its stamp, hashable and comparable."""
    roi = message.roi
    return (
        message.header.frame_id,
        message.width,
        message.height,
        message.distortion_model,
        message.binning_x,
        message.binning_y,
        (roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
        *(
            np.asarray(values, dtype=np.float64).tobytes()
            for values in (message.d, message.k, message.r, message.p)
        ),
    )
