"""Model cards: read, refused, and verified against the files they describe."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from msdesis_ros.core.errors import BackendError, ModelError
from msdesis_ros.runtime.cards import list_cards, load_card, verify_card
from msdesis_ros.runtime.model_card import InputRule
from msdesis_ros.runtime.sgbm import SIZES

CONTENT = b'these bytes stand for weights'
DIGEST = hashlib.sha256(CONTENT).hexdigest()
CARD = f"""
name = 'light'
family = 'msdesis'
summary = 'a network'
heads = ['disparity', 'instrument_mask']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 320
intended_use = 'tests'
known_failures = ['everything']

[input]
multiple_of = 32
smallest = [64, 32]
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]

[[outputs]]
name = 'disparity'
shape = '[1, 1, H, W]'
unit = 'px'
meaning = 'left x minus right x'

[[files]]
path = 'light/light.onnx'
format = 'onnx'
sha256 = '{DIGEST}'

[training]
data = 'rendered scenes'
seed = 3
commit = '0123abc'

[[measured]]
figure = 'EPE'
value = 1
unit = 'px'
data = 'rendered scenes'
machine = '2 cores'
command = 'msdesis evaluate synth'
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / 'light').mkdir()
    (tmp_path / 'light' / 'light.onnx').write_bytes(CONTENT)
    (tmp_path / 'light.toml').write_text(CARD, encoding='utf-8')
    return tmp_path


def rewrite(models: Path, old: str, new: str) -> None:
    assert CARD.count(old) == 1
    (models / 'light.toml').write_text(CARD.replace(old, new), encoding='utf-8')


def test_a_card_is_read_whole(models: Path) -> None:
    card = load_card('light', models)
    assert card.name == 'light'
    assert card.heads == {'disparity', 'instrument_mask'}
    assert card.max_disparity_px == 320.0
    assert isinstance(card.max_disparity_px, float)
    assert card.input == InputRule(
        multiple_of=32, smallest=(64, 32), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
    )
    assert [output.name for output in card.outputs] == ['disparity']
    assert card.files[0].sha256 == DIGEST
    assert card.training is not None
    assert (card.training.seed, card.training.commit) == (3, '0123abc')
    assert card.measured[0].command == 'msdesis evaluate synth'
    assert card.backends[0] == 'onnxruntime'


def test_what_is_not_known_of_foreign_weights_may_be_left_out(models: Path) -> None:
    rewrite(models, "seed = 3\ncommit = '0123abc'\n", '')
    training = load_card('light', models).training
    assert training is not None
    assert (training.seed, training.commit) == (None, None)


def test_cards_are_listed_by_name(models: Path) -> None:
    other = CARD.replace("name = 'light'", "name = 'heavy'")
    (models / 'heavy.toml').write_text(other, encoding='utf-8')
    assert [card.name for card in list_cards(models)] == ['heavy', 'light']


def test_every_card_that_ships_is_readable_and_its_files_are_the_described_ones() -> None:
    cards = list_cards()
    assert 'opencv_sgbm' in [card.name for card in cards]
    for card in cards:
        assert verify_card(card) == []


def test_the_card_of_the_matcher_says_what_the_matcher_takes() -> None:
    card = load_card('opencv_sgbm')
    assert card.input == SIZES
    assert card.files == ()
    assert card.backends == ('opencv',)


@pytest.mark.parametrize('name', ['lihgt', '../light', 'light.toml', ''])
def test_an_unknown_name_is_refused_listing_the_known_ones(models: Path, name: str) -> None:
    with pytest.raises(ModelError, match='light$'):
        load_card(name, models)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='is no folder'):
        list_cards(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ("licence = 'MIT'", "license = 'MIT'", "unknown keys: 'license'; known: .*licence"),
        ('multiple_of = 32', 'multipel_of = 32', "input has unknown keys: 'multipel_of'; known:"),
        (
            "unit = 'px'\nmeaning",
            "units = 'px'\nmeaning",
            r"outputs\[0\] has unknown keys: 'units'",
        ),
        ("name = 'light'\nfam", "folder = '/'\nname = 'light'\nfam", "unknown keys: 'folder'"),
        ("licence = 'MIT'", '', 'the card lacks licence'),
        ("licence = 'MIT'", 'licence = 3', 'licence is 3; expected a text'),
        ("licence = 'MIT'", "licence = ' '", 'expected a text that is not empty'),
        ('max_disparity_px = 320', "max_disparity_px = '320'", 'expected a number'),
        ('max_disparity_px = 320', 'max_disparity_px = true', 'expected a number'),
        ('seed = 3', 'seed = 3.5', 'seed is 3.5; expected a whole number'),
        ('smallest = [64, 32]', 'smallest = [64]', 'smallest is .*expected 2 values'),
        ('smallest = [64, 32]', 'smallest = 64', 'smallest is 64; expected a list'),
        ('smallest = [64, 32]', 'smallest = [64, 0]', 'whole numbers from 1'),
        ('mean = [0.5, 0.5, 0.5]', 'mean = [0.5]', 'mean has 1 numbers'),
        ('mean = [0.5, 0.5, 0.5]', '', 'mean and std go together'),
        ('std = [0.25, 0.25, 0.25]', 'std = [0.25, 0.0, 0.25]', 'expected numbers above 0'),
        ("format = 'onnx'", "format = 'onnx'\nimage_size = [64, 0]", 'image_size is width'),
        ("format = 'onnx'", "format = 'torch'\nimage_size = [64, 32]", 'of an ONNX file'),
        (
            '[[files]]',
            f"[[files]]\npath = 'b.onnx'\nformat = 'onnx'\nsha256 = '{DIGEST}'\n[[files]]",
            '2 ONNX files are fp32 for any size, and nobody can choose',
        ),
        ("['everything']", "'everything'", 'known_failures is .*expected a list'),
        ("'instrument_mask']", "'instruments']", 'unknown; known: .*instrument_mask'),
        ("['disparity', 'instrument_mask']", '[]', 'heads'),
        ('max_disparity_px = 320', 'max_disparity_px = 0', 'in this order'),
        ("format = 'onnx'", "format = 'pt'", "format 'pt' is unknown; known: onnx"),
        (DIGEST, DIGEST[:-1], '64 lower-case hexadecimal'),
        ("'light/light.onnx'", "'../light.onnx'", 'must lie below the folder'),
        ("'light/light.onnx'", "'/light.onnx'", 'must lie below the folder'),
        ("name = 'light'\nfam", "name = 'dark'\nfam", "must be that of the file, 'light'"),
        ("family = 'msdesis'", 'family = ', 'cannot be read as a model card'),
        ("family = 'msdesis'", 'family = ' + '[' * 3000, 'cannot be read as a model card'),
        ('seed = 3', 'seed = ' + '9' * 5000, 'cannot be read as a model card'),
        ('seed = 3', 'seed = 0x' + 'f' * 5000, 'seed is <int>; expected a number of at most'),
        ('max_disparity_px = 320', 'max_disparity_px = inf', 'expected a number of at most'),
        ('value = 1', 'value = nan', 'value is nan; expected a number of at most'),
        ("licence = 'MIT'", '"a\\nb" = 3\nlicence = \'MIT\'', r"unknown keys: 'a\\nb'"),
        (CARD[CARD.index('[training]') : CARD.index('[[measured]]')], '', 'needs .*training'),
        (CARD[CARD.index('[[files]]') : CARD.index('[training]')], '', 'needs .*files'),
    ],
)
def test_a_wrong_card_is_refused_with_the_place_and_the_reason(
    models: Path, old: str, new: str, message: str
) -> None:
    rewrite(models, old, new)
    with pytest.raises(ModelError, match=message) as refusal:
        load_card('light', models)
    assert 'light.toml' in str(refusal.value)


def test_a_card_that_is_no_text_is_refused(models: Path) -> None:
    (models / 'light.toml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ModelError, match='cannot be read'):
        load_card('light', models)


def test_the_bytes_of_a_file_are_handed_out_only_when_they_are_the_described_ones(
    models: Path,
) -> None:
    card = load_card('light', models)
    assert card.file_bytes(card.files[0]) == CONTENT
    assert verify_card(card) == []
    path = models / 'light' / 'light.onnx'
    path.write_bytes(CONTENT[:-1] + b'S')
    with pytest.raises(ModelError, match=f'SHA-256 .*expects {DIGEST}'):
        card.file_bytes(card.files[0])
    assert len(verify_card(card)) == 1
    assert str(path) in verify_card(card)[0]


def test_a_missing_file_is_a_finding(models: Path) -> None:
    card = load_card('light', models)
    (models / 'light' / 'light.onnx').unlink()
    assert 'is missing' in verify_card(card)[0]
    with pytest.raises(ModelError, match='is missing'):
        card.file_bytes(card.files[0])


@pytest.mark.parametrize(
    ('rule', 'size', 'taken'),
    [
        (InputRule(), (1, 1), True),
        (InputRule(smallest=(5, 7)), (5, 7), True),
        (InputRule(smallest=(5, 7)), (7, 5), False),
        (InputRule(multiple_of=32), (640, 512), True),
        (InputRule(multiple_of=32), (640, 500), False),
        (InputRule(sizes=((1280, 1024),)), (1280, 1024), True),
        (InputRule(sizes=((1280, 1024),)), (1024, 1280), False),
    ],
)
def test_the_size_rule_takes_what_it_says(
    rule: InputRule, size: tuple[int, int], taken: bool
) -> None:
    if taken:
        rule.require(size, model='m')
        return
    with pytest.raises(BackendError) as refusal:
        rule.require(size, model='m')
    assert rule.accepted in str(refusal.value)
