"""The calibration text of RIS 2017, and what becomes of it in stereo_calib.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import CalibrationError, FileFormatError, UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.conversion.ris2017_calibration import (
    read_ris_calibration,
    stereo_calibration,
    write_stereo_calib,
)
from msdesis_ros.data.conversion.ris2017_frame import FrameGeometry

sys.path.append(str(Path(__file__).parents[2] / 'miniature'))
from ris2017_tree import RisRig

FULL = FrameGeometry.of_frames((1920, 1080))
RIG = RisRig(distortion=((-0.2, 0.1, 0.001, -0.002, 0.01), (-0.21, 0.12, 0.0, 0.001, 0.0)))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / 'camera_calibration.txt'
    path.write_text(RIG.text)
    return path


def test_the_twelve_lines_are_read(text: Path) -> None:
    found = read_ris_calibration(text)
    assert found.image_size == (1280, 1024)
    np.testing.assert_array_equal(found.k[0], [[1080, 0, 620], [0, 1084, 500], [0, 0, 1]])
    np.testing.assert_array_equal(found.k[1], [[1080, 0, 640], [0, 1084, 520], [0, 0, 1]])
    np.testing.assert_array_equal(found.d[0], RIG.distortion[0])
    np.testing.assert_array_equal(found.d[1], RIG.distortion[1])
    angle = np.linalg.norm(RIG.omega)
    assert np.trace(found.r) == pytest.approx(1 + 2 * np.cos(angle))
    np.testing.assert_array_equal(found.t_mm, RIG.translation_mm)


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(
        st.floats(-1e4, 1e4, allow_nan=False).filter(lambda v: abs(v) > 1e-3 or v == 0),
        min_size=20,
        max_size=20,
    ),
    blanks=st.sampled_from([' ', '  ', '\t']),
    names=st.booleans(),
)
def test_any_numbers_blanks_and_names_come_back(tmp_path_factory, numbers, blanks, names) -> None:
    counts = (2, 2, 1, 5, 2, 2, 1, 5)
    values = iter(numbers)
    rows = [[0.0] if count == 1 else [next(values) for _ in range(count)] for count in counts]
    rows = [[1280], [1024], *rows, [0.1, 0.2, 0.3], [-4.0, 0.0, 0.0]]
    # Names that are not known are passed over: the order tells.
    lines = [
        f'{f"Entry-{n}" if names else RIG.text.splitlines()[n].split(":")[0]}:{blanks}'
        + blanks.join(repr(v) for v in row)
        + ' // a: remark'
        for n, row in enumerate(rows)
    ]
    path = tmp_path_factory.mktemp('text') / 'camera_calibration.txt'
    path.write_text('\r\n'.join(lines) + '\n\n')
    found = read_ris_calibration(path)
    assert [found.k[0][0, 0], found.k[0][1, 1]] == rows[2]
    assert [found.k[1][0, 2], found.k[1][1, 2]] == rows[7]
    assert found.d[0].tolist() == rows[5] and found.d[1].tolist() == rows[9]


@pytest.mark.parametrize(
    ('line', 'replacement', 'words'),
    [
        (11, '', '11 lines; expected 12'),
        (11, 'Extrinsic-T: 1 2 3\nmore: 1', '13 lines; expected 12'),
        (2, 'Camera-1-F: 1080 1084', 'line 3 is Camera-1-F; expected the focal lengths'),
        (2, 'Camera-0-F 1080 1084', 'line 3 has no "Name: numbers"'),
        (3, 'Camera-0-C: 620', "line 4: the principal point of camera 0 is '620'; expected 2"),
        (5, 'Camera-0-K: 1 2 3', 'expected 4 or 5 or 8 numbers'),
        (0, 'Width: wide', "the width is 'wide'; expected 1 number"),
        (0, 'Width: nan', 'the width'),
        (0, 'Width: 12.5', 'whole numbers'),
        (1, 'Height: 0', 'expected 1 to 8192 px'),
    ],
)
def test_a_line_that_is_wrong_is_named(text: Path, line, replacement, words) -> None:
    lines = RIG.text.splitlines()
    lines[line] = replacement
    text.write_text('\n'.join(lines))
    with pytest.raises(FileFormatError) as caught:
        read_ris_calibration(text)
    assert words in str(caught.value) and str(text) in str(caught.value)


def test_skew_is_refused_and_not_ignored(text: Path) -> None:
    text.write_text(RIG.text.replace('Camera-1-Alpha: 0', 'Camera-1-Alpha: 0.5'))
    with pytest.raises(CalibrationError, match='skew of camera 1 is 0.5; expected 0'):
        read_ris_calibration(text)


@pytest.mark.parametrize('alpha', [-1.0, 0.0, 1.0])
def test_the_rectification_is_that_of_pictures_of_their_width_and_height(
    text: Path, alpha: float
) -> None:
    """The published tool passes height and width, which gives other projections."""
    found = stereo_calibration(read_ris_calibration(text), FULL, alpha=alpha)
    across, down = 1280 / 1263, 1024 / 1010
    k1, k2 = (
        np.array(
            [
                [1080 * across, 0, (cx + 0.5 - 8) * across - 0.5],
                [0, 1084 * down, (cy + 1 - 9) * down - 0.5],
                [0, 0, 1],
            ]
        )
        for cx, cy in ((620, 500), (640, 520))
    )
    r = cv2.Rodrigues(np.array(RIG.omega))[0]
    d1, d2 = (np.array(d) for d in RIG.distortion)

    def rectified(size: tuple[int, int]) -> tuple[np.ndarray, ...]:
        t = np.array(RIG.translation_mm).reshape(3, 1)
        return cv2.stereoRectify(
            k1, d1, k2, d2, size, r, t, flags=cv2.CALIB_ZERO_DISPARITY, alpha=alpha
        )

    r1, r2, p1, p2, q = rectified((1280, 1024))[:5]
    for ours, expected in (
        (found.k1, k1),
        (found.k2, k2),
        (found.r1, r1),
        (found.r2, r2),
        (found.p1, p1),
        (found.p2, p2),
        (found.disparity_to_depth, q),
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)
    assert abs(rectified((1024, 1280))[2] - p1).max() > 5


def test_the_file_has_the_published_fields_and_is_read_by_opencv_and_by_us(
    text: Path, tmp_path: Path
) -> None:
    calibration = stereo_calibration(read_ris_calibration(text), FULL, alpha=0.0)
    path = tmp_path / 'stereo_calib.json'
    write_stereo_calib(path, calibration)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    shapes = {'K1': (3, 3), 'D1': (1, 5), 'K2': (3, 3), 'D2': (1, 5), 'R': (3, 3), 'T': (3, 1)}
    shapes |= {'R1': (3, 3), 'R2': (3, 3), 'P1': (3, 4), 'P2': (3, 4), 'Q': (4, 4)}
    shapes |= {'roi1': (4, 1), 'roi2': (4, 1), 'size': (2, 1)}
    for name, shape in shapes.items():
        assert storage.getNode(name).mat().shape == shape, name
    size = storage.getNode('size').mat()
    assert size.dtype == np.int32 and size.ravel().tolist() == [1024, 1280]
    assert storage.getNode('alpha').real() == 0.0
    np.testing.assert_array_equal(storage.getNode('P2').mat(), calibration.p2)
    rig = StereoRig.from_cameras(*read_calibration(path), rectified=False)
    assert rig.left.image_size == (1280, 1024)
    # The length of the translation, mm: the rectified cameras stand that far apart.
    assert rig.baseline_m * 1e3 == pytest.approx(np.linalg.norm(RIG.translation_mm))


def test_an_equal_file_is_left_and_another_one_is_not_replaced(text: Path, tmp_path: Path) -> None:
    path = tmp_path / 'stereo_calib.json'
    raw = read_ris_calibration(text)
    write_stereo_calib(path, stereo_calibration(raw, FULL, alpha=0.0))
    before = path.stat().st_mtime_ns
    write_stereo_calib(path, stereo_calibration(raw, FULL, alpha=0.0))
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match='choose a new folder'):
        write_stereo_calib(path, stereo_calibration(raw, FULL, alpha=0.5))
    assert json.loads(path.read_text())['alpha'] == 0.0


def test_the_text_as_stored_is_for_pictures_of_its_own_size_alone(text: Path) -> None:
    raw = read_ris_calibration(text)
    found = stereo_calibration(raw, FULL, alpha=0.0, intrinsics='as-stored')
    np.testing.assert_array_equal(found.k1, raw.k[0])
    small = FrameGeometry.of_frames((1920, 1080), (640, 512))
    with pytest.raises(CalibrationError, match='1280x1024 px and cannot be taken as stored'):
        stereo_calibration(raw, small, alpha=0.0, intrinsics='as-stored')
    with pytest.raises(UsageError, match='adapted, as-stored'):
        stereo_calibration(raw, FULL, alpha=0.0, intrinsics='guessed')
