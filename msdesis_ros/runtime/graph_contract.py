"""What every network graph takes and gives, whichever program runs it.

A graph takes `left` and `right`, uint8 [1, H, W, 3] RGB, and gives float32 planes [1, 1, H, W]:
`disparity` in px, and where it has them `mask_logits` and `log_scale` (the logarithm of the scale
b of a Laplace distribution in px, whose standard deviation is sqrt(2) * b). A graph without a
disparity gives `mask_logits` alone, and may leave out `right`. Normalising, padding and cropping
are inside the graph, so nothing but pictures and planes crosses this border. H and W are numbers
(one size) or symbols (any size the card allows).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from msdesis_ros.core.errors import BackendError, ModelError
from msdesis_ros.runtime.backend import RawOutput

INPUTS = ('left', 'right')
OUTPUT_HEADS = {
    'disparity': 'disparity',
    'mask_logits': 'instrument_mask',
    'log_scale': 'uncertainty',
}
PICTURE_TYPE, PLANE_TYPE = 'tensor(uint8)', 'tensor(float)'


@dataclass(frozen=True)
class GraphNode:
    """One input or output of a graph; `shape` holds numbers, and anything else for a symbol."""

    name: str
    type: str
    shape: Sequence[Any]


@dataclass(frozen=True)
class GraphInterface:
    """A graph that follows the contract: its names in its order, and the size it is made for.

    `width`, `height`: px, None where symbolic.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    width: int | None
    height: int | None

    @property
    def heads(self) -> frozenset[str]:
        """The heads of the outputs."""
        return frozenset(OUTPUT_HEADS[name] for name in self.outputs)


def read_interface(
    inputs: Iterable[GraphNode], outputs: Iterable[GraphNode], *, model: str
) -> GraphInterface:
    """Check the inputs and outputs of a graph; ModelError, saying where, for one that differs."""
    takes = {node.name: node for node in inputs}
    gives = {node.name: node for node in outputs}
    wanted = INPUTS if 'right' in takes or 'mask_logits' not in gives else INPUTS[:1]
    if set(takes) != set(wanted):
        raise ModelError(f'{model} takes the inputs {_listed(takes)}; expected left, right')
    complete = 'disparity' in gives or set(gives) == {'mask_logits'}
    if not complete or not set(gives) <= set(OUTPUT_HEADS):
        raise ModelError(
            f'{model} gives the outputs {_listed(gives)}; expected disparity, and optionally '
            'mask_logits, log_scale; or mask_logits alone'
        )
    if 'disparity' in gives and 'right' not in takes:
        raise ModelError(f'{model} takes the inputs {_listed(takes)}; expected left, right')
    height: int | None = None
    width: int | None = None
    for node in (*takes.values(), *gives.values()):
        is_input = node.name in takes
        rows, columns = _sides(node, is_input, model)
        if not _agree((rows, columns), (height, width)):
            raise ModelError(
                f'{model}: {node.name} is {columns} wide and {rows} high where another input or '
                f'output is {width} x {height}; all must have the size of the pictures'
            )
        if is_input:  # an output may be declared loosely; its real shape is checked at each run
            height, width = height or rows, width or columns
    return GraphInterface(tuple(takes), tuple(gives), width=width, height=height)


def raw_output(
    planes: Mapping[str, np.ndarray], *, image_size: tuple[int, int], model: str
) -> RawOutput:
    """Turn the outputs of one run, by name, into a RawOutput for (width, height) pictures.

    Raises BackendError for a plane of another shape, and for NaN or infinity in one.
    """
    width, height = image_size
    checked = {
        name: _plane(name, array, (1, 1, height, width), model) for name, array in planes.items()
    }
    log_scale = checked.get('log_scale')
    return RawOutput(
        disparity_px=checked.get('disparity'),
        mask_logits=checked.get('mask_logits'),
        uncertainty_px=None if log_scale is None else _one_sigma_px(log_scale, model),
    )


def _sides(node: GraphNode, is_input: bool, model: str) -> tuple[int | None, int | None]:
    """(height, width) of one input or output, or ModelError."""
    kind = PICTURE_TYPE if is_input else PLANE_TYPE
    layout = (1, 'H', 'W', 3) if is_input else (1, 1, 'H', 'W')
    shape, wanted = _numbers(node.shape), _numbers(layout)
    if node.type != kind or len(shape) != 4 or not _agree(shape, wanted):
        raise ModelError(
            f'{model}: {node.name} is {node.type} {list(node.shape)}; '
            f'expected {kind} [{", ".join(map(str, layout))}]'
        )
    return (shape[1], shape[2]) if is_input else (shape[2], shape[3])


def _plane(name: str, array: np.ndarray, shape: tuple[int, ...], model: str) -> np.ndarray:
    if array.shape != shape:
        raise BackendError(
            f'{model} gave {name} with shape {array.shape}; '
            f'expected {shape}, the size of the pictures'
        )
    _require_finite(name, array, model)
    return array[0, 0]


def _one_sigma_px(log_scale: np.ndarray, model: str) -> np.ndarray:
    with np.errstate(over='ignore'):  # found and told in words on the next line
        sigma = np.exp(log_scale) * np.float32(math.sqrt(2.0))
    _require_finite('exp(log_scale)', sigma, model)
    return sigma


def _require_finite(name: str, array: np.ndarray, model: str) -> None:
    wrong = array.size - int(np.count_nonzero(np.isfinite(array)))
    if wrong:
        raise BackendError(
            f'{model} gave NaN or infinity in {wrong} of {array.size} values of '
            f'{name}; this frame has no result'
        )


def _numbers(shape: Sequence[Any]) -> tuple[int | None, ...]:
    """A shape with None in the place of its symbols, which may turn out to be any number."""
    return tuple(side if isinstance(side, int) else None for side in shape)


def _agree(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether two shapes can be the same one; None stands for any number."""
    return all(a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True))


def _listed(nodes: Mapping[str, GraphNode]) -> str:
    return ', '.join(sorted(nodes)) or 'none'
