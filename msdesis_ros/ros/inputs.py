"""The input side of the node: subscriptions, calibration gate, pairing; callbacks hand over."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from msdesis_ros.core.health import StreamHealth
from msdesis_ros.core.pairing import StampPair, StampPairer
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.core.rig_tracker import RigTracker
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


@dataclass(frozen=True, eq=False)
class Job:
    """A pair of picture messages and the rig that was in force when it was complete."""

    pair: StampPair[Image]
    rig: StereoRig


class StereoInputs:
    """Subscribes to both eyes; calls `on_job` for every pair that has a usable rig.

    `on_rig` is called when the calibration state changes, with the rig or None and the reason;
    `on_time_reset` when the stamps went backwards. Pairs without a usable rig are counted in
    `health` as `no_calibration`. All calls come from the executor's thread.
    """

    def __init__(
        self,
        node: Node,
        parameters: NodeParameters,
        health: StreamHealth,
        *,
        on_job: Callable[[Job], None],
        on_rig: Callable[[StereoRig | None, str], None],
        on_time_reset: Callable[[], None],
    ) -> None:
        self._node = node
        self._health = health
        self._on_job, self._on_rig, self._on_time_reset = on_job, on_rig, on_time_reset
        skew_ns = round(parameters.max_skew_ms * 1e6)
        self.tracker = RigTracker(rectified=parameters.rectified, stamp_tolerance_ns=skew_ns)
        self.pairer: StampPairer[Image] = make_pairer(
            parameters.sync,
            max_skew_ns=skew_ns,
            queue_size=parameters.queue_size,
            start_ns=time.monotonic_ns(),
        )
        self._time_resets = 0
        self._early: StampPair[Image] | None = None
        self._internal_errors: set[str] = set()
        self._subscriptions = [
            subscription
            for side in SIDES
            for subscription in self._subscribe(side, parameters.reliability)
        ]

    def destroy(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def tick(self) -> None:
        """Once a second: let a half-finished change of calibration settle."""
        self._after_calibration(self.tracker.tick(now_s=time.monotonic()))

    def silence(self, after_s: float) -> str:
        """Why there has been no pair for so long, in a sentence; empty while there are."""
        silence = self.pairer.silence(time.monotonic_ns())
        return silence.sentence(round(after_s * 1e9)) or ''

    def _subscribe(self, side: str, reliability: str) -> list[Any]:
        def subscribe(
            kind: type,
            topic: str,
            callback: Callable[..., None],
            qos: Any,
            twin: str | None = None,
        ) -> Any:
            return self._node.create_subscription(
                kind,
                topic,
                functools.partial(self._guarded, callback, side),
                qos,
                event_callbacks=subscription_events(self._node, topic),
                qos_overriding_options=input_qos_overrides(entity_id=twin),
            )

        on_image, on_info, info = self._on_image, self._on_camera_info, f'{side}/camera_info'
        return [
            subscribe(Image, f'{side}/image_raw', on_image, input_qos(reliability)),
            subscribe(CameraInfo, info, on_info, camera_info_qos()),
            # A driver that latches its camera_info may have sent it before this node came up.
            subscribe(CameraInfo, info, on_info, latched_camera_info_qos(), 'latched'),
        ]

    def _guarded(self, callback: Callable[[str, Any], None], side: str, message: Any) -> None:
        """rclpy goes on after some exceptions and dies of others, so none may leave a callback."""
        try:
            callback(side, message)
        except Exception as error:
            self._health.drop('internal')
            text = f'{type(error).__name__}: {error}'
            if text not in self._internal_errors:
                self._internal_errors.add(text)
                self._node.get_logger().error(f'a {side} message was dropped: {text}')

    def _on_camera_info(self, side: str, message: CameraInfo) -> None:
        changed = self.tracker.update(
            side,
            _content(message),
            functools.partial(camera_from_camera_info, message),
            stamp_ns=stamp_ns(message.header.stamp),
            now_s=time.monotonic(),
        )
        self._after_calibration(changed)

    def _after_calibration(self, changed: bool) -> None:
        rig, early = self.tracker.rig, self._early
        if changed:
            self._on_rig(rig, self.tracker.problem)
        if early is None or self.tracker.awaits_first:
            return
        self._early = None
        if rig is not None:
            self._on_job(Job(early, rig))
        else:
            self._health.drop('no_calibration')

    def _on_image(self, side: str, message: Image) -> None:
        add = self.pairer.add_left if side == 'left' else self.pairer.add_right
        arrival_ns = time.monotonic_ns()
        pairs = add(stamp_ns(message.header.stamp), message, arrival_ns=arrival_ns)
        resets = self.pairer.counters.time_resets
        if resets != self._time_resets:
            self._time_resets = resets
            self._on_time_reset()
        for pair in pairs:
            self._hand_over(pair)

    def _hand_over(self, pair: StampPair[Image]) -> None:
        if self.tracker.rig is not None:
            self._on_job(Job(pair, self.tracker.rig))
            return
        # The very first pictures may overtake their camera_info: the newest pair waits for it.
        lost = self._early if self.tracker.awaits_first else pair
        if self.tracker.awaits_first:
            self._early = pair
        if lost is not None:
            self._health.drop('no_calibration')


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
