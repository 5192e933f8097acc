"""Frames whose depth is on disk: what `infer pair` leaves, and anybody's depth with a picture."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import CalibrationError, FileFormatError, ImageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.core.rig import StereoGeometry, StereoRig
from msdesis_ros.data.images import write_image
from msdesis_ros.data.ply import write_ply
from msdesis_ros.data.surface_folders import (
    is_surface_folder,
    read_mask,
    read_surface_folder,
    surface_folders,
)

SIZE = (8, 6)
GEOMETRY = StereoGeometry(SIZE, 40.0, 40.0, 3.5, 2.5, 0.004)
RNG = np.random.default_rng(8)
DEPTH = RNG.uniform(0.05, 0.1, SIZE[::-1]).astype(np.float32)
DEPTH[0, :3] = np.nan
PICTURE = RNG.integers(0, 256, (*SIZE[::-1], 3), np.uint8)
MASK = np.zeros(SIZE[::-1], np.uint8)
MASK[3:, 4:] = 255


def rig_of(calibration: str, image_size: tuple[int, int]) -> StereoRig:
    if not Path(calibration).is_file():
        raise FileFormatError(f'cannot read {calibration}')
    return StereoRig.from_focal_and_baseline(
        image_size=image_size, focal_px=40.0, baseline_m=0.004
    )


def report(geometry: StereoGeometry, **changes) -> dict:
    model = {'name': 'm', 'sha256': 'ab'}
    return {'geometry': asdict(geometry) | changes, 'model': model, 'backend': 'b'}


def result_folder(folder: Path, *, labels: bool = True) -> Path:
    """As `msdesis infer pair` leaves it."""
    known = np.isfinite(DEPTH)
    write_image(folder / 'depth.tiff', DEPTH)
    points = np.zeros((known.sum(), 3), np.float32)
    points[:, 2] = DEPTH[known]
    marks = (MASK[known] > 0).astype(np.uint8) if labels else None
    write_ply(folder / 'points.ply', points, PICTURE[known], marks)
    (folder / 'report.json').write_text(json.dumps(report(GEOMETRY)))
    return folder


def depth_folder(folder: Path) -> Path:
    write_image(folder / 'depth.tiff', DEPTH)
    write_image(folder / 'left.png', PICTURE)
    (folder / 'calibration.json').write_text('a calibration')
    return folder


def test_a_result_of_infer_pair_comes_with_its_colours_labels_and_geometry(tmp_path):
    frame = read_surface_folder(result_folder(tmp_path / 'one'), rig_of=rig_of)
    known = np.isfinite(DEPTH)
    assert frame.name == 'one' and frame.geometry == GEOMETRY
    np.testing.assert_array_equal(frame.depth_m, DEPTH)
    np.testing.assert_array_equal(frame.colours[known], PICTURE[known])
    np.testing.assert_array_equal(frame.labels[known], MASK[known] > 0)
    assert frame.uncertainty_px is None
    assert frame.model == ModelIdentity('m', 'ab', 'b')


def test_the_uncertainty_beside_it_is_read(tmp_path):
    folder = result_folder(tmp_path, labels=False)
    write_image(folder / 'uncertainty.tiff', DEPTH * 3)
    frame = read_surface_folder(folder, rig_of=rig_of)
    np.testing.assert_array_equal(frame.uncertainty_px, DEPTH * 3)
    assert not frame.labels.any()


def test_a_depth_takes_its_colours_from_the_picture_and_the_tool_from_the_mask(tmp_path):
    folder = depth_folder(tmp_path / 'one')
    write_image(folder / 'instrument_mask.png', MASK)
    frame = read_surface_folder(folder, rig_of=rig_of)
    np.testing.assert_array_equal(frame.colours[MASK == 0], PICTURE[MASK == 0])
    cyan = (PICTURE[MASK > 0] + np.array([0.0, 255, 255])) / 2
    np.testing.assert_allclose(frame.colours[MASK > 0], cyan, atol=0.51)
    np.testing.assert_array_equal(frame.labels, MASK > 0)
    assert frame.geometry.focal_px == 40.0 and frame.model is None


def test_a_picture_and_a_mask_from_elsewhere_are_taken(tmp_path):
    folder, other = tmp_path / 'depth', tmp_path / 'other'
    write_image(folder / 'depth.tiff', DEPTH)
    write_image(other / 'p.png', PICTURE)
    (other / 'c.json').write_text('a calibration')
    frame = read_surface_folder(
        folder,
        rig_of=rig_of,
        picture=other / 'p.png',
        calibration=str(other / 'c.json'),
        instrument_mask=MASK > 0,
    )
    np.testing.assert_array_equal(frame.colours[MASK == 0], PICTURE[MASK == 0])
    np.testing.assert_array_equal(frame.labels, MASK > 0)


def test_raw_pictures_are_rectified_like_the_depth(tmp_path):
    """A calibration of raw cameras is applied to the picture; here it moves it by two pixels."""
    from msdesis_ros.core.camera import CameraCalibration

    def moved_rig(calibration: str, image_size: tuple[int, int]) -> StereoRig:
        k = [40.0, 0, 5.5, 0, 40.0, 2.5, 0, 0, 1]
        cameras = [
            CameraCalibration.from_camera_info_fields(
                width=8, height=6, distortion_model='plumb_bob', d=[], k=k, r=np.eye(3),
                p=[40.0, 0, 3.5, shift, 0, 40.0, 2.5, 0, 0, 0, 1, 0],
            )
            for shift in (0.0, -0.16)
        ]  # fmt: skip
        return StereoRig.from_cameras(*cameras)

    frame = read_surface_folder(depth_folder(tmp_path), rig_of=moved_rig)
    np.testing.assert_array_equal(frame.colours[:, :6], PICTURE[:, 2:])
    assert frame.geometry.cx_px == 3.5


def test_a_cloud_of_another_depth_is_refused(tmp_path):
    folder = result_folder(tmp_path)
    write_image(folder / 'depth.tiff', DEPTH + np.float32(0.001))
    with pytest.raises(FileFormatError, match='not the cloud of depth'):
        read_surface_folder(folder, rig_of=rig_of)


@pytest.mark.parametrize('text', ['{}', 'nothing', '{"geometry": {"image_size": [8]}}', '[]'])
def test_a_report_without_the_geometry_is_named(tmp_path, text):
    folder = result_folder(tmp_path)
    (folder / 'report.json').write_text(text)
    with pytest.raises(FileFormatError, match=r'report\.json'):
        read_surface_folder(folder, rig_of=rig_of)


def test_a_geometry_that_cannot_be_is_refused(tmp_path):
    folder = result_folder(tmp_path)
    (folder / 'report.json').write_text(json.dumps(report(GEOMETRY, focal_px=-1.0)))
    with pytest.raises(CalibrationError, match='focal_px'):
        read_surface_folder(folder, rig_of=rig_of)


def test_a_depth_without_colours_says_what_is_missing(tmp_path):
    write_image(tmp_path / 'depth.tiff', DEPTH)
    with pytest.raises(FileFormatError, match=r'left\.png'):
        read_surface_folder(tmp_path, rig_of=rig_of)


def test_a_picture_of_another_size_is_refused(tmp_path):
    folder = depth_folder(tmp_path)
    write_image(folder / 'left.png', PICTURE[:-1])
    with pytest.raises(ImageError, match='px'):
        read_surface_folder(folder, rig_of=rig_of)


@pytest.mark.parametrize('value', [0.0, -0.05, np.inf])
def test_a_depth_that_cannot_be_is_refused(tmp_path, value):
    folder = depth_folder(tmp_path)
    damaged = DEPTH.copy()
    damaged[2, 2] = value
    write_image(folder / 'depth.tiff', damaged)
    with pytest.raises(FileFormatError, match='mark them NaN'):
        read_surface_folder(folder, rig_of=rig_of)


def test_a_depth_of_another_kind_is_refused(tmp_path):
    folder = depth_folder(tmp_path)
    (folder / 'depth.tiff').unlink()
    write_image(folder / 'depth.png', MASK)
    (folder / 'depth.png').rename(folder / 'depth.tiff')
    with pytest.raises(FileFormatError, match='expected float32'):
        read_surface_folder(folder, rig_of=rig_of)


def test_a_second_mask_is_refused(tmp_path):
    folder = depth_folder(tmp_path)
    write_image(folder / 'instrument_mask.png', MASK)
    with pytest.raises(FileFormatError, match='there already'):
        read_surface_folder(folder, rig_of=rig_of, instrument_mask=MASK > 0)


def test_masks_are_grey_pictures(tmp_path):
    write_image(tmp_path / 'm.png', MASK // 255)
    np.testing.assert_array_equal(read_mask(tmp_path / 'm.png'), MASK > 0)
    write_image(tmp_path / 'm.png', PICTURE)
    with pytest.raises(FileFormatError, match='grey'):
        read_mask(tmp_path / 'm.png')


def test_folders_with_depth_are_found_in_natural_order(tmp_path):
    for name in ('frame_10', 'frame_9', '.hidden'):
        write_image(tmp_path / name / 'depth.tiff', DEPTH)
    (tmp_path / 'empty').mkdir()
    assert [path.name for path in surface_folders(tmp_path)] == ['frame_9', 'frame_10']
    assert is_surface_folder(tmp_path / 'frame_9') and not is_surface_folder(tmp_path)
