"""The node under test in a graph of its own, between a driver and a client that collects."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from stereo_msgs.msg import DisparityImage

from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.ros import outputs
from msdesis_ros.ros.messages import image_message, make_header, stamp_ns
from msdesis_ros.ros.stereo_endoscope import StereoEndoscope
from msdesis_ros.runtime.backend import RawOutput

from .matching import CAN_TELL, linked

# For what happens at once on a machine of its own; only a failure takes as long.
PATIENCE_S = 60.0
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
WIDTH, HEIGHT, FOCAL, BASELINE, DISPARITY = 96, 64, 100.0, 0.005, 8.0
TOPICS = {
    'disparity': DisparityImage,
    'depth': Image,
    'camera_info': CameraInfo,
    'points': PointCloud2,
    'left/image_rect': Image,
    'status': DiagnosticArray,
}


KINDS = {'raw': (Image, ''), 'compressed': (CompressedImage, '/compressed')}


class ReplayBackend:
    """Answers every pair with one disparity, or as `control.match(left, right)` says.

    It has the heads `control.heads`; instruments are where `control.mask(left)` (bool) says.
    `control.fail` makes the next runs raise, `control.seen` is the pair of the last one. It is
    busy while `control.free` is not set; `control.begun` counts its runs.
    """

    identity = ModelIdentity('replay', 'ab' * 32, 'replay')
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 64.0, 0.0

    def __init__(self, control: SimpleNamespace) -> None:
        self.control = control
        self.heads = control.heads
        control.made += 1

    def warm_up(self, image_size: tuple[int, int]) -> None:
        self.control.warmed_up.append(image_size)

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        self.control.begun += 1
        assert self.control.free.wait(PATIENCE_S)
        if self.control.fail > 0:
            self.control.fail -= 1
            raise RuntimeError('out of memory')
        self.control.seen = (left.copy(), right.copy())
        planes = {}
        if 'disparity' in self.heads:
            disparity_px = self.control.match(left, right)
            planes['disparity_px'] = np.full(left.shape[:2], disparity_px, np.float32)
        if 'instrument_mask' in self.heads:
            planes['mask_logits'] = np.where(
                self.control.mask(left), np.float32(4), np.float32(-4)
            )
        if 'uncertainty' in self.heads:
            planes['uncertainty_px'] = np.full(left.shape[:2], 0.5, np.float32)
        return RawOutput(planes.pop('disparity_px', None), **planes)

    def close(self) -> None:
        self.control.closed += 1


def rgb8(side: str, picture: np.ndarray, header) -> Image:
    """The picture as it is, whichever side it is of."""
    return image_message(picture, 'rgb8', header)


def bright(left: np.ndarray) -> np.ndarray:
    """Instruments are the pixels of more than 128 red: their edges run all over the picture."""
    return left[..., 0] > 128


class Graph:
    """One node under test, one driver that publishes pairs, one client that collects results.

    What is sent is waited for until the node has taken it in, so that nothing depends on how fast
    the machine is; and with `take_clock` it is the test that says how much time has passed.
    """

    def __init__(
        self, *, cli_args=None, heads: frozenset[str] = frozenset({'disparity'}), **parameters
    ) -> None:
        self.control = SimpleNamespace(
            heads=heads,
            mask=bright,
            made=0,
            closed=0,
            fail=0,
            free=threading.Event(),
            begun=0,
            warmed_up=[],
            seen=None,
            match=lambda left, right: DISPARITY,
        )
        self.control.free.set()
        self.taken = self.expected = 0
        self._clock_ns: int | None = None
        self._stamp_offset_ns = 0
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = StereoEndoscope(
            make_backend=self._make_backend,
            context=self.context,
            cli_args=cli_args,
            parameter_overrides=[Parameter(name, value=v) for name, v in parameters.items()],
        )
        self._count_what_is_taken()
        self.driver = rclpy.create_node('driver', context=self.context)
        self.client = rclpy.create_node('client', context=self.context)
        kind, suffix = KINDS[parameters.get('image_transport', 'raw')]
        self.send_image = {
            s: self._publisher(kind, f'{s}/image_raw{suffix}') for s in ('left', 'right')
        }
        self.send_info = {
            s: self._publisher(CameraInfo, f'{s}/camera_info') for s in ('left', 'right')
        }
        self.received: dict[str, list] = {topic: [] for topic in (*outputs.TOPICS, '/diagnostics')}
        self.rng = np.random.default_rng(0)
        self.changes: dict = {}
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.node, self.driver, self.client):
            self.executor.add_node(node)
        self._closing = False
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.subscribe('/diagnostics', DiagnosticArray)

    def _spin(self) -> None:
        while not self._closing:
            self.executor.spin_once()

    def _make_backend(self, model: str, **_) -> ReplayBackend:
        return ReplayBackend(self.control)

    def _count_what_is_taken(self) -> None:
        create = self.node.create_subscription

        def create_counted(kind: type, topic: str, callback, qos, **more):
            def take(message) -> None:
                callback(message)
                self.taken += 1

            return create(kind, topic, take, qos, **more)

        self.node.create_subscription = create_counted

    def _publisher(self, kind: type, topic: str):
        publisher = self.driver.create_publisher(kind, topic, 10)
        publish = publisher.publish

        def publish_counted(message) -> None:
            self.expected += publisher.get_subscription_count()
            publish(message)

        publisher.publish = publish_counted
        return publisher

    def subscribe(self, topic: str, kind: type) -> None:
        self.client.create_subscription(kind, topic, self.received[topic].append, 10)

    def start(self, topics=tuple(TOPICS), *, connected=True) -> None:
        assert self.node.trigger_configure() == SUCCESS
        assert self.node.trigger_activate() == SUCCESS
        for topic in topics:
            self.subscribe(topic, outputs.TOPICS[topic])
        self.thread.start()
        if connected:
            self.connect(topics)

    def connect(self, topics=()) -> None:
        """Wait until the node hears the driver, and the client hears the node on these topics."""
        sides = ('left', 'right') if 'disparity' in self.control.heads else ('left',)
        inputs = [
            publisher.topic_name
            for side in sides
            for publisher in (self.send_image[side], self.send_info[side])
        ]
        results = [f'/{topic}' for topic in topics]
        assert self.wait(lambda: linked(self.driver, self.node, inputs))
        assert self.wait(lambda: linked(self.node, self.client, [*results, '/diagnostics']))
        if not CAN_TELL:
            time.sleep(0.2)

    def close(self) -> None:
        self.control.free.set()
        self._closing = True
        if self.thread.is_alive():
            self.executor.create_task(lambda: None)
            self.thread.join(PATIENCE_S)
        self.executor.shutdown()
        for node in (self.node, self.driver, self.client):
            node.destroy_node()
        self.context.try_shutdown()

    def wait(self, condition, timeout_s: float = PATIENCE_S) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def take_clock(self) -> None:
        """From now on time stands still for the inputs of the node but for `pass_time`."""
        self._clock_ns = time.monotonic_ns()
        self._stamp_offset_ns = self.node.get_clock().now().nanoseconds - self._clock_ns
        self.node._inputs._now_ns = lambda: self._clock_ns

    def return_clock(self) -> None:
        """Stamps are those of the machine again, which a node that was activated anew goes by."""
        self._clock_ns = None

    def pass_time(self, duration_s: float) -> None:
        """Let so much time pass, at once."""
        self._clock_ns += round(duration_s * 1e9)

    def _now_ns(self) -> int:
        if self._clock_ns is None:
            return self.node.get_clock().now().nanoseconds
        return self._clock_ns + self._stamp_offset_ns

    def run_in_node(self, function) -> None:
        """Call it where the callbacks of the node run, and wait for that."""
        done = threading.Event()
        self.executor.create_task(lambda: (function(), done.set()))
        assert done.wait(PATIENCE_S)

    def tick(self) -> None:
        """What the node does once a second, now."""
        self.run_in_node(lambda: self.node._tick())

    def info(self, side: str, stamp: int, **changes) -> CameraInfo:
        tx = 0.0 if side == 'left' else -FOCAL * BASELINE
        fields = {
            'width': WIDTH,
            'height': HEIGHT,
            'distortion_model': 'plumb_bob',
            'd': [0.0] * 5,
            'k': [FOCAL, 0.0, 48.0, 0.0, FOCAL, 32.0, 0.0, 0.0, 1.0],
            'r': [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            'p': [FOCAL, 0.0, 48.0, tx, 0.0, FOCAL, 32.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        }
        header = make_header(stamp_ns=stamp, frame_id=f'/{side}_optical')
        return CameraInfo(header=header, **(fields | changes))

    def picture(self) -> np.ndarray:
        coarse = self.rng.integers(40, 200, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
        fine = np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)
        return fine + self.rng.integers(0, 20, fine.shape, dtype=np.uint8)

    def send(
        self,
        *,
        sides=('left', 'right'),
        infos=True,
        info_changes=None,
        spoil=None,
        make=rgb8,
        stamp: int | None = None,
    ) -> int:
        """Publish one pair, or what `sides` names of it; returns its left stamp.

        `make(side, picture, header)` is the message of a picture; `spoil(side, message)` may
        damage it.
        """
        stamp = self._now_ns() if stamp is None else stamp
        for side, offset in (('left', 0), ('right', 1_000_000)):
            if side not in sides:
                continue
            header = make_header(stamp_ns=stamp + offset, frame_id=f'/{side}_optical')
            if infos:
                changes = (info_changes or {}).get(side, {})
                self.send_info[side].publish(self.info(side, stamp + offset, **changes))
            message = make(side, self.picture(), header)
            if spoil is not None:
                spoil(side, message)
            self.send_image[side].publish(message)
        self.wait_until_taken()
        return stamp

    def wait_until_taken(self) -> None:
        """Until the node has taken in all that was sent to it."""
        assert self.wait(lambda: self.taken >= self.expected), 'pictures were lost on their way'

    def wait_until_at_work(self) -> None:
        """Until what is sent next pushes nothing out: the last pair is being worked on or done."""
        assert self.wait(lambda: self.node._worker._slot._item is None)

    def stamps(self, topic: str) -> list[int]:
        return [stamp_ns(message.header.stamp) for message in self.received[topic]]

    def answer(self, topic: str, stamp: int, timeout_s: float = PATIENCE_S):
        """The message of a topic under a stamp, or None."""
        self.wait(lambda: stamp in self.stamps(topic), timeout_s)
        found = [m for m in self.received[topic] if stamp_ns(m.header.stamp) == stamp]
        assert len(found) <= 1, 'a stamp was answered twice'
        return found[0] if found else None

    def said(self, words: str) -> bool:
        """Whether a status of /diagnostics so far says these words."""
        return any(words in a.status[0].message for a in self.received['/diagnostics'])

    def diagnosis(self, words: str) -> bool:
        """Whether a status of /diagnostics says these words, now or soon."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.said(words) and time.monotonic() < deadline:
            self.run_in_node(self.node._publish_diagnostics)
            self.wait(lambda: self.said(words), 0.1)
        return self.said(words)

    def figures(self) -> dict[str, str]:
        """The key/value pairs of /diagnostics as they are now."""
        said, asked_ns = self.received['/diagnostics'], self.node.get_clock().now().nanoseconds
        before = len(said)
        self.run_in_node(self.node._publish_diagnostics)
        assert self.wait(
            lambda: len(said) > before and stamp_ns(said[-1].header.stamp) >= asked_ns
        )
        return figures(said[-1])

    def values(self) -> dict[str, str]:
        """The key/value pairs of /diagnostics when the node is done with all pictures."""
        newest: dict[str, str] = {}

        def is_done() -> bool:
            newest.clear()
            newest.update(self.figures())
            given_up = sum(
                int(count)
                for name, count in newest.items()
                if name.startswith('dropped.') and not name.endswith(('_left', '_right'))
            )
            jobs = int(newest.get('paired', 0)) + int(newest.get('alone_left', 0))
            return int(newest['processed']) + given_up >= jobs

        assert self.wait(is_done), newest
        return newest


def figures(status: DiagnosticArray) -> dict[str, str]:
    return {v.key: v.value for v in status.status[0].values}
