"""The card of an export runs as it is, and notices an engine that answers otherwise."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, ModelError
from msdesis_ros.export.card import NOT_STATED, card_of_export, write_card
from msdesis_ros.export.onnx_export import Origin
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.factory import create_backend
from msdesis_ros.runtime.model_card import InputRule

# Exports take seconds, on a busy machine minutes.
pytestmark = pytest.mark.timeout(600)
# Of exports that other tests need too.
SIZE = (59, 51)
OTHER = (40, 33)
MEAN, STD = (0.1, 0.2, 0.3), (1.0, 0.5, 0.25)

SOURCE = """
# Written by a person.
name = 'tissue'
family = 'msdesis'
summary = 'a network for tests'
heads = ['disparity', 'instrument_mask']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 320
intended_use = 'tests'
known_failures = ['everything']
outputs = []
[[measured]]
figure = 'EPE'
value = 1.5
unit = 'px'
data = 'noise'
machine = 'm'
command = 'c'
[input]
[training]
data = 'rendered'
seed = 7
[[files]]
path = 'tissue.safetensors'
format = 'safetensors'
sha256 = '{sha256}'
"""


def placed(report, path):
    """The same export as if it had been written to `path`."""
    path.parent.mkdir(exist_ok=True)
    shutil.copy(report.path, path)
    return replace(report, path=path)


def card_path(network, reports, *, source=None, **normalisation):
    """Make the card of exports and write it; its path."""
    digest = source.files[0].sha256 if source else hashlib.sha256(b'light').hexdigest()
    origin = Origin('light.pt', digest, 'abc123', **normalisation)
    name = reports[0].path.stem.partition('_')[0]
    return write_card(card_of_export(network, reports, name=name, origin=origin, source=source))


@pytest.fixture(scope='module')
def made(exported, lively, tmp_path_factory):
    """A folder with a network for two sizes, and its card `x`."""
    folder = tmp_path_factory.mktemp('made')
    reports = [placed(exported(size=size), folder / f'x_{size[0]}.onnx') for size in (SIZE, OTHER)]
    path = card_path(lively.lively_network('light'), reports)
    assert path == folder / 'x.toml'
    return folder


@pytest.fixture
def source(lively, tmp_path):
    """A card with weights, as a person wrote it."""
    from msdesis_ros.nets.checkpoints import checkpoint_bytes

    content = checkpoint_bytes(lively.lively_network('light'))
    (tmp_path / 'tissue.safetensors').write_bytes(content)
    text = SOURCE.format(sha256=hashlib.sha256(content).hexdigest())
    (tmp_path / 'tissue.toml').write_text(text, encoding='utf-8')
    return load_card('tissue', tmp_path)


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_the_card_of_an_export_passes_its_self_checks_and_runs(made, lively, backend):
    pytest.importorskip(backend, reason=f'{backend} is not installed')
    created = create_backend('x', backend=backend, models_dir=made)
    for size in (SIZE, OTHER):
        output = created.run(*lively.picture_pair(*size))
        assert output.disparity_px.shape == output.mask_logits.shape == size[::-1]
    card = load_card('x', made)
    assert [check.image_size for check in card.self_check] == sorted((SIZE, OTHER))
    assert all(check.disparity_px and check.mask_logits for check in card.self_check)
    assert card.input.sizes == (SIZE, OTHER)


def test_what_an_export_cannot_know_is_said_to_be_not_stated(made):
    card = load_card('x', made)
    told = (card.licence, card.intended_use, *card.known_failures, card.training.data)
    assert set(told) == {NOT_STATED}
    assert (card.training.commit, card.max_disparity_px) == ('abc123', 320.0)
    assert card.input.mean == (0.5339, 0.3666, 0.4537)
    assert card.measured == ()


@pytest.mark.parametrize('plane', ['disparity_px', 'mask_logits'])
def test_changed_samples_are_refused(made, tmp_path, plane):
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    text = (made / 'x.toml').read_text(encoding='utf-8')

    def shifted(found):
        values = [float(value) + 0.5 for value in found.group(2).split(',')]
        return f'{found.group(1)}{values}'

    changed = re.sub(rf'(?m)^({plane} = )\[(.*)\]$', shifted, text)
    assert changed != text
    (tmp_path / 'x.toml').unlink()
    (tmp_path / 'x.toml').write_text(changed, encoding='utf-8')
    with pytest.raises(BackendError, match=f'fails its self-check: only 0% .* {plane}'):
        create_backend('x', models_dir=tmp_path).warm_up(SIZE)


def test_bfloat16_is_for_a_person_to_accept(made):
    for check in load_card('x', made).self_check:
        assert [each.precision for each in check.tolerances] == [
            'fp32',
            'tf32',
            'fp16',
            'int8',
        ]
        with pytest.raises(ModelError, match='no tolerance for bf16'):
            check.tolerance('bf16')


def test_torch_and_the_export_normalise_as_the_card_says(source, exported, lively, tmp_path):
    network, pair = (
        lively.lively_network('light', mode='segmentation'),
        lively.picture_pair(32, 32),
    )
    source = replace(source, heads=frozenset({'instrument_mask'}))
    write_card(source).rename(tmp_path / 'tissue.toml')
    default = create_backend('tissue', models_dir=tmp_path).run(*pair)
    source = replace(source, input=InputRule(mean=MEAN, std=STD))
    report = exported(mode='segmentation', size=(32, 32), mean=MEAN, std=STD)
    report = placed(report, tmp_path / 'a.onnx')
    path = card_path(network, [report], source=source, mean=MEAN, std=STD)
    path.rename(tmp_path / 'tissue.toml')
    torch, onnx = (
        create_backend('tissue', backend=name, models_dir=tmp_path).run(*pair).mask_logits
        for name in ('torch', 'onnxruntime')
    )
    np.testing.assert_allclose(torch, onnx, atol=1e-3)
    assert np.abs(torch - default.mask_logits).max() > 0.1


def test_a_card_beside_its_files_is_kept_and_its_successor_has_both(
    source, exported, lively, tmp_path
):
    before = (tmp_path / 'tissue.toml').read_bytes()
    report = placed(exported(precision='fp16'), tmp_path / 'onnx' / 'half.onnx')
    path = card_path(lively.lively_network('light'), [report], source=source)
    assert path == tmp_path / 'tissue.toml.new'
    assert (tmp_path / 'tissue.toml').read_bytes() == before
    path.rename(tmp_path / 'tissue.toml')
    card = load_card('tissue', tmp_path)
    assert card.measured == source.measured and card.training == source.training
    assert [(file.path, file.precision, file.image_size) for file in card.files] == [
        ('tissue.safetensors', 'fp32', None),
        ('onnx/half.onnx', 'fp16', SIZE),
    ]
    # The samples hold for the weights in PyTorch as well as for the file of half the precision.
    for backend in ('torch', 'onnxruntime'):
        create_backend('tissue', backend=backend, models_dir=tmp_path).close()


def test_the_same_export_again_replaces_its_file(source, exported, lively, tmp_path):
    for name in ('a', 'a', 'b'):
        report = placed(exported(), tmp_path / f'{name}.onnx')
        path = card_path(lively.lively_network('light'), [report], source=source)
        path.rename(tmp_path / 'tissue.toml')
        source = load_card('tissue', tmp_path)
        assert [file.path for file in source.files] == ['tissue.safetensors', f'{name}.onnx']
        assert len(source.self_check) == 1


def test_other_heads_are_another_card(source, exported, lively, tmp_path):
    report = placed(exported(mode='segmentation', size=(32, 32)), tmp_path / 'mask.onnx')
    network = lively.lively_network('light', mode='segmentation')
    assert card_path(network, [report], source=source) == tmp_path / 'mask.toml'
    card = load_card('mask', tmp_path)
    assert card.heads == {'instrument_mask'} and card.licence == 'MIT'
    assert card.measured == () and [file.path for file in card.files] == ['mask.onnx']
    create_backend('mask', models_dir=tmp_path).close()


def test_a_card_that_was_changed_by_hand_is_kept(made, tmp_path):
    card, text = load_card('x', made), (made / 'x.toml').read_text(encoding='utf-8')
    assert write_card(card) == made / 'x.toml', 'the same card again is no other card'
    assert not (made / 'x.toml.new').exists()
    (tmp_path / 'x.toml').write_text(text.replace(NOT_STATED, 'MIT'), encoding='utf-8')
    assert write_card(replace(card, folder=tmp_path)) == tmp_path / 'x.toml.new'
    assert 'MIT' in (tmp_path / 'x.toml').read_text(encoding='utf-8')


def test_a_file_that_does_not_give_the_samples_of_its_card_gets_none(
    source, exported, lively, tmp_path
):
    report = placed(exported(), tmp_path / 'a.onnx')
    with pytest.raises(BackendError, match='fails its self-check'):
        card_path(lively.lively_network('light', seed=1), [report], source=source)
    assert not (tmp_path / 'tissue.toml.new').exists()
