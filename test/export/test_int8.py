"""Convolutions in 8-bit integers: which, in what form, and how well they still answer."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pytest

onnx = pytest.importorskip('onnx', reason='the extra export is not installed')

from msdesis_ros.core.errors import ModelError, UsageError  # noqa: E402
from msdesis_ros.export.int8 import PAIRS, pairs_for, spread_evenly  # noqa: E402
from msdesis_ros.export.onnx_export import Origin, export_onnx  # noqa: E402
from msdesis_ros.export.parity import Tolerance  # noqa: E402
from msdesis_ros.nets.registry import FAMILIES  # noqa: E402

SIZE = (96, 64)
ANYTHING = Tolerance(greatest=1e9, mean=1e9)
ORIGIN = Origin('tiny', 'a' * 64)


@pytest.fixture(scope='module')
def reports(lively, tmp_path_factory):
    """Give the report of an int8 export of a lively network, by its kind."""
    made = {}

    def get(kind, path=None, **options):
        if path is None and kind in made:
            return made[kind]
        network = lively.lively_fast('tiny', seed=1) if kind == 'tiny' else None
        report = export_onnx(
            network or lively.lively_network(kind),
            path or tmp_path_factory.mktemp('int8') / f'{kind}.onnx',
            image_size=SIZE,
            origin=ORIGIN,
            precision='int8',
            **{'tolerance': ANYTHING, **options},
        )
        return made.setdefault(kind, report) if path is None else report

    return get


def convolutions(model):
    """Of each convolution: the name of its weights, and whether they are 8-bit integers."""
    makers = {name: node for node in model.graph.node for name in node.output}
    stored = {plane.name: plane for plane in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != 'Conv':
            continue
        name = node.input[1]
        maker = makers.get(name)
        if maker is None:
            yield name, False, node
            continue
        assert maker.op_type == 'DequantizeLinear'
        integers = stored[maker.input[0]]
        assert integers.data_type == onnx.TensorProto.INT8
        zero = onnx.numpy_helper.to_array(stored[maker.input[2]])
        assert not zero.any(), 'symmetric'
        yield maker.input[0].removesuffix('_quantized'), True, node


@pytest.mark.parametrize(
    ('kind', 'family', 'of_others'),
    [('tiny', 'msdesis_fast', set()), ('light', 'msdesis', {'feature_extractor.layer_0.0.*'})],
)
def test_convolutions_are_8_bit_but_for_those_that_begin_and_answer(
    reports, kind, family, of_others
):
    report = reports(kind)
    model = onnx.load(report.path)
    onnx.checker.check_model(model, full_check=True)
    assert report.precision == report.metadata['precision'] == 'int8'
    wanted = FAMILIES[family].float_weights
    assert wanted
    integers, floats, matched = 0, 0, set()
    makers = {name: node for node in model.graph.node for name in node.output}
    for name, is_int8, node in convolutions(model):
        kept = {pattern for pattern in wanted if fnmatchcase(name, f'network.{pattern}')}
        assert is_int8 is not bool(kept), name
        matched |= kept
        integers, floats = integers + is_int8, floats + (not is_int8)
        if len(node.input) > 2:  # TensorRT takes no quantised bias
            assert node.input[2] not in makers, name
    assert min(integers, floats) > 10
    assert matched == set(wanted) - of_others, 'a pattern that fits nothing protects nothing'


def test_nvidias_parser_and_builder_take_it(reports):
    pytest.importorskip('tensorrt_rtx', reason='the package tensorrt-rtx is not installed')
    from msdesis_ros.runtime.tensorrt_builder import build_plan

    content = reports('tiny').path.read_bytes()
    plan, nodes = build_plan(content, name='tiny', flavour='tensorrt_rtx')
    assert len(plan) > 0.5 * len(content)
    assert ['disparity', 'FLOAT', [1, 1, 64, 96]] in [list(node[1:]) for node in nodes]


def test_the_same_weights_give_the_same_bytes(reports, tmp_path):
    again = reports('tiny', tmp_path / 'tiny.onnx')
    assert again.sha256 == reports('tiny').sha256


def test_own_pairs_are_spread_and_scaled_to_the_size_of_the_graph():
    given = [(np.full((128, 192, 3), n, np.uint8),) * 2 for n in range(50)]
    pairs = pairs_for(SIZE, given)
    assert len(pairs) == PAIRS and {view.shape for pair in pairs for view in pair} == {(64, 96, 3)}
    numbers = [int(left[0, 0, 0]) for left, _ in pairs]
    assert (numbers[0], numbers[-1]) == (0, 49) and numbers == sorted(set(numbers))
    assert pairs_for(None, given)[0][0].shape == (128, 192, 3)
    assert spread_evenly(given[:5]) == given[:5]


@pytest.mark.parametrize('count', [0, 3])
def test_too_few_own_pairs_are_refused(count):
    blank = np.zeros((64, 96, 3), np.uint8)
    with pytest.raises(UsageError, match=f'{count} pairs are too few for int8; give 4 or more'):
        pairs_for(SIZE, [(blank, blank)] * count)


def test_what_answers_something_else_is_not_written(reports, tmp_path):
    path = tmp_path / 'x.onnx'
    with pytest.raises(ModelError, match='does not answer as the network'):
        reports('tiny', path, tolerance=Tolerance(greatest=1e-6, mean=1e-6))
    assert not list(tmp_path.iterdir())
