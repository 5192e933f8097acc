"""The `stereo_player` node: pictures, videos and recordings as the topics of a stereo camera."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.recordings import with_stamp
from msdesis_ros.data.replay_timeline import Turn
from msdesis_ros.data.stamp_faults import FaultInjector
from msdesis_ros.ros.declared import declare_all
from msdesis_ros.ros.feeder import Feeder
from msdesis_ros.ros.messages import camera_info_from_camera, make_header
from msdesis_ros.ros.played import INFO_TOPIC, SIDES, Fed
from msdesis_ros.ros.played_sources import make_source
from msdesis_ros.ros.player_parameters import SPECS, faults_from, require_consistent
from msdesis_ros.ros.process import EXIT_FAILED, EXIT_OK, run
from msdesis_ros.ros.qos import input_qos, publisher_events, qos_overrides
from msdesis_ros.ros.schedule import Schedule
from msdesis_ros.ros.sent_account import SentAccount

NODE_NAME = 'stereo_player'
POLL_S = 0.02
# A subscriber counts here before it can receive: discovery is not symmetric.
SETTLE_S = 0.5
# While that settles the camera_infos go ahead, so that the node has its maps for the first pair.
INFOS_AHEAD_EVERY_S = 0.1
ACKNOWLEDGED_WITHIN_S = 1.0
# Best effort acknowledges nothing, and what nobody has read yet goes with the shared memory of its
# sender: on busy cores the last pair of every fourth play was lost.
STAYS_AFTER_LAST_S = 0.5


class StereoPlayer(Node):
    """Sends what its source holds, with camera_infos and in time, then sets `exit_code`.

    Raises MsdesisError (in the constructor) for pictures, calibration or parameters it cannot use.
    """

    def __init__(self, *, transport_warnings: tuple[str, ...] = (), **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, **node_arguments)
        self.exit_code: int | None = None
        self._settings = settings = declare_all(self, SPECS)
        require_consistent(settings)
        self._source = make_source(settings)
        self._made_infos = {} if self._source.infos else self._make_infos()
        self._image_publishers = {
            side: self._publisher(self._source.image_type, f'{side}/{self._source.image_topic}')
            for side in SIDES
        }
        self._info_publishers = {
            side: self._publisher(CameraInfo, f'{side}/{INFO_TOPIC}') for side in SIDES
        }
        self._faults: FaultInjector[Fed] = FaultInjector(faults_from(settings))
        self._account = SentAccount()
        self._feeder = Feeder(self._source, loop=settings['loop'], frames=settings['frames'])
        self._schedule = Schedule(
            self._feeder, speed=settings['speed'], period_ns=self._source.period_ns
        )
        self._opened_ns = 0
        self._asked_to_play = settings['autoplay']
        self.create_service(Trigger, '~/play', self._on_play)
        self.create_service(Trigger, '~/stop', self._on_stop)
        self._wait_began_s = time.monotonic()
        self._settled_s: float | None = None
        self._infos_due_s = 0.0
        if not self._source.facts().get('complete', True):
            self.get_logger().warning(self._source.sentence())
        self._timer = self.create_timer(
            POLL_S, self._step, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def destroy_node(self) -> None:
        """Write the report, then leave the graph."""
        self._feeder.close()
        self._source.close()
        self._write_report()
        super().destroy_node()

    def _make_infos(self) -> dict[str, CameraInfo]:
        """The camera_infos of the calibration, for a source that has none."""
        settings = self._settings
        infos = {}
        cameras = _cameras(settings, self._source.image_size)
        for side, camera, recorded in zip(SIDES, cameras, self._source.frame_ids, strict=True):
            frame_id = (
                settings[f'{side}_frame_id'] or recorded or camera.frame_id or f'{side}_optical'
            )
            header = make_header(stamp_ns=0, frame_id=frame_id)
            infos[side] = camera_info_from_camera(camera, header)
        return infos

    def _publisher(self, kind: type, topic: str) -> Any:
        # Reliable, so that both kinds of subscribers match.
        return self.create_publisher(
            kind,
            topic,
            input_qos('reliable'),
            event_callbacks=publisher_events(self, topic),
            qos_overriding_options=qos_overrides(),
        )

    def _step(self) -> None:
        if self._schedule.running:
            self._send_what_is_due()
        elif not self._schedule.started:
            self._wait()

    def _wait(self) -> None:
        """Until all is prepared and the subscribers are there; then start the schedule."""
        wanted = self._settings['wait_for_subscribers']
        publishers = self._image_publishers.values()
        here = min(publisher.get_subscription_count() for publisher in publishers)
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
            self._settled_s = now_s + SETTLE_S
        if now_s >= self._infos_due_s:
            self._infos_due_s = now_s + INFOS_AHEAD_EVERY_S
            self._send_infos_ahead()
        ready = self._source.ready and self._feeder.filled
        if not self._asked_to_play or now_s < self._settled_s or not ready:
            self._sleep(POLL_S * 1e9)
            return
        self.get_logger().info(f'playing {self._source.sentence()} to {here} subscriber(s)')
        self._schedule.start(time.monotonic_ns())
        self._send_what_is_due()

    def _send_infos_ahead(self) -> None:
        now_ns = self.get_clock().now().nanoseconds
        for side, played in self._source.infos.items():
            stamp_ns = played.stamp_ns if self._keeps_stamps else now_ns
            self._info_publishers[side].publish(with_stamp(played.message, stamp_ns))
        for side in self._made_infos:
            self._send_made_info(side, now_ns)

    def _send_what_is_due(self) -> None:
        """Send everything up to now, then sleep until the next message is due."""
        while due := self._schedule.due(time.monotonic_ns()):
            self._take_turn(*due)
        if self._schedule.ended:
            self._finish()
        else:
            self._sleep(self._schedule.wait_ns)

    def _sleep(self, duration_ns: float) -> None:
        self._timer.timer_period_ns = max(1000, int(duration_ns))
        self._timer.reset()

    @property
    def _keeps_stamps(self) -> bool:
        return bool(self._settings['stamps'] == 'recorded')

    def _take_turn(self, fed: Fed, turn: Turn) -> None:
        if turn.opens_group:
            self._opened_ns = self.get_clock().now().nanoseconds
        stamp_ns = self._opened_ns + turn.stamp_offset_ns
        played = fed.played
        if self._keeps_stamps:
            stamp_ns = played.stamp_ns
        if played.topic == INFO_TOPIC:
            self._info_publishers[played.side].publish(with_stamp(played.message, stamp_ns))
            return
        for arrived_ns, arrived in self._faults.arrivals(played.side, stamp_ns, fed):
            self._send_picture(arrived, arrived_ns)

    def _send_picture(self, fed: Fed, stamp_ns: int) -> None:
        played = fed.played
        message = played.message
        # The calibration first: a node that hears both needs it for the picture.
        if played.side in self._made_infos:
            self._send_made_info(played.side, stamp_ns)
        if isinstance(message, bytes):
            message = with_stamp(message, stamp_ns)
        else:
            message.header = self._made_infos[played.side].header
        self._image_publishers[played.side].publish(message)
        self._account.sent(
            played.side, stamp_ns=stamp_ns, recorded_ns=played.stamp_ns, round_number=fed.round
        )

    def _send_made_info(self, side: str, stamp_ns: int) -> None:
        info = self._made_infos[side]
        info.header = make_header(stamp_ns=stamp_ns, frame_id=info.header.frame_id)
        self._info_publishers[side].publish(info)

    def _finish(self) -> None:
        for _, stamp_ns, fed in self._faults.leftovers():
            self._send_picture(fed, stamp_ns)
        self._timer.cancel()
        # Fast DDS asks for acknowledgements every few seconds only, so this may end without them.
        deadline_s = time.monotonic() + ACKNOWLEDGED_WITHIN_S
        for publisher in self._image_publishers.values():
            left_s = max(0.0, deadline_s - time.monotonic())
            publisher.wait_for_all_acked(Duration(seconds=left_s))
        time.sleep(STAYS_AFTER_LAST_S)
        if damaged := self._source.facts().get('pictures_damaged'):
            self.get_logger().warning(
                f'pictures of the video that are damaged or missing: {damaged}; they and their '
                'partners were left out'
            )
        self._end(EXIT_OK, f'{self._account.pairs} pairs sent')

    def _on_play(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        response.message = 'it plays already' if self._asked_to_play else 'playing'
        self._asked_to_play = True
        self._schedule.resume(time.monotonic_ns())
        self._sleep(0)
        return response

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, 'stopped; ~/play goes on from here'
        self._asked_to_play = False
        self._schedule.stop(time.monotonic_ns())
        self._sleep(POLL_S * 1e9)
        return response

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
        return {
            **self._account.report(),
            **self._source.facts(),
            'rate_hz': _rate_hz(self._source.period_ns, self._settings['speed']),
            'speed': self._settings['speed'],
            'stamps': self._settings['stamps'],
            'image_size': list(self._source.image_size),
            'encoding': self._settings['encoding'] if self._made_infos else None,
            'faults': dict(self._faults.counts),
        }


def _rate_hz(period_ns: int | None, speed: float) -> float | None:
    return None if period_ns is None else round(1e9 / period_ns * speed, 6)


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
