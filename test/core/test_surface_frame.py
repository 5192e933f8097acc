from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface_frame import SurfaceFrame

GEOMETRY = StereoGeometry((6, 4), 50.0, 50.0, 2.5, 1.5, 0.004)


def frame(**changes) -> SurfaceFrame:
    parts = {
        'depth_m': np.full((4, 6), 0.02, np.float32),
        'picture': np.full((4, 6, 3), 100, np.uint8),
        'instrument_mask': np.zeros((4, 6), bool),
        'geometry': GEOMETRY,
    }
    return SurfaceFrame.of_mask('f', **{**parts, **changes})


def test_the_instruments_are_labelled_and_tinted_cyan():
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    made = frame(instrument_mask=mask)
    np.testing.assert_array_equal(made.labels, mask)
    np.testing.assert_array_equal(made.colours[~mask], 100)
    np.testing.assert_allclose(made.colours[1, 2].astype(int), [50, 178, 178], atol=1)


def test_a_depth_is_uncertain_where_its_sigma_is_a_larger_share_of_it():
    # d = 50 * 0.004 / 0.02 = 10 px, so 1 px is a tenth of the depth.
    sigma = np.full((4, 6), 0.9, np.float32)
    sigma[0, 0], sigma[0, 1] = 1.1, np.nan
    made = frame(uncertainty_px=sigma)
    found = made.uncertain(0.1)
    assert found[0, 0] and found.sum() == 1
    assert not frame().uncertain(0.1).any()


def test_what_is_left_out_is_no_point_and_the_stride_thins_all_alike():
    left_out = np.zeros((4, 6), bool)
    left_out[2, 4] = True
    sigma = np.arange(24, dtype=np.float32).reshape(4, 6)
    surface = frame(uncertainty_px=sigma).organised(stride=2, left_out=left_out)
    assert surface.points_m.shape == (2, 3, 3) and surface.known.sum() == 5
    assert not surface.known[1, 2]
    np.testing.assert_array_equal(surface.uncertainty_px, sigma[::2, ::2])
    np.testing.assert_allclose(surface.points_m[0, 1], [(2 - 2.5) / 50 * 0.02, -0.0006, 0.02])


@pytest.mark.parametrize('name', ['depth_m', 'picture', 'instrument_mask', 'uncertainty_px'])
def test_parts_of_another_size_are_refused(name):
    shape = (4, 5, 3) if name == 'picture' else (4, 5)
    kind = {'picture': np.uint8, 'instrument_mask': bool}.get(name, np.float32)
    with pytest.raises(ImageError, match='px'):
        frame(**{name: np.ones(shape, kind)})
