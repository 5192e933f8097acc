"""Checkpoints: what loads, and in how many ways a file can be wrong."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import pytest

from msdesis_ros.core.errors import ModelError, UsageError

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
pytest.importorskip('safetensors', reason='the extra torch is not installed')
from safetensors.torch import save as save_safetensors  # noqa: E402
from torch import nn  # noqa: E402

from msdesis_ros.nets.checkpoints import (  # noqa: E402
    checkpoint_bytes,
    load_checkpoint,
    parse_checkpoint,
)
from msdesis_ros.nets.msdesis.family import CLASSES_WEIGHT, SEARCH_WEIGHT  # noqa: E402

FIRST = 'feature_extractor.encoder_0.encoder.0.weight'
NORM = 'feature_extractor.encoder_0.encoder.1'
LAST = 'segmentation_head.out_conv.bias'


def saved(value, **options) -> bytes:
    """What `torch.save` writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


@pytest.fixture(scope='module')
def light(lively):
    return lively.lively_network('light')


@pytest.fixture(scope='module')
def resnet34(lively):
    return lively.lively_network('resnet34')


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ('encoder', 'zipped'),
    [('light', True), ('light', False), ('resnet34', True)],
    ids=['light', 'light as before 2020', 'resnet34'],
)
def test_a_bare_state_dict_loads_and_tells_its_encoder(tmp_path, lively, encoder, zipped):
    network = lively.lively_network(encoder)
    path = tmp_path / 'weights.pt'
    path.write_bytes(saved(network.state_dict(), _use_new_zipfile_serialization=zipped))
    loaded = load_checkpoint(path, encoder=encoder.upper(), max_disparity=320, n_classes=1)
    assert loaded.network.config == network.config
    assert same_weights(loaded.network, network)
    assert not loaded.network.training
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.metadata == {}
    with torch.no_grad():
        x = torch.randn(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(loaded.network(*x)[1], network(*x)[1], rtol=0, atol=0)


def test_own_files_come_back_with_their_metadata(lively):
    network = lively.lively_network('light', max_disparity=200, n_classes=2)
    content = checkpoint_bytes(network, metadata={'name': 'tiny', 'commit': 'abc'})
    loaded = parse_checkpoint(content, source='tiny.safetensors', mode='disparity')
    assert same_weights(loaded.network, network)
    assert loaded.network.config.max_disparity == 200
    assert loaded.network.config.n_classes == 2
    assert loaded.network.config.mode == 'disparity'
    assert loaded.metadata == {
        'family': 'msdesis',
        'encoder': 'light',
        'max_disparity': '200',
        'n_classes': '2',
        'name': 'tiny',
        'commit': 'abc',
    }


def test_metadata_may_not_contradict_the_network(light):
    with pytest.raises(UsageError, match='metadata encoder is that of the network'):
        checkpoint_bytes(light, metadata={'encoder': 'resnet34'})


def test_the_search_range_is_the_lower_multiple_of_32_unless_asked(lively):
    content = saved(lively.lively_network('light', max_disparity=200).state_dict())
    assert parse_checkpoint(content, source='w.pt').network.config.max_disparity == 192
    asked = parse_checkpoint(content, source='w.pt', max_disparity=200)
    assert asked.network.config.max_disparity == 200


def test_loaded_weights_can_be_trained_and_share_no_memory(light):
    state = light.state_dict()
    flat = torch.cat([state[f'{NORM}.weight'], state[f'{NORM}.bias']])
    half = len(flat) // 2
    state = {**state, f'{NORM}.weight': flat[:half], f'{NORM}.bias': flat[half:]}
    network = parse_checkpoint(saved(state), source='w.pt').network
    parameters = dict(network.named_parameters())
    assert all(parameter.requires_grad for parameter in parameters.values())
    places = [parameter.untyped_storage().data_ptr() for parameter in parameters.values()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ('asked', 'sentence'),
    [
        ({'encoder': 'resnet34'}, 'the encoder light, not resnet34; ask for light'),
        ({'max_disparity': 192}, 'the max_disparity 320, not 192; ask for 320'),
        ({'n_classes': 2}, 'the n_classes 1, not 2; ask for 1'),
    ],
)
def test_a_file_that_is_not_what_was_asked_for_is_refused(light, asked, sentence):
    with pytest.raises(ModelError, match=sentence):
        parse_checkpoint(saved(light.state_dict()), source='w.pt', **asked)


@pytest.mark.parametrize('asked', [{'encoder': 'vgg'}, {'mode': 'depth'}, {'n_classes': 0}])
def test_what_no_network_has_is_wrong_use(light, asked):
    with pytest.raises(UsageError):
        parse_checkpoint(saved(light.state_dict()), source='w.pt', **asked)


def test_missing_and_unexpected_names_are_both_told_but_not_all_of_them(light):
    state = {
        name.replace('decode_3', 'decode_9'): value for name, value in light.state_dict().items()
    }
    with pytest.raises(ModelError) as raised:
        parse_checkpoint(saved(state), source='w.pt')
    sentence = str(raised.value)
    assert 'missing segmentation_head.decode_3.d_conv.layer.0.weight, ' in sentence
    assert 'unexpected segmentation_head.decode_9.d_conv.layer.0.weight, ' in sentence
    assert sentence.count('and 11 more') == 2 and len(sentence) < 700


@pytest.mark.parametrize('what', ['missing', 'folder'])
def test_an_unreadable_path_is_refused(tmp_path, what):
    path = tmp_path / 'none.pt' if what == 'missing' else tmp_path
    with pytest.raises(ModelError, match='cannot read the checkpoint'):
        load_checkpoint(path)


# The wrong files. Each entry makes one from the state_dict of a light network; `mark` is a file
# that only code in the checkpoint would create.


class Runs:
    """Pickles as a call of `function` with `arguments`, which a plain unpickler makes."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def with_value(state, name, value):
    return saved({**state, name: value})


def renamed(state, old, new):
    return saved({name.replace(old, new): value for name, value in state.items()})


def filled(state, name, number):
    return with_value(state, name, torch.full_like(state[name], number))


def one_wrong(state, name, number):
    value = state[name].clone()
    value.view(-1)[-1] = number
    return with_value(state, name, value)


def flipped(content, share):
    """One byte in the middle of the numbers is another."""
    position = int(len(content) * share)
    return content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :]


def tensors_only(state, **metadata):
    return save_safetensors({name: value.contiguous() for name, value in state.items()}, metadata)


def with_header(content, edit):
    """A safetensors file with an edited header."""
    length = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, 'little') + text + content[8 + length :]


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def with_pickle(state, content):
    """A torch archive whose pickle is exchanged."""
    buffer, original = io.BytesIO(), zipfile.ZipFile(io.BytesIO(saved(state)))
    with zipfile.ZipFile(buffer, 'w') as file:
        for item in original.infolist():
            pickled = item.filename.endswith('data.pkl')
            file.writestr(item.filename, content if pickled else original.read(item))
    return buffer.getvalue()


def scripted():
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # PyTorch discourages them, but they are about
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def touch(mark):
    return f'touch {mark}'


WRONG_FILES = {
    # not a checkpoint
    'empty': lambda s, mark: b'',
    'one byte': lambda s, mark: b'P',
    'text': lambda s, mark: b'version https://git-lfs.github.com/spec/v1\noid sha256:00\n',
    'web page': lambda s, mark: b'<!DOCTYPE html><html><body>404</body></html>',
    'picture': lambda s, mark: b'\x89PNG\r\n\x1a\n' + bytes(100),
    'ONNX': lambda s, mark: b'\x08\x08\x12\x07pytorch' + bytes(200),
    'zeros': lambda s, mark: bytes(10_000),
    'zip of text': lambda s, mark: archive(readme=b'hello'),
    'TorchScript': lambda s, mark: scripted(),
    # truncated or damaged
    'zip mark alone': lambda s, mark: b'PK\x03\x04',
    'first 1000 bytes': lambda s, mark: saved(s)[:1000],
    'first half': lambda s, mark: saved(s)[: len(saved(s)) // 2],
    'all but the last byte': lambda s, mark: saved(s)[:-1],
    'all but the last 100 bytes': lambda s, mark: saved(s)[:-100],
    'first bytes missing': lambda s, mark: saved(s)[100:],
    'middle missing': lambda s, mark: saved(s)[:100_000] + saved(s)[200_000:],
    'old format, half': lambda s, mark: saved(s, _use_new_zipfile_serialization=False)[:6_000_000],
    'old format, 30 bytes': lambda s, mark: saved(s, _use_new_zipfile_serialization=False)[:30],
    'byte changed at 20 %': lambda s, mark: flipped(saved(s), 0.2),
    'byte changed at 80 %': lambda s, mark: flipped(saved(s), 0.8),
    # other contents
    'list': lambda s, mark: saved(list(s.values())),
    'tensor': lambda s, mark: saved(s[FIRST]),
    'number': lambda s, mark: saved(5),
    'empty dict': lambda s, mark: saved({}),
    'training state': lambda s, mark: saved({'state_dict': s, 'epoch': 3}),
    'numbers as names': lambda s, mark: saved(dict(enumerate(s.values()))),
    'text among tensors': lambda s, mark: with_value(s, LAST, 'zero'),
    'list among tensors': lambda s, mark: with_value(s, LAST, [0.0]),
    # another network
    'other network': lambda s, mark: saved(nn.Linear(3, 4).state_dict()),
    'data parallel': lambda s, mark: renamed(s, 'f', 'module.f'),
    'both encoders': lambda s, mark: with_value(s, 'feature_extractor.layer_0.0.weight', s[FIRST]),
    'encoder renamed': lambda s, mark: renamed(s, 'encoder_0', 'stage_0'),
    'part of the network': lambda s, mark: saved(
        {name: value for name, value in s.items() if name.startswith('feature_extractor')}
    ),
    'no segmentation': lambda s, mark: saved(
        {name: value for name, value in s.items() if not name.startswith('segmentation')}
    ),
    'one name missing': lambda s, mark: saved({n: v for n, v in s.items() if n != LAST}),
    'counters missing': lambda s, mark: saved(
        {name: value for name, value in s.items() if not name.endswith('num_batches_tracked')}
    ),
    'one name too many': lambda s, mark: with_value(s, 'fc.weight', torch.zeros(2)),
    # other shapes and types
    'other shape': lambda s, mark: with_value(s, FIRST, torch.zeros(16, 3, 5, 5)),
    'transposed': lambda s, mark: with_value(s, FIRST, s[FIRST].permute(1, 0, 2, 3)),
    'one value fewer': lambda s, mark: with_value(s, f'{NORM}.bias', torch.zeros(15)),
    'flat search weight': lambda s, mark: with_value(s, SEARCH_WEIGHT, torch.zeros(5)),
    'no candidates': lambda s, mark: with_value(s, SEARCH_WEIGHT, torch.zeros(128, 128, 3, 3)),
    'flat class weight': lambda s, mark: with_value(s, CLASSES_WEIGHT, torch.zeros(16)),
    'no classes': lambda s, mark: with_value(s, CLASSES_WEIGHT, torch.zeros(0, 16, 1, 1)),
    'half precision': lambda s, mark: saved({n: v.half() for n, v in s.items()}),
    'one double': lambda s, mark: with_value(s, FIRST, s[FIRST].double()),
    'complex': lambda s, mark: with_value(s, FIRST, s[FIRST].to(torch.complex64)),
    'counters as floats': lambda s, mark: with_value(
        s, f'{NORM}.num_batches_tracked', torch.tensor(1.0)
    ),
    'sparse': lambda s, mark: with_value(s, FIRST, s[FIRST].to_sparse()),
    'without numbers': lambda s, mark: with_value(s, FIRST, s[FIRST].to('meta')),
    'one number repeated': lambda s, mark: with_value(
        s, FIRST, torch.zeros(1).expand(s[FIRST].shape)
    ),
    'more than memory holds': lambda s, mark: with_value(
        s, SEARCH_WEIGHT, torch.zeros(1).expand(128, 2**31, 3, 3)
    ),
    # other numbers
    'NaN': lambda s, mark: filled(s, FIRST, float('nan')),
    'one NaN': lambda s, mark: one_wrong(s, 'disparity_head.refine.conv5.0.weight', float('nan')),
    'one infinity': lambda s, mark: one_wrong(s, LAST, float('-inf')),
    'negative variance': lambda s, mark: one_wrong(s, f'{NORM}.running_var', -0.1),
    # code
    'shell command': lambda s, mark: with_value(s, LAST, Runs(os.system, touch(mark))),
    'shell command alone': lambda s, mark: saved(Runs(os.system, touch(mark))),
    'subprocess': lambda s, mark: saved({**s, 'x': Runs(subprocess.call, ['touch', mark])}),
    'eval': lambda s, mark: saved({**s, 'x': Runs(eval, f'open({mark!r}, "w")')}),
    'exec': lambda s, mark: saved({**s, 'x': Runs(exec, f'open({mark!r}, "w")')}),
    'open': lambda s, mark: saved({**s, 'x': Runs(open, mark, 'w')}),
    'code as a name': lambda s, mark: saved({**s, Runs(os.system, touch(mark)): s[FIRST]}),
    'plain pickle with code': lambda s, mark: pickle.dumps(Runs(os.system, touch(mark)), 2),
    'newer pickle with code': lambda s, mark: pickle.dumps(Runs(os.system, touch(mark))),
    'old format with code': lambda s, mark: saved(
        {**s, 'x': Runs(os.system, touch(mark))}, _use_new_zipfile_serialization=False
    ),
    'code in a torch archive': lambda s, mark: with_pickle(
        s, pickle.dumps(Runs(os.system, touch(mark)), 2)
    ),
    'whole module': lambda s, mark: saved(nn.Linear(2, 2)),
    # safetensors
    'safetensors, half': lambda s, mark: tensors_only(s)[:6_000_000],
    'safetensors, cut header': lambda s, mark: tensors_only(s)[:1000],
    'safetensors, header of nothing': lambda s, mark: (2).to_bytes(8, 'little') + b'{}',
    'safetensors, broken header': lambda s, mark: (90).to_bytes(8, 'little') + b'{' * 100,
    'safetensors, half precision': lambda s, mark: tensors_only(
        {name: value.bfloat16() for name, value in s.items()}
    ),
    'safetensors, one missing': lambda s, mark: tensors_only(
        {name: value for name, value in s.items() if name != LAST}
    ),
    'safetensors, NaN': lambda s, mark: tensors_only({**s, LAST: torch.tensor([float('nan')])}),
    'safetensors, overlapping': lambda s, mark: with_header(
        tensors_only(s), lambda header: header[FIRST].update(data_offsets=[0, 1728])
    ),
    'safetensors, other family': lambda s, mark: tensors_only(s, family='psmnet'),
    'safetensors, other encoder': lambda s, mark: tensors_only(s, encoder='resnet34'),
    'safetensors, other range': lambda s, mark: tensors_only(s, max_disparity='100'),
    'safetensors, absurd range': lambda s, mark: tensors_only(s, max_disparity='9' * 9999),
    'safetensors, other classes': lambda s, mark: tensors_only(s, n_classes='two'),
    'safetensors, metadata of numbers': lambda s, mark: with_header(
        tensors_only(s), lambda header: header.update(__metadata__={'encoder': 5})
    ),
}


@pytest.mark.parametrize('make', WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_refused_in_one_sentence_and_runs_nothing(tmp_path, light, make):
    mark = tmp_path / 'mark'
    path = tmp_path / 'weights.pt'
    path.write_bytes(make(light.state_dict(), str(mark)))
    with pytest.raises(ModelError) as raised:
        load_checkpoint(path)
    sentence = str(raised.value)
    assert sentence.startswith(str(path)), 'the sentence names the file'
    assert '\n' not in sentence and 40 < len(sentence) - len(str(path)) < 600
    assert not mark.exists()


def test_enough_wrong_files_are_tried():
    assert len(WRONG_FILES) >= 50
    assert len(set(WRONG_FILES)) == len(WRONG_FILES)


def test_the_control_file_of_the_wrong_ones_loads(tmp_path, light):
    state = light.state_dict()
    for content in (saved(state), tensors_only(state), with_header(tensors_only(state), len)):
        parse_checkpoint(content, source='w')


def test_a_plain_unpickler_would_have_run_the_code(tmp_path):
    """The control of `mark`: the same bytes, read carelessly."""
    mark = tmp_path / 'mark'
    pickle.loads(pickle.dumps(Runs(os.system, touch(mark)), 2))
    assert mark.exists()


def test_nothing_is_printed_or_warned_about_a_wrong_file(project_root, tmp_path):
    path = tmp_path / 'wrong.pt'
    path.write_bytes(scripted())
    code = (
        'import sys\n'
        'from msdesis_ros.nets.checkpoints import load_checkpoint\n'
        'from msdesis_ros.core.errors import ModelError\n'
        'try: load_checkpoint(sys.argv[1])\n'
        'except ModelError: pass\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, str(path)],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
