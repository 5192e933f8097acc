"""Detail textures of instruments."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from msdesis_ros.data.synth.details import SIDE_PX, Detail
from msdesis_ros.data.synth.details_tool import TOOL_DETAILS


@functools.cache
def made_of(kind: str, seed: int = 1) -> Detail:
    return TOOL_DETAILS[kind](np.random.default_rng(seed))


@pytest.mark.parametrize('kind', sorted(TOOL_DETAILS))
def test_every_channel_is_a_full_tile_within_0_and_1(kind: str) -> None:
    made = made_of(kind)
    for channel in (made.mottle, made.grain, made.vessels, made.height):
        assert channel.shape == (SIDE_PX, SIDE_PX)
        assert channel.dtype == np.float32
        assert np.isfinite(channel).all()
        assert channel.min() >= 0 and channel.max() <= 1


@pytest.mark.parametrize('kind', sorted(set(TOOL_DETAILS) - {'markings'}))
def test_tiles_go_on_over_their_edges(kind: str) -> None:
    made = made_of(kind)
    for axis in (0, 1):
        inside = np.abs(np.diff(made.mottle, axis=axis)).mean()
        first, last = made.mottle.take(0, axis), made.mottle.take(-1, axis)
        assert np.abs(first - last).mean() < 2.5 * inside + 1e-6


@pytest.mark.parametrize('kind', sorted(TOOL_DETAILS))
def test_the_same_seed_gives_the_same_picture_and_another_seed_another(kind: str) -> None:
    first, other = made_of(kind).mottle, made_of(kind, 2).mottle
    again = TOOL_DETAILS[kind](np.random.default_rng(1)).mottle
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_brushing_varies_along_x_only() -> None:
    height = made_of('brushed').height
    assert np.abs(np.diff(height, axis=1)).mean() > 5 * np.abs(np.diff(height, axis=0)).mean()


def test_markings_leave_most_of_the_shaft_free() -> None:
    for seed in (1, 2):
        marks = made_of('markings', seed).vessels
        assert 0.01 < (marks > 0.5).mean() < 0.35
