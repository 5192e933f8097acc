from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.data.ply import read_ply
from msdesis_ros.data.sample import sample_folder
from msdesis_ros.evaluation.disparity_metrics import score_disparity


def given(*arguments: object) -> list[str]:
    """The words of `msdesis infer pair ...`; with the matcher, whose answers are known, where
    `arguments` name no model.
    """
    words = ['infer', 'pair', *map(str, arguments)]
    named = {'--model', '--checkpoint'} & set(words)
    return words if named else [*words, '--model', 'opencv_sgbm']


def in_a_shell(words: list[str]) -> subprocess.CompletedProcess[str]:
    """`msdesis ...` as a user runs it."""
    command = [sys.executable, '-m', 'msdesis_ros.cli.app', *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def infer(msdesis) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`msdesis infer pair ...` in this process."""
    return lambda *arguments: msdesis(*given(*arguments))


def shifted_pair(folder: Path, *, disparity: int = 12, size=(200, 120)) -> tuple[Path, Path]:
    """A textured wall whose every pixel has one disparity."""
    width, height = size
    rng = np.random.default_rng(1)
    wall = rng.integers(0, 255, (height, width + disparity, 3), dtype=np.uint8)
    wall = cv2.GaussianBlur(wall, (0, 0), 1.0)
    paths = folder / 'left.png', folder / 'right.png'
    # What the left camera sees at x, the right one sees at x - d.
    cv2.imwrite(str(paths[0]), wall[:, :width])
    cv2.imwrite(str(paths[1]), wall[:, disparity:])
    return paths


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None, path
    return picture


def test_a_pair_of_known_disparity_comes_out_in_pixels_and_metres(tmp_path):
    left, right = shifted_pair(tmp_path)
    out = tmp_path / 'out'
    options = ['--rectified', '--focal-px', 600, '--baseline-mm', 4, '--raw']
    done = in_a_shell(given(left, right, '--out', out, *options))
    assert done.returncode == 0, done.stderr
    disparity, valid = read(out / 'disparity.tiff'), read(out / 'valid.png') == 255
    assert disparity.dtype == np.float32 and disparity.shape == (120, 200)
    assert valid[:, 12:].mean() > 0.95 and not valid[:, :11].any()
    assert np.abs(disparity[valid] - 12).mean() < 0.05
    depth = read(out / 'depth.tiff')
    np.testing.assert_array_equal(np.isfinite(depth), valid)
    np.testing.assert_allclose(np.nanmedian(depth), 600 * 0.004 / 12, rtol=0.005)
    assert len(read_ply(out / 'points.ply').points_m) == np.count_nonzero(valid)
    np.testing.assert_array_equal(np.load(out / 'raw_disparity.npy'), disparity)
    report = json.loads((out / 'report.json').read_text())
    assert report['model'] == {'name': 'opencv_sgbm', 'sha256': None}
    assert report['image_size'] == [200, 120]
    assert report['geometry']['baseline_m'] == pytest.approx(0.004)
    assert report['coverage'] == pytest.approx(valid.mean())


def test_rectified_pictures_of_unknown_geometry_give_disparity_only(infer, tmp_path):
    left, right = shifted_pair(tmp_path)
    out = tmp_path / 'out'
    assert infer(left, right, '--out', out, '--rectified').returncode == 0
    assert (out / 'disparity.tiff').exists()
    assert not (out / 'depth.tiff').exists() and not (out / 'points.ply').exists()


def test_a_second_run_leaves_nothing_of_the_first(infer, tmp_path):
    left, right = shifted_pair(tmp_path)
    out = tmp_path / 'out'
    metric = ['--focal-px', 600, '--baseline-mm', 4]
    assert infer(left, right, '--out', out, '--rectified', *metric, '--raw').returncode == 0
    assert infer(left, right, '--out', out, '--rectified').returncode == 0
    assert not {'depth.tiff', 'points.ply', 'raw_disparity.npy'} & {p.name for p in out.iterdir()}


def test_the_mask_is_0_and_255(infer, tmp_path):
    out = tmp_path / 'out'
    left, right = (min((sample_folder() / side).iterdir()) for side in ('left', 'right'))
    done = infer(left, right, '--out', out, '--rectified', '--model', 'msdesis_fast', '--raw')
    assert done.returncode == 0, done.stderr
    logits = np.load(out / 'raw_mask_logits.npy')
    mask = read(out / 'instrument_mask.png')
    assert (logits > 0).any() and (logits <= 0).any()
    np.testing.assert_array_equal(mask, np.where(logits > 0, 255, 0))


def test_results_never_replace_what_no_run_wrote(infer, tmp_path):
    left, right = shifted_pair(tmp_path)
    truth = tmp_path / 'disparity.tiff'
    truth.write_bytes(b'the truth of a data set')
    done = infer(left, right, '--out', tmp_path, '--rectified')
    assert done.returncode == 2 and 'holds disparity.tiff and no report.json' in done.stderr
    assert truth.read_bytes() == b'the truth of a data set'
    out = tmp_path / 'out'
    assert infer(left, right, '--out', out, '--rectified').returncode == 0
    done = infer(out / 'overview.png', right, '--out', out, '--rectified')
    assert done.returncode == 2 and 'overview.png would be replaced by a result' in done.stderr
    assert (out / 'overview.png').exists()


def test_a_grey_picture_and_odd_sizes_are_taken(infer, tmp_path):
    left, right = shifted_pair(tmp_path, size=(201, 99))
    for path in (left, right):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    done = infer(left, right, '--out', tmp_path / 'out', '--rectified')
    assert done.returncode == 0, done.stderr
    assert read(tmp_path / 'out' / 'disparity.tiff').shape == (99, 201)


WRONG_USE = {
    'an alpha beyond 1': (['--rectified', '--alpha', 2], '--alpha is 2; expected -1, or'),
    'geometry left open': ([], '--calibration'),
    'half a geometry': (['--rectified', '--focal-px', '500'], 'go together'),
    'two geometries': (
        ['--calibration', 'c.json', '--focal-px', '500', '--baseline-mm', '4'],
        'not both',
    ),
    'negative focal length': (
        ['--rectified', '--focal-px', '-5', '--baseline-mm', '4'],
        'must be positive',
    ),
    'unknown unit': (['--rectified', '--unit', 'inch'], 'choose mm or m'),
    'unknown option': (['--rectfied'], '--rectfied'),
    'a card and a checkpoint': (
        ['--rectified', '--model', 'opencv_sgbm', '--checkpoint', 'x.pt'],
        'not both',
    ),
    'an encoder without a checkpoint': (['--rectified', '--encoder', 'light'], '--checkpoint'),
    'a size without a checkpoint': (['--rectified', '--network-size', 'base'], '--checkpoint'),
    'a missing checkpoint': (['--rectified', '--checkpoint', 'x.pt'], 'x.pt does not exist'),
    'unknown backend': (['--rectified', '--backend', 'abacus'], 'known'),
}


@pytest.mark.parametrize(('options', 'words'), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_is_one_sentence_and_exit_code_2(infer, tmp_path, options, words):
    left, right = shifted_pair(tmp_path)
    done = infer(left, right, '--out', tmp_path / 'out', *options)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and 'Traceback' not in done.stderr
    assert not list((tmp_path / 'out').glob('*'))


def test_pictures_that_cannot_be_used_are_exit_code_1_in_one_sentence(infer, tmp_path):
    left, right = shifted_pair(tmp_path)
    cv2.imwrite(str(right), read(right)[:60])
    done = infer(left, right, '--out', tmp_path / 'out', '--rectified')
    assert done.returncode == 1 and 'one size' in done.stderr
    right.write_bytes(b'not a picture')
    done = infer(left, right, '--out', tmp_path / 'out', '--rectified')
    assert done.returncode == 1 and 'right.png' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = infer(left, tmp_path / 'missing.png', '--out', tmp_path / 'out', '--rectified')
    assert done.returncode == 2 and 'missing.png does not exist' in done.stderr


def test_an_unknown_model_names_the_known_ones(infer, tmp_path):
    left, right = shifted_pair(tmp_path)
    done = infer(left, right, '--out', tmp_path / 'out', '--rectified', '--model', 'gpt')
    assert done.returncode == 1 and 'opencv_sgbm' in done.stderr


def test_debug_shows_the_traceback(tmp_path):
    left, right = shifted_pair(tmp_path)
    done = in_a_shell(['--debug', *given(left, right, '--out', tmp_path)])
    assert done.returncode != 0 and 'Traceback' in done.stderr


def test_black_pictures_are_reported_and_not_answered(infer, tmp_path):
    black = tmp_path / 'black.png'
    cv2.imwrite(str(black), np.zeros((64, 64, 3), np.uint8))
    done = infer(black, black, '--out', tmp_path / 'out', '--rectified')
    assert done.returncode == 0 and 'black' in done.stderr and 'INVALID' in done.stdout
    assert not read(tmp_path / 'out' / 'valid.png').any()


def test_a_real_endoscope_pair_is_answered_to_a_third_of_a_pixel(infer, tmp_path, test_data):
    folder = test_data / 'scared_d1k2'
    left, right, truth = (next((folder / f).iterdir()) for f in ('left', 'right', 'disparity'))
    out = tmp_path / 'out'
    done = infer(left, right, '--out', out, '--rectified', '--focal-px', 500, '--baseline-mm', 4)
    assert done.returncode == 0, done.stderr
    expected = read(truth)
    valid = read(out / 'valid.png') == 255
    known = expected > 0
    metrics = score_disparity(
        np.where(valid, read(out / 'disparity.tiff'), np.nan), expected, known
    )
    assert metrics.coverage >= 0.90, metrics
    assert metrics.epe_px <= 0.42, metrics


def test_a_real_mono_calibration_is_refused_for_its_zero_baseline(infer, tmp_path, test_data):
    folder = test_data / 'dvrk_ecm'
    mono = ','.join(str(folder / 'calib' / 'mono' / f'{s}.yaml') for s in ('left', 'right'))
    pictures = [folder / f'estop_{side}.png' for side in ('left', 'right')]
    done = infer(*pictures, '--calibration', mono, '--out', tmp_path / 'out')
    assert done.returncode == 1 and 'zero baseline' in done.stderr
    assert 'stereo calibration' in done.stderr


def test_a_real_calibration_of_another_pair_is_noticed_by_its_vertical_offset(
    infer, tmp_path, test_data
):
    folder = test_data / 'dvrk_ecm'
    stereo = ','.join(str(folder / 'calib' / 'stereo' / f'{s}.yaml') for s in ('left', 'right'))
    pictures = [folder / f'estop_{side}.png' for side in ('left', 'right')]
    done = infer(*pictures, '--calibration', stereo, '--out', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert 'vertically' in done.stderr and 'DEGRADED' in done.stdout
    report = json.loads((tmp_path / 'out' / 'report.json').read_text())
    # The source of the pictures measured +13.8 px after rectification.
    assert report['vertical_offset']['median_px'] == pytest.approx(13.8, abs=1.0)
    assert report['geometry']['baseline_m'] == pytest.approx(0.0048, abs=1e-4)


def test_real_unrectified_pictures_without_a_calibration_are_refused(infer, tmp_path, test_data):
    folder = test_data / 'scared_51_unrectified'
    done = infer(folder / 'left_51.png', folder / 'right_51.png', '--out', tmp_path / 'out')
    assert done.returncode == 2 and '--calibration' in done.stderr
