"""After any augmentation the pixel that truth names in the right view shows the same surface."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import UsageError
from msdesis_ros.training.augment import (
    AugmentSettings,
    augmented,
    cropped,
    erased,
    flipped,
    mirrored,
    one_eyed,
    resized,
    swapped,
)
from msdesis_ros.training.batch import UNKNOWN, Sample, Truth, sample_of_frame
from msdesis_ros.training.photometric import PhotometricSettings, jittered

STRONG = AugmentSettings(
    scale=(0.5, 2.0),
    stretch=1.2,
    vertical_flip=0.5,
    swap=0.5,
    misalignment_px=1.0,
    erase=0.5,
    photometric=PhotometricSettings(gain=0.4, gamma=0.3, colour=0.2, offset=20.0, noise=8.0),
)


@pytest.fixture
def sample(scenes):
    return sample_of_frame(scenes.boxed_wall(1))


def mismatch(sample: Sample) -> float:
    """Mean difference of levels between visible left pixels and their partners."""
    truth = sample.truth
    column = np.arange(sample.left.shape[1]) - truth.disparity_px
    seen = np.isfinite(truth.disparity_px) & ~truth.occluded
    nearest = np.where(seen, np.rint(column), 0).astype(int)
    assert nearest.min() >= 0, 'a partner outside of the right view is not occluded'
    partner = np.take_along_axis(sample.right, nearest[..., None], axis=1)
    return float(np.abs(sample.left.astype(int) - partner)[seen].mean())


def planes(sample: Sample):
    return [
        sample.left,
        sample.right,
        *(getattr(sample.truth, field.name) for field in fields(Truth)),
    ]


def test_the_test_pairs_are_right_to_the_pixel(sample):
    assert mismatch(sample) == 0
    wrong = replace(sample.truth, disparity_px=sample.truth.disparity_px - 1)
    assert mismatch(replace(sample, truth=wrong)) > 10


@pytest.mark.parametrize('left', [0, 7, 40])
def test_a_crop_keeps_partners_and_marks_what_has_lost_its_own(sample, left):
    crop = cropped(sample, left=left, top=5, size=(64, 32))
    assert crop.left.shape == (32, 64, 3)
    assert mismatch(crop) == 0
    lost = np.arange(64) < crop.truth.disparity_px
    assert crop.truth.occluded[lost].all() and lost.any()


def test_a_vertical_flip_keeps_partners(sample):
    turned = flipped(sample)
    assert mismatch(turned) == 0
    np.testing.assert_array_equal(turned.truth.mask[0], sample.truth.mask[-1])


@pytest.mark.parametrize('size', [(64, 48), (256, 192), (192, 96), (128, 192)])
def test_resizing_scales_disparities_and_invents_none(sample, size):
    changed = resized(sample, size)
    factor = size[0] / 128
    for plane in planes(changed):
        assert plane.shape[:2] == size[::-1]
    known = np.unique(changed.truth.disparity_px)
    expected = np.unique(sample.truth.disparity_px) * factor
    np.testing.assert_allclose(known, expected, rtol=1e-6)
    assert set(np.unique(changed.truth.mask)) <= {0, 1}
    # Each surface keeps its share of the picture.
    assert changed.truth.mask.mean() == pytest.approx(sample.truth.mask.mean(), abs=0.02)


def test_doubling_the_size_keeps_partners(sample):
    doubled = resized(sample, (256, 192))
    inside = cropped(doubled, left=0, top=0, size=(256, 192))
    assert mismatch(inside) < 5  # against 30 for a wrong disparity, below


def test_a_slope_is_interpolated_and_a_hole_stays_a_hole(sample):
    x = np.arange(128, dtype=np.float32)
    slope = np.broadcast_to(10 + 0.25 * x, (96, 128)).copy()
    slope[20:30, 40:60] = np.nan
    changed = resized(replace(sample, truth=replace(sample.truth, disparity_px=slope)), (256, 192))
    found = changed.truth.disparity_px
    expected = 2 * (10 + 0.25 * ((np.arange(256) + 0.5) / 2 - 0.5))
    error = np.abs(found - expected)[:, 2:-2]
    away = error[80:]  # rows that do not touch the hole
    assert away.max() < 1e-4
    assert np.isnan(found[44:56, 84:116]).all() and not np.isnan(found[70:]).any()
    assert np.nanmax(error) <= 0.25 + 1e-4  # by the hole: the nearest pixel's


def test_the_mirrored_views_change_places_where_the_right_truth_is_known(scenes):
    frame = scenes.boxed_wall(2)
    sample = sample_of_frame(frame)
    # The right view's truth, by hand: a wall everywhere.
    wall_px = float(frame.disparity_px.min())
    known = np.full(frame.disparity_px.shape, np.nan, np.float32)
    known[-4:] = wall_px
    occluded = np.arange(known.shape[1]) + wall_px >= known.shape[1]
    empty = np.zeros(known.shape, np.uint8)
    right = Truth(known, np.broadcast_to(occluded, known.shape), empty, empty)
    if frame.instrument_mask[-4:].any():
        pytest.skip('the box reaches the last rows')
    mirrored = swapped(replace(sample, right_truth=right))
    assert mismatch(mirrored) == 0
    assert not np.array_equal(mirrored.left, sample.left)


def test_without_right_truth_the_views_keep_their_places(sample):
    always = AugmentSettings(swap=1.0)
    found = augmented(sample, always, size=(128, 96), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(found.left, sample.left)


def test_what_is_hidden_in_the_right_view_is_occluded(sample):
    hidden = erased(sample, share=0.4, rng=np.random.default_rng(5))
    changed = (hidden.right != sample.right).any(axis=2)
    assert changed.any()
    np.testing.assert_array_equal(hidden.left, sample.left)
    assert mismatch(hidden) == 0
    assert (hidden.truth.occluded & ~sample.truth.occluded).any()
    np.testing.assert_array_equal(hidden.truth.disparity_px, sample.truth.disparity_px)


def test_with_one_eye_both_views_are_the_left_one_and_no_disparity_is_known(sample):
    found = one_eyed(sample)
    assert np.array_equal(found.left, sample.left) and np.array_equal(found.right, sample.left)
    assert np.isnan(found.truth.disparity_px).all() and not found.truth.occluded.any()
    assert np.array_equal(found.truth.mask, sample.truth.mask)


def test_a_mirror_turns_each_view_and_its_mask_and_leaves_no_disparity(sample):
    found = mirrored(sample)
    for view in ('left', 'right'):
        assert np.array_equal(getattr(found, view), getattr(sample, view)[:, ::-1])
    assert np.array_equal(found.truth.mask, sample.truth.mask[:, ::-1])
    assert np.array_equal(found.truth.parts, sample.truth.parts[:, ::-1])
    assert np.isnan(found.truth.disparity_px).all() and not found.truth.occluded.any()
    asked = replace(STRONG, mirror=1.0)
    turned, plain = (
        augmented(sample, settings, size=(32, 32), rng=np.random.default_rng(3))
        for settings in (asked, STRONG)
    )
    assert np.array_equal(turned.left, plain.left[:, ::-1])


def test_hue_turns_colours_about_grey_and_saturation_stretches_them():
    grey = np.full((4, 4, 3), 90, np.uint8)
    red = np.zeros((4, 4, 3), np.uint8) + np.uint8([200, 50, 50])
    seen = set()
    for seed in range(40):
        changed = [
            jittered(
                view,
                view,
                PhotometricSettings(hue=120.0, saturation=0.5),
                rng=np.random.default_rng(seed),
            )
            for view in (grey, red)
        ]
        for left, right in changed:
            assert np.array_equal(left, right)
        assert np.array_equal(changed[0][0], grey)
        seen.add(int(changed[1][0][0, 0].argmax()))
    # 120 degrees either way carry red to green or to blue.
    assert seen == {0, 1, 2}


def test_a_blur_takes_contrast_and_no_light():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, ::2] = 200
    contrasts = []
    for seed in range(20):
        left, _ = jittered(
            picture, picture, PhotometricSettings(blur=3.0), rng=np.random.default_rng(seed)
        )
        contrasts.append(left[:, 8:24].std())
        assert abs(left[:, 8:24].mean() - 100) < 2
    assert max(contrasts) == 100 and min(contrasts) < 2
    assert 6 <= sum(contrast == 100 for contrast in contrasts) <= 16


def test_a_shade_darkens_patches_of_both_views_alike_and_leaves_half_of_the_pairs():
    picture = np.full((96, 128, 3), 200, np.uint8)
    shaded = 0
    for seed in range(40):
        left, right = jittered(
            picture, picture, PhotometricSettings(shade=2.0), rng=np.random.default_rng(seed)
        )
        assert np.array_equal(left, right) and left.max() <= 200
        # exp(-2) of the light is left where a shade is deepest, and colours stay.
        assert left.min() >= round(200 * np.exp(-2)) and (np.ptp(left, axis=2) == 0).all()
        shaded += np.ptp(left) > 20
        # Smooth: a border of a shade is no edge of one pixel.
        assert np.abs(np.diff(left[..., 0].astype(int))).max() < 100
    assert 10 <= shaded <= 24


def test_one_eye_comes_as_often_as_asked_and_leaves_other_samples_as_they_were(sample):
    lone = 0
    for seed in range(60):
        crops = [
            augmented(sample, settings, size=(32, 32), rng=np.random.default_rng([7, seed]))
            for settings in (STRONG, replace(STRONG, one_eye=0.5))
        ]
        assert np.array_equal(crops[0].left, crops[1].left)
        if np.array_equal(crops[1].left, crops[1].right):
            lone += 1
        else:
            assert np.array_equal(crops[0].right, crops[1].right)
    assert 18 <= lone <= 42


def test_the_defaults_change_nothing(sample):
    found = augmented(sample, AugmentSettings(), size=(128, 96), rng=np.random.default_rng(0))
    for plane, expected in zip(planes(found), planes(sample), strict=True):
        np.testing.assert_array_equal(plane, expected)


def test_misalignment_moves_the_right_view_alone(sample):
    shifting = AugmentSettings(misalignment_px=3.0)
    found = augmented(sample, shifting, size=(128, 96), rng=np.random.default_rng(1))
    np.testing.assert_array_equal(found.left, sample.left)
    assert not np.array_equal(found.right, sample.right)


def test_each_view_gets_colours_of_its_own(sample):
    only = AugmentSettings(photometric=PhotometricSettings(gain=0.5, view_share=1.0))
    found = augmented(sample, only, size=(128, 96), rng=np.random.default_rng(3))
    gains = [found.left.mean() / sample.left.mean(), found.right.mean() / sample.right.mean()]
    assert abs(gains[0] - gains[1]) > 0.05
    both = AugmentSettings(photometric=PhotometricSettings(gain=0.5, view_share=0.0))
    found = augmented(sample, both, size=(128, 96), rng=np.random.default_rng(3))
    assert mismatch(found) == 0 and not np.array_equal(found.left, sample.left)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), wide=st.sampled_from([32, 64, 96, 160]))
def test_any_seed_gives_a_whole_crop_with_partners(scenes, seed, wide):
    sample = sample_of_frame(scenes.boxed_wall(seed % 50))
    geometry = replace(STRONG, misalignment_px=0.0, photometric=PhotometricSettings())
    found = augmented(sample, geometry, size=(wide, 64), rng=np.random.default_rng(seed))
    for plane in planes(found):
        assert plane.shape[:2] == (64, wide)
    assert found.left.dtype == np.uint8 and found.truth.disparity_px.dtype == np.float32
    assert set(np.unique(found.truth.mask)) <= {0, 1, UNKNOWN}
    mismatch(found)


def test_the_same_generator_gives_the_same_bytes(sample):
    twice = [
        augmented(sample, STRONG, size=(96, 64), rng=np.random.default_rng(11)) for _ in range(2)
    ]
    other = augmented(sample, STRONG, size=(96, 64), rng=np.random.default_rng(12))
    for one, two in zip(*map(planes, twice), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(other.left, twice[0].left)


@pytest.mark.parametrize(
    ('kind', 'values', 'sentence'),
    [
        (AugmentSettings, {'scale': (2.0, 1.0)}, 'scale is'),
        (AugmentSettings, {'stretch': 0.5}, 'stretch is'),
        (AugmentSettings, {'erase': 1.5}, 'erase is'),
        (AugmentSettings, {'misalignment_px': -1.0}, 'misalignment_px is'),
        (PhotometricSettings, {'noise': -1.0}, 'noise is'),
        (PhotometricSettings, {'gamma': float('nan')}, 'gamma is'),
    ],
)
def test_settings_that_cannot_be_are_refused(kind, values, sentence):
    with pytest.raises(UsageError, match=sentence):
        kind(**values)
