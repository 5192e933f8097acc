"""`msdesis synth` as a user runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from msdesis_ros.data.synth.folder import DISTORTED_FILES, read_frame
from msdesis_ros.data.synth.shards import ShardReader

sys.path.append(str(Path(__file__).parents[1] / 'data' / 'synth'))
from fake_source import FakeRecipe

SMALL = ('--size', '96x64')


@pytest.fixture
def run(run_command):
    return run_command('synth')


@pytest.fixture
def fake(monkeypatch):
    """Let every source be the fake one; returns what the command asked for."""
    asked = []

    def recipe(kind, seed, image_size, clean, sequence, scenes):
        asked.append((kind, seed, image_size, clean, sequence, scenes))
        return FakeRecipe(seed=seed, image_size=image_size, clean=clean, sequence=sequence)

    monkeypatch.setattr('msdesis_ros.cli.synth.SourceRecipe', recipe)
    return asked


def test_the_options_reach_the_source_and_the_last_line_tells_the_speed(run, fake, tmp_path):
    code, out, err = run(
        *('--out', tmp_path / 'a', '--frames', 3, '--seed', 7, '--clean', '--distorted'),
        *('--sequence', '--workers', 2, '--size', '128x96'),
    )
    assert (code, err) == (0, '')
    assert fake == [('render', 7, (128, 96), True, True, None)]
    pattern = r'.*: 3 pairs of 128x96 px made in [\d.]+ s, [\d.]+ pairs a second .*workers: 2\)\n'
    assert re.fullmatch(pattern, out), out
    manifest = json.loads((tmp_path / 'a/manifest.json').read_text())
    assert manifest['options'] == {'clean': True, 'distorted': True, 'sequence': True}
    assert read_frame(tmp_path / 'a/000002').image_size == (128, 96)
    assert all((tmp_path / 'a/000002' / name).is_file() for name in DISTORTED_FILES)
    assert (tmp_path / 'a/points.npz').is_file() and (tmp_path / 'a/poses.json').is_file()


def test_shards_are_for_the_shard_reader(run, fake, tmp_path):
    given = ('--out', tmp_path / 'a', '--frames', 3, *SMALL, '--shards', '--shard-frames', 2)
    code, out, _ = run(*given)
    assert code == 0 and '3 pairs' in out
    assert len(ShardReader(tmp_path / 'a')) == 3
    assert sorted(p.name for p in tmp_path.joinpath('a').glob('*.zip')) == [
        'shard-00000.zip',
        'shard-00001.zip',
    ]
    code, out, _ = run(*given)
    assert code == 0 and out.endswith('holds these 3 pairs already; nothing was made\n')


@pytest.mark.parametrize(
    ('arguments', 'code', 'sentence'),
    [
        (('--scenes', 'tissue'), 2, 'the source render has one kind of scene'),
        (('--size', '640'), 2, "size is '640'; expected width x height"),
        (('--source', 'film'), 2, "source is 'film'; known: render, layered"),
        (('--source', 'layered', '--sequence'), 2, 'the source layered makes no sequences'),
        (('--shards', '--sequence'), 2, '--shards holds rectified single pairs'),
        (('--shards', '--distorted'), 2, '--shards holds rectified single pairs'),
        (('--frames', '0'), 2, 'greater than or equal'),
        (('--seed', '-1'), 2, 'greater than or equal'),
        (('--workers', '0'), 2, 'greater than or equal'),
        (('--source', 'layered', '--size', '8x8', '--frames', '1'), 2, 'size is (8, 8)'),
    ],
)
def test_wrong_use_is_one_sentence_and_leaves_nothing(run, tmp_path, arguments, code, sentence):
    found, out, err = run('--out', tmp_path / 'a', *arguments)
    assert (found, out) == (code, '')
    assert sentence in err
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_else_is_refused(run, tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    code, _, err = run('--out', tmp_path, '--frames', 1, *SMALL)
    assert code == 2 and 'holds no data set of this program' in err
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']


def test_without_opengl_the_extra_the_packages_and_the_way_out_are_named(
    run, tmp_path, monkeypatch
):
    """The message is the renderer's own; here it comes through a worker to the user."""
    from msdesis_ros.data.synth import renderer

    def recipe(*arguments):
        return FakeRecipe(trouble='missing', farewell=renderer.NO_GL)

    monkeypatch.setattr('msdesis_ros.cli.synth.SourceRecipe', recipe)
    code, out, err = run('--out', tmp_path / 'a', '--frames', 2)
    assert (code, out) == (1, '')
    for part in ('msdesis_ros[synth]', 'libegl1', 'libgl1-mesa-dri', '--source layered'):
        assert part in err
    assert err.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_bytes_with_one_worker_and_with_two(run, tmp_path):
    written = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        code, _, err = run(
            *('--out', folder, '--frames', 3, '--seed', 5, '--size', '128x96'),
            *('--source', 'layered', '--workers', workers),
        )
        assert code == 0, err
        written.append(
            {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*') if p.is_file()}
        )
    assert written[0] == written[1] and len(written[0]) == 31
    frame = read_frame(tmp_path / '1/000000')
    assert frame.scene['source'] == 'layered'


@pytest.mark.timeout(400)
def test_ctrl_c_ends_it_at_once_and_it_can_be_taken_up(tmp_path):
    command = [sys.executable, '-m', 'msdesis_ros.cli.app', 'synth', '--source', 'layered']
    command += ['--out', str(tmp_path / 'a'), '--frames', '400', '--size', '128x96']
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 200
        # Two workers: either frame may be the first one.
        frames = [tmp_path / 'a' / name for name in ('000000', '000001')]
        while not all(frame.exists() for frame in frames) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=100)
    assert process.returncode == 130 and told.count('\n') <= 1, told
    assert (tmp_path / 'a/000001').exists() and not (tmp_path / 'a/manifest.json').exists()
    assert read_frame(tmp_path / 'a/000000').image_size == (128, 96)
    assert (tmp_path / 'a/unfinished.json').exists()
