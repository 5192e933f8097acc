"""The whole fast network: its size, its outputs, and what each of them depends on."""

from __future__ import annotations

import pytest

from msdesis_ros.core.errors import ImageError, UsageError
from msdesis_ros.nets.registry import create_network

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from msdesis_ros.nets.fast.cost_volume import cost_volume  # noqa: E402

# A tenth of what the light MSDESIS network takes at 1280x1024.
BUDGET_GMAC = 17.94


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def small(**options):
    return create_network('msdesis_fast', size='small', **{'max_disparity': 64, **options})


def textures(count: int, height: int, width: int) -> torch.Tensor:
    """Random texture of two scales."""
    coarse = torch.randn(count, 3, height // 4, width // 4)
    fine = torch.randn(count, 3, height, width)
    return functional.interpolate(coarse, (height, width), mode='bilinear') + 0.5 * fine


@pytest.mark.parametrize(
    ('size', 'parameters', 'gmac'),
    [('small', 3_901_612, 11.19), ('base', 4_990_508, 17.79), ('large', 6_509_870, 37.61)],
)
def test_a_size_costs_what_the_documents_say(size, parameters, gmac):
    with torch.device('meta'):
        network = create_network('msdesis_fast', size=size).eval()
        picture = torch.zeros(1, 3, 1024, 1280)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(picture, picture)
    assert sum(weights.numel() for weights in network.parameters()) == parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=0.01)
    assert size == 'large' or gmac < BUDGET_GMAC


@pytest.mark.parametrize(('height', 'width'), [(96, 160), (32, 32), (224, 288)])
def test_outputs_have_the_sizes_that_they_promise(height, width):
    network = small(n_parts=3).eval()
    picture = torch.randn(2, 3, height, width)
    with torch.no_grad():
        output = network(picture, picture.flip(0))
    for plane in (output.disparity_px, output.log_scale, output.mask_logits):
        assert plane.shape == (2, 1, height, width)
        assert plane.dtype == torch.float32 and torch.isfinite(plane).all()
    assert output.part_logits.shape == (2, 4, height // 4, width // 4)
    assert output.match_logits.shape == (2, 8, height // 8, width // 8)
    assert [tuple(step.shape[-2:]) for step in output.steps_px] == [
        (height // 8, width // 8),
        (height // 4, width // 4),
        (height // 4, width // 4),
    ]


@pytest.mark.parametrize('shape', [(1, 3, 96, 100), (1, 3, 90, 96), (1, 3, 0, 32)])
def test_a_size_that_is_no_multiple_of_32_is_refused(shape):
    with pytest.raises(ImageError, match='multiples of 32'):
        small()(torch.zeros(shape), torch.zeros(shape))


def test_views_of_two_sizes_are_refused():
    with pytest.raises(ImageError, match='differ in shape'):
        small()(torch.zeros(1, 3, 32, 64), torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        ({'size': 'huge'}, "size is 'huge'; known: small, base, large"),
        ({'max_disparity': 100}, 'multiple of 8'),
        ({'max_disparity': True}, 'whole number'),
        ({'n_parts': 0}, 'whole number from 1'),
        ({'enlarged': 1}, 'expected rows'),
        ({'enlarged': [[3, 2]]}, 'expected rows'),
        ({'enlarged': [[2, 3, 100]]}, 'expected rows'),
        ({'enlarged': [[3, 2, 100.5]]}, 'expected rows'),
        ({'encoder': 'light'}, 'msdesis_fast has no option encoder'),
    ],
)
def test_a_wrong_option_is_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        create_network('msdesis_fast', **options)


@pytest.mark.parametrize('shift', [0, 16, 32])
def test_a_new_network_already_prefers_the_right_shift(shift):
    network = small()
    wall = textures(2, 96, 224)
    views = torch.cat((wall[..., :192], wall[..., shift : shift + 192]))
    with torch.no_grad():
        left, right = network.encoder(views).of_views()
        compare = network.matcher.compare
        groups = network.config.widths.groups
        volume = cost_volume(
            compare(left.eighth), compare(right.eighth), bins=8, groups=groups
        ).unflatten(1, (groups, 8))
    best = volume.sum(dim=1).argmax(dim=1)
    # Left of 8 bins not every candidate has a partner. Chance would be 0.125.
    assert (best[..., 8:] == shift // 8).float().mean() > 0.6


def test_gradient_reaches_every_parameter():
    network = small()
    output = network(torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64))
    planes = (*output[:4], output.match_logits.square(), *output.steps_px)
    sum(plane.mean() for plane in planes).backward()
    without = [
        name
        for name, weights in network.named_parameters()
        if weights.grad is None or not weights.grad.abs().sum() > 0
    ]
    assert not without


@pytest.mark.parametrize('mode', ['multitask', 'disparity', 'segmentation'])
def test_a_mode_answers_its_half_with_the_weights_it_names(mode):
    network = small(mode=mode)
    views = torch.randn(2, 2, 3, 64, 64)
    output = network(*views)
    disparities = (output.disparity_px, output.log_scale, output.match_logits)
    masks = (output.mask_logits, output.part_logits)
    for planes, answered in ((disparities, 'segmentation'), (masks, 'disparity')):
        assert all((plane is None) == (mode == answered) for plane in planes)
    planes = [plane for plane in (*disparities, *masks) if plane is not None]
    sum(plane.square().mean() for plane in planes).backward()
    learned = {name for name, weights in network.named_parameters() if weights.grad is not None}
    assert learned == {n for n, _ in network.named_parameters() if network.answering(n)}
    whole = small()
    whole.load_state_dict(network.state_dict())
    with torch.no_grad():
        mine, theirs = network.eval()(*views), whole.eval()(*views)
    for name, plane in mine._asdict().items():
        if plane is not None and name != 'steps_px':
            torch.testing.assert_close(plane, getattr(theirs, name), rtol=0, atol=0)


def test_only_the_mask_alone_does_without_a_right_view():
    view = torch.zeros(1, 3, 32, 32)
    assert small(mode='segmentation').eval()(view).mask_logits.shape == (1, 1, 32, 32)
    with pytest.raises(ImageError, match='right picture is missing'):
        small()(view)


@pytest.mark.parametrize(('size', 'seen'), [((960, 1216), (480, 608)), ((84, 104), (672, 832))])
def test_the_mask_sees_large_pictures_at_one_size_and_small_ones_at_another(size, seen):
    network, found = small(mode='segmentation').eval(), []
    network.mask_head.encoder.register_forward_pre_hook(lambda _, given: found.append(given[0]))
    blocks = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        for factor in (1, 2):
            larger = tuple(factor * side for side in size)
            answer = network.mask_head(functional.interpolate(blocks, larger))
            assert answer.mask_logits.shape == (1, 1, *larger)
    assert [plane.shape[-2:] for plane in found] == [seen, seen]
    # Nearest neighbour, whole factors: but for borders of blocks the branch sees the same.
    assert ((found[0] - found[1]).abs() < 1e-5).float().mean() > 0.9


def test_depthwise_convolutions_stay_float32_where_others_are_bfloat16():
    network, found = small(mode='segmentation').eval(), {}
    for name, module in network.mask_head.encoder.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda m, _, answer, name=name: found.update({name: (m.groups, answer.dtype)})
            )
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        network(torch.zeros(1, 3, 32, 32))
    for name, (groups, dtype) in found.items():
        assert dtype == (torch.float32 if groups > 1 else torch.bfloat16), name
    assert {groups > 1 for groups, _ in found.values()} == {True, False}


def test_exchanging_the_views_changes_the_answer():
    # In train mode, where batch-norm keeps the signal of fresh weights alive.
    network = small()
    wall = textures(2, 64, 160)
    left, right = wall[..., :128], wall[..., 32:]
    with torch.no_grad():
        forth, back = network(left, right), network(right, left)
    assert (forth.disparity_px - back.disparity_px).abs().mean() > 0.1


def test_low_precision_keeps_geometry_in_float32():
    network = small().eval()
    wall = textures(1, 64, 160)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        output = network(wall[..., :128], wall[..., 32:])
    assert all(plane.dtype == torch.float32 for plane in (*output[:5], *output.steps_px))
