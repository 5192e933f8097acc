"""`msdesis evaluate` as a user runs it, on a real matcher and on models whose errors are known."""

from __future__ import annotations

import csv
import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.data.synth.generate import generate_folder, generate_shards
from msdesis_ros.data.synth.stereo_frame import StereoFrame
from msdesis_ros.runtime.backend import RawOutput

sys.path.append(str(Path(__file__).parents[1] / 'data' / 'synth'))
from fake_source import FakeRecipe, fake_frame

SEED, FRAMES = 3, 3
OUTPUTS = ['metrics.csv', 'metrics.json', 'worst_cases.png']


class Knowing:
    """Knows the truth of the fake frames by their left pictures, and spoils it as told."""

    identity = ModelIdentity('knowing', 'ab' * 32, 'fake')
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 200.0, 0.0

    def __init__(self, spoil, heads=('disparity', 'instrument_mask', 'uncertainty')) -> None:
        self.spoil, self.heads, self.closed = spoil, frozenset(heads), False
        frames = [fake_frame(SEED, number) for number in range(FRAMES)]
        self._frames = {frame.left.tobytes(): frame for frame in frames}

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        frame = self._frames[left.tobytes()]
        planes = self.spoil(frame)
        mask = planes.get('mask', frame.instrument_mask)
        known = {
            'disparity': planes.get('disparity', np.nan_to_num(frame.disparity_px, nan=5.0)),
            'instrument_mask': np.where(mask, 3.0, -3.0),
            'uncertainty': planes.get('uncertainty', np.ones(mask.shape)),
        }
        given = (known[head] if head in self.heads else None for head in known)
        return RawOutput(*(p if p is None else p.astype(np.float32) for p in given))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def run(run_command):
    """`msdesis evaluate ...` with the matcher, unless another model is named."""
    evaluate = run_command('evaluate')

    def with_matcher(*arguments: object):
        named = {'--model', '--checkpoint', '--help'} & set(map(str, arguments))
        return evaluate(*arguments, *(() if named else ('--model', 'opencv_sgbm')))

    return with_matcher


@pytest.fixture
def model(monkeypatch):
    """Put a Knowing model in the place of the chosen one; its options go to `asked`."""

    def put(spoil, **heads):
        made = Knowing(spoil, **heads)
        made.asked = []

        def open_it(choice, image_size):
            made.asked.append((image_size, vars(choice)))
            return made

        monkeypatch.setattr('msdesis_ros.cli.model_options.ModelChoice.open', open_it)
        return made

    return put


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('data') / 'frames'
    generate_folder(out, FakeRecipe(seed=SEED), frames=FRAMES)
    return out


def metrics(out: Path) -> dict:
    return json.loads((out / 'metrics.json').read_text())


def biased(frame: StereoFrame) -> dict[str, np.ndarray]:
    return {'disparity': np.nan_to_num(frame.disparity_px, nan=5.0) - 2.0}


def noisy(factor: float):
    """Laplace noise whose scale grows with the row, and that scale times a factor."""

    def spoil(frame: StereoFrame) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(frame.scene['seed'])
        scale = np.linspace(0.05, 1.0, 64)[:, None] * np.ones(96)
        noise = rng.laplace(0, scale)
        return {
            'disparity': np.nan_to_num(frame.disparity_px, nan=5.0) + noise,
            'uncertainty': factor * math.sqrt(2) * scale,
        }

    return spoil


def test_a_constant_bias_is_the_epe_of_every_region_and_frame(run, model, data, tmp_path) -> None:
    made = model(biased)
    code, out, err = run('synth', '--data', data, '--out', tmp_path / 'a', '--threads', 1)
    assert (code, err) == (0, '')
    assert out.startswith('knowing: 3 frames, EPE 2.000 px, bad-3 0.00%')
    assert sorted(path.name for path in (tmp_path / 'a').iterdir()) == OUTPUTS
    found = metrics(tmp_path / 'a')
    for region in ('all', 'visible', 'occluded', 'edges', 'tool', 'tissue'):
        assert found['per_pixel'][region]['dense_epe_px'] == pytest.approx(2.0, abs=1e-5), region
    everything = found['per_pixel']['all']
    assert (everything['bad_1'], everything['bad_3'], everything['mask_iou']) == (1.0, 0.0, 1.0)
    frame = fake_frame(SEED, 0)
    known = np.isfinite(frame.disparity_px)
    assert everything['truth_pixels'] == 3 * np.count_nonzero(known)
    # Only what has a partner in the right picture is answered: here 2 px less than in truth.
    answered = known & (frame.disparity_px - 2 <= np.arange(96))
    assert everything['coverage'] == pytest.approx(answered.sum() / known.sum())
    truth_mm = frame.depth_mm[answered]
    found_mm = 90.3 * 4.37 / (frame.disparity_px[answered] - 2)
    assert everything['depth_mae_mm'] == pytest.approx(np.mean(found_mm - truth_mm), rel=1e-4)
    assert found['model']['name'] == 'knowing' and found['frames'] == 3
    assert found['evaluated']['image_size'] == [96, 64] and found['evaluated']['seed'] == SEED
    assert sum(found['verdicts'].values()) == 3
    with (tmp_path / 'a/metrics.csv').open() as file:
        names = {row['frame'] for row in csv.DictReader(file)}
    assert {'000000', '000001', '000002'} < names
    assert made.closed and made.asked[0][0] == (96, 64) and made.asked[0][1]['threads'] == 1
    sheet = cv2.imread(str(tmp_path / 'a/worst_cases.png'))
    assert sheet is not None and sheet.shape[1] == 1880


def test_noise_with_its_own_scale_is_calibrated_and_half_of_it_is_not(
    run, model, data, tmp_path
) -> None:
    errors = {}
    for factor in (1.0, 0.5):
        model(noisy(factor))
        assert run('synth', '--data', data, '--out', tmp_path / 'a')[0] == 0
        found = metrics(tmp_path / 'a')
        errors[factor] = found['per_pixel']['all']['calibration_error']
        everything = found['per_pixel']['all']
        # The scale rises evenly over the rows, so the lower 80 % of them go to 0.81 px.
        assert everything['dense_epe_px'] == pytest.approx(0.525, rel=0.03)
        ratio = everything['epe_certain_80_px'] / everything['dense_epe_px']
        assert ratio == pytest.approx(0.43 / 0.525, rel=0.03)
        assert 0 < everything['ause_px'] < everything['dense_epe_px']
    assert errors[1.0] < 0.01
    assert errors[0.5] == pytest.approx(0.167, abs=0.02)


def test_a_model_without_a_head_has_null_and_never_zero(run, model, data, tmp_path) -> None:
    model(biased, heads=('disparity',))
    assert run('synth', '--data', data, '--out', tmp_path / 'a')[0] == 0
    found = metrics(tmp_path / 'a')
    names = ('ause', 'ause_px', 'epe_certain_80_px', 'calibration_error', 'mask_iou')
    for name in (*names, 'mask_painted'):
        assert found['per_pixel']['all'][name] is None, name
        assert found['per_frame']['all'][name] == {'mean': None, 'frames': 0}
    assert found['curves'] is None
    model(lambda frame: {'mask': ~frame.instrument_mask}, heads=('instrument_mask',))
    code, out, _ = run('synth', '--data', data, '--out', tmp_path / 'a')
    assert code == 0 and 'EPE' not in out and 'mask IoU 0.000' in out
    found = metrics(tmp_path / 'a')
    assert found['per_pixel']['all']['mask_iou'] == 0.0
    for name in ('coverage', 'epe_px', 'dense_bad_3', 'depth_mae_mm'):
        assert found['per_pixel']['all'][name] is None, name


def test_shards_and_a_part_of_a_data_set_can_be_scored(run, tmp_path) -> None:
    generate_shards(tmp_path / 'shards', FakeRecipe(seed=SEED), frames=3, per_shard=2)
    code, out, err = run(
        *('synth', '--data', tmp_path / 'shards', '--frames', 2, '--out', tmp_path / 'a')
    )
    assert code == 0, err
    assert out.startswith('opencv_sgbm: 2 frames')
    assert metrics(tmp_path / 'a')['frames'] == 2


def test_frames_made_now_are_scored_by_a_real_matcher(run, tmp_path) -> None:
    code, out, err = run(
        *('synth', '--source', 'layered', '--seed', 12, '--frames', 2, '--size', '320x256'),
        *('--clean', '--out', tmp_path / 'a'),
    )
    assert code == 0, err
    found = metrics(tmp_path / 'a')
    assert found['evaluated']['seed'] == 12 and found['evaluated']['options'] == {'clean': True}
    visible, occluded = (found['per_pixel'][name] for name in ('visible', 'occluded'))
    assert visible['coverage'] > 0.7 and visible['bad_3'] < 0.2
    assert occluded['dense_bad_3'] > 2 * visible['dense_bad_3']


def wall(folder: Path) -> dict[str, Path]:
    """A textured wall at 12 px, with a truth in KITTI's way that lacks its first 20 columns."""
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (120, 212, 3), dtype=np.uint8), (0, 0), 1.0)
    truth = np.full((120, 200), 12 * 256, np.uint16)
    truth[60:] += 128  # half a pixel more than what is there
    truth[:, :20] = 0
    mask = np.zeros((120, 200), np.uint8)
    mask[60:] = 255
    pictures = {'left': picture[:, :200], 'right': picture[:, 12:], 'truth': truth, 'mask': mask}
    paths = {name: folder / f'{name}.png' for name in pictures}
    for name, pixels in pictures.items():
        cv2.imwrite(str(paths[name]), pixels)
    return paths


def test_a_pair_is_scored_with_its_truth_mask_and_depth(run, tmp_path) -> None:
    files = wall(tmp_path)
    code, out, err = run(
        *('pair', files['left'], files['right'], '--truth', files['truth'], '--out'),
        *(tmp_path / 'a', '--truth-scale', 256, '--rectified', '--mask-truth', files['mask']),
        *('--occlusion-truth', files['mask'], '--focal-px', 600, '--baseline-mm', 4),
    )
    assert code == 0, err
    assert out.startswith('opencv_sgbm: 1 frame, EPE 0.2')
    found = metrics(tmp_path / 'a')
    everything = found['per_pixel']['all']
    assert everything['truth_pixels'] == 120 * 180
    assert everything['epe_px'] == pytest.approx(0.25, abs=0.03)
    for region, error in (('tissue', 0.0), ('visible', 0.0), ('tool', 0.5), ('occluded', 0.5)):
        assert found['per_pixel'][region]['epe_px'] == pytest.approx(error, abs=0.05), region
    depth_mm = found['per_pixel']['tool']['depth_mae_mm']
    assert depth_mm == pytest.approx(2400 / 12 - 2400 / 12.5, rel=0.1)
    assert everything['mask_iou'] is None  # the matcher finds no instruments
    assert found['each_frame'][0]['frame'] == 'left.png'
    assert found['evaluated']['truth_scale'] == 256
    assert sorted(path.name for path in (tmp_path / 'a').iterdir()) == OUTPUTS


def test_principal_points_apart_are_part_of_the_truth_too(run, tmp_path) -> None:
    files = wall(tmp_path)
    rig = {'K1': np.diag([600.0, 600.0, 1.0]), 'T': np.array([[-4.0], [0.0], [0.0]])}
    rig['K1'][:2, 2] = 100, 60
    rig['K2'] = rig['K1'].copy()
    rig['K2'][0, 2] -= 5.0  # disparities at infinity are 5 px
    path = tmp_path / 'calibration.json'
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    identity, straight = np.eye(3), np.zeros((1, 5))
    for number in (1, 2):
        storage.write(f'K{number}', rig[f'K{number}'])
        storage.write(f'D{number}', straight)
        projection = np.hstack([rig[f'K{number}'], np.zeros((3, 1))])
        projection[0, 3] = -2400.0 if number == 2 else 0.0
        storage.write(f'P{number}', projection)
        storage.write(f'R{number}', identity)
    storage.write('R', identity)
    storage.write('T', rig['T'])
    storage.write('image_size', np.array([[120.0], [200.0]]))
    storage.release()
    code, _, err = run(
        *('pair', files['left'], files['right'], '--truth', files['truth'], '--out'),
        *(tmp_path / 'a', '--truth-scale', 256, '--rectified', '--calibration', path),
        *('--occlusion-truth', files['mask']),
    )
    assert code == 0, err
    found = metrics(tmp_path / 'a')['per_pixel']
    assert found['visible']['epe_px'] == pytest.approx(0.0, abs=0.05)
    assert found['occluded']['epe_px'] == pytest.approx(0.5, abs=0.05)
    depth_mm = found['occluded']['depth_mae_mm']
    assert depth_mm == pytest.approx(2400 / 7 - 2400 / 7.5, rel=0.1)


def test_a_pair_without_masks_and_geometry_leaves_out_what_they_are_for(run, tmp_path) -> None:
    files = wall(tmp_path)
    code, _, err = run(
        *('pair', files['left'], files['right'], '--truth', files['truth'], '--out'),
        *(tmp_path / 'a', '--truth-scale', 256, '--rectified'),
    )
    assert code == 0, err
    found = metrics(tmp_path / 'a')['per_pixel']
    assert found['all']['depth_mae_mm'] is None
    for region in ('tool', 'tissue', 'occluded', 'visible'):
        assert set(found[region].values()) == {None}, region


PAIR = ('--truth-scale', '256', '--rectified')
WRONG_PAIRS = {
    'geometry left open': (('--truth-scale', '256'), 2, '--calibration'),
    'scale of zero': (('--truth-scale', '0', '--rectified'), 2, '--truth-scale is 0'),
    'no such mask': ((*PAIR, '--mask-truth', 'none.png'), 2, 'none.png does not exist'),
    'unknown model': ((*PAIR, '--model', 'oracle'), 1, 'oracle'),
    'a card and a checkpoint': (
        (*PAIR, '--model', 'opencv_sgbm', '--checkpoint', 'x.pt'),
        2,
        'not both',
    ),
    'a mode without a checkpoint': ((*PAIR, '--mode', 'disparity'), 2, '--checkpoint'),
    'unknown backend': ((*PAIR, '--backend', 'abacus'), 2, 'abacus'),
    'wrong sign': (('--truth-scale', '-256', '--rectified'), 1, 'no disparity above 0'),
}


@pytest.mark.parametrize(('options', 'code', 'words'), WRONG_PAIRS.values(), ids=WRONG_PAIRS)
def test_a_pair_that_cannot_be_scored_is_one_sentence(run, tmp_path, options, code, words) -> None:
    files = wall(tmp_path)
    found, out, err = run(
        *('pair', files['left'], files['right'], '--truth', files['truth']),
        *('--out', tmp_path / 'a', *options),
    )
    assert (found, out) == (code, '')
    assert words in err and err.count('\n') == 1
    assert not (tmp_path / 'a').exists()


def test_a_truth_of_another_size_is_refused(run, tmp_path) -> None:
    files = wall(tmp_path)
    cv2.imwrite(str(files['truth']), np.full((60, 100), 2560, np.uint16))
    code, _, err = run(
        *('pair', files['left'], files['right'], '--truth', files['truth']),
        *('--out', tmp_path / 'a', *PAIR),
    )
    assert code == 2 and '(60, 100); expected (120, 200)' in err
    assert not (tmp_path / 'a').exists()


WRONG_SETS = {
    'nothing to score on': ((), 2, 'give --data FOLDER, or --seed NUMBER'),
    'both': (('--data', '{data}', '--seed', '1'), 2, '--seed is for frames made now'),
    'clean data': (('--data', '{data}', '--clean'), 2, '--clean is for frames made now'),
    'no folder': (('--data', 'nowhere'), 2, 'nowhere does not exist'),
    'no data set': (('--data', '{data}/000000'), 1, 'holds no manifest.json'),
    'too many': (('--data', '{data}', '--frames', '9'), 2, 'holds 3 frames'),
    'source': (('--source', 'film', '--seed', '1'), 2, 'known: render, layered'),
    'size': (('--source', 'layered', '--seed', '1', '--size', '7'), 2, "--size is '7'"),
    'small': (('--source', 'layered', '--seed', '1', '--size', '8x8'), 2, '(8, 8)'),
    'model': (('--data', '{data}', '--model', 'oracle'), 1, 'oracle'),
}


@pytest.mark.parametrize(('options', 'code', 'words'), WRONG_SETS.values(), ids=WRONG_SETS)
def test_a_set_that_cannot_be_scored_is_one_sentence_and_leaves_nothing(
    run, data, tmp_path, options, code, words
) -> None:
    given = [option.format(data=data) for option in options]
    found, out, err = run('synth', '--out', tmp_path / 'a', *given)
    assert (found, out) == (code, '')
    assert words in err and err.count('\n') == 1
    assert not (tmp_path / 'a').exists()


def test_a_damaged_frame_is_named_and_no_result_appears(run, data, tmp_path) -> None:
    import shutil

    copy = shutil.copytree(data, tmp_path / 'copy')
    (copy / '000001/left.png').write_bytes(b'x')
    code, out, err = run('synth', '--data', copy, '--out', tmp_path / 'a')
    assert (code, out) == (1, '') and '000001' in err and err.count('\n') == 1
    assert not list((tmp_path / 'a').iterdir())


def test_help_names_an_example(run) -> None:
    for command in ('pair', 'synth'):
        code, out, _ = run(command, '--help')
        assert code == 0 and f'msdesis evaluate {command} ' in ' '.join(out.split())
