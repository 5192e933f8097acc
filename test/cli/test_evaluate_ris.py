"""`msdesis evaluate ris` on the miniature tree: convert, infer, evaluate, and what goes wrong."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / 'miniature'))
from ris2017_tree import RisTree
from shown_commands import run_shown, shown_commands

DOCUMENT = Path(__file__).parents[2] / 'docs/ris2017.md'
FRAMES = {1: (225, 226), 2: (225,), 10: (0, 1, 2)}


class Blueness:
    """Takes what is bluer than a level for an instrument; at 160 the logit is 0, 20 levels are 1.

    With a right picture it adds 5 to all logits, so that tests see which eyes it got.
    """

    identity = ModelIdentity('blueness', 'ab' * 32, 'fake')
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 200.0, 0.0

    def __init__(self, heads=('instrument_mask',)) -> None:
        self.heads, self.closed = frozenset(heads), False

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        logits = (left[..., 2].astype(np.float32) - 160) / 20
        if not np.array_equal(left, right):
            logits = logits + np.float32(5)
        return RawOutput(None, mask_logits=logits)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def run(run_command):
    return run_command('evaluate')


@pytest.fixture
def model(monkeypatch):
    made = Blueness()
    monkeypatch.setattr('msdesis_ros.cli.model_options.ModelChoice.open', lambda *_: made)
    return made


@pytest.fixture(scope='module')
def trees(tmp_path_factory) -> dict[str, Path]:
    """Both forms, converted by the command. Not to be changed."""
    folder = tmp_path_factory.mktemp('trees')
    RisTree(FRAMES).write(folder / 'raw')
    small = ('--size', '160x128')
    for form in ('monocular', 'stereo'):
        out = str(folder / form)
        run_shown(['convert', 'ris2017', str(folder / 'raw'), out, '--form', form, *small])
    return {form: folder / form for form in ('monocular', 'stereo')}


def grey(path: Path) -> np.ndarray:
    plane = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert plane is not None, path
    return plane


def by_hand(tree: Path, level: float, predicted=None) -> tuple[dict[str, float], float]:
    """The protocol, written out: scores of the sets, and the final one."""
    sets = {}
    for number, frames in FRAMES.items():
        folder, scores = tree / f'instrument_dataset_{number}', []
        for frame in frames:
            name = f'frame{frame:03d}.png'
            truth = grey(folder / 'ground_truth/binary' / name) == 255
            found = grey(folder / 'left_frame' / name)[..., 0] > level
            if predicted is not None:
                found = predicted(number, name)
            both, either = (found & truth).sum(), (found | truth).sum()
            scores.append((both + 1e-6) / (either + 1e-6))
        sets[folder.name] = sum(scores) / len(scores)
    return sets, sum(sets.values()) / len(sets)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ('form', 'options', 'level', 'runs'),
    [
        ('monocular', (), 160, {'pairs': 0, 'left_alone': 6}),
        # sigmoid(x) > 0.9 is x > 2.197; 20 levels are 1.
        ('monocular', ('--threshold', 0.9), 160 + 20 * np.log(9), {'pairs': 0, 'left_alone': 6}),
        ('stereo', ('--left-only',), 160, {'pairs': 0, 'left_alone': 6}),
        ('stereo', (), 60, {'pairs': 6, 'left_alone': 0}),
    ],
)
def test_a_model_is_scored_as_the_formulas_say(
    run, model, trees, tmp_path, form, options, level, runs
) -> None:
    code, told, err = run('ris', trees[form], '--out', tmp_path / 'a', *options)
    assert code == 0, err
    sets, final = by_hand(trees[form], level)
    assert 0.1 < final < 1.0
    rows = rows_of(tmp_path / 'a/ris17_scores.csv')
    assert [row['dataset'] for row in rows] == [*sets, 'final_mean']
    assert [float(row['IoU']) for row in rows] == pytest.approx([*sets.values(), final], abs=1e-9)
    content = json.loads((tmp_path / 'a/ris17_scores.json').read_text())
    assert content['binary']['final_mean']['IoU'] == pytest.approx(final, abs=1e-9)
    assert content['runs'] == runs and content['model']['name'] == 'blueness'
    assert content['binary']['sets']['instrument_dataset_10']['frames'] == 3
    assert f'blueness: binary IoU {final:.4f} over 3 sets, 6 frames' in told
    assert 'instrument_dataset_3, instrument_dataset_4' in err
    assert grey(tmp_path / 'a/worst_cases.png').ndim == 3 and model.closed


def test_saved_masks_have_the_source_names_and_score_the_same_again(
    run, model, trees, tmp_path
) -> None:
    """The published evaluation names them by a running index, so they fit no source."""
    data, out = trees['monocular'], tmp_path / 'a'
    assert run('ris', data, '--out', out, '--save-masks')[0] == 0
    saved = {str(path.relative_to(out / 'masks')) for path in out.glob('masks/*/binary/*.png')}
    assert saved == {
        f'instrument_dataset_{number}/binary/frame{frame:03d}.png'
        for number, frames in FRAMES.items()
        for frame in frames
    }
    found = grey(out / 'masks/instrument_dataset_1/binary/frame225.png')
    source = grey(data / 'instrument_dataset_1/left_frame/frame225.png')
    np.testing.assert_array_equal(found, np.where(source[..., 0] > 160, 255, 0))
    code, told, err = run('ris', data, '--out', tmp_path / 'b', '--predictions', out / 'masks')
    assert code == 0, err
    first, second = (rows_of(folder / 'ris17_scores.csv') for folder in (out, tmp_path / 'b'))
    assert first == second
    # One that is missing counts as if nothing had been found; no other frame takes its place.
    (out / 'masks/instrument_dataset_10/binary/frame001.png').unlink()
    code, told, err = run('ris', data, '--out', tmp_path / 'b', '--predictions', out / 'masks')
    assert code == 1 and 'instrument_dataset_10/frame001 counts as an empty prediction' in err

    def predicted(number: int, name: str) -> np.ndarray:
        path = out / f'masks/instrument_dataset_{number}/binary' / name
        return grey(path) == 255 if path.exists() else np.zeros((128, 160), bool)

    _, final = by_hand(data, 0, predicted)
    assert float(rows_of(tmp_path / 'b/ris17_scores.csv')[-1]['IoU']) == pytest.approx(final)
    content = json.loads((tmp_path / 'b/ris17_scores.json').read_text())
    assert content['counted_empty'] == 1 and len(content['problems']) == 1


def test_a_broken_picture_counts_as_an_empty_prediction(run, model, trees, tmp_path) -> None:
    data = shutil.copytree(trees['stereo'], tmp_path / 'data')
    masks = tmp_path / 'a/masks/instrument_dataset_1/binary'
    assert run('ris', data, '--out', tmp_path / 'a', '--save-masks')[0] == 0
    (data / 'instrument_dataset_1/left_frame/frame225.png').write_bytes(b'')
    (data / 'instrument_dataset_2/right_frame/frame225.png').write_bytes(b'')
    (data / 'instrument_dataset_10/left_frame/frame001.png').unlink()
    code, _, err = run('ris', data, '--out', tmp_path / 'a', '--save-masks')
    assert code == 1 and 'Traceback' not in err
    # The mask of the run before would be scored as that of this one.
    assert (masks / 'frame226.png').exists() and not (masks / 'frame225.png').exists()
    content = json.loads((tmp_path / 'a/ris17_scores.json').read_text())
    assert content['counted_empty'] == 3
    frames = content['binary']['frames']
    assert frames['instrument_dataset_1']['frame225']['IoU'] < 1e-6
    assert frames['instrument_dataset_1']['frame226']['IoU'] > 0.1
    assert frames['instrument_dataset_2']['frame225']['IoU'] < 1e-6
    assert 'left_frame/frame001.png is missing' in err


def test_parts_and_types_are_scored_where_predictions_have_them(run, trees, tmp_path) -> None:
    data, saved = trees['monocular'], tmp_path / 'saved'
    for number, frames in FRAMES.items():
        for frame in frames:
            place, name = f'instrument_dataset_{number}', f'frame{frame:03d}.png'
            labels = [grey(p / name) for p in sorted((data / place / 'ground_truth').glob('*_*'))]
            parts, types = np.zeros((128, 160), np.uint8), np.zeros((128, 160), np.uint8)
            for values, kind in zip(labels, (2, 7, 3), strict=True):
                types[values > 0] = kind
                for value, part in ((10, 1), (20, 3), (30, 3)):  # every wrist is taken for jaws
                    parts[values == value] = part
            for what, plane in (('parts', parts), ('types', types)):
                (saved / place / what).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(saved / place / what / name), plane)
    code, told, err = run('ris', data, '--out', tmp_path / 'a', '--predictions', saved)
    assert code == 0, err
    assert sorted(p.name for p in (tmp_path / 'a').iterdir()) == [
        'ris17_parts.csv',
        'ris17_scores.json',
        'ris17_types.csv',
    ]
    final = rows_of(tmp_path / 'a/ris17_parts.csv')[-1]
    assert float(final['shaft']) == 1.0 and float(final['wrist']) < 1e-6
    # Jaws are 7 mm of 14 mm of the bars below the shaft.
    assert 0.4 < float(final['jaws']) < 0.6
    types = rows_of(tmp_path / 'a/ris17_types.csv')[-1]
    assert types['vessel_sealer'] == '' and float(types['other']) == 1.0
    assert float(types['mean']) == 1.0


def test_a_model_without_a_mask_says_so_and_what_to_do(run, trees, tmp_path) -> None:
    chosen = ('--out', tmp_path / 'a', '--model', 'opencv_sgbm')
    code, _, err = run('ris', trees['monocular'], *chosen)
    assert code == 2 and len(err.strip().splitlines()) == 1
    for words in ('opencv_sgbm gives no instrument mask', '--checkpoint', '--predictions'):
        assert words in err
    assert not (tmp_path / 'a').exists()


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (('--predictions', 'saved', '--threshold', '0.5'), '--threshold is for a model run now'),
        (('--predictions', 'saved', '--threshold', '0'), '--threshold is for a model run now'),
        (('--predictions', 'saved', '--left-only'), '--left-only is for a model run now'),
        (('--predictions', 'saved', '--model', 'opencv_sgbm'), '--model is for a model'),
        (('--predictions', 'none'), 'none does not exist'),
        (('--threshold', '1'), 'expected a number between 0 and 1'),
        (('--threshold', 'nan'), 'expected a number between 0 and 1'),
        (('--encoder', 'light'), 'give --checkpoint FILE too'),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    run, trees, tmp_path, monkeypatch, options, words
) -> None:
    if '--threshold' in options:
        monkeypatch.setattr(
            'msdesis_ros.cli.model_options.ModelChoice.open', lambda *_: Blueness()
        )
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'saved').mkdir()
    code, _, err = run('ris', trees['monocular'], '--out', tmp_path / 'a', *options)
    assert code == 2 and words in err and not (tmp_path / 'a').exists()


def test_folders_without_masks_are_one_sentence(run, trees, tmp_path) -> None:
    (tmp_path / 'saved').mkdir()
    out = ('--out', tmp_path / 'a')
    code, _, err = run('ris', trees['monocular'], *out, '--predictions', tmp_path / 'saved')
    assert code == 1 and 'give the folder of the saved masks' in err
    code, _, err = run('ris', tmp_path, *out)
    assert code == 1 and 'has no folder instrument_dataset_1' in err


@pytest.mark.timeout(300)  # imports torch, where nothing else did before
def test_a_checkpoint_with_a_mask_goes_from_pairs_to_scores_by_both_ways(
    run, trees, tmp_path
) -> None:
    """Convert, infer a list of pairs, evaluate what it wrote: the same figures as in one go."""
    torch = pytest.importorskip('torch', reason='the extra torch is not installed')
    from msdesis_ros.nets.checkpoints import checkpoint_bytes
    from msdesis_ros.nets.registry import create_network

    torch.manual_seed(3)
    network = create_network('msdesis_fast', size='small', max_disparity=64).eval()
    weights = tmp_path / 'weights.safetensors'
    weights.write_bytes(checkpoint_bytes(network))
    data, chosen = tmp_path / 'data', ('--checkpoint', str(weights), '--threads', '1')
    place = 'instrument_dataset_2'
    shutil.copytree(trees['stereo'] / place, data / place)
    code, _, err = run('ris', data, '--out', tmp_path / 'a', *chosen)
    assert code == 0, err
    eyes = [str(data / place / f'{eye}_frame') for eye in ('left', 'right')]
    listed, masks = str(tmp_path / 'list.csv'), str(tmp_path / 'p' / place / 'binary')
    run_shown(['create-io-csv', *eyes, '--out-path', listed, '--segmentation-out-dir', masks])
    run_shown(['infer', 'csv', '.', str(tmp_path), listed, '--rectified', *chosen])
    code, _, err = run('ris', data, '--out', tmp_path / 'b', '--predictions', tmp_path / 'p')
    assert code == 0, err
    first, second = (rows_of(tmp_path / name / 'ris17_scores.csv') for name in 'ab')
    assert first == second and first[-1]['dataset'] == 'final_mean'


def test_the_commands_of_the_document_do_what_it_says(tmp_path, monkeypatch, model) -> None:
    monkeypatch.chdir(tmp_path)
    RisTree({1: (0,)}).write(tmp_path / 'RIS/train_set')
    RisTree({1: (225,)}).write(tmp_path / 'RIS/test_set')
    Path('weights.pt').write_bytes(b'the model of this test is another one')
    commands = shown_commands(DOCUMENT)
    assert len(commands) == 6
    told = [run_shown(arguments) for arguments in commands]
    assert told[-1].split(';')[0].removeprefix('out/ris/masks') == told[-2].split(';')[
        0
    ].removeprefix('blueness')
    for name in (
        'data/ris2017_monocular/instrument_dataset_1/ground_truth/binary/frame000.png',
        'data/ris2017_stereo/instrument_dataset_1/right_frame/frame000.png',
        'data/ris2017_stereo/instrument_dataset_1/stereo_calib.json',
        'data/ris2017_stereo.csv',
        'data/ris2017_test/instrument_dataset_1/left_frame/frame225.png',
        'out/ris2017_statistics.csv',
        'out/ris/ris17_scores.csv',
        'out/ris/masks/instrument_dataset_1/binary/frame225.png',
        'out/ris_again/ris17_scores.json',
    ):
        assert Path(name).is_file(), name
