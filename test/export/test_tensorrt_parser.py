"""NVIDIA's own parser and builder take every exported graph; neither needs a GPU.

The package is large, so it is nobody's requirement; its engines need a GPU to run.
"""

from __future__ import annotations

import pytest

from msdesis_ros.core.errors import ModelError

FLAVOUR = 'tensorrt_rtx'

REFUSED = """
<ir_version: 8, opset_import: ["" : 17]>
refused (uint8[1,8,8,3] left, uint8[1,8,8,3] right) => (float[1,1,8,8] disparity)
{
  turned = Transpose<perm=[0,3,1,2]>(left)
  values = Cast<to=1>(turned)
  disparity = ReduceMean<axes=[1], keepdims=1>(values)
}
"""


@pytest.fixture(autouse=True)
def tensorrt():
    return pytest.importorskip(FLAVOUR, reason='the package tensorrt-rtx is not installed')


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ('encoder', 'mode', 'precision', 'size'),
    [
        ('light', 'multitask', 'fp32', (59, 51)),
        ('light', 'multitask', 'fp16', (59, 51)),
        ('light', 'segmentation', 'fp32', (32, 32)),
        ('fast', 'multitask', 'fp32', (59, 51)),
        ('fast', 'multitask', 'fp16', (59, 51)),
        slow('fast', 'multitask', 'fp16', (1280, 1024)),
        slow('light', 'disparity', 'fp16', (59, 51)),
        slow('resnet34', 'multitask', 'fp32', (64, 64)),
        slow('resnet34', 'multitask', 'fp16', (64, 64)),
        slow('light', 'multitask', 'fp32', (1280, 1024)),
        slow('light', 'multitask', 'fp16', (1280, 1024)),
        slow('resnet34', 'multitask', 'fp16', (1280, 1024)),
    ],
)
def test_an_exported_graph_is_parsed_and_compiled(exported, encoder, mode, precision, size):
    from msdesis_ros.runtime.tensorrt_builder import build_plan

    report = exported(encoder, mode, precision, size)
    plan, nodes = build_plan(report.path.read_bytes(), name='tiny', flavour=FLAVOUR)
    assert len(plan) > 0.5 * report.size_bytes
    width, height = size
    found = {name: (kind, shape) for _, name, kind, shape in nodes}
    assert found['left'] == ('UINT8', [1, height, width, 3])
    assert all(
        found[name] == ('FLOAT', [1, 1, height, width])
        for name in found
        if name not in ('left', 'right')
    )


def test_the_control_a_graph_that_turns_bytes_is_refused():
    from msdesis_ros.runtime.tensorrt_builder import build_plan

    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graph')
    with pytest.raises(ModelError, match='does not accept the graph of wrong'):
        build_plan(
            onnx.parser.parse_model(REFUSED).SerializeToString(), name='wrong', flavour=FLAVOUR
        )
