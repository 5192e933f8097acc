"""`msdesis evaluate scared` on miniature test sets whose figures are worked out by hand."""

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

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / 'miniature')]
from built_program import built_program
from scared_converted import Camera, Converted, put, put_scaled, whole_tree
from shown_commands import run_shown, shown_commands

CAMERA = Camera()
DISPARITY, DEPTH = CAMERA.disparity(), CAMERA.depth()
WIDTH, HEIGHT = CAMERA.size


class Biased:
    """Answers the true disparity and 2 px; where told, nothing."""

    identity = ModelIdentity('biased', 'ab' * 32, 'fake')
    heads = frozenset({'disparity'})
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 200.0, 0.0

    def __init__(self, answer: np.ndarray | None = None) -> None:
        self.answer = (DISPARITY + 2).astype(np.float32) if answer is None else answer
        self.runs, self.closed = 0, False

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        self.runs += 1
        return RawOutput(self.answer.astype(np.float32))

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr('msdesis_ros.cli.app.app', built_program())


@pytest.fixture
def run(run_command):
    evaluate = run_command('evaluate')

    def scared(data, out, *options):
        return evaluate('scared', data, '--out', out, *options)

    return scared


@pytest.fixture
def model(monkeypatch):
    def put_in(made=None):
        made = made or Biased()
        monkeypatch.setattr('msdesis_ros.cli.model_options.ModelChoice.open', lambda *_: made)
        return made

    return put_in


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Path:
    return whole_tree(tmp_path_factory.mktemp('whole')).root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def report(out: Path, stem: str = 'scared_scores') -> dict:
    return json.loads((out / f'{stem}.json').read_text())


def save(folder: Path, tree: Path, change=lambda name, plane: plane, suffix: str = '.png') -> None:
    """Every true disparity as a prediction, in evaluate_scared's places; None leaves one out."""
    for path in sorted(tree.glob('dataset_*/keyframe_*/data/disparity/*.png')):
        key_frame = path.parents[2]
        name = f'{key_frame.parent.name}/{key_frame.name}/{path.stem}'
        plane = change(name, DISPARITY)
        if plane is None:
            continue
        target = folder / Path(name).parent / f'frame{path.stem}{suffix}'
        if suffix == '.png':
            put_scaled(target, plane)
        else:
            put(target, plane.astype(np.float32))


# --- figures ----------------------------------------------------------------------------------


def test_the_loose_protocol_has_the_published_rows_and_columns(run, model, whole, tmp_path):
    made = model()
    code, out, err = run(whole, tmp_path / 'out')
    assert (code, err) == (0, '')
    assert out.startswith('biased, loose protocol (disparity): EPE 2.0')
    found = rows(tmp_path / 'out/scared_scores.csv')
    key_frames = [f'dataset_{d}_keyframe_{k}' for d in (8, 9) for k in range(5)]
    assert [row['dataset'] for row in found] == [
        *key_frames,
        *('dataset8_mean', 'dataset9_mean', 'final_mean'),
    ]
    assert list(found[0]) == ['dataset', 'EPE', 'Bad3', 'Depth_MAE']
    # The truth is truncated to 1/128 px.
    truth = np.floor(DISPARITY * 128) / 128
    found_px = (DISPARITY + 2).astype(np.float32)
    fb = CAMERA.focal_times_baseline
    for row in found:
        assert float(row['EPE']) == pytest.approx(np.mean(found_px - truth), abs=1e-5)
        assert float(row['Bad3']) == 0
        expected_mm = np.mean(np.abs(fb / found_px - fb / truth))
        assert float(row['Depth_MAE']) == pytest.approx(expected_mm, rel=1e-5)
    said = report(tmp_path / 'out')
    assert said['model']['name'] == 'biased' and said['model']['sha256'] == 'ab' * 32
    assert said['protocol']['least_coverage'] == 0.07 and said['truth_scales'] == [128]
    assert said['complete'] and said['frames'] == 10 and said['skipped'] == {}
    assert made.runs == 10 and made.closed
    assert cv2.imread(str(tmp_path / 'out/worst_cases.png')) is not None


def test_the_paper_protocol_compares_depth_maps(run, model, tmp_path):
    # A camera whose original view is the rectified one, so that a line says what must come out.
    plain = Camera.plain()
    tree = whole_tree(tmp_path / 'plain', plain)
    model(Biased(plain.disparity() + 2))
    code, out, err = run(tree.root, tmp_path / 'out', '--protocol', 'paper')
    assert (code, err) == (0, '') and 'paper protocol (depthmap): MAE' in out
    found = rows(tmp_path / 'out/results_depthmap.csv')
    assert list(found[0]) == ['dataset', 'keyframe', 'MAE']
    assert [(row['dataset'], row['keyframe']) for row in found] == [
        *[(str(d), str(k)) for d in (8, 9) for k in range(5)],
        *[('8', 'mean'), ('9', 'mean'), ('final', 'mean')],
    ]
    truth_mm = np.floor(plain.depth() * 128) / 128
    found_mm = plain.focal_times_baseline / (plain.disparity() + 2)
    for row in found:
        assert float(row['MAE']) == pytest.approx(np.mean(np.abs(found_mm - truth_mm)), rel=1e-4)
    said = report(tmp_path / 'out', 'results_depthmap')
    assert said['protocol'] == {
        'name': 'paper',
        'domain': 'depthmap',
        'least_coverage': 0.1,
        'coverage_of': 'depthmap',
        'unit': 'mm',
    }
    assert said['fill'] == 'raster' and said['final_mean']['MAE'] == float(found[-1]['MAE'])


def test_the_depth_maps_are_those_of_the_distorted_view(run, model, whole, tmp_path):
    model(Biased(DISPARITY))
    options = ('--protocol', 'paper', '--fill', 'none')
    assert run(whole, tmp_path / 'out', *options)[0] == 0
    found = report(tmp_path / 'out', 'results_depthmap')['key_frames'][0]['each_frame'][0]
    seen = CAMERA.seen()
    # What the rectified view does not show is off by its whole depth, the rest by nothing.
    assert 0.6 < found['answered'] < 1 and found['answered'] == pytest.approx(seen.mean(), abs=0.1)
    unseen_mm = found['MAE'] / (1 - found['answered'])
    assert unseen_mm == pytest.approx(DEPTH[~seen].mean(), rel=0.1)
    # With the published fill the rest is invented, and closer.
    assert run(whole, tmp_path / 'out', '--protocol', 'paper')[0] == 0
    filled = report(tmp_path / 'out', 'results_depthmap')['key_frames'][0]['each_frame'][0]
    assert filled['answered'] == 1 and 0.01 < filled['MAE'] < 0.5 * found['MAE']
    # Leaving the lens out of the depth map would cost more than a millimetre.
    assert np.abs(CAMERA.depth(lens=False) - DEPTH)[seen].max() > 1


def test_the_disparities_of_the_paper_protocol(run, model, whole, tmp_path):
    made = model(Biased(np.where(np.arange(WIDTH) < 16, DISPARITY + 3.5, DISPARITY + 1)))
    code, out, _ = run(whole, tmp_path / 'out', '--protocol', 'paper', '--domain', 'disparity')
    assert code == 0 and 'paper protocol (disparity)' in out
    found = rows(tmp_path / 'out/results_disparity.csv')
    assert list(found[0]) == ['dataset', 'keyframe', 'MAE', 'bad3']
    assert float(found[-1]['bad3']) == pytest.approx(25.0)
    assert float(found[-1]['MAE']) == pytest.approx(0.25 * 3.5 + 0.75 * 1, abs=1 / 128)
    assert made.runs == 10


# --- which frames count -----------------------------------------------------------------------


@pytest.fixture
def sparse(tmp_path) -> Converted:
    """One key frame whose frames have 6, 7, 8, 9.5, 10 and 100 % of their truth; one without."""
    tree = whole_tree(tmp_path / 'sparse')
    shares = {'000000': 0.06, '000001': 0.07, '000002': 0.08, '000003': 0.095, '000004': 0.1}
    for number in (1, 3):
        shutil.rmtree(tree.root / f'dataset_8/keyframe_{number}')
    tree.add_key_frame(8, 1, {**shares, '000005': 1.0})
    tree.add_key_frame(8, 3, {'000000': 0.05, '000001': 0.0})
    return tree


@pytest.mark.parametrize(
    ('options', 'stem', 'least', 'skipped'),
    [
        (('--protocol', 'loose'), 'scared_scores', '7%', ['000000']),
        (
            ('--protocol', 'paper'),
            'results_depthmap',
            '10%',
            ['000000', '000001', '000002', '000003'],
        ),
    ],
)
def test_frames_count_by_the_coverage_of_the_protocol_and_the_others_are_named(
    run, model, sparse, tmp_path, options, stem, least, skipped
):
    model()
    code, out, err = run(sparse.root, tmp_path / 'out', *options)
    assert code == 0, err
    said = report(tmp_path / 'out', stem)
    reason = f'truth at less than {least} of the pixels'
    found = {key['name']: key for key in said['key_frames']}
    # 7 % and 10 % of 3072 pixels are 215 and 307: 0.06999 and 0.09993.
    sparse_frames = {'7%': 215, '10%': 307}[least] / (WIDTH * HEIGHT) < float(least[:-1]) / 100
    expected = skipped + (['000001'] if least == '7%' else ['000004']) * sparse_frames
    assert found['dataset_8/keyframe_1']['skipped_frames'] == {reason: expected}
    assert said['skipped'] == {reason: len(expected) + 2}
    assert f'{len(expected) + 2} skipped ({len(expected) + 2} with {reason})' in out
    # A key frame without a frame that counts is stated; it does not end the run.
    assert 'key frames have no figure (dataset_8/keyframe_3)' in err and not said['complete']
    table = rows(tmp_path / f'out/{stem}.csv')
    measure = 'EPE' if stem == 'scared_scores' else 'MAE'
    assert table[3][measure] == '' and found['dataset_8/keyframe_3'][measure] is None
    others = [float(table[n][measure]) for n in (0, 1, 2, 4)]
    assert float(table[10][measure]) == pytest.approx(np.mean(others))
    assert said['sets']['dataset_8']['key_frames'] == 4


def test_a_key_frame_that_is_not_there_is_named(run, model, sparse, tmp_path):
    model()
    shutil.rmtree(sparse.root / 'dataset_8/keyframe_0')
    code, _, err = run(sparse.root, tmp_path / 'out')
    assert code == 0
    assert 'dataset_8/keyframe_0 is missing' in err and '2 of 10 key frames have no figure' in err
    # The others keep their rows: paired by order, key frame 1 would now stand in row 0.
    found = rows(tmp_path / 'out/scared_scores.csv')
    assert found[0] == {'dataset': 'dataset_8_keyframe_0', 'EPE': '', 'Bad3': '', 'Depth_MAE': ''}
    assert found[1]['EPE'] != ''


def test_without_a_whole_set_there_is_no_final_mean(run, model, sparse, tmp_path):
    model()
    shutil.rmtree(sparse.root / 'dataset_9')
    code, out, err = run(sparse.root, tmp_path / 'out')
    assert code == 0 and 'EPE unknown' in out and '6 of 10 key frames have no figure' in err
    found = rows(tmp_path / 'out/scared_scores.csv')
    assert found[10]['EPE'] != '' and found[11]['EPE'] == found[12]['EPE'] == ''
    assert report(tmp_path / 'out')['final_mean'] == dict.fromkeys(('EPE', 'Bad3', 'Depth_MAE'))


def test_broken_files_are_named_and_their_frames_left_out(run, model, whole, tmp_path):
    model()
    data = shutil.copytree(whole, tmp_path / 'data')
    (data / 'dataset_8/keyframe_0/data/disparity/000000.png').write_bytes(b'x')
    (data / 'dataset_8/keyframe_1/data/left_rectified/000000.png').write_bytes(b'x')
    (data / 'dataset_8/keyframe_2/data/right_rectified/000000.png').unlink()
    (data / 'dataset_8/keyframe_4/data/disparity/000000.png').unlink()
    code, _, err = run(data, tmp_path / 'out')
    assert code == 0
    said = report(tmp_path / 'out')
    assert said['skipped'] == {
        'damaged disparity': 1,
        'no usable pictures': 2,
        'no disparity': 1,
    }
    for words in (
        'keyframe_0/data/disparity/000000.png',
        'keyframe_1/data/left_rectified/000000.png',
        'dataset_8/keyframe_2/000000 has no picture in right_rectified',
        'dataset_8/keyframe_4/000000 has no truth in disparity',
    ):
        assert words in err


def test_a_valid_list_that_says_otherwise_is_told_and_does_not_decide(
    run, model, sparse, tmp_path
):
    model()
    folder = sparse.root / 'dataset_8/keyframe_1'
    (folder / 'valid.csv').write_text('0.000000000000000000e+00\n5\n')
    (sparse.root / 'dataset_9/keyframe_0/valid.csv').write_text('0\n')
    code, _, err = run(sparse.root, tmp_path / 'out', '--protocol', 'paper')
    assert code == 0 and err.count('valid.csv') == 1
    assert 'valid.csv of dataset_8/keyframe_1 says otherwise' in err
    names = report(tmp_path / 'out', 'results_depthmap')['key_frames'][1]['each_frame']
    assert '000000' not in [frame['frame'] for frame in names]
    (folder / 'valid.csv').write_text('frame\n')
    code, _, err = run(sparse.root, tmp_path / 'out', '--protocol', 'paper')
    assert code == 1 and 'cannot be read as frame numbers' in err


@pytest.mark.parametrize('calibration', [None, '{}'])
def test_without_a_calibration_there_is_no_depth_and_the_rest_is_scored(
    run, model, whole, tmp_path, calibration
):
    model()
    data = shutil.copytree(whole, tmp_path / 'data')
    path = data / 'dataset_9/keyframe_2/stereo_calib.json'
    path.unlink()
    if calibration is not None:
        path.write_text(calibration)
    code, _, err = run(data, tmp_path / 'out')
    assert code == 0 and 'keyframe_2' in err
    found = rows(tmp_path / 'out/scared_scores.csv')[7]
    assert found['Depth_MAE'] == '' and float(found['EPE']) == pytest.approx(2, abs=0.01)
    code, _, err = run(data, tmp_path / 'out', '--protocol', 'paper')
    assert code == 0
    said = report(tmp_path / 'out', 'results_depthmap')
    assert said['skipped'] == {'no usable calibration': 1} and not said['complete']


# --- saved predictions ------------------------------------------------------------------------


def lifted_tree(root: Path) -> Path:
    """As whole_tree, with a key frame of three frames that differ by 6 px each."""
    tree = whole_tree(root)
    folder = tree.root / 'dataset_8/keyframe_2'
    for n in range(3):
        tree.add_frame(folder, f'{n:06d}', lift=6.0 * n)
    return tree.root


def lifted(name: str, plane: np.ndarray) -> np.ndarray:
    return plane + 6 * int(name[-1]) if name.startswith('dataset_8/keyframe_2') else plane


def test_a_missing_prediction_counts_in_full_and_shifts_no_other_one(run, tmp_path):
    data = lifted_tree(tmp_path / 'data')
    gone = 'dataset_8/keyframe_2/000001'
    save(tmp_path / 'saved', data, lambda n, d: None if n == gone else lifted(n, d))
    code, _, err = run(
        data, tmp_path / 'out', '--predictions', tmp_path / 'saved', '--scale-factor', 128
    )
    assert code == 1, 'as evaluate ris, and only after the figures are written'
    assert 'dataset_8/keyframe_2: 1 of 3 frames have no prediction (000001)' in err
    assert err.splitlines()[-1].startswith('msdesis: 1 of 12 frames have no prediction')
    found = report(tmp_path / 'out')['key_frames'][2]
    frames = {frame['frame']: frame for frame in found['each_frame']}
    assert found['missing_predictions'] == ['000001'] and found['frames'] == 3
    assert frames['000000']['EPE'] == frames['000002']['EPE'] == 0
    # Unknown everywhere: a disparity of 0, and 40 mm at every pixel.
    whole_px = (np.floor((DISPARITY + 6) * 128) / 128).mean()
    assert frames['000001']['EPE'] == pytest.approx(whole_px)
    assert frames['000001']['Depth_MAE'] == 40.0 and frames['000001']['answered'] == 0
    assert found['EPE'] == pytest.approx(whole_px / 3)
    # Paired by order, the prediction of frame 2 would meet the truth of frame 1, 6 px apart.
    predictions = sorted((tmp_path / 'saved/dataset_8/keyframe_2').iterdir())
    truths = sorted((data / 'dataset_8/keyframe_2/data/disparity').iterdir())
    by_order = [
        np.abs(cv2.imread(str(a), -1) / 128 - cv2.imread(str(b), -1) / 128).mean()
        for a, b in zip(predictions, truths, strict=False)
    ]
    assert by_order == pytest.approx([0, 6], abs=0.01)


def test_a_missing_key_frame_of_predictions_counts_in_full_and_is_named(run, whole, tmp_path):
    gone = 'dataset_9/keyframe_1'
    save(tmp_path / 'saved', whole, lambda n, d: None if n.startswith(gone) else d)
    options = ('--predictions', tmp_path / 'saved', '--scale-factor', '128', '--protocol', 'paper')
    code, _, err = run(whole, tmp_path / 'out', *options)
    assert code == 1 and f'{gone}: 1 of 1 frames have no prediction' in err
    found = rows(tmp_path / 'out/results_depthmap.csv')
    values = [float(row['MAE']) for row in found]
    full = (np.floor(DEPTH * 128) / 128).mean()
    assert values[6] == pytest.approx(full)
    assert values[5] == values[7] < 0.2 * full
    assert values[11] == pytest.approx(np.mean(values[5:10]))


def test_unknown_pixels_of_a_prediction_are_0_and_count(run, whole, tmp_path):
    def holed(name: str, plane: np.ndarray) -> np.ndarray:
        return np.where(np.arange(WIDTH) < WIDTH // 4, np.nan, plane)

    save(tmp_path / 'saved', whole, holed, suffix='.tiff')
    assert run(whole, tmp_path / 'out', '--predictions', tmp_path / 'saved')[0] == 0
    found = report(tmp_path / 'out')
    truth = np.floor(DISPARITY * 128) / 128
    missed = np.arange(WIDTH) < WIDTH // 4
    expected = np.where(missed, truth, np.abs(DISPARITY - truth)).mean()
    assert found['final_mean']['EPE'] == pytest.approx(expected, rel=1e-5)
    assert found['final_mean']['Bad3'] == pytest.approx(25.0)
    assert found['key_frames'][0]['each_frame'][0]['answered'] == 0.75


def test_what_a_model_said_is_saved_by_name_with_its_scale_and_scores_alike(
    run, model, sparse, tmp_path
):
    model()
    saved = tmp_path / 'saved'
    code, out, err = run(
        sparse.root, tmp_path / 'now', '--save-predictions', saved, '--scale-factor', 64.5
    )
    assert code == 0 and f'predictions at the scale 64.5 in {saved}' in out
    # All of them, those that do not count too: another protocol may count them.
    names = sorted(path.name for path in (saved / 'dataset_8/keyframe_1').iterdir())
    assert names == [f'frame00000{n}.png' for n in range(6)]
    about = json.loads((saved / 'values.json').read_text())
    assert about['scale'] == 64.5 and about['quantity'] == 'disparity_px'
    assert about['model']['name'] == 'biased'
    assert report(tmp_path / 'now')['saved_predictions']['scale'] == 64.5
    stored = cv2.imread(str(saved / 'dataset_8/keyframe_1/frame000004.png'), -1)
    np.testing.assert_allclose(stored / 64.5, DISPARITY + 2, atol=0.5 / 64.5 + 1e-6)
    # Its own scale is known to the folder, and so is the model.
    code, out, _ = run(sparse.root, tmp_path / 'then', '--predictions', saved)
    assert code == 0 and out.startswith('biased, loose')
    now, then = (report(tmp_path / name) for name in ('now', 'then'))
    assert then['model'] == now['model'] and then['predictions']['scale'] == 64.5
    assert then['final_mean']['EPE'] == pytest.approx(now['final_mean']['EPE'], abs=0.5 / 64.5)
    assert then['skipped'] == now['skipped'] and then['missing_predictions'] == 0
    code, _, err = run(
        sparse.root, tmp_path / 'then', '--predictions', saved, '--scale-factor', 128
    )
    assert code == 2 and 'holds 64.5 for 1' in err
    code, _, err = run(sparse.root, tmp_path / 'now', '--save-predictions', saved)
    assert code == 2 and 'is not empty; give --overwrite' in err
    # One of another scale that is not made again would be read with the new scale.
    (sparse.root / 'dataset_8/keyframe_1/data/left_rectified/000005.png').unlink()
    again = ('--save-predictions', saved, '--overwrite')
    assert run(sparse.root, tmp_path / 'now', *again)[0] == 0
    assert json.loads((saved / 'values.json').read_text())['scale'] == 128
    assert not (saved / 'dataset_8/keyframe_1/frame000005.png').exists()
    # What was wrong to ask for costs nothing that is there.
    code, _, err = run(sparse.root, tmp_path / 'now', *again, '--fill', 'none')
    assert code == 2 and 'leave it out' in err
    assert (saved / 'dataset_8/keyframe_1/frame000004.png').exists()


def test_a_model_that_the_folder_names_oddly_is_no_model(run, whole, tmp_path):
    save(tmp_path / 'saved', whole)
    about = {'quantity': 'disparity_px', 'scale': 128, 'model': 'ours'}
    (tmp_path / 'saved/values.json').write_text(json.dumps(about))
    code, out, _ = run(whole, tmp_path / 'out', '--predictions', tmp_path / 'saved')
    assert code == 0 and out.startswith('saved predictions, loose')


def test_frame_names_are_kept_whatever_they_begin_with(run, model, tmp_path):
    tree = whole_tree(tmp_path / 'data')
    folder = tree.root / 'dataset_8/keyframe_0'
    shutil.rmtree(folder)
    tree.add_key_frame(8, 0, {'000225': 1.0, '000230': 1.0})
    model()
    saved = tmp_path / 'saved'
    assert run(tree.root, tmp_path / 'out', '--save-predictions', saved)[0] == 0
    names = sorted(path.name for path in (saved / 'dataset_8/keyframe_0').iterdir())
    # A running index would call them frame000000 and frame000001.
    assert names == ['frame000225.png', 'frame000230.png']


def test_the_places_of_the_toolkit_are_read_and_strangers_are_told(run, whole, tmp_path):
    saved = tmp_path / 'saved'
    save(saved, whole)
    for key_frame in saved.glob('dataset_*/keyframe_*'):
        target = key_frame / 'data/disparity'
        target.mkdir(parents=True)
        (key_frame / 'frame000000.png').rename(target / '000000.png')
    put_scaled(saved / 'dataset_8/keyframe_0/data/disparity/000099.png', DISPARITY)
    options = ('--predictions', saved, '--scale-factor', 128)
    code, _, err = run(whole, tmp_path / 'out', *options)
    assert code == 0 and '1 predictions belong to no frame' in err and '000099.png' in err
    assert report(tmp_path / 'out')['final_mean']['EPE'] == 0
    put_scaled(saved / 'dataset_8/keyframe_0/frame000000.png', DISPARITY)
    code, _, err = run(whole, tmp_path / 'out', *options)
    assert code == 2 and 'both predictions of dataset_8/keyframe_0/000000' in err


def test_saved_depth_maps_are_compared_as_they_are(run, whole, tmp_path):
    saved = tmp_path / 'saved'
    save(saved, whole, lambda name, plane: DEPTH + 1.5, suffix='.tiff')
    options = ('--predictions', saved, '--predictions-hold', 'depthmap')
    code, _, err = run(whole, tmp_path / 'out', *options, '--protocol', 'paper')
    assert code == 0, err
    said = report(tmp_path / 'out', 'results_depthmap')
    assert said['final_mean']['MAE'] == pytest.approx(1.5, abs=1 / 128)
    assert said['predictions']['quantity'] == 'depth_mm' and 'fill' not in said
    code, _, err = run(whole, tmp_path / 'out', *options)
    assert code == 2 and '--protocol paper --domain depthmap' in err


def test_a_damaged_prediction_or_one_of_another_size_stops_the_run(run, whole, tmp_path):
    saved = tmp_path / 'saved'
    save(saved, whole)
    path = saved / 'dataset_8/keyframe_0/frame000000.png'
    options = ('--predictions', saved, '--scale-factor', 128)
    put_scaled(path, DISPARITY[:, 1:])
    code, _, err = run(whole, tmp_path / 'out', *options)
    assert code == 1 and 'the prediction is 63x48 px and the truth 64x48 px' in err
    path.write_bytes(b'x')
    code, _, err = run(whole, tmp_path / 'out', *options)
    assert code == 1 and 'frame000000.png' in err and err.count('\n') == 1
    assert not (tmp_path / 'out/scared_scores.csv').exists()


# --- scales of the truth, files, wrong use ----------------------------------------------------


def test_the_scale_of_the_truth_is_given_or_said_by_its_folder(run, model, tmp_path):
    tree = whole_tree(tmp_path / 'data')
    for path in tree.root.glob('dataset_*/keyframe_*/data/disparity/*.png'):
        put_scaled(path, DISPARITY, 256)
    model(Biased(DISPARITY))
    for options in (('--truth-scale-factor', 256), ()):
        code, _, err = run(tree.root, tmp_path / 'out', *options)
        assert (code, err) == (0, '')
        said = report(tmp_path / 'out')
        assert said['truth_scales'] == [256] and said['final_mean']['EPE'] < 1 / 256
        for folder in tree.root.glob('dataset_*/keyframe_*/data/disparity'):
            about = {'quantity': 'disparity_px', 'scale': 256}
            (folder / 'values.json').write_text(json.dumps(about))
    code, _, err = run(tree.root, tmp_path / 'out', '--truth-scale-factor', 128)
    assert code == 2 and '--truth-scale-factor is 128 but' in err


def test_a_folder_holds_the_results_of_one_run_only(run, model, whole, tmp_path):
    model()
    out = tmp_path / 'out'
    assert run(whole, out)[0] == 0
    assert run(whole, out, '--protocol', 'paper')[0] == 0
    assert sorted(path.name for path in out.iterdir()) == [
        'results_depthmap.csv',
        'results_depthmap.json',
        'worst_cases.png',
    ]


def test_a_model_without_a_disparity_is_refused(run, model, whole, tmp_path):
    made = Biased()
    made.heads = frozenset({'instrument_mask'})
    model(made)
    code, _, err = run(whole, tmp_path / 'out')
    assert code == 2 and 'biased gives no disparity' in err and made.closed


WRONG_USE = {
    'protocol': (('--protocol', 'strict'), 2, 'known are loose, paper'),
    'domain': (('--domain', 'depthmap'), 2, 'known are disparity'),
    'fill': (('--fill', 'magic'), 2, 'choose none or raster'),
    'nothing to fill': (('--fill', 'none', '--model', 'opencv_sgbm'), 2, 'leave it out'),
    'scale of nothing': (('--scale-factor', '64'), 2, 'give --save-predictions too'),
    'scale': (
        ('--scale-factor', '0', '--save-predictions', '{tmp}/new'),
        2,
        '--scale-factor is 0',
    ),
    'scale in words': (('--scale-factor', 'fine'), 2, '--scale-factor'),
    'truth scale': (
        ('--truth-scale-factor', '-1', '--model', 'opencv_sgbm'),
        2,
        'scale factor is -1',
    ),
    'holds nothing': (('--predictions-hold', 'depthmap'), 2, 'give it too'),
    'holds what': (
        ('--predictions', '{tmp}', '--predictions-hold', 'meshes'),
        2,
        'choose disparity or depthmap',
    ),
    'both sources': (
        ('--predictions', '{tmp}', '--model', 'opencv_sgbm'),
        2,
        '--model is for a model that runs now',
    ),
    'saving what is saved': (
        ('--predictions', '{tmp}', '--save-predictions', '{tmp}/new'),
        2,
        '--save-predictions is for a model',
    ),
    'no predictions there': (('--predictions', '{tmp}'), 2, 'holds no prediction of any frame'),
    'unknown model': (('--model', 'oracle'), 1, 'oracle'),
}


@pytest.mark.parametrize(('options', 'code', 'words'), WRONG_USE.values(), ids=WRONG_USE)
def test_wrong_use_is_one_sentence_and_leaves_nothing(run, whole, tmp_path, options, code, words):
    given = [option.format(tmp=tmp_path) for option in options]
    found, out, err = run(whole, tmp_path / 'out', *given)
    assert (found, out) == (code, '') and words in ' '.join(err.split())
    assert not list((tmp_path / 'out').glob('*.csv'))


def test_data_that_are_none_are_refused(run, tmp_path):
    for data, words in (
        (tmp_path / 'none', 'none does not exist'),
        (tmp_path, 'no folder dataset_8'),
    ):
        code, _, err = run(data, tmp_path / 'out')
        assert code == 2 and words in err


def test_pngs_whose_scale_nobody_knows_are_refused(run, whole, tmp_path):
    save(tmp_path / 'saved', whole)
    code, _, err = run(whole, tmp_path / 'out', '--predictions', tmp_path / 'saved')
    assert code == 2 and '--scale-factor' in err


def test_help_names_an_example(run_command):
    code, out, _ = run_command('evaluate')('scared', '--help')
    assert code == 0 and 'msdesis evaluate scared data' in ' '.join(out.split())


# --- the document -----------------------------------------------------------------------------

DOCUMENT = Path(__file__).parents[2] / 'docs' / 'scared-evaluation.md'


def test_the_commands_of_the_document_do_what_it_says(tmp_path, monkeypatch):
    tree = whole_tree(tmp_path / 'data/scared_test')
    shutil.rmtree(tree.root / 'dataset_9')  # half of it is enough to run them
    monkeypatch.chdir(tmp_path)
    commands = shown_commands(DOCUMENT)
    assert [command[:2] for command in commands] == [
        *[['evaluate', 'scared']] * 4,
        *[['convert', 'depth']] * 2,
    ]
    for command in commands:
        run_shown(command)
    for name in (
        'scared/scared_scores.csv',
        'predictions/dataset_8/keyframe_4/frame000000.png',
        'scared_paper/results_depthmap.json',
        'scared_saved/results_depthmap.csv',
        'scared_px/results_disparity.csv',
        'depth/frame000000.png',
        'disparity/frame000000.png',
        'disparity/values.json',
    ):
        assert (tmp_path / 'out' / name).is_file(), name
    now, saved = (
        report(tmp_path / 'out' / name, 'results_depthmap')['sets']['dataset_8']['MAE']
        for name in ('scared_paper', 'scared_saved')
    )
    # The same model: what differs is 1/256 px.
    assert saved == pytest.approx(now, rel=0.01)
