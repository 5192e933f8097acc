from __future__ import annotations

import struct

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface import POINT_STEP, SurfaceBuilder, unpack

GEOMETRY = StereoGeometry((4, 3), 10.0, 20.0, 1.0, 2.0, 0.005)


@pytest.fixture
def frame():
    depth = np.full((3, 4), 0.1, np.float32)
    depth[0, 0] = np.nan
    colour = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    mask = np.zeros((3, 4), bool)
    mask[2, 3] = True
    return depth, colour, mask


def test_a_point_is_its_ray_times_the_depth(frame):
    depth, colour, _ = frame
    points = unpack(SurfaceBuilder(GEOMETRY).pack(depth, colour))[0]
    # column 3, row 1: x = (3 - 1) / 10 * 0.1, y = (1 - 2) / 20 * 0.1
    np.testing.assert_allclose(points[1, 3], [0.02, -0.005, 0.1], rtol=1e-6)


def test_the_bytes_are_those_of_the_message_layout(frame):
    depth, colour, mask = frame
    raw = SurfaceBuilder(GEOMETRY).pack(depth, colour, instrument_mask=mask).tobytes()
    assert len(raw) == 12 * POINT_STEP
    x, y, z, blue, green, red, label = struct.unpack_from('<fffBBBB', raw, 6 * POINT_STEP)
    assert (x, y, z) == pytest.approx((0.01, -0.005, 0.1))
    assert (red, green, blue) == tuple(colour[1, 2])
    assert label == 0
    assert raw[11 * POINT_STEP + 15] == 1


def test_a_pixel_without_depth_is_nan_in_all_coordinates_and_keeps_its_colour(frame):
    depth, colour, _ = frame
    points, colours, _ = unpack(SurfaceBuilder(GEOMETRY).pack(depth, colour))
    assert np.isnan(points[0, 0]).all()
    assert np.isfinite(points).all(axis=2).sum() == 11
    np.testing.assert_array_equal(colours, colour)


def test_the_tool_is_tinted_and_tissue_is_not(frame):
    depth, colour, mask = frame
    colours = unpack(
        SurfaceBuilder(GEOMETRY).pack(
            depth, colour, instrument_mask=mask, tool_colour=(0, 255, 255)
        )
    )[1]
    np.testing.assert_array_equal(colours[~mask], colour[~mask])
    np.testing.assert_allclose(
        colours[2, 3].astype(float), (colour[2, 3] + np.array([0.0, 255, 255])) / 2, atol=0.51
    )


def test_a_stride_keeps_every_nth_row_and_column(frame):
    depth, colour, _ = frame
    builder = SurfaceBuilder(GEOMETRY, stride=2)
    assert builder.cloud_size == (2, 2)
    full = unpack(SurfaceBuilder(GEOMETRY).pack(depth, colour))
    thin = unpack(builder.pack(depth, colour))
    np.testing.assert_allclose(thin[0], full[0][::2, ::2])
    np.testing.assert_array_equal(thin[1], full[1][::2, ::2])


def test_packing_into_a_given_array_fills_that_array(frame):
    depth, colour, _ = frame
    builder = SurfaceBuilder(GEOMETRY)
    out = np.zeros((3, 4, 4), np.float32)
    result = builder.pack(depth, colour, out=out)
    assert np.shares_memory(result, out)
    assert out.tobytes() == builder.pack(depth, colour).tobytes()


def test_a_stride_below_one_is_refused():
    with pytest.raises(UsageError, match='1 or more'):
        SurfaceBuilder(GEOMETRY, stride=0)
