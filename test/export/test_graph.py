from __future__ import annotations

import re

import pytest

# Exports take seconds, on a busy machine minutes.
pytestmark = pytest.mark.timeout(600)
FORBIDDEN = {
    'ScatterND',
    'ScatterElements',
    'NonZero',
    'Loop',
    'If',
    'Shape',
    'BatchNormalization',
}


@pytest.fixture
def model(exported):
    import onnx

    return onnx.load(exported().path)


def test_the_graph_holds_plain_operators_alone(model):
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & FORBIDDEN
    assert {'GridSample', 'Resize', 'Conv', 'ConvTranspose'} <= kinds
    assert not model.functions
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [('', 18)]
    assert model.ir_version == 8


def test_a_picture_is_cast_before_anything_else_happens_to_it(model):
    """NVIDIA's parser takes no uint8 transpose."""
    for picture in ('left', 'right'):
        users = [node.op_type for node in model.graph.node if picture in node.input]
        assert users == ['Cast']


def test_every_size_is_a_number(model):
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        'left': [1, 51, 59, 3],
        'right': [1, 51, 59, 3],
        'disparity': [1, 1, 51, 59],
        'mask_logits': [1, 1, 51, 59],
    }


def test_nothing_of_the_machine_that_exported_is_in_the_file(model, project_root):
    # Weights may hold any bytes; everything else is text.
    for initializer in model.graph.initializer:
        initializer.ClearField('raw_data')
    content = model.SerializeToString()
    assert not re.search(rb'\.py\b|site-packages|/home/|Traceback', content)
    assert str(project_root).encode() not in content


def test_half_precision_keeps_the_geometry_in_float(exported):
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(exported(precision='fp16').path))
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in (*model.graph.value_info, *model.graph.output, *model.graph.input)
    }
    kinds.update({value.name: value.data_type for value in model.graph.initializer})
    full, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    found = {'Conv': [], 'GridSample': [], 'Resize': [], 'ReduceMean': []}
    for node in model.graph.node:
        if node.op_type in found:
            found[node.op_type].append(
                {kinds[name] for name in (*node.input[:2], *node.output) if name}
            )
    for geometry in ('GridSample', 'ReduceMean'):
        assert all(full in kind and half not in kind for kind in found[geometry]), geometry
    assert all(
        kinds[node.output[0]] == full for node in model.graph.node if node.op_type == 'Resize'
    )
    # Of 69 convolutions, those between disparities: 5 upsamplings, 6 of the refinement, 1 answer.
    assert sum(full in kind for kind in found['Conv']) == 12
    assert sum(half in kind for kind in found['Conv']) == 57
