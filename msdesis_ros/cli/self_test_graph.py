"""A tiny network as the bytes of an ONNX file, to test ONNX Runtime without any model at hand.

ONNX files are protocol buffers. The few messages needed are written here by hand, so that the test
needs neither the `onnx` package nor a file. Field numbers: onnx.proto3 of the ONNX project.
"""

from __future__ import annotations

from collections.abc import Sequence

# Both are old enough for every ONNX Runtime the package accepts.
IR_VERSION, OPSET = 8, 13
FLOAT, UINT8 = 1, 2
ATTRIBUTE_INT, ATTRIBUTE_INTS = 2, 7


def mean_difference_graph() -> bytes:
    """Return a graph that follows the contract of the models: pictures in, one plane out.

    Inputs `left`, `right`: uint8 [1, H, W, 3]; output `disparity`: float32 [1, 1, H, W], the mean
    over the colours of left - right. Nothing about it is a disparity but the shape.
    """
    nodes = [
        _node('Cast', ['left'], 'left_float', _int_attribute('to', FLOAT)),
        _node('Cast', ['right'], 'right_float', _int_attribute('to', FLOAT)),
        _node('Sub', ['left_float', 'right_float'], 'difference'),
        _node(
            'ReduceMean',
            ['difference'],
            'mean',
            _ints_attribute('axes', [3]),
            _int_attribute('keepdims', 1),
        ),
        _node('Transpose', ['mean'], 'disparity', _ints_attribute('perm', [0, 3, 1, 2])),
    ]
    graph = b''.join(_message(1, node) for node in nodes)
    graph += _text(2, 'mean_difference')
    graph += _message(11, _value('left', UINT8, (1, 'H', 'W', 3)))
    graph += _message(11, _value('right', UINT8, (1, 'H', 'W', 3)))
    graph += _message(12, _value('disparity', FLOAT, (1, 1, 'H', 'W')))
    return _number(1, IR_VERSION) + _message(7, graph) + _message(8, _number(2, OPSET))


def _node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    names = b''.join(_text(1, name) for name in inputs) + _text(2, output)
    return names + _text(4, kind) + b''.join(_message(5, each) for each in attributes)


def _int_attribute(name: str, value: int) -> bytes:
    return _text(1, name) + _number(3, value) + _number(20, ATTRIBUTE_INT)


def _ints_attribute(name: str, values: Sequence[int]) -> bytes:
    return (
        _text(1, name)
        + b''.join(_number(8, value) for value in values)
        + _number(20, ATTRIBUTE_INTS)
    )


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    """A ValueInfoProto: a named tensor, whose sides are numbers or symbols."""
    sides = b''.join(
        _message(1, _text(2, side) if isinstance(side, str) else _number(1, side))
        for side in shape
    )
    tensor = _number(1, kind) + _message(2, sides)
    return _text(1, name) + _message(2, _message(1, tensor))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, the top bit set where more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
