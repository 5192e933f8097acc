"""Which pixels belong to a region, on pictures whose regions are known."""

from __future__ import annotations

import numpy as np

from msdesis_ros.evaluation.regions import (
    REGIONS,
    find_regions,
    near_edges,
    specular,
    texture_poor,
)

SHAPE = (60, 80)


def stepped(step_px: float) -> np.ndarray:
    """A wall at 10 px left of column 40, and behind or before it another one."""
    truth = np.full(SHAPE, 10.0, np.float32)
    truth[:, 40:] += np.float32(step_px)
    return truth


def grey(level: int = 120) -> np.ndarray:
    return np.full((*SHAPE, 3), level, np.uint8)


def test_edges_are_nine_pixels_wide_around_a_step_of_more_than_two_pixels() -> None:
    for truth in (stepped(2.5), stepped(-2.5)):
        # The two pixels of the step at 39 and 40, four more on either side.
        columns = np.flatnonzero(near_edges(truth)[30])
        assert columns.tolist() == list(range(35, 45))
    assert np.array_equal(near_edges(stepped(2.5).T.copy()), near_edges(stepped(2.5)).T)
    assert not near_edges(stepped(2.0)).any()


def test_a_steep_surface_and_missing_truth_are_no_edges() -> None:
    slope = np.tile(np.arange(80, dtype=np.float32), (60, 1))
    assert not near_edges(slope).any()
    truth = stepped(30.0)
    truth[:, 38:42] = np.nan
    assert not near_edges(truth).any()


def test_specular_is_bright_and_colourless_with_a_rim_of_two_pixels() -> None:
    picture = grey()
    picture[20:23, 30:33] = 250
    picture[40:43, 30:33] = (255, 120, 120)  # bright and red
    picture[50:53, 30:33] = 225  # colourless, not bright enough
    rows, columns = np.nonzero(specular(picture))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 24, 28, 34)
    assert rows.size == 49


def test_texture_poor_is_flat_noisy_or_varied_along_the_columns_only() -> None:
    rng = np.random.default_rng(3)
    assert texture_poor(grey()).all()
    noisy = np.clip(grey() + rng.normal(0, 3, SHAPE)[..., None], 0, 255).astype(np.uint8)
    assert texture_poor(noisy).mean() > 0.98
    wave = 120 + 20 * np.sin(np.arange(80) / 4)
    across = np.repeat(np.tile(wave, (60, 1))[..., None], 3, axis=2).astype(np.uint8)
    assert not texture_poor(across).any()
    assert texture_poor(np.ascontiguousarray(across.transpose(1, 0, 2))).all()


def test_the_limit_of_texture_is_half_a_level_a_pixel() -> None:
    for amplitude, poor in ((4.0, True), (9.0, False)):
        # Rms gradient of a sine: amplitude / 8 px / sqrt(2), a little less after the blur.
        wave = 120 + amplitude * np.sin(np.arange(80) / 8)
        picture = np.repeat(np.tile(wave, (60, 1))[..., None], 3, axis=2).round().astype(np.uint8)
        assert texture_poor(picture)[:, 10:-10].mean() == (1.0 if poor else 0.0)


def test_every_region_lies_on_pixels_with_truth_and_those_that_split_it_are_whole() -> None:
    truth = stepped(9.0)
    truth[:5] = np.nan
    occluded = np.zeros(SHAPE, bool)
    occluded[:, 60:] = True
    tool = np.zeros(SHAPE, bool)
    tool[30:] = True
    found = find_regions(grey(), truth, occluded=occluded, instrument_mask=tool)
    assert tuple(found) == REGIONS
    known = np.isfinite(truth)
    assert all(not (region & ~known).any() for region in found.values())
    assert np.array_equal(found['all'], known)
    for first, second in (('visible', 'occluded'), ('tool', 'tissue')):
        assert np.array_equal(found[first] ^ found[second], known)
    assert np.array_equal(found['occluded'], occluded & known)
    assert np.array_equal(found['tool'], tool & known)


def test_a_region_that_nothing_is_known_of_is_left_out() -> None:
    found = find_regions(grey(), stepped(9.0))
    assert set(REGIONS) - set(found) == {'visible', 'occluded', 'tool', 'tissue'}
