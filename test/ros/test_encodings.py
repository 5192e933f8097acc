from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import ImageError
from msdesis_ros.ros.encodings import INPUT_ENCODINGS, rgb_from_rows

from . import by_hand

BAYER = [name for name in INPUT_ENCODINGS if name.startswith('bayer')]
YUV = ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv']
# Odd and even, narrower and wider than what SIMD instructions take at once.
SIZES = [(4, 3), (7, 5), (6, 6), (131, 9), (130, 4)]


def both(encoding: str, *, width: int, height: int, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Our picture of random bytes and the one decoded by hand, as int16."""
    layout = {'width': width, 'height': height}
    step = width * by_hand.bytes_per_pixel(encoding) + padding
    data = by_hand.random_rows(encoding, **layout, padding=padding)
    ours = rgb_from_rows(data, encoding, **layout, step=step)
    assert (ours.dtype, ours.shape) == (np.uint8, (height, width, 3))
    assert ours.flags.c_contiguous
    hand = by_hand.decode(encoding, data, **layout, step=step)
    return ours.astype(np.int16), hand.astype(np.int16)


def test_every_encoding_has_a_reference_made_by_hand():
    assert set(INPUT_ENCODINGS) == set(by_hand.ENCODINGS)


@pytest.mark.parametrize('encoding', INPUT_ENCODINGS)
@pytest.mark.parametrize('padding', [0, 1, 37])
@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_every_pixel_is_as_decoded_by_hand(encoding, width, height, padding):
    width += encoding in YUV and width % 2
    ours, hand = both(encoding, width=width, height=height, padding=padding)
    allowed = 1 if encoding in YUV else 0
    assert np.abs(ours - hand).max() <= allowed


@pytest.mark.parametrize('encoding', BAYER)
def test_a_mosaic_read_under_another_name_is_another_picture(encoding):
    layout = {'width': 12, 'height': 10, 'step': 12}
    data = by_hand.random_rows(encoding, width=12, height=10, padding=0)
    hand = by_hand.decode(encoding, data, **layout)
    same = [name for name in BAYER if np.array_equal(rgb_from_rows(data, name, **layout), hand)]
    assert same == [encoding]


@pytest.mark.parametrize(
    ('encoding', 'first_red'),
    [
        ('bayer_rggb8', (0, 0)),
        ('bayer_grbg8', (0, 1)),
        ('bayer_gbrg8', (1, 0)),
        ('bayer_bggr8', (1, 1)),
    ],
)
def test_a_red_wall_is_red_through_every_mosaic(encoding, first_red):
    mosaic = np.zeros((6, 8), np.uint8)
    mosaic[first_red[0] :: 2, first_red[1] :: 2] = 200
    rgb = rgb_from_rows(mosaic, encoding, width=8, height=6, step=8)
    assert (rgb == [200, 0, 0]).all()


@pytest.mark.parametrize('encoding', YUV)
def test_grey_levels_and_primaries_of_yuv_are_those_of_bt601(encoding):
    # Y, U, V of 8-bit BT.601: black, white, the primaries at full saturation.
    colours = {
        (0, 0, 0): (16, 128, 128),
        (255, 255, 255): (235, 128, 128),
        (255, 0, 0): (81, 90, 240),
        (0, 255, 0): (145, 54, 34),
        (0, 0, 255): (41, 240, 110),
    }
    for rgb, (y, u, v) in colours.items():
        two = bytes([u, y, v, y] if encoding in ('yuv422', 'uyvy') else [y, u, y, v])
        ours = rgb_from_rows(two * 4, encoding, width=4, height=2, step=8).astype(int)
        assert np.abs(ours - rgb).max() <= 2, rgb


def test_an_rgb8_picture_without_padding_is_not_copied():
    data = np.zeros(5 * 7 * 3, np.uint8)
    assert np.shares_memory(rgb_from_rows(data, 'rgb8', width=7, height=5, step=21), data)


@pytest.mark.parametrize('encoding', INPUT_ENCODINGS)
def test_bytes_behind_the_last_row_are_ignored(encoding):
    layout = {'width': 6, 'height': 4}
    data = by_hand.random_rows(encoding, **layout, padding=3)
    layout['step'] = 6 * by_hand.bytes_per_pixel(encoding) + 3
    expected = rgb_from_rows(data, encoding, **layout)
    assert np.array_equal(rgb_from_rows(data + b'more', encoding, **layout), expected)


@given(
    encoding=st.sampled_from(INPUT_ENCODINGS),
    half_width=st.integers(2, 40),
    height=st.integers(3, 9),
    padding=st.integers(0, 70),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_padding_changes_nothing(encoding, half_width, height, padding, seed):
    width = 2 * half_width
    layout = {'width': width, 'height': height}
    data = by_hand.random_rows(encoding, **layout, padding=padding, seed=seed)
    row_bytes = width * by_hand.bytes_per_pixel(encoding)
    step = row_bytes + padding
    plain = b''.join(data[row * step : row * step + row_bytes] for row in range(height))
    assert np.array_equal(
        rgb_from_rows(data, encoding, **layout, step=step),
        rgb_from_rows(plain, encoding, **layout, step=row_bytes),
    )


UNKNOWN = ['', 'RGB8', 'rgb16', 'mono16', '16UC1', '8UC3', 'bayer_rggb16', '32FC1', 'nv12', 'h264']


@pytest.mark.parametrize('encoding', UNKNOWN)
def test_another_encoding_is_refused_by_name_listing_the_known_ones(encoding):
    with pytest.raises(ImageError, match='publish one of rgb8, bgr8, rgba8') as refusal:
        rgb_from_rows(bytes(1000), encoding, width=4, height=4, step=100)
    assert f"'{encoding}'" in str(refusal.value)


@pytest.mark.parametrize('encoding', YUV)
def test_an_odd_width_of_yuv_is_refused_with_the_reason(encoding):
    with pytest.raises(ImageError, match=f'5x4 {encoding}, .* width must be even'):
        rgb_from_rows(bytes(100), encoding, width=5, height=4, step=10)


@pytest.mark.parametrize('encoding', YUV)
def test_an_odd_height_of_yuv_is_taken(encoding):
    assert rgb_from_rows(bytes(36), encoding, width=6, height=3, step=12).shape == (3, 6, 3)


@pytest.mark.parametrize('encoding', BAYER)
@pytest.mark.parametrize(('width', 'height'), [(1, 1), (2, 8), (8, 2)])
def test_a_mosaic_without_neighbours_on_both_sides_is_refused(encoding, width, height):
    with pytest.raises(ImageError, match=f'{width}x{height} {encoding}, .* at least 3x3'):
        rgb_from_rows(bytes(100), encoding, width=width, height=height, step=width)


@pytest.mark.parametrize('encoding', INPUT_ENCODINGS)
def test_missing_data_is_refused_with_expected_and_actual_count(encoding):
    step = 6 * by_hand.bytes_per_pixel(encoding) + 2
    with pytest.raises(ImageError, match=rf'{4 * step - 1} bytes of data, expected {4 * step}'):
        rgb_from_rows(bytes(4 * step - 1), encoding, width=6, height=4, step=step)


@pytest.mark.parametrize('encoding', INPUT_ENCODINGS)
def test_a_step_shorter_than_a_row_is_refused(encoding):
    row = 6 * by_hand.bytes_per_pixel(encoding)
    with pytest.raises(ImageError, match=rf'step .* is {row - 1} bytes; a row needs .* {row}:'):
        rgb_from_rows(bytes(1000), encoding, width=6, height=4, step=row - 1)


@pytest.mark.parametrize(('width', 'height'), [(4, 0), (0, 4), (0, 0)])
def test_an_empty_picture_is_refused(width, height):
    with pytest.raises(ImageError, match='is empty'):
        rgb_from_rows(b'', 'mono8', width=width, height=height, step=width)


@given(
    encoding=st.one_of(st.sampled_from(INPUT_ENCODINGS), st.text(max_size=8)),
    width=st.integers(0, 2**32 - 1),
    height=st.integers(0, 2**32 - 1),
    step=st.integers(0, 2**32 - 1),
    data=st.binary(max_size=64),
)
@settings(max_examples=300, deadline=None)
def test_numbers_that_do_not_fit_are_refused_whatever_they_are(
    encoding, width, height, step, data
):
    try:
        rgb = rgb_from_rows(data, encoding, width=width, height=height, step=step)
    except ImageError as refusal:
        assert len(str(refusal)) > 20
    else:
        assert rgb.shape == (height, width, 3)
        assert step * height <= len(data)
