"""Measure whether large images get from one process to another on this machine.

Two child processes in a private ROS domain do it (`transport_probe_nodes`), so that the caller
needs no rclpy, keeps its own environment, survives whatever the middleware does, and can end the
measurement at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.ros.domain import private_domain_id
from msdesis_ros.ros.transport import PROFILE_VARIABLES, TRANSPORTS_VARIABLE

# What a dVRK endoscope delivers.
RATE_HZ = 22.0
NODES_MODULE = 'msdesis_ros.ros.transport_probe_nodes'
# Start, discovery and warm-up of both processes; measured 1.5 s, given to a busy machine tenfold.
OVERHEAD_S = 15.0
TERMINATE_WITHIN_S = 2.0
# What would lead the probe out of its private domain, or ask for keys that nobody made for it.
FOREIGN_VARIABLES = ('ROS_DISCOVERY_SERVER', 'ROS_STATIC_PEERS', 'ROS_SECURITY_ENABLE')


@dataclass(frozen=True)
class TransportProbe:
    """What one measurement found.

    sent, received: images after the warm-up. rate_hz: as the sender kept it. p50_ms, p95_ms: from
    before `publish` to the callback, None where nothing arrived. matched: the two processes found
    each other. rmw: the RMW implementation.
    """

    sent: int
    received: int
    rate_hz: float
    p50_ms: float | None
    p95_ms: float | None
    matched: bool
    rmw: str

    @property
    def arrived(self) -> float:
        """The part of the images that arrived, 0 to 1."""
        return self.received / self.sent if self.sent else 0.0


def probe_transport(
    *, seconds: float = 3.0, prepared: bool = True, limit_s: float | None = None
) -> TransportProbe:
    """Send 1280x1024 rgb8 images at 22 Hz, best effort, for `seconds`, and count what arrives.

    prepared: with the transport settings of our executables; without, as a process that nobody
    told anything. Takes at most `limit_s` (default `seconds` + OVERHEAD_S) and 2 s more; no
    process outlives the call. Raises MsdesisError where the measurement itself fails.
    """
    command = [sys.executable, '-m', NODES_MODULE, 'receive', '--seconds', str(seconds)]
    if not prepared:
        command.append('--unprepared')
    environment = probe_environment(os.environ, domain=private_domain_id(), prepared=prepared)
    output = run_bounded(command, environment, limit_s=limit_s or seconds + OVERHEAD_S)
    return TransportProbe(**last_json(output))


def probe_environment(base: Mapping[str, str], *, domain: int, prepared: bool) -> dict[str, str]:
    """The environment of the children: `base` in a private domain of this machine."""
    environment = {name: value for name, value in base.items() if name not in FOREIGN_VARIABLES}
    if not prepared:
        for name in list(environment):
            if name in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE) or name.startswith('MALLOC_'):
                del environment[name]
    environment['ROS_DOMAIN_ID'] = str(domain)
    if not environment.get(TRANSPORTS_VARIABLE):
        # Transports of the user's choice may need another range: LARGE_DATA does.
        environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    return environment


def run_bounded(command: Sequence[str], environment: Mapping[str, str], *, limit_s: float) -> str:
    """Run a command to its end or to the limit; return what it printed.

    Neither it nor what it started is left when this returns or raises. Raises MsdesisError where
    it fails (with its last line) or is not done in time.
    """
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors='replace',
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise MsdesisError(f'it was not done within {limit_s:g} s and was ended') from None
    finally:
        _end_group(process)
    if process.returncode != 0:
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        how = (
            f'it was ended by signal {-process.returncode}'
            if process.returncode < 0
            else f'it ended with code {process.returncode}'
        )
        raise MsdesisError(f'{how}: {lines[-1]}' if lines else how)
    return output


def last_json(output: str) -> dict[str, Any]:
    """The last line that is a JSON object; a middleware may print lines of its own."""
    for line in reversed(output.splitlines()):
        if line.startswith('{'):
            with contextlib.suppress(ValueError):
                return json.loads(line)
    raise MsdesisError('it printed no result')


def _end_group(process: subprocess.Popen[str]) -> None:
    """End the process and its children: politely first, so that they free their shared memory."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Its session is its own, so the group holds nothing else.
        limit = time.monotonic() + TERMINATE_WITHIN_S
        left = _signal_group(process, number)
        while left and time.monotonic() < limit:
            time.sleep(0.02)
            left = _signal_group(process, 0)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _signal_group(process: subprocess.Popen[str], number: int) -> bool:
    """Send a signal (0: none) to the group; False where nobody is left in it."""
    process.poll()  # or a process that has ended would stay in it
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
