"""Our executables as processes in a ROS domain of their own: started, watched, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msdesis_ros.core.errors import MissingExtraError, MsdesisError

START_LIMIT_S = 60.0
STOP_LIMIT_S = 15.0


class Child:
    """One of our executables as a process, with its output in a log file.

    namespace: where its topics are, such as `/openvino`; empty = where those of this process are.
    """

    def __init__(
        self,
        module: str,
        parameters: dict[str, Any],
        *,
        log: Path,
        environment: dict[str, str],
        namespace: str = '',
    ) -> None:
        executable = module.rsplit('.', 1)[-1]
        self.name = f'{executable} in {namespace}' if namespace else executable
        self.log = log
        arguments = ['--ros-args']
        if namespace:
            arguments += ['-r', f'__ns:={namespace}']
        for name, value in parameters.items():
            arguments += ['-p', f'{name}:={json.dumps(value)}']
        with log.open('wb') as file:
            self.process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                # A Ctrl-C belongs to the parent, which then stops its children in order.
                start_new_session=True,
            )

    def require_running(self) -> None:
        """Raise MsdesisError with the last words of a process that has ended."""
        if self.process.poll() is not None:
            raise MsdesisError(f'{self.name} ended early: {self.last_words()}')

    def last_words(self) -> str:
        """The last line of the log, and where the log is."""
        lines = self._lines()
        text = lines[-1] if lines else f'it said nothing (exit code {self.process.returncode})'
        return self._quoted(text)

    def first_error(self) -> str:
        """The first error in the log, and where the log is; empty where there is none."""
        errors = (line for line in self._lines() if line.startswith(('[ERROR]', '[FATAL]')))
        return self._quoted(error) if (error := next(errors, '')) else ''

    def _lines(self) -> list[str]:
        return [line for line in self.log.read_text(errors='replace').splitlines() if line]

    def _quoted(self, line: str) -> str:
        # rclpy writes [LEVEL] [time] [node]: sentence
        return f'{line.split("]: ", 1)[-1]} (log: {self.log})'

    def stop(self) -> None:
        """SIGINT, and SIGKILL where that does not help."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class GraphView:
    """This process in the graph while the block lasts: nodes of its own, one served at a time.

    Ctrl-C is noted, and raised by `spin`: where it falls into a callback of rclpy, an exception of
    the signal's own may be lost there.
    """

    def __init__(self) -> None:
        self._interrupted = False
        self._nodes: list[Any] = []

    def __enter__(self) -> GraphView:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._rclpy = rclpy
        self._executor = SingleThreadedExecutor()
        self._handler = signal.signal(signal.SIGINT, self._note_interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._handler)
        self._executor.shutdown()
        for node in self._nodes:
            node.destroy_node()
        self._rclpy.try_shutdown()

    def make_node(self, name: str, *, namespace: str = '') -> Any:
        """A node; its callbacks run while it is served."""
        node = self._rclpy.create_node(name, namespace=namespace)
        self._nodes.append(node)
        return node

    def serve(self, node: Any) -> None:
        """From now on `spin` runs the callbacks of this node, and of no other."""
        for other in self._executor.get_nodes():
            self._executor.remove_node(other)
        self._executor.add_node(node)

    def spin(self) -> None:
        """Run one callback, or wait 0.1 s for one; KeyboardInterrupt after a Ctrl-C."""
        self._executor.spin_once(timeout_sec=0.1)
        if self._interrupted:
            raise KeyboardInterrupt

    def _note_interrupt(self, *_: object) -> None:
        self._interrupted = True


def enter_private_domain(command: str) -> dict[str, str]:
    """Move this process into a ROS domain of its own; returns the environment of its children.

    command: who needs it, such as `the demo`, for the MissingExtraError where there is no ROS.
    """
    try:
        import rclpy  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f'{command} needs ROS 2 ({error}): pip install "msdesis_ros[ros]", or source the '
            'set-up of your distribution first'
        ) from error
    from msdesis_ros.ros.domain import private_domain_id
    from msdesis_ros.ros.transport import child_environment, prepare_process

    os.environ['ROS_DOMAIN_ID'] = str(private_domain_id())
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    prepare_process()
    return child_environment()


def wait_until(
    condition: Callable[[], bool],
    *,
    spin: Callable[[], None],
    children: Sequence[Child],
    limit_s: float,
) -> bool:
    """Spin until the condition holds; False where the time is over before.

    Raises MsdesisError where one of the children ends meanwhile.
    """
    deadline_s = time.monotonic() + limit_s
    while not condition():
        for child in children:
            child.require_running()
        if time.monotonic() > deadline_s:
            return False
        spin()
    return True


def wait_for_player(
    player: Child,
    *,
    frames: int,
    rate_hz: float,
    spin: Callable[[], None],
    children: Sequence[Child],
) -> None:
    """Spin until the player has sent its `frames` pairs.

    Raises MsdesisError where it fails or takes far too long, or one of the children ends.
    """
    limit_s = START_LIMIT_S + 2 * frames / rate_hz
    others = [child for child in children if child is not player]
    ended = wait_until(
        lambda: player.process.poll() is not None, spin=spin, children=others, limit_s=limit_s
    )
    if not ended:
        raise MsdesisError(
            f'{frames} pairs were not sent within {limit_s:.0f} s (log: {player.log})'
        )
    if player.process.returncode != 0:
        raise MsdesisError(f'the player failed: {player.last_words()}')
