"""The bundled sample is whole and agrees with its truth, and is made again from a data set."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data import sample
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.data.sample import (
    make_sample_files,
    sample_folder,
    sample_loop,
    sample_names,
    sample_truth,
)
from msdesis_ros.data.synth.folder import read_frame
from msdesis_ros.data.synth.generate import generate_folder

sys.path.append(str(Path(__file__).parent / 'synth'))
from fake_source import SIZE as FAKE_SIZE
from fake_source import FakeRecipe

SIZE = (640, 512)


@pytest.fixture(scope='module')
def manifest() -> dict:
    return json.loads((sample_folder() / 'manifest.json').read_text())


@pytest.fixture(scope='module')
def rectifier() -> Rectifier:
    cameras = read_calibration(sample_folder() / 'calibration.json', image_size=SIZE)
    return Rectifier(StereoRig.from_cameras(*cameras))


@pytest.fixture(scope='module')
def dataset(tmp_path_factory) -> Path:
    """Four frames as `msdesis synth --sequence --distorted` writes them."""
    folder = tmp_path_factory.mktemp('dataset') / 'a'
    generate_folder(folder, FakeRecipe(sequence=True), frames=4, distorted=True)
    return folder


def picture(side: str, frame: int) -> np.ndarray:
    return read_rgb(sample_folder() / side / f'{frame:06d}.jpg')


# The files that are shipped.


def test_every_shipped_file_is_the_one_of_the_manifest_and_there_is_no_other(manifest):
    folder = sample_folder()
    assert sample_names(folder) == sorted(manifest['sha256'])
    for name, expected in manifest['sha256'].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name
    pictures = [f'{side}/{n:06d}.jpg' for side in ('left', 'right') for n in range(10)]
    truths = [f'truth/{n:06d}_disparity.png' for n in range(10)]
    assert {*pictures, *truths} <= set(manifest['sha256'])


def test_the_sample_is_small(manifest):
    assert sum((sample_folder() / name).stat().st_size for name in manifest['sha256']) < 4e6


def test_the_manifest_says_what_the_sample_was_made_with(manifest):
    made_with = manifest['made_with']
    assert made_with['frames'] == 10 and made_with['image_size'] == [640, 512]
    assert made_with['options'] == {'clean': False, 'distorted': True, 'sequence': True}
    assert f'--seed {made_with["seed"]}' in manifest['command']
    assert '--sequence --distorted --size 640x512 --frames 10' in manifest['command']
    assert set(made_with['versions']) == {'msdesis_ros', 'numpy', 'opencv'}
    assert manifest['frame_rate_hz'] == 25.0 and manifest['length_unit'] == 'mm'
    assert manifest['rectified'] is False


def test_the_lenses_exercise_rectification(rectifier):
    left, right = read_calibration(sample_folder() / 'calibration.json', image_size=SIZE)
    assert np.abs(left.camera_matrix - right.camera_matrix).max() > 1
    for camera in (left, right):
        assert camera.distortion.any()
        assert not np.array_equal(camera.rectification, np.eye(3))
    assert 3 < rectifier.geometry.baseline_m * 1e3 < 6


def test_the_raw_pictures_are_filled_to_their_corners():
    for side in ('left', 'right'):
        for frame in range(10):
            raw = picture(side, frame)
            assert raw.shape == (512, 640, 3)
            assert (raw.max(axis=2) < 4).mean() < 0.002, (side, frame)
            for corner in (np.s_[:8, :8], np.s_[:8, -8:], np.s_[-8:, :8], np.s_[-8:, -8:]):
                assert raw[corner].max() > 8, (side, frame)


def test_the_pictures_are_well_exposed_and_red():
    for frame in (0, 9):
        for side in ('left', 'right'):
            raw = picture(side, frame)
            assert 50 < raw.mean() < 180
            assert (raw == 255).mean() < 0.05
            assert raw[..., 0].mean() > raw[..., 2].mean() + 15


def test_the_frames_move_and_do_not_jump():
    blurred = [cv2.blur(picture('left', n).astype(np.float32), (9, 9)) for n in range(10)]
    steps = [np.abs(one - other).mean() for one, other in zip(blurred, blurred[1:], strict=False)]
    assert min(steps) > 0.5
    assert np.abs(blurred[9] - blurred[0]).mean() > 2 * np.median(steps)
    assert max(steps) < 4 * np.median(steps)


def difference(left: np.ndarray, right: np.ndarray, disparity_px: np.ndarray) -> np.ndarray:
    """|left - right at the disparity|, H x W float32, of smoothed grey pictures."""
    grey = [
        cv2.GaussianBlur(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
        for view in (left, right)
    ]
    # Each eye has its own gain; what differs slowly is light, not place.
    grey = [view - cv2.GaussianBlur(view, (0, 0), 12) for view in grey]
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in disparity_px.shape[::-1]))
    return np.abs(grey[0] - cv2.remap(grey[1], x - disparity_px, y, cv2.INTER_LINEAR))


@pytest.mark.parametrize('frame', (0, 3, 6, 9))
def test_rectified_the_pictures_agree_with_the_truth(rectifier, frame):
    views = rectifier.rectify(picture('left', frame), picture('right', frame))
    truth = sample_truth(frame)
    usable = np.isfinite(truth.disparity_px) & ~truth.occluded
    usable &= cv2.erode((views[0].max(axis=2) > 0).astype(np.uint8), np.ones((25, 25))) > 0
    usable = cv2.erode(usable.astype(np.uint8), np.ones((5, 5))) > 0
    assert usable.mean() > 0.7
    # Medians, because highlights lie behind the surface that they are seen on.
    before, exact, behind = (
        np.median(difference(*views, truth.disparity_px + np.float32(shift_px))[usable])
        for shift_px in (-1, 0, 1)
    )
    assert 1.15 * exact < min(before, behind)
    best_px = (before - behind) / (before - 2 * exact + behind) / 2  # of a parabola through them
    assert abs(best_px) < 0.2


@pytest.mark.parametrize('frame', (0, 3, 6, 9))
def test_the_truth_is_of_an_instrument_before_tissue_in_reach(rectifier, frame):
    truth = sample_truth(frame)
    depth_mm = rectifier.geometry.focal_times_baseline * 1e3 / truth.disparity_px
    assert np.nanmin(depth_mm) > 20 and np.nanmax(depth_mm) < 250
    assert np.isfinite(truth.disparity_px).mean() > 0.98
    assert 0.03 < truth.instrument_mask.mean() < 0.4
    assert 0.01 < truth.occluded.mean() < 0.3
    tool, tissue = (
        np.nanmedian(depth_mm[mask]) for mask in (truth.instrument_mask, ~truth.instrument_mask)
    )
    assert tool < tissue


def test_a_frame_that_the_sample_lacks_is_refused():
    with pytest.raises(UsageError, match='no frame 10; it has 0 to 9'):
        sample_truth(10)


def test_an_installation_without_its_sample_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(sample, '_FOLDER', tmp_path)
    with pytest.raises(MsdesisError, match='install msdesis_ros again'):
        sample_folder()


# The order in which the demo plays them.


def test_the_loop_shows_each_pair_once_and_never_jumps():
    with sample_loop() as loop:
        pairs = find_pairs(left=str(loop / 'left'), right=str(loop / 'right'))
        names = [left.resolve().name for left, _ in pairs]
        assert [right.resolve().name for _, right in pairs] == names
        assert read_rgb(pairs[1][0]).shape == (512, 640, 3)
        assert (loop / 'calibration.json').is_file()
    assert not loop.exists()
    numbers = [int(name[:6]) for name in names]
    assert sorted(numbers) == list(range(10))
    assert max(abs(a - b) for a, b in zip(numbers, numbers[1:] + numbers[:1], strict=True)) == 2
    assert sample_names(sample_folder()), 'the pictures themselves stay'


def test_a_loop_that_cannot_be_laid_out_names_the_folder(monkeypatch, tmp_path):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'none'))
    with pytest.raises(MsdesisError, match='TMPDIR'), sample_loop():
        pass


# How they are made.


def test_a_sample_is_made_of_a_data_set(dataset, tmp_path, monkeypatch):
    folder = make_sample_files(dataset, tmp_path / 'sample')
    names = [f'{side}/{n:06d}.jpg' for side in ('left', 'right') for n in range(4)]
    truths = [
        f'truth/{n:06d}_{name}.png'
        for n in range(4)
        for name in ('disparity', 'instrument_mask', 'occlusion')
    ]
    assert sample_names(folder) == sorted([*names, *truths, 'calibration.json'])
    written = json.loads((folder / 'manifest.json').read_text())
    assert sorted(written['sha256']) == sample_names(folder)
    assert written['command'] == (
        'msdesis synth --source fake --sequence --distorted --size 96x64 --frames 4 --seed 3'
    )
    raw = read_rgb(dataset / '000003' / 'left_distorted.png').astype(int)
    assert np.abs(read_rgb(folder / 'left/000003.jpg') - raw).mean() < 2
    calibrations = [
        read_calibration(path, image_size=FAKE_SIZE)
        for path in (folder / 'calibration.json', dataset / '000003/calibration_distorted.json')
    ]
    for made, own in zip(*calibrations, strict=True):
        np.testing.assert_array_equal(made.projection, own.projection)
        np.testing.assert_array_equal(made.distortion, own.distortion)

    monkeypatch.setattr(sample, '_FOLDER', folder)
    truth, frame = sample_truth(3), read_frame(dataset / '000003')
    np.testing.assert_allclose(truth.disparity_px, frame.disparity_px, atol=1 / 256 + 1e-6)
    assert np.isnan(truth.disparity_px).any()
    np.testing.assert_array_equal(truth.instrument_mask, frame.instrument_mask)
    np.testing.assert_array_equal(truth.occluded, frame.occluded)


def test_an_older_sample_is_replaced_and_gives_the_same_bytes(dataset, tmp_path):
    folder = make_sample_files(dataset, tmp_path / 'sample')
    first = {name: (folder / name).read_bytes() for name in [*sample_names(folder)]}
    (folder / 'left' / '000003.jpg').unlink()
    make_sample_files(dataset, folder)
    assert {name: (folder / name).read_bytes() for name in sample_names(folder)} == first


def test_a_folder_with_something_else_is_refused_and_left_alone(dataset, tmp_path):
    foreign = tmp_path / 'foreign'
    foreign.mkdir()
    (foreign / 'mine.txt').write_text('mine')
    with pytest.raises(UsageError, match='more than a sample'):
        make_sample_files(dataset, foreign)
    folder = make_sample_files(dataset, tmp_path / 'sample')
    (folder / 'mine.txt').write_text('mine')
    with pytest.raises(UsageError, match='more than a sample'):
        make_sample_files(dataset, folder)
    assert (foreign / 'mine.txt').read_text() == (folder / 'mine.txt').read_text() == 'mine'


def test_a_data_set_without_raw_pictures_or_movement_is_refused(tmp_path):
    generate_folder(tmp_path / 'a', FakeRecipe(sequence=True), frames=2)
    with pytest.raises(UsageError, match='--sequence --distorted'):
        make_sample_files(tmp_path / 'a', tmp_path / 'sample')
    generate_folder(tmp_path / 'b', FakeRecipe(sequence=True), frames=1, distorted=True)
    with pytest.raises(UsageError, match='two at least'):
        make_sample_files(tmp_path / 'b', tmp_path / 'sample')
    assert not (tmp_path / 'sample').exists()
