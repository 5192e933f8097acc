"""Bars hide the same border of both views, and truth knows what they hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.training.augment import AugmentSettings, augmented
from msdesis_ros.training.batch import UNKNOWN, Sample, sample_of_frame
from msdesis_ros.training.letterbox import LIGHTEST, TINT, WIDEST, letterboxed
from msdesis_ros.training.own_frames_source import unlabelled


@pytest.fixture
def sample(scenes):
    return sample_of_frame(scenes.boxed_wall(1))


def bars_of(found: Sample, before: Sample) -> np.ndarray:
    return np.isnan(found.truth.disparity_px) & np.isfinite(before.truth.disparity_px)


def test_bars_cover_both_views_alike_and_truth_says_so(sample):
    everywhere = replace(
        sample.truth,
        mask=np.ones_like(sample.truth.mask),
        parts=np.full_like(sample.truth.parts, 2),
    )
    sample = replace(sample, truth=everywhere)
    shares, narrow, wide = [], 0, 0
    for seed in range(60):
        found = letterboxed(sample, np.random.default_rng(seed))
        bars = bars_of(found, sample)
        for view in ('left', 'right'):
            before, after = getattr(sample, view), getattr(found, view)
            assert after.dtype == np.uint8 and np.array_equal(after[~bars], before[~bars])
            assert (after[bars] <= LIGHTEST + TINT + 1).all()
            assert len(np.unique(after[bars], axis=0)) <= 1
        assert np.array_equal(found.truth.mask == 0, bars)
        assert np.array_equal(found.truth.parts == 0, bars)
        height, width = bars.shape
        inner = ~bars
        assert inner[height // 2, width // 2]
        columns, rows = inner.any(axis=0), inner.any(axis=1)
        assert columns.sum() >= (1 - 2 * WIDEST) * width - 2
        assert rows.sum() >= (1 - 2 * WIDEST) * height - 2
        shares.append(bars.mean())
        narrow += bars.any() and inner[rows][:, columns].all()
        wide += not inner[rows][:, columns].all()
    assert 0.15 < np.mean(shares) < 0.5
    assert narrow >= 20 and wide >= 5, 'square corners, and round ones'


def test_a_pixel_whose_partner_is_behind_a_bar_is_occluded(sample):
    checked = 0
    for seed in range(30):
        found = letterboxed(sample, np.random.default_rng(seed))
        bars = bars_of(found, sample)
        known = np.isfinite(found.truth.disparity_px)
        column = np.rint(np.arange(bars.shape[1]) - np.nan_to_num(found.truth.disparity_px))
        column = np.clip(column.astype(int), 0, bars.shape[1] - 1)
        behind = known & np.take_along_axis(bars, column, axis=1)
        assert (found.truth.occluded[behind]).all()
        others = known & ~behind
        assert np.array_equal(found.truth.occluded[others], sample.truth.occluded[others])
        checked += int(behind.sum())
    assert checked > 100


def test_what_nobody_knew_stays_unknown(sample):
    own = unlabelled(sample.left, sample.right)
    found = letterboxed(own, np.random.default_rng(2))
    assert (found.truth.mask == UNKNOWN).all() and np.isnan(found.truth.disparity_px).all()
    assert not np.array_equal(found.left, own.left)


def test_it_comes_as_often_as_asked_and_leaves_other_samples_as_they_were(sample):
    asked = AugmentSettings(scale=(0.8, 1.2), letterbox=0.5)
    plain = replace(asked, letterbox=0.0)
    same = 0
    for seed in range(60):
        views = [
            augmented(sample, settings, size=(64, 64), rng=np.random.default_rng([5, seed])).left
            for settings in (asked, plain)
        ]
        same += np.array_equal(*views)
    # Half are left alone, and of those with bars some have none on any side.
    assert 20 <= same <= 45
