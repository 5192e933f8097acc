"""The `stereo_endoscope` lifecycle node: stereo pictures in, disparity, depth and surface out."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from msdesis_ros.core.errors import BackendError, MsdesisError
from msdesis_ros.core.health import StreamHealth
from msdesis_ros.core.quality import QualityLimits
from msdesis_ros.core.rig import AnyRig
from msdesis_ros.ros import parameters
from msdesis_ros.ros.inputs import StereoInputs
from msdesis_ros.ros.outputs import StereoOutputs
from msdesis_ros.ros.process import run
from msdesis_ros.ros.rectified_frame import StaticFrame, result_frame_id
from msdesis_ros.ros.reporter import Reporter
from msdesis_ros.ros.state_log import StateLog
from msdesis_ros.ros.sync import require_sync
from msdesis_ros.ros.worker import PerceptionWorker
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.factory import create_backend
from msdesis_ros.runtime.pipeline import PerceptionPipeline
from msdesis_ros.runtime.supervisor import SupervisedBackend

NODE_NAME = 'stereo_endoscope'
DIAGNOSTICS_PERIOD_S = 1.0

Transition = Callable[['StereoEndoscope', LifecycleState], None]


def transition(step: Transition) -> Callable[..., TransitionCallbackReturn]:
    """rclpy swallows what a transition raises: log the reason and answer FAILURE instead."""

    @functools.wraps(step)
    def guarded(node: StereoEndoscope, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            step(node, state)
        except Exception as failure:
            known = isinstance(failure, MsdesisError)
            reason = str(failure) if known else f'{type(failure).__name__}: {failure}'
            node.get_logger().error(f'{step.__name__.removeprefix("on_")} failed: {reason}')
            try:
                node.undo(step.__name__)
            except Exception as second:  # the first reason is the one to act on
                node.get_logger().error(f'taking it back failed too: {second!r}')
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    return guarded


class StereoEndoscope(LifecycleNode):
    """Configure loads the model, activate joins the graph, deactivate leaves it, cleanup frees.

    `make_backend` is `runtime.factory.create_backend` unless a test brings its own.
    `transport_warnings` are sentences about the process' DDS settings, kept in the diagnostics.
    """

    def __init__(
        self,
        *,
        make_backend: Callable[..., Backend] = create_backend,
        transport_warnings: tuple[str, ...] = (),
        **node_arguments: Any,
    ) -> None:
        super().__init__(NODE_NAME, **node_arguments)
        self._make_backend = make_backend
        self._chosen: parameters.NodeParameters | None = None
        self._backend: SupervisedBackend | None = None
        self._pipeline: PerceptionPipeline | None = None
        self._inputs: StereoInputs | None = None
        self._outputs: StereoOutputs | None = None
        self._worker: PerceptionWorker | None = None
        self._left_behind: PerceptionWorker | None = None
        self._static_frame: StaticFrame | None = None
        self._timer: Any = None
        self._health = StreamHealth()
        self._phase = 'unconfigured'
        self._log = StateLog(self.get_logger())
        self._reporter = Reporter(self, self._log, standing_warnings=transport_warnings)
        self._frame_warning = ''
        self.add_on_set_parameters_callback(self._judge_parameters)
        if hasattr(self, 'add_post_set_parameters_callback'):  # not in Humble: see _tick
            self.add_post_set_parameters_callback(self._apply_parameters)

    @transition
    def on_configure(self, state: LifecycleState) -> None:
        parameters.declare(self)
        self._chosen = parameters.read(self)
        chosen = self._chosen
        require_sync(chosen.sync)
        make = functools.partial(
            self._make_backend,
            chosen.model,
            backend=chosen.backend or None,
            threads=chosen.threads or None,
            models_dir=Path(chosen.models_dir) if chosen.models_dir else None,
            build_engine=chosen.build_engine,
        )
        self._backend = SupervisedBackend(make, max_failures=chosen.max_backend_failures)
        self._pipeline = PerceptionPipeline(
            self._backend,
            alpha=chosen.alpha,
            limits=QualityLimits(frozen_timeout_s=chosen.frozen_timeout_s),
        )
        self._health = StreamHealth()
        self._reporter.open()
        # Not the node's clock: simulated time may stand still, or never begin.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(DIAGNOSTICS_PERIOD_S, self._tick, clock=steady)
        self._enter('inactive')

    @transition
    def on_activate(self, state: LifecycleState) -> None:
        assert self._chosen and self._pipeline and self._backend
        if self.held_up:
            # Two threads in one backend could swap their pictures.
            raise BackendError(
                'the backend is still busy with a frame from before the node was deactivated; '
                'activate again when it is done'
            )
        self._left_behind = None
        self._chosen = parameters.read(self)
        chosen = self._chosen
        require_sync(chosen.sync)
        self._outputs = StereoOutputs(self, heads=self._backend.heads)
        self._static_frame = StaticFrame(self)
        self._pipeline.monitor.reset()
        self._worker = PerceptionWorker(
            self,
            self._pipeline,
            self._outputs,
            self._health,
            frame_id=chosen.frame_id,
            alignment_period_s=chosen.alignment_period_s,
            on_event=self._log.note,
        )
        self._inputs = StereoInputs(
            self,
            chosen,
            self._health,
            heads=self._backend.heads,
            on_job=self._worker.submit,
            on_rig=self._on_rig,
            on_time_reset=self._on_time_reset,
        )
        self._apply_live(chosen)
        self._worker.start()
        super().on_activate(state)
        self._enter('active')

    @transition
    def on_deactivate(self, state: LifecycleState) -> None:
        self._leave_graph()
        super().on_deactivate(state)
        self._enter('inactive')

    @transition
    def on_cleanup(self, state: LifecycleState) -> None:
        self._release()
        self._enter('unconfigured')

    @transition
    def on_shutdown(self, state: LifecycleState) -> None:
        self._release()
        self._enter('finalized')

    @transition
    def on_error(self, state: LifecycleState) -> None:
        self._release()
        self._enter('unconfigured')

    def destroy_node(self) -> None:
        self._release()
        super().destroy_node()

    @property
    def held_up(self) -> bool:
        """Whether a thread is still inside the backend, although the node has left the graph."""
        return self._left_behind is not None and self._left_behind.held_up

    def autostart(self) -> None:
        """Configure and activate now if the parameter `autostart` says so."""
        spec = parameters.AUTOSTART
        if not self.declare_parameter('autostart', spec.default).value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def undo(self, step: str) -> None:
        """Take back what a failed transition (`on_configure`, ...) had done so far."""
        if step == 'on_configure':
            self._release()
        elif step == 'on_activate':
            self._leave_graph()

    def _leave_graph(self) -> None:
        for part in (self._inputs, self._static_frame):
            if part is not None:
                part.destroy()
        stopped = self._worker is None or self._worker.stop()
        if self._outputs is not None:
            self._outputs.destroy()
        if not stopped:
            self._left_behind = self._worker
            self.get_logger().warning('the backend was still busy; its last frame is discarded')
        self._inputs = self._worker = self._outputs = self._static_frame = None

    def _release(self) -> None:
        self._leave_graph()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        self._reporter.close()
        if self._backend is not None:
            self._backend.close()
        self._backend = self._pipeline = self._chosen = None

    def _on_rig(self, rig: AnyRig | None, problem: str) -> None:
        if self._inputs is None or not self._inputs.tracker.awaits_first:
            # One eye speaks before the other: that is a state only when it lasts, see _tick.
            self._log.note('calibration', problem)
        if rig is None or self._worker is None or self._static_frame is None:
            return
        override = self._chosen.frame_id if self._chosen else ''
        frame_id = result_frame_id(rig, override=override)
        self._frame_warning = self._static_frame.announce(rig, frame_id)
        for sentence in (*rig.warnings, self._frame_warning):
            if sentence:
                self.get_logger().warning(sentence)
        self.get_logger().info(f'rig: {rig.summary}, results in frame {frame_id}')
        self._worker.prepare(rig)

    def _on_time_reset(self) -> None:
        self.get_logger().warning('time went backwards (a bag restarted?): pairing starts anew')
        if self._worker is not None:
            self._worker.forget_stream()

    def _enter(self, state: str) -> None:
        self._phase = state
        problem = self._inputs.tracker.problem if self._inputs is not None else ''
        self._log.clear(calibration=problem)
        self.get_logger().info(state)
        self._publish_diagnostics()

    def _judge_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        return parameters.judge_change(changes, active=self._phase == 'active')

    def _apply_parameters(self, changes: list[Parameter]) -> None:
        if self._chosen is not None and self._phase == 'active':
            self._apply_live(parameters.read(self))

    def _apply_live(self, chosen: parameters.NodeParameters) -> None:
        """Hand on what may change while the node is active."""
        assert self._outputs and self._worker
        self._outputs.point_stride = chosen.point_stride
        self._outputs.disparity_invalid = chosen.disparity_invalid
        red, green, blue = chosen.tool_color
        self._outputs.tool_colour = (red, green, blue)
        self._worker.alignment_period_s = chosen.alignment_period_s

    def _tick(self) -> None:
        try:
            self._apply_parameters([])
            if self._inputs is not None:
                self._inputs.tick()
                self._log.note('calibration', self._inputs.tracker.problem)
                self._log.note('input', self._inputs.silence())
            self._publish_diagnostics()
            self._log.note('diagnostics', '')
        except Exception as failure:
            self._log.note(
                'diagnostics', f'diagnostics failed: {type(failure).__name__}: {failure}'
            )

    def _publish_diagnostics(self) -> None:
        self._reporter.publish(
            self._phase,
            self._health,
            backend=self._backend,
            inputs=self._inputs,
            worker=self._worker,
            frame_warning=self._frame_warning,
        )


def main(
    args: list[str] | None = None, *, make_backend: Callable[..., Backend] = create_backend
) -> int:
    """The executable `stereo_endoscope`; returns the exit code."""

    def make_node(**arguments: Any) -> StereoEndoscope:
        node = StereoEndoscope(make_backend=make_backend, **arguments)
        node.autostart()
        return node

    return run(make_node, args)


if __name__ == '__main__':
    sys.exit(main())
