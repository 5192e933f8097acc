from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import write_image
from msdesis_ros.data.scaled_png import decode_scaled, encode_scaled, read_scaled, write_scaled


@given(st.floats(1 / 256, 511.99), st.sampled_from([64.0, 128.0]))
def test_a_value_in_range_comes_back_within_half_a_step(value, scale):
    samples, too_large = encode_scaled(np.full((1, 1), value), scale)
    if value * scale > 0.5:
        assert abs(decode_scaled(samples, scale)[0, 0] - value) <= 0.5 / scale + 1e-4
    assert too_large == 0


def test_values_beyond_16_bits_saturate_beside_nan_and_are_counted():
    values = np.array([[np.nan, 512.0, 1e9], [511.99, np.inf, 3.0]], np.float32)
    samples, too_large = encode_scaled(values, 128)
    assert samples.tolist() == [[0, 65535, 65535], [65535, 0, 384]]
    assert too_large == 2


def test_what_is_unknown_is_stored_as_0_and_read_as_nan(tmp_path):
    values = np.array([[np.nan, np.inf, -3.0, 0.0, 1.5]], np.float32)
    assert write_scaled(tmp_path / 'd.png', values) == 0
    assert np.array_equal(read_scaled(tmp_path / 'd.png'), [[np.nan] * 4 + [1.5]], equal_nan=True)


def test_a_picture_of_8_bits_is_no_scaled_plane(tmp_path):
    write_image(tmp_path / 'd.png', np.zeros((2, 2), np.uint8))
    with pytest.raises(FileFormatError, match='expected one grey channel of 16 bits'):
        read_scaled(tmp_path / 'd.png')


@pytest.mark.parametrize('scale', [0, -1, float('nan'), float('inf')])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(UsageError, match='scale factor'):
        encode_scaled(np.ones((1, 1)), scale)
