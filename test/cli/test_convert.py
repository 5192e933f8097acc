"""`msdesis convert scared` and `keyframes`: exit codes, messages, and the commands of the page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / 'miniature'))
sys.path.append(str(Path(__file__).parents[1]))
import scared_tree
import shown_commands
from built_program import built_program

pytest.importorskip('av', reason='PyAV is not installed')
pytest.importorskip('trimesh', reason='trimesh is not installed')

PLY = 'ply\nformat ascii 1.0\nelement vertex 1\n{}end_header\n0 0 40\n'.format(
    ''.join(f'property float {axis}\n' for axis in 'xyz')
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr('msdesis_ros.cli.app.app', built_program())


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> Path:
    """A key frame to train with and two to test with. Not to change."""
    root = tmp_path_factory.mktemp('published') / 'SCARED'
    scared_tree.write_scared_tree(
        root, key_frames=((1, 1), (8, 0), (8, 4)), size=(48, 36), frames=2, sparse=()
    )
    (root / 'dataset_1' / 'keyframe_1' / 'cleaned.ply').write_text(PLY)
    return root


@pytest.fixture
def convert(run_command):
    return run_command('convert')


def names(folder: Path) -> set[str]:
    found = (path for path in folder.rglob('*') if path.is_file())
    return {str(path.relative_to(folder)) for path in found}


def test_sequences_become_depth_and_disparity_unless_told_otherwise(convert, tree, tmp_path):
    code, said, told = convert('scared', tree / 'dataset_8', '--out', tmp_path / 'out')
    assert code == 0 and said == f'{tmp_path / "out"}: 3 frames made\n'
    assert told == 'note: dataset_8/keyframe_4 has no video: its key frame is all\n'
    products = {name.split('/')[3] for name in names(tmp_path / 'out') if '/data/' in name}
    assert products == {
        'left',
        'depthmap',
        'left_rectified',
        'right_rectified',
        'depthmap_rectified',
        'disparity',
    }
    code, said, _ = convert('scared', tree / 'dataset_8', '--out', tmp_path / 'out')
    assert code == 0 and said.endswith('0 frames made, 3 were there already\n')


def test_key_frames_of_the_test_sets_are_left_out_unless_asked_for(convert, tree, tmp_path):
    code, said, told = convert('keyframes', tree, '--out', tmp_path / 'a')
    assert code == 0 and said.endswith('1 key frames made\n')
    assert 'test sets are left out (8_0, 8_4)' in told
    assert {path.name for path in (tmp_path / 'a' / 'disparity').glob('*.png')} == {'1_1.png'}
    code, said, _ = convert('keyframes', tree, '--out', tmp_path / 'b', '--test-sets')
    assert code == 0 and said.endswith('3 key frames made\n')
    code, _, told = convert('keyframes', tree / 'dataset_8', '--out', tmp_path / 'c')
    assert code == 2 and '--test-sets' in told


def test_a_missing_piece_gives_exit_code_1_after_all_else_was_made(convert, tmp_path):
    scared_tree.write_scared_tree(
        tmp_path / 'tree', key_frames=((8, 0), (8, 1)), size=(48, 36), frames=1, sparse=()
    )
    (tmp_path / 'tree/dataset_8/keyframe_0/endoscope_calibration.yaml').unlink()
    code, said, told = convert('scared', tmp_path / 'tree', '--out', tmp_path / 'out')
    assert code == 1 and said.endswith('1 frames made\n')
    assert 'left out: dataset_8/keyframe_0' in told and 'endoscope_calibration.yaml' in told
    assert 'msdesis: 1 pieces of the data are missing or broken' in told
    code, said, told = convert('scared', tmp_path / 'tree', '--out', tmp_path / 'b', '--strict')
    assert code == 1 and said == '' and 'endoscope_calibration.yaml' in told
    assert not names(tmp_path / 'b')


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (('--alpha', '2'), 'alpha is 2'),
        (('--scale-factor', '0'), 'the scale factor is 0'),
        (('--cloud', 'cleaned.ply'), '--from-poses only'),
    ],
)
def test_wrong_use_gives_exit_code_2(convert, tree, tmp_path, options, reason):
    code, _, told = convert('scared', tree, '--out', tmp_path / 'out', *options)
    assert code == 2 and reason in told and not (tmp_path / 'out').exists()


def test_a_folder_that_is_no_scared_is_told(convert, tmp_path):
    code, _, told = convert('scared', tmp_path / 'none', '--out', tmp_path / 'out')
    assert code == 2 and 'is no folder' in told
    code, _, told = convert('keyframes', tmp_path, '--out', tmp_path / 'out')
    assert code == 1 and 'dataset_N/keyframe_K' in told


def test_the_commands_of_the_document_work_in_its_order(tree, tmp_path, monkeypatch, project_root):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'SCARED').symlink_to(tree)
    commands = shown_commands.shown_commands(project_root / 'docs' / 'conversion.md')
    assert len(commands) == 6
    for arguments in commands:
        shown_commands.run_shown(arguments)
    made = names(tmp_path / 'data')
    for name in (
        'scared/disparity/1_1.png',
        'scared/stereo_calib/1_1.json',
        'scared_clean/disparity/1_1.png',
        'scared_tree/dataset_1/keyframe_1/depthmap_undistorted.png',
        'scared_test/dataset_8/keyframe_0/valid.csv',
        'scared_test/dataset_8/keyframe_0/data/disparity/000001.png',
        'scared_flow/dataset_1/keyframe_1/forward_flow/000000.png',
        'scared_moved/dataset_1/keyframe_1/disparity/000001.png',
    ):
        assert name in made
