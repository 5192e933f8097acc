"""The common main of our executables: prepare, spin until told to stop, leave cleanly."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
import rclpy.executors
from rclpy.exceptions import ParameterException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.ros.transport import prepare_process

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
STOP_WITHIN_S = 2.0
# A further signal within this time is the same wish, come by another way.
ECHO_S = 0.3
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What a wrong command line raises: arguments, then parameter types and ranges.
_USAGE_ERRORS = (UsageError, ParameterException, rclpy_implementation.UnknownROSArgsError)


def run(
    node_factory: Callable[..., Any],
    args: Sequence[str] | None = None,
    *,
    stop_within_s: float = STOP_WITHIN_S,
) -> int:
    """Spin the node until SIGINT, SIGTERM or its own end; returns the exit code of the process.

    `node_factory(transport_warnings=...)` makes the node; the warnings are sentences about the
    transport, which are logged here as well. A node ends itself by setting its attribute
    `exit_code` (None while it runs) in a callback. It lets go of everything in `destroy_node()`;
    where a thread is then still inside a library, `held_up` is true and the process ends at once.
    After a signal that has to be done within `stop_within_s`, or the process leaves without it; a
    second signal that is no echo of the first ends it at once. MsdesisError becomes one sentence
    on the log and exit code 1, wrong use 2. Must be called from the main thread; args: the
    command line without the program's name.
    """
    report = prepare_process()
    logger = get_logger(os.path.basename(sys.argv[0]) or 'msdesis_ros')
    try:
        with _StopOnSignal(stop_within_s) as stop:
            _init(args)
            node = node_factory(transport_warnings=report.warnings)
            logger = node.get_logger()
            for warning in report.warnings:
                logger.warning(warning)
            if report.stale_bytes:
                logger.info(
                    f'freed {report.stale_bytes >> 20} MiB of shared memory that processes left '
                    'behind when they were killed'
                )
            try:
                _spin(node, stop)
            finally:
                node.destroy_node()
            code = int(getattr(node, 'exit_code', None) or EXIT_OK)
            if getattr(node, 'held_up', False):
                _leave_at_once(code)
            return code
    except _USAGE_ERRORS as error:
        logger.fatal(_sentence(error))
        return EXIT_USAGE
    except MsdesisError as error:
        logger.fatal(_sentence(error))
        return EXIT_FAILED
    finally:
        rclpy.try_shutdown()


def _leave_at_once(code: int) -> None:
    """End the process without taking the interpreter apart.

    Python ends a thread that comes back from a library meanwhile, and in the midst of C++ that
    aborts the process.
    """
    rclpy.try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _init(args: Sequence[str] | None) -> None:
    """Initialise rclpy; UsageError for a command line that ROS or we do not understand."""
    given = None if args is None else list(args)
    try:
        rclpy.init(args=given, signal_handler_options=SignalHandlerOptions.NO)
    except rclpy_implementation.RCLError as error:
        # What follows the comma is the place in the sources of rcl.
        raise UsageError(f'ROS did not start: {str(error).split(", at /")[0]}') from error
    unknown = remove_ros_args(list(sys.argv if args is None else args))[int(args is None) :]
    if unknown:
        raise UsageError(
            f"unknown argument '{unknown[0]}'; parameters are given as --ros-args -p name:=value"
        )


def _spin(node: Any, stop: _StopOnSignal) -> None:
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    stop.wake = lambda: executor.create_task(_nothing)
    try:
        # Without a timeout: rclpy makes a timer for each wait that has one.
        while rclpy.ok() and not stop.requested and getattr(node, 'exit_code', None) is None:
            executor.spin_once()
    finally:
        stop.wake = _nothing
        executor.shutdown(timeout_sec=0.5)


def _nothing() -> None:
    pass


def _sentence(error: Exception) -> str:
    """One line, whatever the exception says."""
    return ' '.join(str(error).split())


class _StopOnSignal:
    """Turns SIGINT and SIGTERM into `requested`, even while the main thread is busy or waiting.

    rclpy's own handlers shut the context down before the node could say anything; a Python handler
    alone runs only when the main thread does, and that may wait in the executor for ever. So the
    interpreter writes each signal into a pipe, and a thread reads it.
    """

    def __init__(self, stop_within_s: float) -> None:
        self.requested = False
        self.wake: Callable[[], Any] = _nothing
        self._stop_within_s = stop_within_s
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._watcher = threading.Thread(target=self._watch, name='stop-on-signal', daemon=True)

    def __enter__(self) -> _StopOnSignal:
        self._old_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        # The handlers have nothing left to do, but without one the signal would end the process.
        self._old = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            # Once told to stop, the process is leaving: an echo must not end it uncleanly.
            signal.signal(number, signal.SIG_IGN if self.requested else handler)
        signal.set_wakeup_fd(self._old_fd)
        os.close(self._write)
        self._watcher.join()
        os.close(self._read)

    def _watch(self) -> None:
        """Wait for a signal; then for the end of the pipe, which means that all is done."""
        if not self._next_signal(None):
            return
        self.requested = True
        self.wake()
        began_s = time.monotonic()
        waited_s = 0.0
        # `ros2 launch` signals children that the terminal, or its own caller, has signalled too.
        while waited_s <= ECHO_S:
            if not self._next_signal(max(0.0, self._stop_within_s - waited_s)):
                return
            waited_s = time.monotonic() - began_s
        sys.stderr.write('a second signal, or no end in time: leaving without cleaning up\n')
        sys.stderr.flush()
        os._exit(EXIT_FAILED)

    def _next_signal(self, timeout_s: float | None) -> bool:
        """Whether a signal came or the time is over; False at the end of the pipe."""
        ready, _, _ = select.select([self._read], [], [], timeout_s)
        return not ready or bool(os.read(self._read, 1))
