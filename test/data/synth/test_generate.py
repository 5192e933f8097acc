"""Whole data sets: the same bytes for any number of workers, whole or unfinished, never mixed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, MissingExtraError, MsdesisError, UsageError
from msdesis_ros.data.synth.dataset_plan import DatasetPlan, read_manifest
from msdesis_ros.data.synth.folder import DISTORTED_FILES, FRAME_FILES, read_frame
from msdesis_ros.data.synth.generate import Made, generate_folder, generate_shards
from msdesis_ros.data.synth.sequence_files import read_sequence
from msdesis_ros.data.synth.shards import ShardReader

sys.path.append(str(Path(__file__).parent))
from fake_source import FakeRecipe, fake_frame


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.mark.parametrize('make', [generate_folder, generate_shards])
def test_any_number_of_workers_gives_the_same_bytes(tmp_path, make):
    options = {'distorted': True} if make is generate_folder else {'per_shard': 2}
    for workers in (1, 2, 3):
        recipe = FakeRecipe(trouble='slow first')
        made = make(tmp_path / str(workers), recipe, frames=5, workers=workers, **options)
        assert made == Made(made=5, kept=0)
    first = contents(tmp_path / '1')
    assert contents(tmp_path / '2') == first and contents(tmp_path / '3') == first


def test_another_seed_gives_other_pictures(tmp_path):
    for seed in (3, 4):
        generate_folder(tmp_path / str(seed), FakeRecipe(seed=seed), frames=1)
    first, other = (contents(tmp_path / str(seed)) for seed in (3, 4))
    assert first['000000/left.png'] != other['000000/left.png']


def test_the_folder_holds_numbered_frames_and_a_manifest(tmp_path):
    done = []
    generate_folder(tmp_path / 'a', FakeRecipe(clean=True), frames=3, progress=done.append)
    names = [f'{number:06d}/{name}' for number in range(3) for name in FRAME_FILES]
    assert sorted(contents(tmp_path / 'a')) == sorted([*names, 'manifest.json'])
    assert done == [1, 2, 3]
    manifest = json.loads((tmp_path / 'a/manifest.json').read_text())
    assert manifest['seed'] == 3 and manifest['source'] == 'fake' and manifest['frames'] == 3
    assert manifest['image_size'] == [96, 64]
    assert manifest['options'] == {'clean': True, 'distorted': False, 'sequence': False}
    assert manifest['versions']['numpy'] == np.__version__
    np.testing.assert_array_equal(read_frame(tmp_path / 'a/000002').left, fake_frame(3, 2).left)


def test_each_pair_has_lenses_of_its_own_and_a_sequence_has_one(tmp_path):
    generate_folder(tmp_path / 'a', FakeRecipe(), frames=2, distorted=True)
    generate_folder(tmp_path / 'b', FakeRecipe(sequence=True), frames=2, distorted=True)
    lenses = {
        path: content
        for path, content in contents(tmp_path).items()
        if path.endswith(DISTORTED_FILES[2])
    }
    assert len(lenses) == 4
    assert lenses[f'a/000000/{DISTORTED_FILES[2]}'] != lenses[f'a/000001/{DISTORTED_FILES[2]}']
    assert lenses[f'b/000000/{DISTORTED_FILES[2]}'] == lenses[f'b/000001/{DISTORTED_FILES[2]}']


def test_a_sequence_has_poses_and_points_of_every_frame(tmp_path):
    generate_folder(tmp_path / 'a', FakeRecipe(sequence=True), frames=3, workers=2)
    truth = read_sequence(tmp_path / 'a')
    assert truth.world_from_left[:, 0, 3].tolist() == [0.0, 0.5, 1.0]
    np.testing.assert_array_equal(truth.points_mm, FakeRecipe().open().points_mm)
    assert truth.visible.any()


@pytest.mark.parametrize('sequence', [False, True])
def test_a_run_that_was_ended_is_taken_up_with_the_same_result(tmp_path, sequence):
    recipe = FakeRecipe(sequence=sequence)
    generate_folder(tmp_path / 'whole', recipe, frames=4)
    ended = FakeRecipe(trouble='die', at=2, sequence=sequence)
    with pytest.raises(MsdesisError, match='frame 2 died'):
        generate_folder(tmp_path / 'a', ended, frames=4)
    names = sorted(path.name for path in (tmp_path / 'a').iterdir())
    assert names == ['000000', '000001', 'unfinished.json']
    with pytest.raises(FileFormatError, match='unfinished data set'):
        read_manifest(tmp_path / 'a', 'frames')
    (tmp_path / 'a' / '.000002-12ab.partial').mkdir()  # as a killed process leaves it
    (tmp_path / 'a' / '.000002-12ab.partial' / 'left.png').write_bytes(b'half')
    kept = (tmp_path / 'a/000001/left.png').stat().st_mtime_ns
    done = []
    made = generate_folder(tmp_path / 'a', recipe, frames=4, progress=done.append)
    assert made == Made(made=2, kept=2) and done[-1] == 4
    assert (tmp_path / 'a/000001/left.png').stat().st_mtime_ns == kept
    assert contents(tmp_path / 'a') == contents(tmp_path / 'whole')


def test_whole_shards_of_a_run_that_was_ended_are_kept(tmp_path):
    generate_shards(tmp_path / 'whole', FakeRecipe(), frames=5, per_shard=2)
    ended = FakeRecipe(trouble='fault', at=3)
    with pytest.raises(MsdesisError, match='frame 3 cannot be made'):
        generate_shards(tmp_path / 'a', ended, frames=5, per_shard=2)
    names = sorted(path.name for path in (tmp_path / 'a').iterdir())
    assert names == ['shard-00000.zip', 'unfinished.json']
    (tmp_path / 'a' / '.shard-00001.77-12ab.zip').write_bytes(b'half')  # of a killed process
    done = []
    made = generate_shards(
        tmp_path / 'a', FakeRecipe(), frames=5, per_shard=2, workers=2, progress=done.append
    )
    assert made == Made(made=3, kept=2) and done == [3, 4, 5]
    assert contents(tmp_path / 'a') == contents(tmp_path / 'whole')
    assert len(ShardReader(tmp_path / 'a')) == 5


def test_a_data_set_that_is_whole_is_kept_as_it_is(tmp_path):
    generate_folder(tmp_path / 'a', FakeRecipe(), frames=2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert generate_folder(tmp_path / 'a', FakeRecipe(), frames=2) == Made(made=0, kept=2)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before


def test_other_arguments_and_foreign_folders_are_refused_and_left_alone(tmp_path):
    folder = tmp_path / 'a'
    generate_folder(folder, FakeRecipe(), frames=1)
    before = contents(folder)
    with pytest.raises(UsageError, match=r'another data set .seed 3; asked for seed 4'):
        generate_folder(folder, FakeRecipe(seed=4), frames=1)
    with pytest.raises(UsageError, match=r'layout frames.*asked for layout shards'):
        generate_shards(folder, FakeRecipe(), frames=1)
    assert contents(folder) == before
    precious = tmp_path / 'b'
    precious.mkdir()
    (precious / 'mine.txt').write_text('mine')
    with pytest.raises(UsageError, match='holds no data set of this program'):
        generate_folder(precious, FakeRecipe(), frames=1)
    with pytest.raises(UsageError, match='holds no data set'):
        generate_folder(precious / 'mine.txt', FakeRecipe(), frames=1)
    (precious / 'manifest.json').write_text('{"generator": "another"}')
    with pytest.raises(UsageError, match='manifest.json that is not of this program'):
        generate_folder(precious, FakeRecipe(), frames=1)
    assert sorted(contents(precious)) == ['manifest.json', 'mine.txt']


def test_arguments_out_of_range_are_refused_before_anything_is_written(tmp_path):
    for arguments, reason in (
        ({'frames': 0}, 'at least 1'),
        ({'frames': 1, 'workers': 0}, 'at least 1'),
    ):
        with pytest.raises(UsageError, match=reason):
            generate_folder(tmp_path / 'a', FakeRecipe(), **arguments)
    with pytest.raises(UsageError, match='0 or more'):
        generate_folder(tmp_path / 'a', FakeRecipe(seed=-1), frames=1)
    with pytest.raises(UsageError, match='single pairs'):
        generate_shards(tmp_path / 'a', FakeRecipe(sequence=True), frames=1)
    with pytest.raises(UsageError, match='frames a shard'):
        generate_shards(tmp_path / 'a', FakeRecipe(), frames=1, per_shard=0)
    assert not list(tmp_path.iterdir())


def test_the_plan_of_another_run_that_made_nothing_yet_is_left_alone(tmp_path):
    folder = tmp_path / 'a'
    assert not DatasetPlan('frames', 'fake', 9, 5, (96, 64)).begin(folder)
    before = contents(folder)
    with pytest.raises(UsageError, match='another data set'):
        generate_folder(folder, FakeRecipe(), frames=1)
    assert contents(folder) == before


def test_what_the_source_lacks_leaves_nothing_behind(tmp_path):
    with pytest.raises(MissingExtraError):
        generate_folder(tmp_path / 'a', FakeRecipe(trouble='missing'), frames=2)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path, monkeypatch):
    def full(self, folder, **added):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(DatasetPlan, 'finish', full)
    with pytest.raises(MsdesisError, match='data set to .*No space left on device; choose'):
        generate_folder(tmp_path / 'a', FakeRecipe(), frames=1)


def test_a_disk_that_fills_up_is_one_error_in_a_worker(tmp_path):
    """A real one: files may not grow over 3 kB in the process and its workers."""
    script = tmp_path / 'script.py'
    script.write_text(
        f"""
import resource, signal, sys
sys.path.append({str(Path(__file__).parent)!r})
from pathlib import Path
from fake_source import FakeRecipe
from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.data.synth.generate import generate_folder
if __name__ == '__main__':
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    try:
        generate_folder(Path(sys.argv[1]), FakeRecipe(), frames=3, workers=2)
    except MsdesisError as error:
        print(error)
"""
    )
    out = tmp_path / 'out'
    done = subprocess.run(
        [sys.executable, str(script), str(out)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.count('\n') == 1 and 'File too large' in done.stdout, done.stdout
    assert 'left.png' in done.stdout
    assert not out.exists(), 'nothing was finished'
