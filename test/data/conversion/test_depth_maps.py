"""The published fill of depth maps, by hand; the view geometry is tested in test/core."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.conversion.depth_maps import Conversion, fill_along_raster

NAN = np.nan


def test_the_fill_draws_lines_along_the_raster_across_the_ends_of_rows():
    holed = np.array([[NAN, 10.0, NAN, 30.0], [NAN, NAN, 60.0, NAN]], np.float32)
    filled = fill_along_raster(holed)
    assert filled.dtype == np.float32
    assert filled.tolist() == [[10, 10, 20, 30], [40, 50, 60, 60]]


@given(arrays(np.float32, (5, 7), elements=st.sampled_from([np.float32(NAN), 3.0, 4.5, 90.0])))
def test_the_fill_keeps_what_is_known_and_leaves_no_hole_but_in_a_picture_without_any(values):
    given_values = values.copy()
    filled = fill_along_raster(values)
    np.testing.assert_array_equal(values, given_values)
    known = np.isfinite(values)
    np.testing.assert_array_equal(filled[known], values[known])
    assert np.isfinite(filled).all() == known.any()
    if known.any():
        assert values[known].min() <= filled.min() and filled.max() <= values[known].max()


@pytest.mark.parametrize('scale', [0.0, -1.0, NAN, np.inf])
def test_a_conversion_without_a_usable_scale_is_refused(scale):
    with pytest.raises(UsageError, match='out_scale is'):
        Conversion(scale=128.0, out_scale=scale)
    with pytest.raises(UsageError, match='^scale is'):
        Conversion(scale=scale, out_scale=128.0)
