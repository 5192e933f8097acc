"""The sample sequence: whole or absent, the same for the same seed, and what its files say."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data import sample
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.sample import generate_sample, sample_cameras
from msdesis_ros.data.scene import Scene

SIZE = (160, 128)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    return generate_sample(tmp_path_factory.mktemp('sample') / 'a', frames=3, seed=5, size=SIZE)


def _bytes(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_the_folder_holds_pictures_calibration_and_manifest_and_nothing_else(made):
    names = [f'{side}/{frame:06d}.png' for side in ('left', 'right') for frame in range(3)]
    assert sorted(_bytes(made)) == sorted([*names, 'calibration.json', 'manifest.json'])
    assert list(made.parent.iterdir()) == [made]
    assert read_rgb(made / 'left' / '000000.png').shape == (128, 160, 3)


def test_the_manifest_says_what_the_sample_was_made_with(made):
    manifest = json.loads((made / 'manifest.json').read_text())
    assert manifest['seed'] == 5
    assert manifest['frames'] == 3
    assert manifest['image_size'] == [160, 128]
    assert manifest['length_unit'] == 'mm'
    assert manifest['frame_rate_hz'] == sample.FRAME_RATE_HZ
    assert manifest['rectified'] is False
    assert manifest['generator_version'] == sample.GENERATOR_VERSION


def test_the_calibration_file_holds_the_cameras_that_took_the_pictures(made):
    storage = cv2.FileStorage(str(made / 'calibration.json'), cv2.FILE_STORAGE_READ)
    left, right = sample_cameras(SIZE)
    size = storage.getNode('image_size')
    assert [int(size.at(index).real()) for index in range(size.size())] == [160, 128]
    for name, expected in {
        'K1': left.camera_matrix,
        'D1': left.distortion,
        'K2': right.camera_matrix,
        'D2': right.distortion,
        'R': right.rotation,
        'T': right.translation_mm,
    }.items():
        stored = storage.getNode(name).mat()
        np.testing.assert_array_equal(stored.ravel(), expected.ravel())


def test_the_rig_exercises_rectification():
    left, right = sample_cameras()
    angle = np.degrees(np.linalg.norm(cv2.Rodrigues(right.rotation)[0]))
    assert 1 < angle < 2
    assert 4.4 < np.linalg.norm(right.centre_mm) < 4.6
    assert np.abs(left.camera_matrix - right.camera_matrix).max() > 5
    # The lens moves the corner of the picture by dozens of pixels.
    corner = left.camera_matrix @ left.directions[0, 0]
    assert np.linalg.norm(corner[:2]) > 25


def test_disparities_lie_in_the_range_of_the_sample():
    left, right = sample_cameras()
    distance, _ = Scene(0).at(0.0).trace(left.centre_mm, left.directions[::8, ::8])
    disparity_px = 520 * np.linalg.norm(right.centre_mm) / distance
    assert 18 < disparity_px.min() < 30
    assert 45 < disparity_px.max() < 70


def test_the_frames_move(made):
    pictures = _bytes(made)
    assert len({pictures[name] for name in pictures if name.endswith('.png')}) == 6
    # Blurring takes the noise away (0.4 levels are left of it): what differs then has moved.
    first, last = (
        cv2.blur(read_rgb(made / 'left' / f'00000{frame}.png').astype(np.float32), (9, 9))
        for frame in (0, 2)
    )
    assert np.abs(first - last).mean() > 0.8


def test_each_view_has_its_own_noise(made):
    grains = []
    for side in ('left', 'right'):
        picture = read_rgb(made / side / '000000.png').astype(np.float32)
        grains.append((picture - cv2.GaussianBlur(picture, (0, 0), 1)).ravel())
    assert abs(np.corrcoef(grains)[0, 1]) < 0.05


def test_the_pictures_are_well_exposed(made):
    for path in made.rglob('*.png'):
        picture = read_rgb(path)
        assert 60 < picture.mean() < 180
        assert (picture == 255).mean() < 0.02
        assert picture[..., 0].mean() > picture[..., 2].mean() + 15  # tissue is red


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_pictures(made, tmp_path):
    again = generate_sample(tmp_path / 'again', frames=3, seed=5, size=SIZE)
    assert _bytes(again) == _bytes(made)
    other = generate_sample(tmp_path / 'other', frames=1, seed=6, size=SIZE)
    assert (other / 'left/000000.png').read_bytes() != (made / 'left/000000.png').read_bytes()


def test_a_whole_sample_is_kept_as_it_is(made):
    before = {path: path.stat().st_mtime_ns for path in made.rglob('*')}
    assert generate_sample(made, frames=3, seed=5, size=SIZE) == made
    assert {path: path.stat().st_mtime_ns for path in made.rglob('*')} == before


def test_a_sample_with_other_arguments_or_a_missing_picture_is_made_again(tmp_path):
    folder = generate_sample(tmp_path / 'a', frames=2, seed=1, size=(64, 48))
    first = _bytes(folder)
    generate_sample(folder, frames=1, seed=1, size=(64, 48))
    assert sorted(path.name for path in (folder / 'left').iterdir()) == ['000000.png']
    (folder / 'right' / '000000.png').unlink()
    generate_sample(folder, frames=1, seed=1, size=(64, 48))
    assert (folder / 'right' / '000000.png').read_bytes() == first['right/000000.png']
    assert list(tmp_path.iterdir()) == [folder]


def test_an_interrupted_run_leaves_nothing_under_the_final_name(tmp_path, monkeypatch):
    write = sample.write_image

    def write_two_then_fail(path, picture):
        if path.name == '000001.png':
            raise OSError(28, 'No space left on device')
        write(path, picture)

    monkeypatch.setattr(sample, 'write_image', write_two_then_fail)
    with pytest.raises(MsdesisError, match='No space left on device'):
        generate_sample(tmp_path / 'a', frames=3, size=(64, 48))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / 'left').mkdir()
    (tmp_path / 'left' / 'precious.png').write_bytes(b'mine')
    with pytest.raises(UsageError, match='not a sample of this program'):
        generate_sample(tmp_path, frames=1, size=(64, 48))
    assert _bytes(tmp_path) == {'left/precious.png': b'mine'}


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        ({'frames': 0}, 'at least 1'),
        ({'seed': -1}, '0 or more'),
        ({'size': (640, 20)}, 'at least 64x48'),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, reason):
    with pytest.raises(UsageError, match=reason):
        generate_sample(tmp_path / 'a', **arguments)
    assert list(tmp_path.iterdir()) == []
