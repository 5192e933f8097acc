"""Parameters as a table: declared with description and range, refused with one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node

from msdesis_ros.core.errors import UsageError


@dataclass(frozen=True)
class Spec:
    """One parameter: default, what it is for, its range or its choices.

    `live`: may change while the node is active; others take effect on the next configure.
    """

    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False


def declare_all(node: Node, specs: Mapping[str, Spec]) -> dict[str, Any]:
    """Declare every parameter and return the start values; UsageError for one that is wrong."""
    values = {}
    for name, spec in specs.items():
        try:
            value = node.declare_parameter(name, spec.default, descriptor(spec)).value
        except ParameterException as error:
            raise UsageError(f'parameter {name}: {error}{_expected(spec)}') from error
        reason = reason_against(name, value, spec)
        if reason:
            raise UsageError(reason)
        values[name] = value
    return values


def reason_against(name: str, value: Any, spec: Spec) -> str:
    """Why a value is not allowed, or an empty string."""
    if isinstance(spec.default, list) and spec.low is not None:
        return _reason_against_list(name, value, spec)
    if spec.choices and value not in spec.choices:
        return f'parameter {name} is {value!r}; choose one of {_listing(spec.choices)}'
    if spec.low is None or spec.high is None:
        return ''
    if not isinstance(value, (int, float)) or not spec.low <= value <= spec.high:
        return f'parameter {name} is {value}; it must lie in {spec.low:g} .. {spec.high:g}'
    return ''


def _reason_against_list(name: str, value: Any, spec: Spec) -> str:
    """The same for a list of as many numbers as the default has, each in the range."""
    count = len(spec.default)
    good = len(value) == count and all(spec.low <= number <= spec.high for number in value)
    if good:
        return ''
    return (
        f'parameter {name} is {list(value)}; it must be {count} numbers, each in '
        f'{spec.low:g} .. {spec.high:g}'
    )


def descriptor(spec: Spec) -> ParameterDescriptor:
    """The descriptor that `ros2 param describe` shows."""
    made = ParameterDescriptor(description=spec.description)
    if spec.choices:
        made.additional_constraints = f'one of: {_listing(spec.choices)}'
    if spec.low is None or spec.high is None or isinstance(spec.default, list):
        return made
    if isinstance(spec.default, int):
        limits = IntegerRange(from_value=int(spec.low), to_value=int(spec.high), step=0)
        made.integer_range = [limits]
    else:
        span = FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high), step=0.0)
        made.floating_point_range = [span]
    return made


def _listing(choices: tuple[str, ...]) -> str:
    return ', '.join(choice or "'' (empty)" for choice in choices)


def _expected(spec: Spec) -> str:
    """What to give instead; rclpy names neither the range nor the cure for `rate:=10`."""
    if spec.low is not None and spec.high is not None:
        point = ', written with a decimal point' if isinstance(spec.default, float) else ''
        return f'; expected a number in {spec.low:g} .. {spec.high:g}{point}'
    return ''
