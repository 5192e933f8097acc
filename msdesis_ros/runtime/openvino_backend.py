"""Run a network's ONNX file with OpenVINO, the fastest program for Intel processors.

What the graph takes and gives is said in `graph_contract`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from msdesis_ros.core.errors import MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.graph_contract import GraphNode, read_interface
from msdesis_ros.runtime.model_card import InputRule
from msdesis_ros.runtime.network_backend import NetworkBackend, first_line

# The names of the backend, and what it computes in. Left alone, OpenVINO takes bfloat16 wherever
# the processor has it.
PRECISION_HINTS = {'openvino': ('fp32', 'f32'), 'openvino_bf16': ('bf16', 'bf16')}
TYPES = {'u8': 'tensor(uint8)', 'f32': 'tensor(float)'}
# A graph with symbolic sizes is compiled for each size it meets; a node sees one.
MOST_COMPILED = 4


class OpenVinoBackend(NetworkBackend):
    """The `openvino` and `openvino_bf16` backends; arguments as those of OnnxRuntimeBackend.

    `openvino` keeps float32 even where the processor has bfloat16. Raises ModelError for bytes
    that are no ONNX model or a graph that does not follow the contract, MissingExtraError where
    OpenVINO is not installed, or the processor lacks the bfloat16 asked for.
    """

    def __init__(
        self,
        model: bytes,
        *,
        identity: ModelIdentity,
        max_disparity_px: float,
        min_disparity_px: float = 0.0,
        sizes: InputRule | None = None,
        threads: int | None = None,
        precision: str = 'fp32',
    ) -> None:
        computes_in, hint = PRECISION_HINTS[identity.backend]
        self._core: Any = _open_core(identity.backend, needed_by=identity.name)
        self._model: Any = self._read(model, identity.name)
        super().__init__(
            identity=identity,
            interface=read_interface(
                _nodes(self._model.inputs), _nodes(self._model.outputs), model=identity.name
            ),
            min_disparity_px=min_disparity_px,
            max_disparity_px=max_disparity_px,
            sizes=sizes,
            precision=computes_in if precision == 'fp32' else precision,
        )
        self._settings: dict[str, Any] = {
            'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': hint,
        }
        if threads is not None:
            self._settings['INFERENCE_NUM_THREADS'] = threads
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    @staticmethod
    def precisions(backend: str) -> tuple[str, ...]:
        """Which files of a card the backend takes, the best ones first."""
        return ('fp32', 'int8')

    @staticmethod
    def require_usable(backend: str) -> None:
        """Raise MissingExtraError where OpenVINO, or the bfloat16 asked for, is missing."""
        _open_core(backend, needed_by='a model')

    def _infer(self, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        request = self._request(pictures['left'].shape)
        # Inputs are read where they are; outputs are copied out of the memory of the request.
        results = request.infer(
            {name: pictures[name][None] for name in self.interface.inputs}, share_inputs=True
        )
        return {name: np.array(results[name]) for name in self.interface.outputs}

    def _request(self, shape: tuple[int, ...]) -> Any:
        """The compiled graph for pictures of one shape."""
        if shape not in self._requests:
            model = self._model
            if None in (self.interface.width, self.interface.height):
                model = model.clone()
                model.reshape({name: [1, *shape] for name in self.interface.inputs})
            while len(self._requests) >= MOST_COMPILED:
                self._requests.popitem(last=False)
            compiled = self._core.compile_model(model, 'CPU', self._settings)
            self._requests[shape] = compiled.create_infer_request()
        self._requests.move_to_end(shape)
        return self._requests[shape]

    def _read(self, model: bytes, name: str) -> Any:
        try:
            return self._core.read_model(model)
        except Exception as error:  # OpenVINO raises RuntimeError for anything
            raise ModelError(
                f'the file of {name} is no ONNX model that OpenVINO can load: {_reason(error)}'
            ) from error

    def _release(self) -> None:
        self._requests.clear()
        self._model = self._core = None


def _open_core(backend: str, *, needed_by: str) -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError(
            f'{needed_by} with the backend {backend} needs OpenVINO, which cannot be '
            f"imported ({error}); install it with: pip install 'msdesis_ros[openvino]'"
        ) from error
    core = openvino.Core()
    if PRECISION_HINTS[backend][1] == 'bf16' and 'BF16' not in core.get_property(
        'CPU', 'OPTIMIZATION_CAPABILITIES'
    ):
        raise MissingExtraError('this processor has no bfloat16; use the backend openvino')
    return core


def _nodes(ports: list[Any]) -> list[GraphNode]:
    return [
        GraphNode(
            name=port.get_any_name(),
            type=TYPES.get(port.element_type.get_type_name(), port.element_type.get_type_name()),
            shape=[side.get_length() if side.is_static else '?' for side in port.partial_shape],
        )
        for port in ports
    ]


def _reason(error: BaseException) -> str:
    """The last line that says something: OpenVINO's first ones name its own source files."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith('Exception from')]
    return telling[-1] if telling else first_line(error)
