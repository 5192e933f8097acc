"""Messages as CDR bytes that depend on nothing but the message.

The serialiser of the middleware leaves between and behind the fields whatever was in memory, so
that equal messages differ in their bytes. Here these gaps are zero. What comes out is plain CDR
(little endian), which every ROS 2 reads.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.ros.message_definition import message_type

_ENCAPSULATION = b'\x00\x01\x00\x00'
# What generated Python code calls a basic type -> how it is written.
_BASIC = {
    'boolean': '?',
    'octet': 'B',
    'char': 'B',
    'int8': 'b',
    'uint8': 'B',
    'int16': 'h',
    'uint16': 'H',
    'int32': 'i',
    'uint32': 'I',
    'int64': 'q',
    'uint64': 'Q',
    'float': 'f',
    'double': 'd',
}
_SEQUENCE = re.compile(r'sequence<(?P<element>.+?)(?:, \d+)?>')
_ARRAY = re.compile(r'(?P<element>.+)\[\d+\]')
_STRING = re.compile(r'string(<\d+>)?')

_Write = Callable[[bytearray, Any], None]


def serialize(message: Any) -> bytes:
    """The CDR bytes of a ROS message: equal messages, equal bytes.

    Raises UsageError for a message with a field of a type that no message here has (wstring).
    """
    body = bytearray()
    kind: Any = type(message)
    _writer_of(kind)(body, message)
    return _ENCAPSULATION + bytes(body)


@functools.cache
def _writer_of(message_class: Any) -> _Write:
    fields = [
        (name, _writer(kind)) for name, kind in message_class.get_fields_and_field_types().items()
    ]

    def write(body: bytearray, message: Any) -> None:
        for name, write_field in fields:
            write_field(body, getattr(message, name))

    return write


def _writer(kind: str) -> _Write:
    """How a field of this type is appended to what is written already."""
    if match := _SEQUENCE.fullmatch(kind):
        return _several(match['element'], counted=True)
    if match := _ARRAY.fullmatch(kind):
        return _several(match['element'], counted=False)
    if _STRING.fullmatch(kind):
        return _write_string
    if kind in _BASIC:
        return functools.partial(_write_basic, struct.Struct(f'<{_BASIC[kind]}'))
    if kind.count('/') == 1:
        package, short = kind.split('/')
        return _writer_of(message_type(f'{package}/msg/{short}'))
    raise UsageError(f'fields of type {kind} cannot be serialised')


def _several(element: str, *, counted: bool) -> _Write:
    if element in _BASIC:
        dtype = np.dtype(f'<{_BASIC[element]}')
        write_all: _Write = functools.partial(_write_numbers, dtype)
    else:
        write_one = _writer(element)

        def write_all(body: bytearray, values: Any) -> None:
            for value in values:
                write_one(body, value)

    def write(body: bytearray, values: Any) -> None:
        if counted:
            _write_basic(_COUNT, body, len(values))
        write_all(body, values)

    return write


_COUNT = struct.Struct('<I')


def _align(body: bytearray, size: int) -> None:
    body += bytes(-len(body) % size)


def _write_basic(form: struct.Struct, body: bytearray, value: Any) -> None:
    _align(body, form.size)
    body += form.pack(value[0] if isinstance(value, bytes) else value)


def _write_numbers(dtype: np.dtype[Any], body: bytearray, values: Any) -> None:
    if len(values) == 0:
        return
    _align(body, dtype.itemsize)
    if isinstance(values, list) and isinstance(values[0], bytes):
        values = b''.join(values)
    if isinstance(values, bytes):
        body += values
    else:
        body += np.ascontiguousarray(np.asarray(values, dtype=dtype)).data.cast('B')


def _write_string(body: bytearray, text: str) -> None:
    encoded = text.encode() + b'\0'
    _write_basic(_COUNT, body, len(encoded))
    body += encoded
