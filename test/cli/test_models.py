from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from msdesis_ros.cli import models
from msdesis_ros.core.errors import ModelError
from msdesis_ros.runtime import cards

CARD = """
name = '{name}'
family = 'net'
summary = 'A network [for] tests'
heads = ['disparity', 'instrument_mask']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 319
intended_use = 'tests'
known_failures = ['everything']
input = {{ multiple_of = 32, smallest = [64, 32] }}
training = {{ data = 'rendered', seed = 7 }}

[[outputs]]
name = 'disparity'
shape = '1 x 1 x H x W'
unit = 'px'
meaning = 'left - right'

[[measured]]
figure = 'EPE'
value = 1.5
unit = 'px'
data = 'noise'
machine = 'm'
command = 'c'

[[files]]
path = '{name}.onnx'
format = 'onnx'
sha256 = '{sha256}'
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder of cards in the place of those that ship: `first` and `second`."""
    for name in ('first', 'second'):
        content = name.encode()
        (tmp_path / f'{name}.onnx').write_bytes(content)
        card = CARD.format(name=name, sha256=hashlib.sha256(content).hexdigest())
        (tmp_path / f'{name}.toml').write_text(card)
    for module in (cards, models):
        monkeypatch.setattr(module, 'resource', lambda *_: tmp_path)
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(models.models_app, list(arguments))


def test_the_models_that_ship_are_listed_and_verified():
    listed, verified = run('list'), run('verify')
    assert (listed.exit_code, verified.exit_code) == (0, 0)
    assert re.search(r'^opencv_sgbm\tdisparity\t0 to 255 px\topencv\t', listed.stdout, re.M)
    assert 'opencv_sgbm: has no files' in verified.stdout


def test_the_list_is_one_line_a_model_apart_by_tabs(folder):
    lines = run('list').stdout.splitlines()
    assert [line.split('\t')[0] for line in lines] == ['name', 'first', 'second']
    assert {len(line.split('\t')) for line in lines} == {6}
    assert 'disparity, instrument_mask' in lines[1]


def test_show_says_everything_on_the_card(folder):
    shown = run('show', 'first').stdout
    sha256 = hashlib.sha256(b'first').hexdigest()
    for part in (
        'A network [for] tests',
        '0 to 319 px',
        'any size from 64x32 whose width and height are multiples of 32',
        f'first.onnx (onnx), SHA-256 {sha256}',
        'training data\trendered',
        'seed\t7',
        'commit\tunknown',
        'known failure\teverything',
        'EPE: 1.5 px on noise; m; c',
    ):
        assert part in shown


def test_show_of_an_unknown_model_names_the_known_ones(folder):
    result = run('show', 'third')
    assert isinstance(result.exception, ModelError)
    assert 'first, second' in str(result.exception)


def test_files_that_are_unchanged_verify(folder):
    result = run('verify')
    assert result.exit_code == 0
    assert result.stdout == 'first: 1 file verified\nsecond: 1 file verified\n'


def test_every_file_that_differs_is_named_and_gives_exit_code_1(folder):
    (folder / 'first.onnx').write_bytes(b'First')
    (folder / 'second.onnx').unlink()
    result = run('verify')
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2
    assert 'first.onnx has SHA-256' in result.stderr
    assert 'second.onnx is missing' in result.stderr
    assert result.stdout == ''


def test_one_model_can_be_verified_alone(folder):
    (folder / 'first.onnx').write_bytes(b'First')
    assert run('verify', 'second').exit_code == 0
    assert run('verify', 'first').exit_code == 1


def test_a_card_that_cannot_be_read_does_not_hide_the_others(folder):
    (folder / 'first.toml').write_text('name = [')
    result = run('verify')
    assert result.exit_code == 1
    assert 'first.toml' in result.stderr
    assert result.stdout == 'second: 1 file verified\n'


def test_verifying_an_unknown_model_gives_exit_code_1(folder):
    result = run('verify', 'third')
    assert result.exit_code == 1
    assert 'first, second' in result.stderr


def test_an_installation_without_cards_is_an_error(folder):
    for card in folder.glob('*.toml'):
        card.unlink()
    assert isinstance(run('verify').exception, ModelError)


def test_on_a_terminal_the_list_is_a_table(folder, monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=200, color_system=None)
    monkeypatch.setattr(models, 'Console', lambda: console)
    assert run('list').exit_code == 0
    output = console.file.getvalue()
    assert '\t' not in output
    assert 'A network [for] tests' in output, 'square brackets are no markup'


@pytest.mark.parametrize('command', ['list', 'show', 'verify'])
def test_help_has_an_example(command):
    result = run(command, '--help')
    assert result.exit_code == 0
    assert f'Example: msdesis models {command}' in result.stdout
