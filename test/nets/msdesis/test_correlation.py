from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.nets.msdesis.correlation import correlation  # noqa: E402


@pytest.mark.parametrize(
    'displacements', [range(11), range(-2, 3), range(1), range(2, 5), range(-4, -1)], ids=str
)
@pytest.mark.parametrize('width', [1, 2, 7, 20])
def test_costs_are_those_of_the_pixel_by_pixel_reference(reference, displacements, width):
    random = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 6, 5, width, generator=random)
    costs = correlation(left[None], right[None], displacements)
    expected = reference.cost_volume(left.double().numpy(), right.double().numpy(), displacements)
    assert costs.shape == (1, len(displacements), 5, width)
    np.testing.assert_allclose(costs[0].numpy(), expected, atol=1e-6)


def test_the_highest_cost_is_at_the_true_displacement():
    right = torch.randn(1, 64, 4, 30, generator=torch.Generator().manual_seed(1))
    left = torch.roll(right, 3, dims=3)  # left[x] = right[x - 3]
    costs = correlation(left, right, range(11))
    assert (costs[..., 10:].argmax(dim=1) == 3).all()


def test_a_displacement_that_leaves_the_picture_costs_nothing():
    ones = torch.ones(1, 2, 3, 4)
    assert (correlation(ones, ones, range(8))[:, 4:] == 0).all()
    torch.testing.assert_close(
        correlation(ones, ones, range(-2, 3))[0, :, 0],
        torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1.0]]),
    )
