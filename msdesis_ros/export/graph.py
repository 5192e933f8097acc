"""From a torch module to an ONNX graph that says what it is, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msdesis_ros.export.silence import silenced

if TYPE_CHECKING:
    import onnx

    from msdesis_ros.nets.pictures import PictureNetwork

# GridSample needs 16; 18 is the lowest that PyTorch's exporter writes by itself. ONNX Runtime has
# it since 1.14, TensorRT since 8.6.
OPSET = 18
# The version of the file format that came with that opset; a higher one would shut out older
# ONNX Runtimes for nothing.
IR_VERSION = 8
# Of the pictures that a graph for any size is traced with: the tracer keeps the padding in the
# graph only where these need one.
TRACED_SIZE = (100, 90)


def trace(network: PictureNetwork, *, image_size: tuple[int, int] | None) -> onnx.ModelProto:
    """Make the ONNX graph of `network` for pictures of (width, height), and check it.

    None: for pictures of any size. Inputs and outputs have the names that the network says.
    """
    import onnx

    with silenced('torch.onnx'):
        model = _any_size(network.eval()) if image_size is None else _one_size(network, image_size)
    _clean(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _one_size(network: PictureNetwork, image_size: tuple[int, int]) -> onnx.ModelProto:
    """With `torch.export` underneath, not the older tracer.

    Measured on the light network at 640x512, 288 nodes instead of 601, at the same speed and with
    the same differences.
    """
    import torch

    width, height = image_size
    pictures = [torch.zeros(1, height, width, 3, dtype=torch.uint8) for _ in network.input_names]
    with torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            tuple(pictures),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(network.input_names),
            output_names=list(network.output_names),
            verbose=False,
        )
    return program.model_proto


def _any_size(network: PictureNetwork) -> onnx.ModelProto:
    """With the older tracer: `torch.export` cannot follow sides that are divided, rounding up."""
    import onnx
    import torch

    width, height = TRACED_SIZE
    pictures = [torch.zeros(1, height, width, 3, dtype=torch.uint8) for _ in network.input_names]
    sides: dict[str, dict[int, str]] = {
        **{name: {1: 'H', 2: 'W'} for name in network.input_names},
        **{name: {2: 'H', 3: 'W'} for name in network.output_names},
    }
    content = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            network,
            tuple(pictures),
            content,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(network.input_names),
            output_names=list(network.output_names),
            dynamic_axes=sides,
            verbose=False,
        )
    return onnx.load_from_string(content.getvalue())


def describe(model: onnx.ModelProto, metadata: Mapping[str, str]) -> None:
    """Write `metadata` into the file; whoever loads it finds it in its metadata_props."""
    for name in sorted(metadata):
        entry = model.metadata_props.add()
        entry.key, entry.value = name, metadata[name]


def _clean(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes about itself: stack traces with the paths of a machine."""
    model.ir_version = IR_VERSION
    del model.metadata_props[:]
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used | {''}]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    graph = model.graph
    noted: list[Any] = [graph, *graph.node, *graph.input, *graph.output]
    noted += [*graph.value_info, *graph.initializer]
    for item in noted:
        item.doc_string = ''
        del item.metadata_props[:]
