from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from msdesis_ros.core.errors import ImageError

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from msdesis_ros.nets.msdesis import disparity_head, estimator, layers  # noqa: E402
from msdesis_ros.nets.msdesis.config import MsdesisConfig  # noqa: E402
from msdesis_ros.nets.msdesis.model import Msdesis  # noqa: E402
from msdesis_ros.nets.registry import create_network  # noqa: E402

ENCODERS = ('light', 'resnet34')
MODES = ('multitask', 'disparity', 'segmentation')
# All, and of encoder, disparity head, segmentation head; from the authors' release.
PARAMETERS = {
    'light': (3_295_829, 469_488, 2_091_316, 735_025),
    'resnet34': (29_487_861, 21_284_672, 2_883_892, 5_319_297),
}
GIGA_MACS = {'light': 179.4, 'resnet34': 473.4}


def shape_only(encoder, **options):
    """A network without memory behind its weights."""
    with torch.device('meta'):
        return create_network('msdesis', encoder=encoder, **options).eval()


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('encoder', ENCODERS)
def test_names_shapes_and_types_of_the_weights_are_those_of_the_release(
    project_root, encoder, mode
):
    golden = (project_root / 'test' / 'golden' / f'msdesis_keys_{encoder}.txt').read_text()
    expected = [line for line in golden.splitlines() if not line.startswith('#')]
    state = shape_only(encoder, mode=mode).state_dict()
    found = [
        f'{name} {"x".join(map(str, value.shape)) or "scalar"} {str(value.dtype).split(".")[1]}'
        for name, value in state.items()
    ]
    assert found == expected
    assert len(found) == {'light': 328, 'resnet34': 484}[encoder]


@pytest.mark.parametrize('encoder', ENCODERS)
def test_parameters_are_as_many_as_in_the_release(encoder):
    network = shape_only(encoder)
    parts = [sum(p.numel() for p in part.parameters()) for part in network.children()]
    assert (sum(parts), *parts) == PARAMETERS[encoder]
    assert list(dict(network.named_children())) == [
        'feature_extractor',
        'disparity_head',
        'segmentation_head',
    ]


def test_coarse_levels_alone_answer_what_they_answer_in_the_whole_network():
    torch.manual_seed(3)
    network = create_network('msdesis', encoder='light').eval()
    left, right = torch.rand(2, 1, 3, 64, 96)
    with torch.no_grad():
        whole, logits = network(left, right)
        network.disparity_head.finest_level = 2
        coarse, same_logits = network(left, right)
    assert [d.shape for d in coarse] == [d.shape for d in whole[2:]]
    assert all(torch.equal(one, other) for one, other in zip(coarse, whole[2:], strict=True))
    assert torch.equal(logits, same_logits)


def test_an_untrained_network_carries_a_disparity_to_the_next_level():
    upsampler = estimator.Upsampler()
    disparity = torch.arange(12.0).view(1, 1, 3, 4)
    larger = functional.interpolate(disparity, scale_factor=2.0, mode='bilinear')
    assert torch.equal(upsampler(disparity), 2 * larger)


@pytest.mark.parametrize('encoder', ENCODERS)
def test_a_pair_of_1280x1024_takes_as_many_multiplications_as_in_the_release(encoder):
    network = shape_only(encoder)
    macs = Counter()

    def count(module, inputs, output):
        each = module.kernel_size[0] * module.kernel_size[1]
        if isinstance(module, nn.ConvTranspose2d):
            macs['all'] += inputs[0].numel() * module.out_channels * each
        else:
            macs['all'] += output.numel() * module.in_channels * each

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count)
    image = torch.empty(1, 3, 1024, 1280, device='meta')
    network(image, image)
    assert round(macs['all'] / 1e9, 1) == GIGA_MACS[encoder]


def run_both(lively, reference, network, size=(64, 32)):
    """The greatest differences (disparity at each level ..., logits) of network and reference."""
    left, right = (reference.normalised(view) for view in lively.picture_pair(*size))
    weights = reference.Weights(network.state_dict())
    planes, logits = reference.forward(
        weights, left, right, max_disparity=network.config.max_disparity
    )
    with torch.no_grad():
        found, found_logits = network(*(torch.tensor(v[None]).float() for v in (left, right)))
    unused = {name for name in weights.arrays if 'num_batches' not in name} - weights.used
    assert not unused, 'the reference must use every weight'
    differences = [np.abs(a[0, 0].numpy() - b).max() for a, b in zip(found, planes, strict=True)]
    return [*differences, np.abs(found_logits[0].numpy() - logits).max()]


@pytest.mark.parametrize(
    ('encoder', 'size'),
    [
        *(('light', size) for size in ((32, 32), (96, 64), (32, 64))),
        ('resnet34', (96, 64)),
        *(
            pytest.param('resnet34', size, marks=pytest.mark.slow)
            for size in ((32, 32), (64, 128))
        ),
    ],
)
def test_the_answer_is_that_of_the_pixel_by_pixel_reference(lively, reference, encoder, size):
    network = lively.lively_network(encoder)
    assert max(run_both(lively, reference, network, size)) < 1e-4


def test_other_numbers_of_candidates_and_classes_follow_the_reference(lively, reference):
    network = lively.lively_network('light', max_disparity=100, n_classes=3)
    assert network.config.candidates == 4
    assert max(run_both(lively, reference, network)) < 1e-4


def doubled(self, disparity_px):
    return 2 * self.conv(functional.interpolate(disparity_px, scale_factor=2.0, mode='bilinear'))


def corner_aligned(self, disparity_px):
    grown = functional.interpolate(
        disparity_px, scale_factor=2.0, mode='bilinear', align_corners=True
    )
    return self.conv(grown)


def consistent_warp(right, disparity_px):
    """Samples exactly at x - d, as one would write it today."""
    height, width = right.shape[-2:]
    x = torch.arange(width) - disparity_px[:, 0]
    y = torch.arange(height).view(1, height, 1).expand_as(x)
    grid = torch.stack((2 * x / (width - 1) - 1, 2.0 * y / (height - 1) - 1), dim=-1)
    return functional.grid_sample(right, grid, align_corners=True)


# Each quirk and each easy slip: (what to replace, where, by what) and the least it must cost.
SLIPS = {
    'warp without the quirk': (disparity_head, 'warp', consistent_warp),
    'disparities doubled': (estimator.Upsampler, 'forward', doubled),
    'corner-aligned upsampling': (estimator.Upsampler, 'forward', corner_aligned),
    'sum in place of mean': (
        disparity_head,
        'correlation',
        lambda left, right, k: _correlation(left, right, k) * left.shape[1],
    ),
    'displacements in reverse order': (
        disparity_head,
        'correlation',
        lambda left, right, k: _correlation(left, right, k).flip(1),
    ),
    'costs after the features': (
        estimator.Estimator,
        'forward',
        lambda self, costs, features: _estimate(self, features, costs),
    ),
    'another image in the refinement': (
        disparity_head.DisparityHead,
        'forward',
        lambda self, left, right, image: _head(self, left, right, image.flip(3)),
    ),
}
_correlation, _estimate = disparity_head.correlation, estimator.Estimator.forward
_head = disparity_head.DisparityHead.forward


@pytest.mark.parametrize('slip', SLIPS.values(), ids=SLIPS)
def test_a_slip_in_one_quirk_is_found_by_the_reference(lively, reference, monkeypatch, slip):
    monkeypatch.setattr(*slip)
    network = lively.lively_network('light')
    assert run_both(lively, reference, network)[0] > 1e-2


@pytest.mark.parametrize('slope', [0.01, 0.2])
def test_another_slope_of_the_activations_is_found_by_the_reference(
    lively, reference, monkeypatch, slope
):
    monkeypatch.setattr(layers, 'NEGATIVE_SLOPE', slope)
    assert run_both(lively, reference, lively.lively_network('light'))[0] > 1e-2


@pytest.mark.parametrize('mode', MODES)
def test_a_mode_computes_its_heads_alone_and_as_multitask_does(lively, mode):
    whole = lively.lively_network('light')
    part = create_network('msdesis', encoder='light', mode=mode).eval()
    part.load_state_dict(whole.state_dict())
    left, right = torch.randn(2, 2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, expected_logits = whole(left, right)
        disparities, logits = part(left, None if mode == 'segmentation' else right)
    if mode == 'segmentation':
        assert disparities is None
    else:
        assert [tuple(d.shape) for d in disparities] == [
            (2, 1, 64 >> level, 96 >> level) for level in range(6)
        ]
        torch.testing.assert_close(disparities, expected, rtol=0, atol=0)
    if mode == 'disparity':
        assert logits is None
    else:
        assert logits.shape == (2, 1, 64, 96)
        torch.testing.assert_close(logits, expected_logits, rtol=0, atol=0)


def test_training_takes_batch_statistics_of_the_left_view_first(lively):
    network = create_network('msdesis', encoder='light')
    norm = network.feature_extractor.encoder_0.encoder[1]
    left, right = torch.zeros(1, 3, 32, 32), torch.randn(1, 3, 32, 32)
    network.train()(torch.cat((left, left)), torch.cat((right, right)))
    assert norm.num_batches_tracked == 2
    seen = network.feature_extractor.encoder_0.encoder[0](right).mean((0, 2, 3))
    # momentum 0.1: the view seen last has a share of 0.1, one seen first 0.09
    torch.testing.assert_close(norm.running_mean, 0.1 * seen, atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_weight(lively):
    network = lively.lively_network('light').train()
    left, right = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    disparities, logits = network(left, right)
    (sum(d.abs().mean() for d in disparities) + logits.abs().mean()).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A batch-norm takes out the constant that a bias before it would add; none is there.
    assert not still


@pytest.mark.parametrize('size', [(64, 80), (33, 64), (0, 32)])
def test_other_sizes_are_refused_with_what_to_do(size):
    image = torch.zeros(1, 3, *size)
    with pytest.raises(ImageError, match=f'not {size[1]}x{size[0]}; pad the pictures'):
        Msdesis(MsdesisConfig('light'))(image, image)


@pytest.mark.parametrize('right', [None, torch.zeros(1, 3, 32, 64)], ids=['none', 'other size'])
def test_a_missing_or_different_right_view_is_refused(right):
    with pytest.raises(ImageError, match='mode multitask needs a right view'):
        Msdesis(MsdesisConfig('light'))(torch.zeros(1, 3, 32, 32), right)
