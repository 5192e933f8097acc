"""One frame as files: what they hold, that they come back, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, MsdesisError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.synth import folder as folder_module
from msdesis_ros.data.synth.distorted_pair import distort
from msdesis_ros.data.synth.folder import DISTORTED_FILES, FRAME_FILES, read_frame, write_frame

sys.path.append(str(Path(__file__).parent))
from fake_source import SIZE, fake_frame


@pytest.fixture
def frame():
    return fake_frame(3, 0)


@pytest.fixture
def written(tmp_path, frame):
    write_frame(tmp_path / '000000', frame)
    return tmp_path / '000000'


def raw(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_the_folder_holds_the_promised_files_and_nothing_is_left_beside_it(written):
    assert sorted(path.name for path in written.iterdir()) == sorted(FRAME_FILES)
    assert [path.name for path in written.parent.iterdir()] == ['000000']


def test_the_files_say_what_the_command_promises(written, frame):
    np.testing.assert_array_equal(read_rgb(written / 'left.png'), frame.left)
    np.testing.assert_array_equal(raw(written / 'disparity.tiff'), frame.disparity_px)
    depth = raw(written / 'depth.tiff')
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, 90.3 * 0.00437 / frame.disparity_px, rtol=3e-7)
    np.testing.assert_array_equal(np.isnan(depth), np.isnan(frame.disparity_px))
    assert np.isnan(depth).any()
    np.testing.assert_array_equal(raw(written / 'instrument_mask.png'), 255 * (frame.parts > 0))
    np.testing.assert_array_equal(raw(written / 'parts.png'), frame.parts)
    np.testing.assert_array_equal(raw(written / 'types.png'), frame.types)
    np.testing.assert_array_equal(raw(written / 'occlusion.png'), 255 * frame.occluded)
    assert frame.occluded.any() and not frame.occluded.all()


def test_the_calibration_is_that_of_a_rectified_pair_in_millimetres(written, frame):
    text = (written / 'calibration.json').read_text()
    storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    for name in ('K1', 'K2'):
        np.testing.assert_array_equal(storage.getNode(name).mat(), frame.geometry.camera_matrix)
    assert not storage.getNode('D1').mat().any() and not storage.getNode('D2').mat().any()
    np.testing.assert_array_equal(storage.getNode('R').mat(), np.eye(3))
    np.testing.assert_allclose(storage.getNode('T').mat(), [[-4.37], [0], [0]], rtol=1e-14)
    # What leaves R1 ... out is computed from the rest, and must be the same.
    tree = json.loads(text)
    for name in ('R1', 'R2', 'P1', 'P2'):
        del tree[name]
    short = written / 'short.json'
    short.write_text(json.dumps(tree))
    for path in (written / 'calibration.json', short):
        rig = StereoRig.from_cameras(*read_calibration(path, image_size=SIZE))
        assert not rig.warnings
        geometry = Rectifier(rig).geometry
        for name in ('focal_px', 'focal_y_px', 'cx_px', 'cy_px', 'baseline_m'):
            value = getattr(geometry, name)
            assert value == pytest.approx(getattr(frame.geometry, name), rel=1e-6), (path, name)


def test_a_frame_comes_back_as_it_was(written, frame):
    found = read_frame(written)
    for name in ('left', 'right', 'disparity_px', 'parts', 'types', 'occluded'):
        mine, theirs = getattr(frame, name), getattr(found, name)
        assert mine.dtype == theirs.dtype, name
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    assert found.scene == frame.scene
    assert found.geometry.baseline_m == pytest.approx(frame.geometry.baseline_m, rel=1e-14)
    assert replace(found.geometry, baseline_m=frame.geometry.baseline_m) == frame.geometry


def test_the_raw_pair_rectifies_to_the_frame(tmp_path):
    smooth = fake_frame(3, 0, (320, 256))
    pictures = [cv2.GaussianBlur(p, (0, 0), 2) for p in (smooth.left, smooth.right)]
    smooth = replace(smooth, left=pictures[0], right=pictures[1])
    pair = distort(smooth, seed=[5])
    write_frame(tmp_path / '000000', smooth, distorted=pair)
    folder = tmp_path / '000000'
    assert sorted(p.name for p in folder.iterdir()) == sorted([*FRAME_FILES, *DISTORTED_FILES])
    cameras = read_calibration(folder / 'calibration_distorted.json', image_size=(320, 256))
    assert cameras[0].distortion.any() and cameras[1].distortion.any()
    rectifier = Rectifier(StereoRig.from_cameras(*cameras))
    assert rectifier.geometry.baseline_m == pytest.approx(smooth.geometry.baseline_m)
    assert rectifier.geometry.cx_px == pytest.approx(smooth.geometry.cx_px)
    raws = [read_rgb(folder / f'{side}_distorted.png') for side in ('left', 'right')]
    for raw_picture, again, rectified in zip(
        raws, rectifier.rectify(*raws), pictures, strict=True
    ):
        # Where the views end, pixels are mixed with black: they are left out.
        seen = (again.min(axis=2) > 0).astype(np.uint8)
        seen = cv2.erode(np.pad(seen, 1), np.ones((9, 9)))[1:-1, 1:-1] > 0
        assert seen.mean() > 0.6
        difference = np.abs(again.astype(int) - rectified)[seen]
        assert np.median(difference) <= 1 and np.percentile(difference, 99) <= 4
        # Negative control: the raw picture itself is another one.
        assert np.abs(raw_picture.astype(int) - rectified)[seen].mean() > 3 * difference.mean()


def test_one_seed_is_one_pair_of_lenses(frame):
    first, again = distort(frame, seed=[1]), distort(fake_frame(3, 1), seed=[1])
    assert first.lens == again.lens
    assert distort(frame, seed=[2]).lens != first.lens


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, frame, monkeypatch):
    write = folder_module.write_image

    def fill(path, picture):
        if path.name == 'parts.png':
            raise OSError(28, 'No space left on device')
        write(path, picture)

    monkeypatch.setattr(folder_module, 'write_image', fill)
    with pytest.raises(MsdesisError, match='No space left on device; choose'):
        write_frame(tmp_path / '000000', frame)
    assert not list(tmp_path.iterdir())


def test_a_frame_that_is_there_is_not_overwritten(written, frame):
    before = (written / 'left.png').read_bytes()
    with pytest.raises(MsdesisError, match='cannot write'):
        write_frame(written, fake_frame(9, 9))
    assert (written / 'left.png').read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ['000000']


def _picture(array):
    def spoil(path):
        path.write_bytes(cv2.imencode(path.suffix, array)[1].tobytes())

    return spoil


def _cut(path):
    path.write_bytes(path.read_bytes()[:-400])


def _changed(edit):
    def spoil(path):
        array = raw(path)
        edit(array)
        path.write_bytes(cv2.imencode(path.suffix, array)[1].tobytes())

    return spoil


def _at_10_10(value):
    def edit(array):
        array[10, 10] = value

    return _changed(edit)


@pytest.mark.parametrize(
    ('name', 'spoil', 'reason'),
    [
        ('types.png', Path.unlink, 'types.png not found'),
        ('types.png', lambda path: (path.unlink(), path.mkdir()), 'types.png not found'),
        ('left.png', _cut, 'left.png .* is not a whole picture'),
        ('disparity.tiff', lambda path: path.write_bytes(b''), 'disparity.tiff .* is not a whole'),
        (
            'disparity.tiff',
            lambda path: path.write_bytes(b'II*\0abc'),
            'disparity.tiff .* is not a',
        ),
        ('disparity.tiff', _at_10_10(np.inf), 'disparity.tiff holds numbers'),
        ('disparity.tiff', _at_10_10(-1), 'disparity.tiff holds numbers'),
        ('disparity.tiff', _at_10_10(33), 'depth.tiff is not f'),
        ('disparity.tiff', _at_10_10(np.nan), 'depth.tiff is not f'),
        ('disparity.tiff', _picture(np.ones((64, 90), np.float32)), r'shape \(64, 90\)'),
        ('parts.png', _at_10_10(4), 'parts.png holds the value 4'),
        ('parts.png', _at_10_10(2), 'not the union of parts.png'),
        ('types.png', _at_10_10(2), 'types.png and parts.png'),
        ('types.png', _at_10_10(200), 'types.png holds the value 200'),
        ('occlusion.png', _at_10_10(1), 'occlusion.png holds the value 1'),
        ('instrument_mask.png', _at_10_10(255), 'not the union of parts.png'),
        ('right.png', _picture(np.ones((64, 90, 3), np.uint8)), 'differ in size'),
        ('parts.png', _picture(np.ones((64, 96), np.uint16)), 'samples uint16'),
        ('scene.json', lambda path: path.write_text('[]'), 'holds no JSON object'),
        ('scene.json', lambda path: path.write_text('{'), 'cannot read .*scene.json'),
    ],
)
def test_what_is_damaged_is_named(written, name, spoil, reason):
    spoil(written / name)
    with pytest.raises(FileFormatError, match=reason) as raised:
        read_frame(written)
    assert str(written) in str(raised.value)


def test_the_calibration_of_raw_pictures_is_refused(tmp_path, frame):
    write_frame(tmp_path / '0', frame, distorted=distort(frame, seed=[1]))
    shutil.copy(tmp_path / '0/calibration_distorted.json', tmp_path / '0/calibration.json')
    with pytest.raises(FileFormatError, match='is of raw pictures'):
        read_frame(tmp_path / '0')
