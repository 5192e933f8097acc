"""The `/diagnostics` of the node: what is wrong now, and the figures of every part."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from msdesis_ros.core.health import StreamHealth
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.ros.diagnostics import Finding, backend_findings, error, node_status, warn
from msdesis_ros.ros.inputs import StereoInputs
from msdesis_ros.ros.messages import diagnostic_array, make_header
from msdesis_ros.ros.state_log import StateLog
from msdesis_ros.ros.worker import PerceptionWorker
from msdesis_ros.runtime.supervisor import SupervisedBackend

NO_MODEL = ModelIdentity('none', None, 'none')
NO_CLOCK = (
    'use_sim_time is true, but no /clock has arrived: latencies are unknown; play the bag with '
    '--clock, or set use_sim_time:=false'
)


class Reporter:
    """Publishes the state of the node while it is open; what is wrong comes from the log.

    `standing_warnings` are sentences that hold as long as the process lives.
    """

    def __init__(self, node: Node, log: StateLog, *, standing_warnings: tuple[str, ...]) -> None:
        self._node = node
        self._log = log
        self._standing_warnings = standing_warnings
        self._publisher: Any = None

    def open(self) -> None:
        """Advertise `/diagnostics`."""
        self._publisher = self._node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def close(self) -> None:
        """Take it off the graph; closing again does nothing."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None

    def publish(
        self,
        phase: str,
        health: StreamHealth,
        *,
        backend: SupervisedBackend | None,
        inputs: StereoInputs | None,
        worker: PerceptionWorker | None,
        frame_warning: str,
    ) -> None:
        """Publish the state now; the parts that do not exist in this phase are None."""
        if self._publisher is None:
            return
        status = node_status(
            self._findings(backend, inputs, worker, frame_warning),
            node_name=self._node.get_fully_qualified_name(),
            state=phase,
            model=backend.identity if backend is not None else NO_MODEL,
            health=health.report(now_s=time.monotonic()),
            pairing=inputs.pairer.counters if inputs is not None else None,
            verdict=worker.last_verdict if worker is not None else None,
            figures=_figures(backend, inputs),
        )
        header = make_header(stamp_ns=self._node.get_clock().now().nanoseconds, frame_id='')
        self._publisher.publish(diagnostic_array([status], header))

    def _findings(
        self,
        backend: SupervisedBackend | None,
        inputs: StereoInputs | None,
        worker: PerceptionWorker | None,
        frame_warning: str,
    ) -> list[Finding]:
        findings = [error(sentence) for sentence in self._log.sentences()]
        if backend is not None:
            findings += backend_findings(backend)
        if worker is not None and worker.last_verdict is not None:
            findings += [warn(reason.sentence) for reason in worker.last_verdict.reasons]
        if inputs is not None and inputs.tracker.rig is not None:
            rig_warnings = (*inputs.tracker.rig.warnings, frame_warning)
            findings += [warn(sentence) for sentence in rig_warnings if sentence]
        if self._node.get_clock().now().nanoseconds == 0:
            findings.append(warn(NO_CLOCK))
        return findings + [warn(sentence) for sentence in self._standing_warnings]


def _figures(backend: SupervisedBackend | None, inputs: StereoInputs | None) -> dict[str, object]:
    figures: dict[str, object] = {}
    if backend is not None:
        figures['backend_failures'] = backend.failures
        figures['backend_restarts'] = backend.restarts
    if inputs is not None:
        figures['skew_limit_ms'] = f'{inputs.pairer.skew_limit_ns / 1e6:.3f}'
    return figures
