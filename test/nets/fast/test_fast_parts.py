"""The parts with geometry in them, each against a loop that nobody can misread."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.nets.fast.cost_volume import cost_volume  # noqa: E402
from msdesis_ros.nets.fast.refinement import local_correlation, warp_columns  # noqa: E402
from msdesis_ros.nets.fast.upsampling import ConvexUpsampling  # noqa: E402


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


@pytest.mark.parametrize(('width', 'bins', 'groups'), [(7, 4, 1), (5, 8, 2), (9, 9, 3), (4, 1, 2)])
def test_the_cost_volume_is_that_of_a_loop(width, bins, groups):
    left, right = torch.randn(2, 2, 6, 3, width)
    expected = torch.zeros(2, groups, bins, 3, width)
    for k in range(bins):
        for x in range(k, width):
            product = left[..., x] * right[..., x - k]
            expected[:, :, k, :, x] = product.unflatten(1, (groups, -1)).mean(dim=2)
    found = cost_volume(left, right, bins=bins, groups=groups)
    torch.testing.assert_close(found, expected.flatten(1, 2))


@pytest.mark.parametrize('reach', [1, 2, 4])
def test_the_local_correlation_is_that_of_a_loop(reach):
    left, warped = torch.randn(2, 2, 5, 3, 7)
    expected = torch.zeros(2, 2 * reach + 1, 3, 7)
    for at, k in enumerate(range(-reach, reach + 1)):
        for x in range(7):
            if 0 <= x - k < 7:
                expected[:, at, :, x] = (left[..., x] * warped[..., x - k]).mean(dim=1)
    torch.testing.assert_close(local_correlation(left, warped, reach), expected)


def test_warping_is_that_of_a_loop():
    right = torch.randn(2, 3, 4, 9)
    disparity_px = torch.rand(2, 1, 4, 9) * 12 - 3
    expected = torch.zeros_like(right)
    for n in range(2):
        for y in range(4):
            for x in range(9):
                at = x - disparity_px[n, 0, y, x]
                low = int(torch.floor(at))
                share = at - low
                for column, weight in ((low, 1 - share), (low + 1, share)):
                    if 0 <= column < 9:
                        expected[n, :, y, x] += weight * right[n, :, y, column]
    found = warp_columns(right, disparity_px)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_warping_by_nothing_changes_nothing():
    right = torch.randn(1, 2, 5, 33)
    torch.testing.assert_close(
        warp_columns(right, torch.zeros(1, 1, 5, 33)), right, atol=1e-5, rtol=1e-5
    )


def test_upsampling_keeps_a_constant():
    plane = torch.full((2, 1, 3, 5), 17.25)
    fine = ConvexUpsampling(4)(plane, 5 * torch.randn(2, 4, 3, 5))
    assert fine.shape == (2, 1, 12, 20)
    torch.testing.assert_close(fine, torch.full_like(fine, 17.25))


def test_upsampling_stays_between_the_values_around():
    plane = torch.randn(1, 1, 6, 7)
    fine = ConvexUpsampling(4)(plane, 9 * torch.randn(1, 4, 6, 7))
    padded = torch.nn.functional.pad(plane, (1, 1, 1, 1), mode='replicate')
    most = torch.nn.functional.max_pool2d(padded, 3, 1)
    least = -torch.nn.functional.max_pool2d(-padded, 3, 1)

    def larger(bound):
        return bound.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)

    assert (fine <= larger(most) + 1e-5).all() and (fine >= larger(least) - 1e-5).all()
    assert fine.std() > 0.1


def test_upsampling_can_tell_the_sixteen_pixels_of_a_coarse_one_apart():
    upsample = ConvexUpsampling(1)
    with torch.no_grad():
        upsample.weigh.weight.zero_()
        bias = torch.full((9, 16), -50.0)
        bias[4] = 50.0  # each pixel takes its own coarse one ..
        bias[4, 3], bias[5, 3] = -50.0, 50.0  # .. but the top right one that to the right
        upsample.weigh.bias.copy_(bias.flatten())
    plane = torch.arange(6.0).view(1, 1, 2, 3)
    fine = upsample(plane, torch.zeros(1, 1, 2, 3))
    expected = plane.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    expected[0, 0, ::4, 3::4] = torch.tensor([[1.0, 2.0, 2.0], [4.0, 5.0, 5.0]])
    torch.testing.assert_close(fine, expected)
