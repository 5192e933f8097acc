from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.voxel_cloud import VoxelCloud


def cloud(seed: int, count: int = 200, spread: float = 0.01):
    rng = np.random.default_rng(seed)
    points = rng.normal(0, spread, (count, 3)).astype(np.float32)
    return points, rng.integers(0, 256, (count, 3), np.uint8), rng.integers(0, 2, count, np.uint8)


def by_hand(points, colours, labels, size):
    """The mean of each voxel, one point after the other."""
    cells: dict[tuple, list] = {}
    for point, colour, label in zip(points, colours, labels, strict=True):
        cell = tuple(np.floor(point.astype(float) / size).astype(int).tolist())
        cells.setdefault(cell, []).append((*point.astype(float), *colour.astype(float), label))
    return {cell: np.mean(values, axis=0) for cell, values in cells.items()}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(0.001, 0.02), parts=st.integers(1, 4))
def test_each_voxel_becomes_the_mean_of_its_points_however_they_arrive(seed, size, parts):
    points, colours, labels = cloud(seed)
    collected = VoxelCloud(size)
    for piece in np.array_split(np.arange(len(points)), parts):
        collected.add(points[piece], colours[piece], labels[piece])
    found, found_colours, found_labels = collected.cloud()
    expected = by_hand(points, colours, labels, size)
    assert len(found) == len(collected) == len(expected)
    wanted = np.array([expected[cell] for cell in sorted(expected)])
    np.testing.assert_allclose(found, wanted[:, :3], atol=1e-6)
    np.testing.assert_allclose(found_colours, wanted[:, 3:6], atol=0.501)
    np.testing.assert_array_equal(found_labels, wanted[:, 6] > 0.5)


def test_more_points_of_one_surface_take_no_more_memory():
    collected = VoxelCloud(0.005)
    counts = []
    for seed in range(6):
        points, colours, labels = cloud(seed, count=5000)
        collected.add(np.mod(points, np.float32(0.0199)), colours, labels)
        counts.append(len(collected))
    assert counts == [64] * 6


def test_beyond_the_limit_the_voxels_grow_and_nothing_is_lost():
    points, colours, labels = cloud(3, count=3000)
    collected = VoxelCloud(0.0001, max_voxels=100)
    for piece in np.array_split(np.arange(3000), 5):
        collected.add(points[piece], colours[piece], labels[piece])
    assert 20 < len(collected) <= 100
    assert collected.size_m / 0.0001 == 2 ** round(np.log2(collected.size_m / 0.0001))
    expected = by_hand(points, colours, labels, collected.size_m)
    assert len(expected) == len(collected)
    wanted = np.array([expected[cell][:3] for cell in sorted(expected)])
    np.testing.assert_allclose(collected.cloud()[0], wanted, atol=1e-6)


def test_an_empty_cloud_stays_empty():
    collected = VoxelCloud(0.001)
    empty = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.uint8)
    collected.add(*empty)
    assert [len(part) for part in collected.cloud()] == [0, 0, 0]


def test_points_that_cannot_be_are_refused():
    points, colours, labels = cloud(1)
    with pytest.raises(UsageError, match='too far'):
        VoxelCloud(1e-6).add(points + 2, colours, labels)
    points[3, 1] = np.nan
    with pytest.raises(UsageError, match='NaN'):
        VoxelCloud(0.001).add(points, colours, labels)


@pytest.mark.parametrize('size', [0.0, -1.0, float('nan'), float('inf')])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(UsageError, match='edge of a voxel'):
        VoxelCloud(size)


def test_a_limit_of_no_voxel_is_refused():
    with pytest.raises(UsageError, match='max_voxels'):
        VoxelCloud(0.001, max_voxels=0)
