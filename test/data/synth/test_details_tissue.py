"""Detail textures of tissue: tileable, bounded, and each with what it is for."""

from __future__ import annotations

import time

import numpy as np
import pytest

from msdesis_ros.data.synth.anatomy.palettes import DETAIL_SEEDS, LOOKS
from msdesis_ros.data.synth.anatomy.vessel_trees import FRAME_PX, _line, draw_vessels
from msdesis_ros.data.synth.details import SIDE_PX, Detail, detail_maps
from msdesis_ros.data.synth.details_tissue import TISSUE_DETAILS

MAPS = ('mottle', 'grain', 'vessels', 'height')


@pytest.fixture(scope='module', params=sorted(TISSUE_DETAILS))
def made(request: pytest.FixtureRequest) -> tuple[str, Detail]:
    return request.param, TISSUE_DETAILS[request.param](np.random.default_rng(3))


def test_each_map_is_a_float_picture_within_0_and_1(made):
    _, detail = made
    for name in MAPS:
        picture = getattr(detail, name)
        assert picture.shape == (SIDE_PX, SIDE_PX)
        assert picture.dtype == np.float32
        assert picture.min() >= -1e-6
        assert picture.max() <= 1 + 1e-6


@pytest.mark.parametrize('axis', [0, 1])
def test_tiles_continue_across_their_edges(made, axis):
    _, detail = made
    for name in MAPS:
        picture = np.moveaxis(getattr(detail, name), axis, 0)
        seam = np.abs(picture[0] - picture[-1]).mean()
        inside = np.abs(np.diff(picture, axis=0)).mean(axis=1)
        # The seam is no rougher than the roughest line within.
        assert seam <= inside.max() * 1.1 + 1e-6, name


def test_a_kind_and_seed_always_give_the_same_tile():
    first, again, other = (detail_maps('ligament', seed)[0] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_tile_costs_no_more_than_a_few_fields_of_noise(made, noise_s):
    kind, _ = made
    start = time.process_time()
    TISSUE_DETAILS[kind](np.random.default_rng(0))
    # The costliest takes 3.3 of them, 0.25 s on a free core.
    assert time.process_time() - start < 12 * noise_s


def test_a_vessel_across_a_corner_of_the_tile_is_the_one_in_its_middle_rolled():
    frame = slice(FRAME_PX, -FRAME_PX)
    middle, corner = np.zeros((2, 128 + 2 * FRAME_PX, 128 + 2 * FRAME_PX), np.uint8)
    _line(middle, 61.0, 60.0, 70.5, 66.0, 7.0)
    _line(corner, -3.0, -4.0, 6.5, 2.0, 7.0)
    assert (middle > 0).sum() > 50
    assert (np.roll(corner[frame, frame], (64, 64), (0, 1)) == middle[frame, frame]).all()


def test_vessels_taper_from_trunk_to_branch():
    vessels = draw_vessels(np.random.default_rng(5), 512, roots=3, width_px=10.0, spread=0.8)
    assert 0.005 < (vessels > 0.3).mean() < 0.4
    assert vessels.max() > 0.9
    assert ((vessels > 0.15) & (vessels < 0.45)).any()


def test_liver_is_poorer_in_texture_than_fat_and_muscle_runs_along_x():
    liver, fat, muscle = (
        TISSUE_DETAILS[kind](np.random.default_rng(1)) for kind in ('liver', 'fat', 'muscle')
    )
    assert np.abs(np.diff(liver.mottle)).mean() < np.abs(np.diff(fat.mottle)).mean()
    along = np.abs(np.diff(muscle.grain, axis=1)).mean()
    across = np.abs(np.diff(muscle.grain, axis=0)).mean()
    assert across > 2 * along


def test_every_look_has_a_texture_and_few_seeds():
    assert {look.detail for look in LOOKS.values()} <= set(TISSUE_DETAILS)
    assert DETAIL_SEEDS <= 6
