"""Raw pictures of a rendered scene: filled to their corners, and of the pair's own surfaces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.data.synth.distorted_pair import LensSource, distort, draw_lens
from msdesis_ros.data.synth.effects.distortion import margin_px
from msdesis_ros.data.synth.effects.field_of_view import FieldOfViewSettings
from msdesis_ros.data.synth.effects.settings import CLEAN, sample_effects
from msdesis_ros.data.synth.photographer import Photographer, Shot
from msdesis_ros.data.synth.render_source import RenderSource
from msdesis_ros.data.synth.scene import assemble, sample_scene

SIZE = (160, 128)
# A barrel that bends the picture by several pixels at its corners; other seeds are almost flat.
LENS_SEED = (9,)


@pytest.fixture(scope='module')
def photographer():
    try:
        made = Photographer(SIZE)
    except MissingExtraError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture(scope='module')
def scene():
    return sample_scene((14,), SIZE)


def shot(scene, effects=CLEAN) -> Shot:
    return Shot(assemble(scene, 0.0), scene.rig, effects, False, np.random.default_rng(1), {})


@pytest.fixture(scope='module')
def made(photographer, scene):
    return photographer.pair_with_raw(shot(scene), lens_seed=LENS_SEED)


def test_the_lenses_of_these_tests_need_a_margin(scene):
    lens = draw_lens(LENS_SEED, scene.rig.geometry)
    assert lens.left.distortion[0] < -0.1
    assert max(margin_px(lens)) > 10


def test_raw_pictures_are_filled_where_a_resampled_pair_is_black(made):
    frame, raw = made
    resampled = distort(frame, seed=LENS_SEED)
    assert (resampled.left.max(axis=2) == 0).mean() > 0.05
    for picture in (raw.left, raw.right):
        assert picture.shape == frame.left.shape
        assert (picture.max(axis=2) == 0).mean() < 0.002
    inside = resampled.left.max(axis=2) > 0
    difference = np.abs(raw.left.astype(int) - resampled.left)[inside]
    assert np.median(difference) <= 3, 'the same scene at the same places'


def test_rectified_raw_pictures_are_the_pair(made):
    frame, raw = made
    rectified = Rectifier(raw.lens.rig()).rectify(raw.left, raw.right)
    for own, again in zip((frame.left, frame.right), rectified, strict=True):
        reached = again.max(axis=2) > 0
        assert reached.mean() > 0.7
        difference = np.abs(own.astype(int) - again)[reached]
        assert np.median(difference) <= 3
        moved = np.abs(own.astype(int) - np.roll(again, 2, axis=1))[reached]
        assert np.mean(moved) > 1.5 * np.mean(difference)


def test_the_truth_beside_raw_pictures_is_that_of_the_pair_alone(photographer, scene, made):
    alone, (beside, _) = photographer.pair(shot(scene)), made
    assert np.isclose(alone.disparity_px, beside.disparity_px, rtol=1e-3).mean() > 0.99
    assert (alone.parts == beside.parts).mean() > 0.99
    assert (alone.occluded == beside.occluded).mean() > 0.98
    assert np.median(np.abs(alone.left.astype(int) - beside.left)) <= 2
    assert beside.geometry == alone.geometry


def test_a_round_field_of_view_is_the_same_in_both(photographer, scene):
    view = FieldOfViewSettings(radius=0.7)
    effects = replace(CLEAN, left_view=view, right_view=view)
    frame, raw = photographer.pair_with_raw(shot(scene, effects), lens_seed=LENS_SEED)
    rectified, _ = Rectifier(raw.lens.rig()).rectify(raw.left, raw.right)
    dark = np.isnan(frame.disparity_px)
    assert 0.1 < dark.mean() < 0.6
    assert np.median(rectified[dark]) < 10


def test_smoke_veils_raw_pictures_as_it_does_the_pair(photographer, scene):
    effects = replace(
        sample_effects(np.random.default_rng(0)), left_view=FieldOfViewSettings(),
        right_view=FieldOfViewSettings(),
    )  # fmt: skip
    thick = replace(effects, smoke=replace(effects.smoke, density=1.5, contrast=0.0))
    clear = replace(effects, smoke=replace(effects.smoke, density=0.0))
    contrasts = []
    for one in (clear, thick):
        frame, raw = photographer.pair_with_raw(shot(scene, one), lens_seed=LENS_SEED)
        contrasts.append([picture.std() for picture in (frame.left, raw.left)])
    assert (np.array(contrasts[1]) < 0.8 * np.array(contrasts[0])).all()


def test_the_same_shot_gives_the_same_bytes_after_pictures_of_another_size(photographer, scene):
    first = photographer.pair_with_raw(shot(scene), lens_seed=LENS_SEED)[1]
    photographer.pair(shot(scene))
    again = photographer.pair_with_raw(shot(scene), lens_seed=LENS_SEED)[1]
    np.testing.assert_array_equal(first.left, again.left)
    np.testing.assert_array_equal(first.right, again.right)


def test_the_renderer_s_sources_take_raw_pictures_themselves():
    assert issubclass(RenderSource, LensSource)
