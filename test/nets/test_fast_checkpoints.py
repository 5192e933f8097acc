"""Checkpoints of msdesis_fast: recognised by their tensors, and by what they say of themselves."""

from __future__ import annotations

import io

import pytest

from msdesis_ros.core.errors import ModelError, UsageError

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
pytest.importorskip('safetensors', reason='the extra torch is not installed')
from safetensors.torch import save as save_safetensors  # noqa: E402

from msdesis_ros.nets.checkpoints import checkpoint_bytes, parse_checkpoint  # noqa: E402
from msdesis_ros.nets.fast.family import PARTS_WEIGHT, SEARCH_WEIGHT, SIZE_WEIGHT  # noqa: E402
from msdesis_ros.nets.registry import create_network  # noqa: E402

LAST = 'mask_head.mask.bias'


def as_pt(state) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return buffer.getvalue()


@pytest.fixture(scope='module')
def fast(lively):
    return lively.lively_fast('small', max_disparity=72, n_parts=2)


@pytest.mark.parametrize('size', ['small', 'base', 'large'])
def test_size_range_and_parts_are_told_by_the_tensors_alone(size):
    network = create_network('msdesis_fast', size=size, max_disparity=136, n_parts=5)
    for content in (as_pt(network.state_dict()), save_safetensors(network.state_dict())):
        loaded = parse_checkpoint(content, source='w')
        assert loaded.network.config == network.config
        assert not loaded.network.training and loaded.metadata == {}


def test_the_loaded_network_answers_as_the_one_that_was_saved(fast):
    loaded = parse_checkpoint(checkpoint_bytes(fast), source='w').network
    views = torch.randn(2, 1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = loaded(*views), fast(*views)
    for name in ('disparity_px', 'log_scale', 'mask_logits', 'part_logits'):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=0, atol=0)
    assert expected.disparity_px.std() > 1


def test_loading_draws_no_random_numbers(fast):
    content = checkpoint_bytes(fast)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    parse_checkpoint(content, source='w')
    torch.testing.assert_close(torch.rand(4), expected, rtol=0, atol=0)


def test_a_file_says_its_options_and_how_pictures_are_normalised(fast):
    content = checkpoint_bytes(
        fast, mean=(0.5, 0.25, 0), std=(0.125, 0.5, 1), metadata={'card': 'tiny'}
    )
    loaded = parse_checkpoint(content, source='w', size='small', mode='disparity')
    assert loaded.metadata == {
        'family': 'msdesis_fast',
        'size': 'small',
        'max_disparity': '72',
        'n_parts': '2',
        'card': 'tiny',
        'mean': '[0.5, 0.25, 0.0]',
        'std': '[0.125, 0.5, 1.0]',
    }
    assert (loaded.mean, loaded.std) == ((0.5, 0.25, 0.0), (0.125, 0.5, 1.0))
    assert loaded.network.config.heads == {'disparity', 'uncertainty'}


@pytest.mark.parametrize(
    ('asked', 'sentence'),
    [
        ({'size': 'base'}, 'the size small, not base; ask for small'),
        ({'max_disparity': 256}, 'the max_disparity 72, not 256; ask for 72'),
        ({'n_parts': 3}, 'the n_parts 2, not 3; ask for 2'),
        ({'encoder': 'light'}, 'the family msdesis_fast, which has no encoder; leave it out'),
    ],
)
def test_a_file_that_is_not_what_was_asked_for_is_refused(fast, asked, sentence):
    with pytest.raises(ModelError, match=sentence):
        parse_checkpoint(as_pt(fast.state_dict()), source='w', **asked)


def test_a_published_network_has_no_size(lively):
    content = as_pt(lively.lively_network('light').state_dict())
    with pytest.raises(ModelError, match='the family msdesis, which has no size'):
        parse_checkpoint(content, source='w', size='base')


@pytest.mark.parametrize('asked', [{'size': 'huge'}, {'mode': 'depth'}, {'max_disparity': 71}])
def test_what_no_network_has_is_wrong_use(fast, asked):
    with pytest.raises(UsageError):
        parse_checkpoint(as_pt(fast.state_dict()), source='w', **asked)


def changed(state, name, value):
    return as_pt({**state, name: value})


WRONG = {
    'one missing': lambda s: as_pt({n: v for n, v in s.items() if n != LAST}),
    'no parts': lambda s: as_pt({n: v for n, v in s.items() if n != PARTS_WEIGHT}),
    'one too many': lambda s: changed(s, 'fc.weight', torch.zeros(2)),
    'other shape': lambda s: changed(s, LAST, torch.zeros(5)),
    'flat search weight': lambda s: changed(s, SEARCH_WEIGHT, torch.zeros(5)),
    'no candidates': lambda s: changed(s, SEARCH_WEIGHT, torch.zeros(0, 32, 1, 1)),
    'no part': lambda s: changed(s, PARTS_WEIGHT, torch.zeros(1, 16, 1, 1)),
    'flat parts': lambda s: changed(s, PARTS_WEIGHT, torch.tensor(5.0)),
    'a size that is none': lambda s: changed(s, SIZE_WEIGHT, torch.zeros(33, 32, 1, 1)),
    'more than memory holds': lambda s: changed(
        s, SEARCH_WEIGHT, torch.zeros(1).expand(2**34, 32, 1, 1)
    ),
    'NaN': lambda s: changed(s, LAST, torch.full((16,), float('nan'))),
    'half precision': lambda s: as_pt({n: v.half() for n, v in s.items()}),
    'other family': lambda s: save_safetensors(s, {'family': 'msdesis'}),
    'other size': lambda s: save_safetensors(s, {'size': 'base'}),
    'other range': lambda s: save_safetensors(s, {'max_disparity': '80'}),
    'other parts': lambda s: save_safetensors(s, {'n_parts': 'two'}),
    'two means': lambda s: save_safetensors(s, {'mean': '[0.5, 0.5]'}),
    'means that are text': lambda s: save_safetensors(s, {'mean': '0.5 0.5 0.5'}),
    'a NaN mean': lambda s: save_safetensors(s, {'mean': '[0.5, 0.5, NaN]'}),
    'a mean alone': lambda s: save_safetensors(s, {'mean': '[0.5, 0.5, 0.5]'}),
    'a deviation of nothing': lambda s: save_safetensors(
        s, {'mean': '[0.5, 0.5, 0.5]', 'std': '[0.5, 0.5, 0.0]'}
    ),
}


@pytest.mark.parametrize('make', WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_in_one_sentence(fast, make):
    content = make(fast.state_dict())
    with pytest.raises(ModelError) as raised:
        parse_checkpoint(content, source='w.pt')
    sentence = str(raised.value)
    assert sentence.startswith('w.pt') and '\n' not in sentence and 40 < len(sentence) < 600


def test_the_control_file_of_the_wrong_ones_loads(fast):
    for content in (
        as_pt(fast.state_dict()),
        save_safetensors(fast.state_dict(), {'family': 'msdesis_fast', 'n_parts': '2'}),
    ):
        parse_checkpoint(content, source='w')
