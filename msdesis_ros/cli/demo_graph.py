"""The three processes of the demo: started, watched, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from msdesis_ros.core.errors import MissingExtraError, MsdesisError

START_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0
# After the last pair: how long nothing may come before the node counts as done with it. A slow
# machine may take longer for one pair; the node says of itself whether it has any left.
QUIET_S = 1.5
FINISH_LIMIT_S = 60.0
RESULT_TOPICS = ('disparity', 'depth', 'camera_info', 'points', 'left/image_rect', 'status')


@dataclass(frozen=True)
class PlayerOptions:
    """What the player is to send, as the command line gave it.

    Either `left` and `right`, in a loop at `rate_hz`, or `recording`, once at `speed`. frames:
    how many pairs that makes; rate_hz: how many of them in a second; whole: all of the recording.
    """

    frames: int
    rate_hz: float
    left: Path | None = None
    right: Path | None = None
    calibration: str | None = None
    unit: str | None = None
    rectified: bool = False
    focal_px: float | None = None
    baseline_mm: float | None = None
    recording: Path | None = None
    speed: float = 1.0
    compressed: bool = False
    whole: bool = False

    @property
    def image_transport(self) -> str:
        """What the node is to listen to."""
        return 'compressed' if self.compressed else 'raw'

    def parameters(self, report: Path) -> dict[str, Any]:
        """The parameters of `stereo_player`."""
        chosen = {
            'left': self.left and str(self.left),
            'right': self.right and str(self.right),
            'recording': self.recording and str(self.recording),
            'calibration': self.calibration,
            'unit': self.unit,
            'rectified': self.rectified,
            'focal_px': self.focal_px,
            'baseline_mm': self.baseline_mm,
            'frames': 0 if self.whole else self.frames,
            'loop': self.recording is None,
            'wait_for_subscribers': 1,
            'report': str(report),
        }
        if self.recording is None:
            chosen['rate_hz'] = float(self.rate_hz)
        else:
            chosen['speed'] = float(self.speed)
        return {name: value for name, value in chosen.items() if value is not None}


class Child:
    """One of our executables as a process, with its output in a log file."""

    def __init__(
        self, module: str, parameters: dict[str, Any], *, log: Path, environment: dict[str, str]
    ) -> None:
        self.name = module.rsplit('.', 1)[-1]
        self.log = log
        arguments = ['--ros-args']
        for name, value in parameters.items():
            arguments += ['-p', f'{name}:={json.dumps(value)}']
        with log.open('wb') as file:
            self.process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                # A Ctrl-C belongs to the demo, which then stops its children in order.
                start_new_session=True,
            )

    def require_running(self) -> None:
        """Raise MsdesisError with the last words of a process that has ended."""
        if self.process.poll() is not None:
            raise MsdesisError(f'{self.name} ended early: {self.last_words()}')

    def last_words(self) -> str:
        lines = [line for line in self.log.read_text(errors='replace').splitlines() if line]
        text = lines[-1] if lines else f'it said nothing (exit code {self.process.returncode})'
        # rclpy writes [LEVEL] [time] [node]: sentence
        return f'{text.split("]: ", 1)[-1]} (log: {self.log})'

    def stop(self) -> None:
        """SIGINT, and SIGKILL where that does not help."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class DemoGraph:
    """Node and recorder come up, the player sends, all stop in order. `run` does it once."""

    def __init__(
        self,
        out: Path,
        player: PlayerOptions,
        *,
        model: str,
        models_dir: Path | None = None,
        backend: str | None,
        frozen_timeout_s: float,
        record_inputs: bool = False,
    ) -> None:
        self._out = out
        self._player = player
        transport = player.image_transport
        self._node_parameters = {
            'autostart': True,
            'model': model,
            'models_dir': str(models_dir.resolve()) if models_dir else '',
            'backend': backend or '',
            'frozen_timeout_s': frozen_timeout_s,
            'image_transport': transport,
        }
        self._recorder_parameters = {
            'output': str(out / 'demo.mcap'),
            'compression': 'zstd',
            'inputs': transport if record_inputs else 'none',
        }
        suffix = '/compressed' if player.compressed else ''
        self._image_topics = tuple(f'{side}/image_raw{suffix}' for side in ('left', 'right'))

    def run(self) -> dict[str, Any]:
        """Returns the player's report; raises MsdesisError where a process fails."""
        logs = self._out / 'logs'
        logs.mkdir(exist_ok=True)
        environment = _enter_private_domain()
        sent = logs / 'player.json'
        sent.unlink(missing_ok=True)
        children: list[Child] = []

        def start(module: str, parameters: dict[str, Any]) -> Child:
            name = module.rsplit('.', 1)[-1]
            child = Child(module, parameters, log=logs / f'{name}.log', environment=environment)
            children.append(child)
            return child

        try:
            start('msdesis_ros.ros.recorder', self._recorder_parameters)
            start('msdesis_ros.ros.stereo_endoscope', self._node_parameters)
            with _Watcher(self._image_topics) as watcher:
                _wait_for(watcher.graph_is_ready, children, START_LIMIT_S)
                player = start('msdesis_ros.ros.player', self._player.parameters(sent))
                self._follow(player, children, watcher)
        finally:
            # The recorder last, so that it hears everything.
            for child in reversed(children):
                child.stop()
        return json.loads(sent.read_text(encoding='utf-8'))

    def _follow(self, player: Child, children: list[Child], watcher: _Watcher) -> None:
        frames = self._player.frames
        limit_s = START_LIMIT_S + 2 * frames / self._player.rate_hz
        deadline_s = time.monotonic() + limit_s
        with Progress(disable=not sys.stdout.isatty(), transient=True) as progress:
            bar = progress.add_task('pairs', total=frames)
            while player.process.poll() is None:
                for child in children:
                    if child is not player:
                        child.require_running()
                if time.monotonic() > deadline_s:
                    raise MsdesisError(
                        f'{frames} pairs were not sent within {limit_s:.0f} s (log: {player.log})'
                    )
                watcher.spin()
                progress.update(bar, completed=watcher.results)
        if player.process.returncode != 0:
            raise MsdesisError(f'the player failed: {player.last_words()}')
        watcher.begin_to_wait()
        deadline_s = time.monotonic() + FINISH_LIMIT_S
        while not watcher.node_is_done() and time.monotonic() < deadline_s:
            for child in children:
                if child is not player:
                    child.require_running()
            watcher.spin()


class _Watcher:
    """Looks at the graph from the demo's own process.

    Ctrl-C is noted, and raised by `spin`: where it falls into a callback of rclpy, an exception of
    the signal's own may be lost there.
    """

    def __init__(self, image_topics: tuple[str, ...]) -> None:
        self._image_topics = image_topics
        self._interrupted = False
        self.results = 0
        self._last_s = time.monotonic()
        # As the node says of itself; None before it has.
        self._pairs_left: int | None = None

    def __enter__(self) -> _Watcher:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.signals import SignalHandlerOptions

        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._rclpy = rclpy
        self._node = rclpy.create_node('demo_watcher')
        self._node.create_subscription(DiagnosticArray, 'status', self._count, 10)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self._handler = signal.signal(signal.SIGINT, self._note_interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._handler)
        self._node.destroy_node()
        self._rclpy.try_shutdown()

    def _note_interrupt(self, *_: object) -> None:
        self._interrupted = True

    def _count(self, _: object) -> None:
        self.results += 1
        self._last_s = time.monotonic()

    def _hear(self, message: Any) -> None:
        values = {value.key: value.value for value in message.status[0].values}
        if 'paired' not in values:
            return
        dropped = sum(
            int(count)
            for name, count in values.items()
            if name.startswith('dropped.') and not name.endswith(('_left', '_right'))
        )
        begun = int(values['paired']) + int(values['alone_left'])
        self._pairs_left = max(0, begun - int(values['processed']) - dropped)

    def begin_to_wait(self) -> None:
        """All was sent: what the node said before does not count."""
        self._last_s = time.monotonic()
        self._pairs_left = None

    def node_is_done(self) -> bool:
        """No result has come for a while, and the node says that it has no pair left."""
        return time.monotonic() - self._last_s > QUIET_S and self._pairs_left == 0

    def spin(self) -> None:
        self._rclpy.spin_once(self._node, timeout_sec=0.1)
        if self._interrupted:
            raise KeyboardInterrupt

    def graph_is_ready(self) -> bool:
        """The node listens, and the recorder hears every result."""
        self.spin()
        return all(self._node.count_subscribers(topic) for topic in self._image_topics) and all(
            self._node.count_publishers(topic) and self._node.count_subscribers(topic)
            for topic in RESULT_TOPICS
        )


def _enter_private_domain() -> dict[str, str]:
    """Move this process into a ROS domain of its own; returns the environment of its children."""
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f'the demo needs ROS 2 ({error}): pip install "msdesis_ros[ros]", or source the '
            'set-up of your distribution first'
        ) from error
    from msdesis_ros.ros.domain import private_domain_id
    from msdesis_ros.ros.transport import child_environment, prepare_process

    os.environ['ROS_DOMAIN_ID'] = str(private_domain_id())
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    prepare_process()
    return child_environment()


def _wait_for(condition: Callable[[], bool], children: list[Child], limit_s: float) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        for child in children:
            child.require_running()
        if time.monotonic() > deadline_s:
            words = '; '.join(f'{child.name}: {child.last_words()}' for child in children)
            raise MsdesisError(
                f'the nodes did not find each other within {limit_s:.0f} s: {words}'
            )
