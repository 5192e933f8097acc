"""The `stereo_player` node: picture files as the topics of a stereo camera."""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.ros.declared import Spec, declare_all
from msdesis_ros.ros.messages import camera_info_from_camera, make_header
from msdesis_ros.ros.picture_source import ENCODERS, PictureSource
from msdesis_ros.ros.process import EXIT_FAILED, EXIT_OK, run
from msdesis_ros.ros.qos import input_qos, publisher_events, qos_overrides

NODE_NAME = 'stereo_player'
SIDES = ('left', 'right')
SPECS: dict[str, Spec] = {
    'left': Spec('', 'Left picture, or a folder of left pictures.'),
    'right': Spec('', 'Right picture, or a folder with equally many right pictures.'),
    'calibration': Spec('', 'Calibration file, or LEFT.yaml,RIGHT.yaml (ROS camera_info files).'),
    'unit': Spec('', 'Unit of the calibration; empty = as usual.', choices=('', 'mm', 'm')),
    'rectified': Spec(False, 'The pictures are rectified; needed with focal_px and baseline_mm.'),
    'focal_px': Spec(0.0, 'Focal length of rectified pictures without calibration.', 0.0, 1e6),
    'baseline_mm': Spec(0.0, 'Baseline of rectified pictures without calibration.', 0.0, 1e5),
    'rate_hz': Spec(10.0, 'Pairs a second.', 0.01, 1000.0),
    'loop': Spec(True, 'Start again after the last pair.'),
    'frames': Spec(0, 'End after so many pairs; 0 = no limit.', 0, 2**31 - 1),
    'encoding': Spec('rgb8', 'Encoding of the images.', choices=tuple(ENCODERS)),
    'skew_ms': Spec(0.0, 'Right stamp minus left stamp.', -1e4, 1e4),
    'skew_jitter_ms': Spec(0.0, 'Largest random change of the skew, up or down.', 0.0, 1e4),
    'seed': Spec(0, 'Seed of the random changes.', 0, 2**31 - 1),
    'left_frame_id': Spec('', 'Left frame; empty = as in the calibration, or left_optical.'),
    'right_frame_id': Spec('', 'Right frame; empty = as in the calibration, or right_optical.'),
    'wait_for_subscribers': Spec(0, 'Start when each image topic has so many.', 0, 100),
    'wait_limit_s': Spec(30.0, 'Give up when they have not come by then.', 0.1, 3600.0),
    'report': Spec('', 'File for a JSON report of what was sent; empty = none.'),
}
POLL_S = 0.02
# A subscriber counts here before it can receive: discovery is not symmetric.
SETTLE_S = 0.5


class StereoPlayer(Node):
    """Publishes each pair with its camera_info at a steady rate, then sets `exit_code`.

    Raises MsdesisError (in the constructor) for pictures, calibration or parameters it cannot use.
    """

    def __init__(self, *, transport_warnings: tuple[str, ...] = (), **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, **node_arguments)
        self.exit_code: int | None = None
        self._settings = settings = declare_all(self, SPECS)
        _require(settings)
        pairs = find_pairs(left=settings['left'], right=settings['right'])
        self._source = PictureSource(pairs, encoding=settings['encoding'])
        assert self._source.image_size is not None
        cameras = _cameras(settings, self._source.image_size)
        self._frame_ids = [
            settings[f'{side}_frame_id'] or camera.frame_id or f'{side}_optical'
            for side, camera in zip(SIDES, cameras, strict=True)
        ]
        empty = make_header(stamp_ns=0, frame_id='')
        self._infos = [camera_info_from_camera(camera, empty) for camera in cameras]
        self._image_publishers = [self._publisher(Image, f'{side}/image_raw') for side in SIDES]
        self._info_publishers = [
            self._publisher(CameraInfo, f'{side}/camera_info') for side in SIDES
        ]
        self._random = random.Random(settings['seed'])
        self._sent: list[tuple[int, int]] = []
        self._times_s: list[float] = []
        count = len(pairs) if not settings['loop'] else settings['frames']
        self._end_after = min(count, settings['frames'] or count)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._wait_began_s = time.monotonic()
        self._settled_s: float | None = None
        self._timer = self.create_timer(POLL_S, self._wait, clock=self._steady)

    def destroy_node(self) -> None:
        """Write the report, then leave the graph."""
        self._source.close()
        self._write_report()
        super().destroy_node()

    def _publisher(self, kind: type, topic: str) -> Any:
        # Reliable, so that both kinds of subscribers match.
        return self.create_publisher(
            kind,
            topic,
            input_qos('reliable'),
            event_callbacks=publisher_events(self, topic),
            qos_overriding_options=qos_overrides(),
        )

    def _wait(self) -> None:
        """Until all is prepared and the subscribers are there; then start the schedule."""
        wanted = self._settings['wait_for_subscribers']
        here = min(publisher.get_subscription_count() for publisher in self._image_publishers)
        now_s = time.monotonic()
        if here < wanted:
            self._settled_s = None
            if now_s - self._wait_began_s > self._settings['wait_limit_s']:
                self._end(
                    EXIT_FAILED,
                    f'{here} of {wanted} subscribers of the images came within '
                    f'{self._settings["wait_limit_s"]:g} s: start the receiving node, or check '
                    'that it listens to these topics in this ROS domain',
                )
            return
        if self._settled_s is None:
            self._settled_s = now_s + (SETTLE_S if wanted else 0.0)
        if now_s < self._settled_s or not self._source.ready:
            return
        self.get_logger().info(
            f'{len(self._source)} pair(s) at {self._settings["rate_hz"]:g} Hz to {here} '
            'subscriber(s)'
        )
        self.destroy_timer(self._timer)
        # rcl keeps the phase of a timer: a late call does not move those that follow.
        period_s = 1.0 / self._settings['rate_hz']
        self._timer = self.create_timer(period_s, self._send, clock=self._steady)
        self._send()

    def _send(self) -> None:
        """Send the next pair; the stamps are the time now."""
        images = self._source.messages(len(self._sent))
        left_ns = self.get_clock().now().nanoseconds
        jitter_ms = self._random.uniform(-1.0, 1.0) * self._settings['skew_jitter_ms']
        right_ns = left_ns + round((self._settings['skew_ms'] + jitter_ms) * 1e6)
        headers = [
            make_header(stamp_ns=stamp_ns, frame_id=frame_id)
            for stamp_ns, frame_id in zip((left_ns, right_ns), self._frame_ids, strict=True)
        ]
        # The calibration first: a node that hears both needs it for the picture.
        for publishers, messages in (
            (self._info_publishers, self._infos),
            (self._image_publishers, images),
        ):
            for publisher, message, header in zip(publishers, messages, headers, strict=True):
                message.header = header
                publisher.publish(message)
        self._sent.append((left_ns, right_ns))
        self._times_s.append(time.monotonic())
        if len(self._sent) == self._end_after:
            self._finish()

    def _finish(self) -> None:
        self.destroy_timer(self._timer)
        for publisher in self._image_publishers + self._info_publishers:
            publisher.wait_for_all_acked(Duration(seconds=1))
        self._end(EXIT_OK, f'{len(self._sent)} pairs sent')

    def _end(self, code: int, sentence: str) -> None:
        # Two lines, because rclpy refuses to log from one line with two severities.
        if code == EXIT_OK:
            self.get_logger().info(sentence)
        else:
            self.get_logger().fatal(sentence)
        self.exit_code = code

    def _write_report(self) -> None:
        path = self._settings['report']
        if not path:
            return
        try:
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(self.report(), indent=1) + '\n', encoding='utf-8')
        except MsdesisError as error:
            self._end(EXIT_FAILED, str(error))
        self._settings['report'] = ''

    def report(self) -> dict[str, Any]:
        """What was sent: counts, rate and the stamps in nanoseconds."""
        duration_s = self._times_s[-1] - self._times_s[0] if self._times_s else 0.0
        return {
            'pairs_sent': len(self._sent),
            'pairs_available': len(self._source),
            'rate_hz': self._settings['rate_hz'],
            'rate_achieved_hz': (len(self._sent) - 1) / duration_s if duration_s > 0 else None,
            'image_size': list(self._source.image_size or ()),
            'encoding': self._settings['encoding'],
            'sent_left_stamps_ns': [left for left, _ in self._sent],
            'sent_right_stamps_ns': [right for _, right in self._sent],
        }


def _require(settings: dict[str, Any]) -> None:
    """Raise UsageError for parameters that are missing or contradict each other."""
    for side in SIDES:
        if not settings[side]:
            raise UsageError(
                f'parameter {side} is missing: name a picture or a folder of pictures'
            )
    metric = settings['focal_px'] > 0, settings['baseline_mm'] > 0
    if settings['calibration'] and any(metric):
        raise UsageError('give either calibration, or focal_px and baseline_mm, not both')
    if settings['calibration']:
        return
    if not all(metric):
        raise UsageError(
            'the geometry is missing: set the parameter calibration, or for rectified pictures '
            'rectified, focal_px and baseline_mm'
        )
    if not settings['rectified']:
        raise UsageError(
            'focal_px and baseline_mm describe rectified pictures only: set rectified:=true, or '
            'give a calibration'
        )


def _cameras(
    settings: dict[str, Any], image_size: tuple[int, int]
) -> tuple[CameraCalibration, CameraCalibration]:
    if settings['calibration']:
        return read_calibration(
            settings['calibration'], image_size=image_size, unit=settings['unit'] or None
        )
    rig = StereoRig.from_focal_and_baseline(
        image_size=image_size,
        focal_px=settings['focal_px'],
        baseline_m=settings['baseline_mm'] / 1000,
    )
    return rig.left, rig.right


def main(args: list[str] | None = None) -> int:
    """The executable `stereo_player`."""
    return run(StereoPlayer, args)


if __name__ == '__main__':
    sys.exit(main())
