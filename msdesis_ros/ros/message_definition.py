"""The ros2msg text of a message type, from its Python class.

Recordings carry it. The class always matches the installed version of the message and is there in
every kind of installation, where `.msg` files are not; constants and comments, which decoding does
not need, are lost.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from msdesis_ros.core.errors import MissingExtraError, UsageError

# What generated Python code calls the basic types, where that differs from .msg files.
_BASIC = {'boolean': 'bool', 'octet': 'byte', 'float': 'float32', 'double': 'float64'}
_SEPARATOR = '=' * 80
_SEQUENCE = re.compile(r'sequence<(?P<element>.+?)(?:, (?P<limit>\d+))?>')
_ARRAY = re.compile(r'(?P<element>.+)\[(?P<length>\d+)\]')
_STRING = re.compile(r'(?P<kind>w?string)<(?P<limit>\d+)>')


def type_name(message_type: type) -> str:
    """The full name, such as `sensor_msgs/msg/Image`."""
    package = message_type.__module__.split('.')[0]
    return f'{package}/msg/{message_type.__name__}'


def message_type(name: str) -> Any:
    """The class of `package/msg/Type`; MissingExtraError where the package is not installed."""
    parts = name.split('/')
    if len(parts) != 3 or parts[1] != 'msg':
        raise UsageError(f"'{name}' is no message type; expected package/msg/Type")
    try:
        return getattr(importlib.import_module(f'{parts[0]}.msg'), parts[2])
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(
            f'the message type {name} is not installed ({error}); install the package {parts[0]}'
        ) from error


def message_definition(message_type: type) -> str:
    """Its fields, then those of every type it contains: the `ros2msg` encoding of MCAP."""
    definitions: dict[str, str] = {}
    _collect(message_type, definitions)
    (_, top), *rest = definitions.items()
    return '\n'.join([top, *(f'{_SEPARATOR}\nMSG: {name}\n{text}' for name, text in rest)])


def _collect(message_class: Any, definitions: dict[str, str]) -> None:
    """Add a type and all it contains; a dictionary keeps the order."""
    package, _, short = type_name(message_class).split('/')
    key = f'{package}/{short}'
    if key in definitions:
        return
    fields = [
        (field, *_translate(kind))
        for field, kind in message_class.get_fields_and_field_types().items()
    ]
    definitions[key] = ''.join(f'{kind}{suffix} {field}\n' for field, kind, suffix in fields)
    for _, kind, _ in fields:
        if '/' in kind:
            package, short = kind.split('/')
            _collect(message_type(f'{package}/msg/{short}'), definitions)


def _translate(kind: str) -> tuple[str, str]:
    """The .msg name of a field's type, and its array suffix."""
    suffix = ''
    if match := _SEQUENCE.fullmatch(kind):
        kind, suffix = match['element'], f'[<={match["limit"]}]' if match['limit'] else '[]'
    elif match := _ARRAY.fullmatch(kind):
        kind, suffix = match['element'], f'[{match["length"]}]'
    if match := _STRING.fullmatch(kind):
        kind = f'{match["kind"]}<={match["limit"]}'
    return _BASIC.get(kind, kind), suffix
