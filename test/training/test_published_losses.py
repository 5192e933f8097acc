"""The published losses of MSDESIS, against values worked out by hand or by a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.training.batch import UNKNOWN  # noqa: E402
from msdesis_ros.training.published_losses import (  # noqa: E402
    at_full_size,
    feature_match_loss,
    multiscale_smooth_l1,
    segmentation_loss,
    smoothness,
    ssim_loss,
    unsupervised_multiscale,
    warped_to_left,
)


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def pyramid(full_px: float):
    """d0 .. d5 that all say `full_px`."""
    return [torch.full((1, 1, 64 >> i, 64 >> i), full_px / 2**i) for i in range(6)]


def test_scales_that_all_say_the_truth_cost_nothing():
    truth = torch.full((1, 1, 64, 64), 24.0)
    assert float(multiscale_smooth_l1(pyramid(24.0), truth, max_disparity=320)) == 0


def test_every_scale_weighs_a_sixth():
    disparities = pyramid(24.0)
    disparities[3] = disparities[3] + 1.0  # 8 px of the full picture: smooth-L1 7.5
    truth = torch.full((1, 1, 64, 64), 24.0)
    found = float(multiscale_smooth_l1(disparities, truth, max_disparity=320))
    assert found == pytest.approx(7.5 / 6)
    weights = (0.0, 0.0, 0.0, 3.0, 0.0, 1.0)
    found = multiscale_smooth_l1(disparities, truth, max_disparity=320, scale_weights=weights)
    assert float(found) == pytest.approx(7.5 * 3 / 4)


def test_what_has_no_weight_need_not_be_there():
    truth = torch.full((1, 1, 64, 64), 24.0)
    coarse = [None, None, *pyramid(25.5)[2:]]
    weights = (0.0, 0.0, 1.0, 1.0, 1.0, 1.0)
    loss = multiscale_smooth_l1(coarse, truth, max_disparity=320, scale_weights=weights)
    assert float(loss) == pytest.approx(1.0)


def shifted_features(shift_px: int, *, channels: int = 32):
    """Features f1 .. f5 of a left view, and of a right one that shows the same further left."""
    left, right = [], []
    for level in range(1, 6):
        wide = 3.0 * torch.randn(1, channels, 64 >> level, (320 >> level) + 16)
        shift = shift_px >> level
        left.append(wide[..., : 320 >> level].clone().requires_grad_())
        right.append(wide[..., shift : shift + (320 >> level)].clone())
    return left, right


def test_features_that_tell_partners_apart_cost_little():
    left, right = shifted_features(64)
    truth = torch.full((1, 1, 64, 320), 64.0)
    truth[..., :64] = math.nan
    seen = torch.zeros_like(truth, dtype=torch.bool)
    loss = feature_match_loss(left, right, truth, seen, max_disparity=320)
    assert float(loss.detach()) < 0.05
    wrong = feature_match_loss(left, right, truth / 2, seen, max_disparity=320)
    assert float(wrong.detach()) > 10
    # Three levels count, and every one of them teaches its features.
    wrong.backward()
    assert [plane.grad is not None for plane in left] == [False, False, True, True, True]
    # What the right view does not show has no partner.
    assert float(feature_match_loss(left, right, truth, ~seen, max_disparity=320)) == 0


def test_a_level_at_full_size_is_in_px_of_the_picture():
    slope = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 4, 8)
    full = at_full_size(slope, 2)
    assert full.shape == (1, 1, 16, 32)
    # Four times as wide and four times as large: it rises by 1 px each pixel, but at the borders.
    np.testing.assert_allclose(np.diff(full[0, 0, 0, 2:-2]), 1.0, atol=1e-5)
    # The middle of the second coarse pixel is between the sixth and the seventh fine one.
    assert float(full[0, 0, 0, 5:7].mean()) == pytest.approx(4.0)
    assert at_full_size(slope, 0) is slope


@pytest.mark.parametrize('beyond', [0.0, -2.0, 320.0, math.nan])
def test_truth_outside_of_the_searched_range_does_not_count(beyond):
    truth = torch.full((1, 1, 64, 64), 24.0)
    truth[..., 32:] = beyond
    disparities = [plane.requires_grad_() for plane in pyramid(25.5)]
    loss = multiscale_smooth_l1(disparities, truth, max_disparity=320)
    assert float(loss) == pytest.approx(1.0)
    loss.backward()
    assert (disparities[0].grad[..., 32:] == 0).all()
    nothing = multiscale_smooth_l1(disparities, torch.full_like(truth, beyond), max_disparity=320)
    assert float(nothing) == 0


def test_warping_takes_the_right_view_at_x_minus_d():
    right = torch.rand(1, 3, 4, 9)
    found = warped_to_left(right, torch.full((1, 1, 4, 9), 2.0))
    torch.testing.assert_close(found[..., 2:], right[..., :-2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[..., :2], torch.zeros(1, 3, 4, 2), atol=1e-5, rtol=1e-5)


def test_ssim_is_that_of_a_loop():
    one, other = torch.rand(2, 1, 2, 16, 14, dtype=torch.float64)
    weights = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    total = []
    for x, y in zip(one[0].numpy(), other[0].numpy(), strict=True):
        x, y = (np.pad(plane, 5, mode='reflect') for plane in (x, y))
        for row in range(16):
            for column in range(14):
                a, b = x[row : row + 11, column : column + 11], y[row : row + 11, column:][:, :11]
                ma, mb = (weights * a).sum(), (weights * b).sum()
                va, vb = (weights * a * a).sum() - ma**2, (weights * b * b).sum() - mb**2
                cov = (weights * a * b).sum() - ma * mb
                ssim = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4)
                ssim /= (ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)
                total.append(np.clip((1 - ssim) / 2, 0, 1))
    assert float(ssim_loss(one, other)) == pytest.approx(np.mean(total), rel=1e-9)


def test_smoothness_forgives_steps_where_the_picture_has_an_edge():
    disparity_px = torch.full((1, 1, 4, 4), 10.0)
    disparity_px[..., 2:] = 30.0
    flat, edge = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    edge[..., 2:] = 1.0
    assert float(smoothness(disparity_px, flat)) == pytest.approx(1 / 3)
    assert float(smoothness(disparity_px, edge)) == pytest.approx(math.exp(-1) / 3)
    assert math.isfinite(float(smoothness(torch.zeros(1, 1, 4, 4), edge)))


def test_the_unsupervised_loss_is_least_at_the_true_disparity():
    wall = torch.rand(1, 3, 64, 96)
    left, right = wall[..., :64], wall[..., 8:72]
    costs = {
        px: float(unsupervised_multiscale(pyramid(px), left, right))
        for px in (0.1, 4.0, 8.0, 12.0)
    }
    assert min(costs, key=costs.get) == 8.0
    # One scale has a weight; the others may say anything.
    spoiled = [pyramid(8.0)[0], *pyramid(500.0)[1:]]
    assert float(unsupervised_multiscale(spoiled, left, right)) == pytest.approx(costs[8.0])


def test_the_photometric_share_is_that_of_the_spec():
    left, right = torch.rand(2, 1, 3, 64, 64)
    planes = pyramid(4.0)
    rebuilt = warped_to_left(right, planes[0])
    one = torch.nn.functional.smooth_l1_loss(rebuilt, left)
    expected = 0.7 * (0.9 * ssim_loss(rebuilt, left) + 0.1 * one)  # a constant is smooth
    torch.testing.assert_close(unsupervised_multiscale(planes, left, right), expected)


def test_the_segmentation_loss_is_that_of_the_spec():
    logits = torch.randn(2, 1, 5, 6)
    mask = (torch.rand(2, 1, 5, 6) > 0.6).to(torch.uint8)
    p, t = torch.sigmoid(logits).double().numpy(), mask.double().numpy()
    entropy = -(5.666667 * t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    dice = [
        1 - (2 * (a * b).sum() + 1e-5) / (a.sum() + b.sum() + 1e-5)
        for a, b in zip(p, t, strict=True)
    ]
    found = float(segmentation_loss(logits, mask))
    assert found == pytest.approx(0.5 * entropy + 0.5 * np.mean(dice), rel=1e-5)
    both, total = (p * t).sum(), p.sum() + t.sum()
    jaccard = 1 - (both + 1e-5) / (total - both + 1e-5)
    found = float(segmentation_loss(logits, mask, criterion='jaccard_wbce', share=0.3))
    assert found == pytest.approx(0.3 * entropy + 0.7 * jaccard, rel=1e-5)


def test_unknown_pixels_of_a_mask_do_not_count():
    logits = torch.randn(1, 1, 4, 8)
    mask = torch.ones(1, 1, 4, 8, dtype=torch.uint8)
    known = segmentation_loss(logits[..., :4], mask[..., :4])
    mask[..., 4:] = UNKNOWN
    torch.testing.assert_close(segmentation_loss(logits, mask), known)
