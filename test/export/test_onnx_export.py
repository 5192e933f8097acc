from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from msdesis_ros.core.errors import ModelError, UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.export import onnx_export
from msdesis_ros.export.onnx_export import Origin, export_onnx, export_sizes

# Exports take seconds, on a busy machine minutes.
pytestmark = pytest.mark.timeout(600)
ORIGIN = Origin('tiny', '0' * 64)
SMALL = (32, 32)


def run(report, lively):
    """The planes of an exported file, as the product runs it, and the pictures."""
    from msdesis_ros.runtime.onnx_backend import OnnxRuntimeBackend

    backend = OnnxRuntimeBackend(
        report.path.read_bytes(),
        identity=ModelIdentity('tiny', report.sha256, 'onnxruntime'),
        max_disparity_px=320.0,
        threads=1,
    )
    views = lively.picture_pair(*report.image_size, seed=5)
    return backend, backend.run(*views), views


def expected(network, views, **normalisation):
    import torch

    from msdesis_ros.nets.pictures import PictureNetwork

    pictures = PictureNetwork(network, **normalisation)
    with torch.inference_mode():
        planes = pictures(*(torch.from_numpy(view)[None] for view in views))
    return {
        name: plane[0, 0].numpy()
        for name, plane in zip(pictures.output_names, planes, strict=True)
    }


def test_the_product_runs_the_file_and_gets_what_the_network_answers(exported, lively):
    backend, output, views = run(exported(), lively)
    wanted = expected(lively.lively_network('light'), views)
    assert backend.heads == {'disparity', 'instrument_mask'}
    np.testing.assert_allclose(output.disparity_px, wanted['disparity'], atol=1e-3)
    np.testing.assert_allclose(output.mask_logits, wanted['mask_logits'], atol=1e-3)


def test_half_precision_is_close_and_half_the_size(exported, lively):
    report, full = exported(precision='fp16'), exported()
    _, output, views = run(report, lively)
    wanted = expected(lively.lively_network('light'), views)
    difference = np.abs(output.disparity_px - wanted['disparity'])
    assert 1e-4 < difference.max() < 0.1 and difference.mean() < 0.01
    assert 1e-4 < np.abs(output.mask_logits - wanted['mask_logits']).max() < 0.1
    assert report.size_bytes < 0.52 * full.size_bytes


def test_segmentation_alone_needs_the_left_picture_alone(exported, lively):
    import onnxruntime

    report = exported(mode='segmentation', size=SMALL)
    session = onnxruntime.InferenceSession(
        report.path.read_bytes(), providers=['CPUExecutionProvider']
    )
    assert [node.name for node in session.get_inputs()] == ['left']
    assert [node.name for node in session.get_outputs()] == ['mask_logits']
    left, _ = lively.picture_pair(*SMALL)
    logits = session.run(None, {'left': left[None]})[0]
    network = lively.lively_network('light', mode='segmentation')
    wanted = expected(network, (left,))['mask_logits']
    np.testing.assert_allclose(logits[0, 0], wanted, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('mode', 'size'),
    [
        *((mode, (64, 64)) for mode in ('multitask', 'disparity', 'segmentation')),
        *(('multitask', size) for size in ((320, 256), (590, 512))),
    ],
)
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
@pytest.mark.parametrize('encoder', ['light', 'resnet34'])
def test_every_variant_answers_as_the_network_at_every_size(
    exported, encoder, precision, mode, size
):
    report = exported(encoder, mode, precision, size)
    assert report.parity and all(row.holds for row in report.parity)
    report.path.unlink()  # together they would take a gigabyte


def test_the_file_says_what_it_is(exported):
    import onnx

    report = exported()
    model = onnx.load(report.path)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata == report.metadata
    assert metadata['model'] == 'light_multitask_fp32_59_51'
    assert metadata['weights_sha256'] == hashlib.sha256(b'light').hexdigest()
    assert metadata['training_commit'] == 'abc123'
    assert (metadata['encoder'], metadata['mode']) == ('light', 'multitask')
    assert (metadata['precision'], metadata['max_disparity_px']) == ('fp32', '320')
    rule = json.loads(metadata['input_rule'])
    assert rule['size'] == [59, 51] and rule['pictures'] == ['left', 'right']
    assert (rule['mean'], rule['std']) == ([0.5339, 0.3666, 0.4537], [0.2006, 0.1978, 0.2128])


def test_the_report_beside_the_file_has_its_hash_and_the_parity_table(exported):
    report = exported()
    told = json.loads(report.path.with_suffix('.json').read_text())
    content = report.path.read_bytes()
    assert told['sha256'] == report.sha256 == hashlib.sha256(content).hexdigest()
    assert told['size_bytes'] == len(content)
    assert told['file'] == report.path.name
    assert told['metadata'] == report.metadata
    rows = {(row['pictures'], row['output']): row for row in told['parity']}
    assert set(rows) == {
        (pictures, output)
        for pictures in ('texture', 'contrast')
        for output in ('disparity', 'mask_logits')
    }
    assert all(row['holds'] and row['greatest'] <= 1e-3 for row in rows.values())


def test_the_same_weights_give_the_same_bytes_and_stay_as_they_were(exported, lively, tmp_path):
    import torch

    first = exported(mode='segmentation', precision='fp16', size=SMALL)
    network = lively.lively_network('light', mode='segmentation')
    before = {name: value.clone() for name, value in network.state_dict().items()}
    again = export_onnx(
        network,
        tmp_path / 'again.onnx',
        image_size=SMALL,
        origin=Origin(first.metadata['model'], first.metadata['weights_sha256'], 'abc123'),
        precision='fp16',
    )
    assert again.path.read_bytes() == first.path.read_bytes()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_pictures_are_normalised_as_the_weights_were_trained(exported, lively):
    import onnxruntime

    # Of an export that the tests of cards need too.
    other = {'mean': (0.1, 0.2, 0.3), 'std': (1.0, 0.5, 0.25)}
    left, _ = lively.picture_pair(*SMALL)
    network = lively.lively_network('light', mode='segmentation')
    answers = []
    for options in ({}, other):
        report = exported(mode='segmentation', size=SMALL, **options)
        session = onnxruntime.InferenceSession(report.path)
        answers.append(session.run(None, {'left': left[None]})[0][0, 0])
        wanted = expected(network, (left,), **options)['mask_logits']
        np.testing.assert_allclose(answers[-1], wanted, atol=1e-3)
    assert np.abs(answers[0] - answers[1]).max() > 0.1


def test_a_graph_that_answers_otherwise_is_not_written(lively, tmp_path, monkeypatch):
    from msdesis_ros.nets.msdesis import simplified

    right = simplified.simplified

    def wrong(network):
        import torch

        copy = right(network)
        with torch.no_grad():
            copy.segmentation_head.upsample.bias += 0.002
        return copy

    monkeypatch.setattr(simplified, 'simplified', wrong)
    for name in ('x.onnx', 'x.json'):
        (tmp_path / name).write_text('of an earlier export')
    with pytest.raises(ModelError, match='mask_logits differs by up to 0.002.* logits'):
        export_onnx(
            lively.lively_network('light', mode='segmentation'),
            tmp_path / 'x.onnx',
            image_size=SMALL,
            origin=ORIGIN,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ['x.json', 'x.onnx']
    assert (tmp_path / 'x.onnx').read_text() == 'of an earlier export'


def test_weights_too_large_for_half_precision_are_found(lively, tmp_path):
    import torch

    network = lively.lively_network('light', mode='segmentation')
    with torch.no_grad():
        network.segmentation_head.decode_4.d_conv.layer[4].weight.mul_(1e7)
        network.segmentation_head.out_conv.weight.mul_(1e-7)
    with pytest.raises(ModelError, match='mask_logits differs by up to nan'):
        export_onnx(
            network, tmp_path / 'x.onnx', image_size=SMALL, origin=ORIGIN, precision='fp16'
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ({'image_size': (0, 32)}, 'cannot export for 0x32 pictures'),
        ({'image_size': (32, 9000)}, 'from 1 to 8192'),
        ({'precision': 'int4'}, "precision is 'int4'; known: fp32, fp16, int8"),
        ({'path': 'x.pb'}, 'x.pb must end in .onnx'),
    ],
)
def test_wrong_use_is_told_before_anything_is_done(tmp_path, options, sentence):
    path = tmp_path / options.pop('path', 'x.onnx')
    options = {'image_size': SMALL, 'origin': ORIGIN, **options}
    with pytest.raises(UsageError, match=sentence):
        export_onnx(None, path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('sizes', 'names'),
    [
        ([(32, 32)], ['x.onnx']),
        ([(32, 32), (40, 33)], ['x_32x32.onnx', 'x_40x33.onnx']),
    ],
)
def test_one_size_is_one_file_and_several_are_several(tmp_path, monkeypatch, sizes, names):
    made = []
    monkeypatch.setattr(
        onnx_export,
        'export_onnx',
        lambda network, path, **options: made.append((path, options['image_size'])),
    )
    export_sizes(None, tmp_path / 'x.onnx', image_sizes=sizes, origin=ORIGIN)
    assert made == [(tmp_path / name, size) for name, size in zip(names, sizes, strict=True)]


@pytest.mark.parametrize('sizes', [[], [(32, 32), (32, 32)], [(32, 32), (0, 1)]], ids=str)
def test_no_size_or_one_given_twice_or_wrong_is_told_before_the_first_export(tmp_path, sizes):
    with pytest.raises(UsageError):
        export_sizes(None, tmp_path / 'x.onnx', image_sizes=sizes, origin=ORIGIN)
