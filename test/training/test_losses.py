"""The fast network's losses: their values, what they leave out, and where their gradients go."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import UsageError  # noqa: E402
from msdesis_ros.nets.fast.model import FastOutput  # noqa: E402
from msdesis_ros.training.batch import UNKNOWN, Batch  # noqa: E402
from msdesis_ros.training.losses import (  # noqa: E402
    FastWeights,
    dice_loss,
    fast_terms,
    likelihood_loss,
    mask_loss,
    match_loss,
    parts_loss,
)
from msdesis_ros.training.masked import (  # noqa: E402
    Target,
    coarser,
    disparity_target,
    weighted_mean,
)

SIZE, BINS = 32, 4
MAX_DISPARITY = 8 * BINS


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def batch_of(disparity_px, *, occluded=None, mask=None, parts=None) -> Batch:
    shape = disparity_px.shape
    unknown = torch.full(shape, UNKNOWN, dtype=torch.uint8)
    picture = torch.zeros(shape[0], 3, *shape[2:], dtype=torch.uint8)
    return Batch(
        picture,
        picture,
        disparity_px,
        torch.zeros(shape, dtype=torch.bool) if occluded is None else occluded,
        unknown if mask is None else mask,
        unknown if parts is None else parts,
    )


def random_output(count=2) -> FastOutput:
    def plane(size, channels=1):
        return torch.randn(count, channels, size, size, requires_grad=True)

    steps = (plane(SIZE // 8), plane(SIZE // 4), plane(SIZE // 4))
    return FastOutput(
        plane(SIZE), plane(SIZE), plane(SIZE), plane(SIZE // 4, 4), plane(SIZE // 8, BINS), steps
    )


def leaves(output):
    return (*output[:5], *output.steps_px)


def terms_of(output, batch):
    return fast_terms(output, batch, max_disparity=MAX_DISPARITY, occluded_weight=0.35)


def test_a_batch_without_any_truth_costs_nothing_and_teaches_nothing():
    output = random_output()
    terms = terms_of(output, batch_of(torch.full((2, 1, SIZE, SIZE), torch.nan)))
    assert all(float(value.detach()) == 0 for value in terms.values()), terms
    sum(terms.values()).backward()
    assert all((leaf.grad == 0).all() for leaf in leaves(output) if leaf.grad is not None)


def test_where_no_truth_is_the_answer_does_not_matter_at_all():
    disparity_px = torch.rand(2, 1, SIZE, SIZE) * 20
    disparity_px[..., : SIZE // 2] = torch.nan
    known = batch_of(disparity_px)
    one = random_output()
    spoiled = one._replace(
        disparity_px=torch.where(disparity_px.isnan(), torch.inf, one.disparity_px.detach()),
        log_scale=torch.where(disparity_px.isnan(), torch.nan, one.log_scale.detach()),
    )
    terms, others = terms_of(one, known), terms_of(spoiled, known)
    for name, value in terms.items():
        assert torch.equal(value.detach(), others[name].detach()), name
    assert float(terms['full'].detach()) > 0


@pytest.mark.parametrize('beyond', [MAX_DISPARITY, 1e4, -1.0, torch.inf])
def test_what_the_network_cannot_answer_is_left_out(beyond):
    disparity_px = torch.full((1, 1, SIZE, SIZE), float(beyond))
    target = disparity_target(
        disparity_px,
        torch.zeros_like(disparity_px, dtype=torch.bool),
        max_disparity=MAX_DISPARITY,
        occluded_weight=0.35,
    )
    assert (target.weight == 0).all() and (target.value == 0).all()


def test_an_occluded_pixel_weighs_its_share():
    disparity_px = torch.zeros(1, 1, SIZE, SIZE)
    occluded = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.bool)
    occluded[..., : SIZE // 2] = True
    output = random_output(1)
    wrong = torch.zeros(1, 1, SIZE, SIZE)
    wrong[..., : SIZE // 2] = 10.5  # smooth-L1: 10
    terms = terms_of(
        output._replace(disparity_px=wrong), batch_of(disparity_px, occluded=occluded)
    )
    assert float(terms['full']) == pytest.approx(10 * 0.35 / 1.35)


def test_truth_at_a_coarser_size_mixes_no_surfaces():
    disparity_px = torch.full((1, 1, 8, 8), 10.0)
    disparity_px[..., 5:] = 90.0  # three of four columns of the right blocks
    disparity_px[0, 0, 0, 0] = torch.nan
    target = disparity_target(
        disparity_px,
        torch.zeros(1, 1, 8, 8, dtype=torch.bool),
        max_disparity=256,
        occluded_weight=0.35,
    )
    small = coarser(target, 4)
    assert small.value.squeeze().tolist() == [[10.0, 90.0], [10.0, 90.0]]
    expected = torch.tensor([[15 / 16, 0.75], [1.0, 0.75]])
    torch.testing.assert_close(small.weight.squeeze(), expected)


def test_truth_at_a_coarser_size_is_that_of_the_middle_of_a_slope():
    slope = (torch.arange(16.0) * 0.4).view(1, 1, 1, 16).expand(1, 1, 8, 16)
    small = coarser(Target(slope + 20, torch.ones(1, 1, 8, 16)), 4)
    expected = 20 + 0.4 * (torch.arange(4.0) * 4 + 1.5)
    torch.testing.assert_close(small.value[0, 0], expected.expand(2, 4))


def test_the_coarse_distribution_is_best_where_its_mean_is_the_truth():
    truth = Target(torch.full((1, 1, 2, 2), 10.0), torch.ones(1, 1, 2, 2))  # a quarter into bin 1
    right = torch.tensor([1e-6, 0.75, 0.25, 1e-6]).log().view(1, 4, 1, 1).expand(1, 4, 2, 2)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(match_loss(right, truth)) == pytest.approx(entropy, abs=1e-4)
    for other in ([0.0, 0.6, 0.4, 0.0], [0.1, 0.7, 0.2, 0.0], [0.25, 0.25, 0.25, 0.25]):
        logits = (torch.tensor(other) + 1e-6).log().view(1, 4, 1, 1).expand(1, 4, 2, 2)
        assert float(match_loss(logits, truth)) > entropy + 0.01


def test_the_last_bin_takes_what_lies_behind_it():
    truth = Target(torch.full((1, 1, 1, 1), 31.0), torch.ones(1, 1, 1, 1))
    logits = torch.tensor([0.0, 0.0, 0.0, 50.0]).view(1, 4, 1, 1)
    assert float(match_loss(logits, truth)) == pytest.approx(0, abs=1e-6)


def test_the_likelihood_teaches_the_scale_and_not_the_disparity():
    disparity_px = torch.zeros(1, 1, 40, 50, requires_grad=True)
    log_scale = torch.zeros(1, 1, 1, 1, requires_grad=True)
    noise = torch.distributions.Laplace(0.0, 2.5).sample((1, 1, 40, 50))
    target = Target(noise, torch.ones_like(noise))
    descent = torch.optim.SGD([log_scale], lr=0.5)
    for _ in range(60):
        descent.zero_grad()
        likelihood_loss(disparity_px, log_scale.expand(1, 1, 40, 50), target).backward()
        descent.step()
    assert disparity_px.grad is None
    assert float(log_scale.detach().exp()) == pytest.approx(2.5, rel=0.06)


@pytest.mark.parametrize('error_px', [0.0, 0.5, 7.0, 400.0])
def test_no_error_pulls_at_the_scale_with_more_than_a_bounded_force(error_px):
    log_scale = torch.zeros(1, 1, 1, 1, requires_grad=True)
    target = Target(torch.full((1, 1, 1, 1), error_px), torch.ones(1, 1, 1, 1))
    likelihood_loss(torch.zeros(1, 1, 1, 1), log_scale, target).backward()
    assert float(log_scale.grad) == pytest.approx(max(1 - error_px, -4.0))


def test_the_mask_losses_see_known_pixels_alone():
    mask = torch.tensor([[[[0, 1, UNKNOWN, UNKNOWN]]]], dtype=torch.uint8)
    logits = torch.tensor([[[[-50.0, 50.0, 50.0, -50.0]]]])
    assert float(mask_loss(logits, mask)) == pytest.approx(0, abs=1e-6)
    assert float(dice_loss(logits, mask)) == pytest.approx(0, abs=1e-6)
    assert float(mask_loss(-logits, mask)) == pytest.approx(50)
    assert float(dice_loss(-logits, mask)) == pytest.approx(1 - 1 / 3)


def test_parts_are_compared_at_the_centre_of_each_block():
    parts = torch.full((1, 1, 4, 8), UNKNOWN, dtype=torch.uint8)
    parts[0, 0, 2, 2] = 3
    logits = torch.zeros(1, 4, 1, 2)
    logits[0, 3] = 40.0
    assert float(parts_loss(logits, parts)) == pytest.approx(0, abs=1e-6)
    parts[0, 0, 2, 6] = 1
    assert float(parts_loss(logits, parts)) == pytest.approx(20)


def test_a_mean_over_nothing_is_nothing():
    values = torch.tensor([torch.nan, torch.inf], requires_grad=True)
    mean = weighted_mean(values, torch.zeros(2))
    mean.backward()
    assert float(mean) == 0 and (values.grad == 0).all()


@pytest.mark.parametrize('value', [-0.1, float('nan'), float('inf')])
def test_a_weight_that_makes_no_sense_is_refused(value):
    with pytest.raises(UsageError, match='loss weight dice is'):
        FastWeights(dice=value)
