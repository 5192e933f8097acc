"""The parameters of the `stereo_endoscope` node: declared, described and ranged here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from msdesis_ros.core.errors import UsageError
from msdesis_ros.ros.declared import Spec, declare_all, reason_against
from msdesis_ros.ros.sync import SYNC
from msdesis_ros.runtime.cards import DEFAULT_MODEL

SPECS: dict[str, Spec] = {
    'model': Spec(DEFAULT_MODEL, 'Model card to run (see: msdesis models list).'),
    'backend': Spec('', 'Backend that runs the model; empty = the default of the card.'),
    'models_dir': Spec('', 'Folder of further model cards; empty = the cards that are installed.'),
    'threads': Spec(0, 'CPU threads of the backend; 0 = its own choice.', 0, 256),
    'build_engine': Spec(
        False,
        'With TensorRT: compile a missing engine on configure, which takes minutes; otherwise '
        'that is an error.',
    ),
    'rectified': Spec(False, 'The pictures arrive rectified: use P only, apply no maps.'),
    'alpha': Spec(
        -1.0,
        'Field of view of the rectified picture: -1 as calibrated, 0 only pixels with a source '
        'in both pictures, 1 all source pixels.',
        -1.0,
        1.0,
    ),
    'max_skew_ms': Spec(10.0, 'Largest difference of left and right stamp, ms.', 0.0, 1000.0),
    'queue_size': Spec(10, 'Pictures of one side that may wait for their partner.', 2, 100),
    'sync': Spec('builtin', 'What pairs the pictures by stamp.', choices=SYNC),
    'image_transport': Spec(
        'raw',
        'Transport of the input pictures: raw, or compressed (JPEG or PNG).',
        choices=('raw', 'compressed'),
    ),
    'reliability': Spec(
        'best_effort',
        'Reliability asked of the input pictures.',
        choices=('best_effort', 'reliable'),
    ),
    'frame_id': Spec('', 'Frame of the results; empty = the rectified left optical frame.'),
    'disparity_invalid': Spec(
        'min_minus_one',
        'How DisparityImage marks invalid pixels.',
        choices=('min_minus_one', 'nan'),
        live=True,
    ),
    'point_stride': Spec(1, 'Keep every n-th row and column of the cloud.', 1, 64, live=True),
    'tool_color': Spec(
        [0, 255, 255],
        'Red, green and blue that instruments are tinted with in points and overlay.',
        0,
        255,
        live=True,
    ),
    'frozen_timeout_s': Spec(
        2.0,
        'A picture that has not changed for so long makes the pair INVALID; 0 = DEGRADED only.',
        0.0,
        3600.0,
    ),
    'alignment_period_s': Spec(
        10.0,
        'How often the vertical offset of the views is measured on their content; 0 = never.',
        0.0,
        3600.0,
        live=True,
    ),
    'max_backend_failures': Spec(
        5, 'Failures in a row after which the backend is restarted, once.', 1, 1000
    ),
}
# Read when the process starts, before any transition; all others are declared on configure.
AUTOSTART = Spec(False, 'Configure and activate as soon as the process has started.')


@dataclass(frozen=True)
class NodeParameters:
    """The values read on configure, one field for each entry of SPECS."""

    model: str
    backend: str
    models_dir: str
    threads: int
    build_engine: bool
    rectified: bool
    alpha: float
    max_skew_ms: float
    queue_size: int
    sync: str
    image_transport: str
    reliability: str
    frame_id: str
    disparity_invalid: str
    point_stride: int
    tool_color: tuple[int, int, int]
    frozen_timeout_s: float
    alignment_period_s: float
    max_backend_failures: int


def declare(node: Node) -> None:
    """Declare what is not declared yet; raise UsageError for a start value out of its range."""
    declare_all(node, {name: s for name, s in SPECS.items() if not node.has_parameter(name)})


def read(node: Node) -> NodeParameters:
    """The current values; UsageError for one that is not allowed."""
    for name, spec in SPECS.items():
        reason = _reason(name, node.get_parameter(name).value, spec)
        if reason:
            raise UsageError(reason)
    names = [field.name for field in fields(NodeParameters)]
    return NodeParameters(**{name: node.get_parameter(name).value for name in names})


def judge_change(parameters: Iterable[Parameter], *, active: bool) -> SetParametersResult:
    """Whether a requested change may be made; the reason says the range or the way."""
    for parameter in parameters:
        spec = SPECS.get(parameter.name)
        if spec is None:
            continue
        reason = _reason(parameter.name, parameter.value, spec)
        if not reason and active and not spec.live:
            reason = (
                f'{parameter.name} cannot change while the node is active; deactivate and clean '
                'up first, then configure again'
            )
        if reason:
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def _reason(name: str, value: Any, spec: Spec) -> str:
    """Why a value is not allowed, or an empty string; `alpha` has a gap in its range."""
    reason = reason_against(name, value, spec)
    if not reason and name == 'alpha' and -1 < value < 0:
        return f'parameter alpha is {value}; it must be -1 or lie in 0 .. 1'
    return reason
