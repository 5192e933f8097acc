"""Window, field and resizing of RIS 2017 frames: pictures, labels and camera matrices agree."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import CalibrationError, FileFormatError
from msdesis_ros.data.conversion.ris2017_frame import FrameGeometry, LabelSampler

FULL = FrameGeometry.of_frames((1920, 1080))
SMALL = FrameGeometry.of_frames((384, 216), (256, 192))


def test_a_published_frame_gives_rows_37_to_1046_and_columns_328_to_1590_of_one_field() -> None:
    frame = np.full((1080, 1920, 3), 255, np.uint8)
    frame[37:1047, 328:1591] = 100  # the picture; 255 is the border
    frame[38:1047:2, 328:1591] = 0  # the other field
    picture = FULL.picture(frame)
    assert picture.shape == (1024, 1280, 3) and picture.dtype == np.uint8
    assert (picture == 100).all()
    # One column or row less would lose these marks.
    for row, column in ((37, 700), (1045, 700), (500 + 1, 328), (500 + 1, 1590)):
        marked = frame.copy()
        marked[row, column] = 180
        assert FULL.picture(marked).max() > 120, (row, column)
    noise = np.random.default_rng(1).integers(0, 256, frame.shape, np.uint8)
    expected = cv2.resize(noise[37:1047:2, 328:1591], (1280, 1024))
    np.testing.assert_array_equal(FULL.picture(noise), expected)


def test_labels_of_a_published_frame_keep_their_values_and_no_tool_grows() -> None:
    labels = np.zeros((1080, 1920), np.uint8)
    labels[300:500, 600:900] = 10
    labels[500:600, 600:900] = 30
    found = LabelSampler(FULL).sample(labels)
    assert set(np.unique(found)) == {0, 10, 30}
    area = 300 * 300 * (1280 / 1263) * (1024 / 1010)
    assert np.count_nonzero(found) == pytest.approx(area, rel=0.005)
    # The published way: bilinear, then above 0. It paints a rim, and parts that are not there.
    old = cv2.resize(labels[37:1047, 328:1591], (1280, 1024))
    assert len(np.unique(old)) > 3
    assert np.count_nonzero(old) > area * 1.005


@pytest.mark.parametrize('geometry', [FULL, SMALL], ids=['published', 'small'])
def test_a_label_lies_where_the_picture_shows_it(geometry: FrameGeometry) -> None:
    """Borders in both directions, each within half a source pixel of the picture's."""
    width, height = geometry.frame_size
    x, y = width // 2 + 7, height // 2 + 5
    labels = np.zeros((height, width), np.uint8)
    labels[y:, x:] = 1
    picture = geometry.picture(np.repeat(labels[..., None] * np.uint8(200), 3, axis=2))[..., 0]
    mask = LabelSampler(geometry).sample(labels)
    across = geometry.picture_size[0] / geometry.window[2]
    down = geometry.picture_size[1] / geometry.window[3]
    found_x = float(np.interp(100, picture[-1].astype(float), np.arange(picture.shape[1])))
    found_y = float(np.interp(100, picture[:, -1].astype(float), np.arange(picture.shape[0])))
    # The field has every other row: the picture knows the border to one row of the frame.
    assert abs((mask[-1] == 0).sum() - 0.5 - found_x) <= 0.5 * across + 0.51
    assert abs((mask[:, -1] == 0).sum() - 0.5 - found_y) <= 1.0 * down + 0.51


def test_the_labels_of_a_picture_are_the_nearest_ones_by_hand() -> None:
    labels = np.random.default_rng(2).integers(0, 256, (216, 384), np.uint8)
    x0, y0, wide, high = 66, 7, 253, 202  # a fifth of 328, 37, 1263, 1010
    assert SMALL.window == (x0, y0, wide, high)
    found = LabelSampler(SMALL).sample(labels)
    for v, u in ((0, 0), (0, 255), (191, 0), (191, 255), (77, 130), (120, 31)):
        # 101 rows of the field are resized to 192; row k of them is row 2 k of the window.
        row = round(2 * ((v + 0.5) * 101 / 192 - 0.5))
        column = round((u + 0.5) * wide / 256 - 0.5)
        row, column = min(max(row, 0), high - 1), min(max(column, 0), wide - 1)
        assert found[v, u] == labels[y0 + row, x0 + column], (v, u)


def test_labels_that_look_outside_of_the_picture_are_none() -> None:
    labels = np.full((216, 384), 20, np.uint8)
    x, y = np.meshgrid(np.arange(256.0) - 10, np.arange(192.0) + 5)
    x[3, 3] = np.nan
    found = LabelSampler(SMALL, (x, y)).sample(labels)
    assert not found[:, :9].any() and not found[187 + 1 :, :].any() and found[3, 3] == 0
    assert found[0, 10] == 20 and found[186, 255] == 20


@pytest.mark.parametrize('size', [(1280, 1024), (720, 576), (1920, 1200), (32, 18), (1080, 1920)])
def test_frames_of_another_aspect_are_refused_with_what_is_expected(size) -> None:
    with pytest.raises(FileFormatError, match='1920x1080'):
        FrameGeometry.of_frames(size)


def test_a_frame_unlike_the_others_of_its_set_is_refused() -> None:
    with pytest.raises(FileFormatError, match='expected 384x216 px'):
        SMALL.picture(np.zeros((1080, 1920, 3), np.uint8))
    with pytest.raises(FileFormatError, match='1920x1080 px; expected 384x216'):
        LabelSampler(SMALL).sample(np.zeros((1080, 1920), np.uint8))


def test_camera_matrices_follow_crop_field_and_resizing_by_hand() -> None:
    k = np.array([[1000.0, 0, 600], [0, 1100, 500], [0, 0, 1]])
    found = FULL.camera_matrix(k, (1280, 1024))
    # The camera's picture begins at (320, 28) of the frame, the window at (328, 37).
    across, down = 1280 / 1263, 1024 / 1010
    expected = [
        [1000 * across, 0, (600.5 - 8) * across - 0.5],
        [0, 1100 * down, (500.5 - 9 + 0.5) * down - 0.5],
        [0, 0, 1],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert abs(found - k).max() > 10  # as they stand, they are off by so much
    of_frames = FULL.camera_matrix(k, (1920, 1080))
    np.testing.assert_allclose(of_frames[0, 2], (600.5 - 328) * across - 0.5)
    np.testing.assert_allclose(of_frames[1, 2], (500.5 - 37 + 0.5) * down - 0.5)
    with pytest.raises(CalibrationError, match='640x480'):
        FULL.camera_matrix(k, (640, 480))


@settings(max_examples=15, deadline=None)
@given(x=st.floats(60, 1200), y=st.floats(60, 960))
def test_a_bright_spot_is_seen_where_the_moved_camera_matrix_says(x: float, y: float) -> None:
    """A spot at (x, y) of the camera's picture, drawn into a frame a fifth as large."""
    k = np.array([[1000.0, 0, 640], [0, 1000, 512], [0, 0, 1]])
    spot_x, spot_y = ((v + 0.5 + begin) / 5 - 0.5 for v, begin in ((x, 320), (y, 28)))
    columns, rows = np.meshgrid(np.arange(384), np.arange(216))
    glow = 250 * np.exp(-((columns - spot_x) ** 2 + (rows - spot_y) ** 2) / (2 * 4.0**2))
    frame = np.repeat(np.rint(glow).astype(np.uint8)[..., None], 3, axis=2)
    picture = SMALL.picture(frame)[..., 0].astype(float)
    moved = SMALL.camera_matrix(k, (1280, 1024))
    expected = moved @ [(x - 640) / 1000, (y - 512) / 1000, 1]
    found_x = (picture.sum(axis=0) * np.arange(256)).sum() / picture.sum()
    found_y = (picture.sum(axis=1) * np.arange(192)).sum() / picture.sum()
    inside = 12 < expected[0] < 243 and 12 < expected[1] < 179
    if inside:
        assert (found_x, found_y) == pytest.approx(tuple(expected[:2]), abs=0.05)
