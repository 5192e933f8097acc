from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.nets.msdesis.warp import warp  # noqa: E402


@pytest.mark.parametrize('size', [(1, 1), (2, 2), (7, 5), (12, 40)], ids=str)
@pytest.mark.parametrize('spread_px', [0.0, 3.0, 60.0])
def test_samples_are_those_of_the_pixel_by_pixel_reference(reference, size, spread_px):
    random = torch.Generator().manual_seed(0)
    right = torch.randn(1, 3, *size, generator=random)
    disparity = torch.randn(1, 1, *size, generator=random) * spread_px
    expected = reference.warp(right[0].double().numpy(), disparity[0, 0].double().numpy())
    np.testing.assert_allclose(warp(right, disparity)[0].numpy(), expected, atol=2e-5)


def test_no_disparity_still_shifts_by_half_a_pixel_at_the_borders():
    """The quirk that trained weights need: a ramp read at x W / (W - 1) - 1/2."""
    height, width = 4, 9
    ramp = torch.arange(width, dtype=torch.float32).expand(1, 1, height, width)
    read = warp(ramp, torch.zeros(1, 1, height, width))[0, 0, 1]
    x = torch.arange(width, dtype=torch.float32)
    position = x * width / (width - 1) - 0.5
    # Below 0 the sample mixes with the zeros outside: half of it at -0.5, of the number 0 here.
    expected = torch.where(position < 0, torch.zeros(()), position)
    expected[-1] = 0.5 * (width - 1)
    torch.testing.assert_close(read, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(read, x), 'a warp without the quirk would leave the ramp as it is'


def test_each_picture_of_a_batch_moves_by_its_own_disparity():
    right = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    disparity = torch.tensor([0.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 6, 8)
    both = warp(right, disparity)
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], warp(right[i : i + 1], disparity[i : i + 1]))
