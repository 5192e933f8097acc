from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth import details
from msdesis_ros.data.synth.details import SLOPE_RANGE, detail_maps, surroundings_picture


def test_the_relief_is_the_slope_of_the_height():
    x = np.arange(256) / 256
    wave = (0.5 + 0.4 * np.sin(2 * np.pi * 5 * x)).astype(np.float32)
    flat = np.full((256, 256), 0.5, np.float32)
    height = np.broadcast_to(wave, (256, 256))
    made = details.Detail(mottle=flat, grain=flat, vessels=flat, height=height)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(details, '_makers', lambda: {'waves': lambda rng: made})
        detail, relief = detail_maps('waves', 0)
    slope = (relief[..., 0].astype(float) - 128) / 127 * SLOPE_RANGE
    expected = 0.4 * 2 * np.pi * 5 * np.cos(2 * np.pi * 5 * x)
    np.testing.assert_allclose(slope[0], expected, atol=1.5 * SLOPE_RANGE / 127)
    assert (relief[..., 1] == 128).all()
    np.testing.assert_allclose(detail[0, :, 3] / 255, wave, atol=1 / 255)


def test_a_kind_is_made_again_alike_and_differs_by_seed():
    for kind in ('plain', 'brushed'):
        first, again = detail_maps(kind, 1), detail_maps(kind, 1)
        for one, other in zip(first, again, strict=True):
            assert one.dtype == np.uint8 and one.shape[2] == 4
            np.testing.assert_array_equal(one, other)
        if kind != 'plain':
            assert (first[0] != detail_maps(kind, 2)[0]).any(), kind


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="unknown detail texture 'lier'.*plain"):
        detail_maps('lier', 0)


def test_metal_mirrors_least_light_from_behind_the_endoscope():
    for seed in range(12):
        picture = surroundings_picture(seed)
        assert picture.shape == (64, 128, 3) and picture.dtype == np.float32
        behind = np.concatenate([picture[:, :10], picture[:, -10:]], axis=1).mean()
        assert (picture >= 0).all() and behind < picture[:, 40:88].mean()
