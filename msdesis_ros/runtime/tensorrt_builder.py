"""From an ONNX file to a TensorRT plan; works with `tensorrt` 10 and 11 and with `tensorrt_rtx`.

The network is strongly typed: its precision is that of the graph, and TensorRT chooses none by
itself (TensorRT 11 can no longer be told otherwise). Parsing needs no GPU; `tensorrt_rtx` builds
without one too.
"""

from __future__ import annotations

import importlib
from typing import Any

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.runtime.graph_contract import GraphInterface, GraphNode, read_interface

# In the order of preference.
FLAVOURS = ('tensorrt', 'tensorrt_rtx')
TYPES = {'UINT8': 'tensor(uint8)', 'FLOAT': 'tensor(float)', 'HALF': 'tensor(float16)'}


def import_tensorrt(flavour: str | None = None) -> Any:
    """Import TensorRT, or TensorRT for RTX; `flavour` = only this one of FLAVOURS.

    Raises MissingExtraError where it is not installed.
    """
    reasons = []
    for name in (flavour,) if flavour else FLAVOURS:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            reasons.append(str(error))
    raise MissingExtraError(
        f'TensorRT cannot be imported ({"; ".join(reasons)}); on a machine with an NVIDIA GPU '
        'install it with: pip install tensorrt'
    )


def make_logger(trt: Any) -> Any:
    """A TensorRT logger that prints nothing and keeps what went wrong in `.errors`."""

    class Kept(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message.strip())

    return Kept()


def build_plan(model: bytes, *, name: str, flavour: str | None = None) -> tuple[bytes, list[Any]]:
    """Compile the bytes of an ONNX file: the plan, and its interface for the engine cache.

    Takes seconds to minutes. Raises ModelError where TensorRT does not accept the graph, or the
    graph breaks the contract; BackendError where it cannot be compiled here; MissingExtraError
    where TensorRT is not installed.
    """
    trt = import_tensorrt(flavour)
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    if builder is None:
        raise BackendError(f'{trt.__name__} {trt.__version__} cannot start: {_last(logger)}')
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        found = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise ModelError(
            f'{trt.__name__} {trt.__version__} does not accept the graph of {name}: '
            f'{"; ".join(found) or _last(logger)}'
        )
    nodes = network_nodes(network)
    interface_of(nodes, name)
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    if plan is None:
        raise BackendError(
            f'{trt.__name__} {trt.__version__} cannot compile {name}: {_last(logger)}'
        )
    return bytes(plan), nodes


def network_nodes(network: Any) -> list[Any]:
    """The interface of a parsed network, as JSON holds it: [is input, name, type, shape] each."""
    tensors = [(True, network.get_input(i)) for i in range(network.num_inputs)]
    tensors += [(False, network.get_output(i)) for i in range(network.num_outputs)]
    return [[given, t.name, t.dtype.name, list(t.shape)] for given, t in tensors]


def engine_nodes(trt: Any, engine: Any) -> list[Any]:
    """The same of an opened engine."""
    nodes = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        nodes.append([
            engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
            name,
            engine.get_tensor_dtype(name).name,
            list(engine.get_tensor_shape(name)),
        ])  # fmt: skip
    return nodes


def interface_of(nodes: list[Any], name: str) -> GraphInterface:
    """Check such an interface against the contract; TensorRT runs one size only.

    Raises ModelError where it breaks the contract, or has a size that is not fixed.
    """
    described = [
        (given, GraphNode(tensor, TYPES.get(kind, kind), [s if s >= 0 else '?' for s in shape]))
        for given, tensor, kind, shape in nodes
    ]
    interface = read_interface(
        [node for given, node in described if given],
        [node for given, node in described if not given],
        model=name,
    )
    if interface.width is None or interface.height is None:
        raise ModelError(f'{name} has no fixed size; export it with --size for TensorRT')
    return interface


def _strongly_typed(trt: Any) -> int:
    # Where the flag is gone, every network is strongly typed.
    flag = getattr(trt.NetworkDefinitionCreationFlag, 'STRONGLY_TYPED', None)
    return 0 if flag is None else 1 << int(flag)


def _last(logger: Any) -> str:
    return logger.errors[-1] if logger.errors else 'no reason given'
