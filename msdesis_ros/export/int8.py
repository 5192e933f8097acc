"""Convolutions in 8-bit integers, which some processors and GPUs multiply much faster."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.recipes import SourceRecipe
from msdesis_ros.export.silence import silenced

if TYPE_CHECKING:
    import onnx

T = TypeVar('T')
# Made-up pairs, where none are given, and their size for a graph for any.
SYNTHETIC = SourceRecipe('layered', 820_001, (640, 512))
# How many pairs are used of either, and the least that may be given.
PAIRS, LEAST_PAIRS = 10, 4


def with_int8_convolutions(
    model: onnx.ModelProto,
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    inputs: tuple[str, ...],
    in_float: tuple[str, ...],
) -> onnx.ModelProto:
    """Copy a graph so that its convolutions multiply 8-bit integers, all else stays float32.

    Written as pairs of QuantizeLinear and DequantizeLinear, symmetric, weights by output channel
    and biases in float, which is what TensorRT asks for; ONNX Runtime and OpenVINO take it too.
    pairs: (left, right), H x W x 3 uint8, on which the ranges of the numbers are measured;
    `inputs`: the names of those that the graph takes. in_float: names of weights, with * for
    anything, whose convolutions stay as they are. The same pairs give the same graph.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    left_alone = [
        node.name
        for node in model.graph.node
        if node.op_type == 'Conv'
        and any(fnmatchcase(node.input[1], f'network.{name}') for name in in_float)
    ]
    with tempfile.TemporaryDirectory(prefix='msdesis_int8_') as folder, silenced(None):
        # Through a file: of a model in memory the quantiser moves the weights out.
        before, path = Path(folder) / 'float.onnx', Path(folder) / 'int8.onnx'
        before.write_bytes(model.SerializeToString())
        quantize_static(
            before,
            path,
            _Reader(pairs, inputs),
            op_types_to_quantize=['Conv'],
            nodes_to_exclude=left_alone,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                'ActivationSymmetric': True,
                'WeightSymmetric': True,
                'QuantizeBias': False,
                # The mean of the pairs' least and greatest values: one odd pair widens no range.
                'CalibMovingAverage': True,
            },
        )
        return onnx.load(path)


def pairs_for(
    image_size: tuple[int, int] | None,
    given: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What to measure ranges on: (left, right), H x W x 3 uint8 each, or made-up ones;
    scaled to the size (width, height) that a graph takes, unless that is any.

    given: at most PAIRS are used, spread evenly. Raises UsageError for fewer than LEAST_PAIRS.
    """
    if given is None:
        chosen = list(_made_up(image_size))
    elif len(given) < LEAST_PAIRS:
        raise UsageError(f'{len(given)} pairs are too few for int8; give {LEAST_PAIRS} or more')
    else:
        chosen = spread_evenly(given)
    if image_size is None:
        return chosen
    return [
        tuple(cv2.resize(view, image_size, interpolation=cv2.INTER_AREA) for view in pair)
        for pair in chosen
    ]


def spread_evenly(given: Sequence[T]) -> list[T]:
    """At most PAIRS of them, from the first to the last."""
    numbers = np.linspace(0, len(given) - 1, min(PAIRS, len(given))).round().astype(int)
    return [given[number] for number in numbers]


def _made_up(image_size: tuple[int, int] | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """At least as large as SYNTHETIC: smaller scenes show hardly anything."""
    smallest = SYNTHETIC.image_size
    size = tuple(map(max, smallest, image_size or smallest))
    source = replace(SYNTHETIC, image_size=size).open()
    try:
        for index in range(PAIRS):
            frame = source.frame(index)
            yield frame.left, frame.right
    finally:
        source.close()


class _Reader:
    """Pairs as the quantiser asks for them, one after the other."""

    def __init__(
        self, pairs: Iterable[tuple[np.ndarray, np.ndarray]], inputs: tuple[str, ...]
    ) -> None:
        self._pairs, self._inputs = iter(pairs), inputs

    def get_next(self) -> dict[str, np.ndarray] | None:
        pair = next(self._pairs, None)
        if pair is None:
            return None
        return {name: view[None] for name, view in zip(self._inputs, pair, strict=False)}
