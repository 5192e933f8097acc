"""The mask's encoder: the published network, by an independent description of it."""

from __future__ import annotations

import pytest

from msdesis_ros.core.errors import ModelError
from msdesis_ros.nets.fast.config import LITE0

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from torch.nn import functional  # noqa: E402

from msdesis_ros.nets.fast.mask_encoder import MaskEncoder  # noqa: E402
from msdesis_ros.nets.fast.pretrained import load_efficientnet_lite0  # noqa: E402

# All of the file; its classifier, the convolution before that and its batch-norm.
PUBLISHED_PARAMETERS = 4_652_008 - 1_281_000 - 409_600 - 2_560
# Of efficientnet-lite0-57934424.pth without its classifier: (inputs, outputs, kernel, stride).
BLOCKS = [
    (32, 16, 3, 1),
    (16, 24, 3, 2),
    (24, 24, 3, 1),
    (24, 40, 5, 2),
    (40, 40, 5, 1),
    (40, 80, 3, 2),
    *[(80, 80, 3, 1)] * 2,
    (80, 112, 5, 1),
    *[(112, 112, 5, 1)] * 2,
    (112, 192, 5, 2),
    *[(192, 192, 5, 1)] * 3,
    (192, 320, 3, 1),
]


@pytest.fixture(scope='module')
def published() -> dict[str, torch.Tensor]:
    """Tensors with the names and shapes of the published file, and everyday values."""
    random = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}

    def convolution(name, outputs, inputs, kernel):
        std = (2.0 / (inputs * kernel**2)) ** 0.5
        shape = (outputs, inputs, kernel, kernel)
        tensors[f'{name}.weight'] = torch.randn(shape, generator=random) * std

    def norm(name, channels):
        for part, low, high in (('weight', 0.6, 1.0), ('bias', -0.1, 0.1)):
            values = torch.rand(channels, generator=random)
            tensors[f'{name}.{part}'] = values * (high - low) + low
        tensors[f'{name}.running_mean'] = torch.rand(channels, generator=random) * 0.2
        tensors[f'{name}.running_var'] = torch.rand(channels, generator=random) + 0.5
        tensors[f'{name}.num_batches_tracked'] = torch.tensor(7)

    convolution('_conv_stem', 32, 3, 3)
    norm('_bn0', 32)
    for number, (inputs, outputs, kernel, _) in enumerate(BLOCKS):
        block, wide = f'_blocks.{number}', inputs * (1 if number == 0 else 6)
        if number:
            convolution(f'{block}._expand_conv', wide, inputs, 1)
            norm(f'{block}._bn0', wide)
        convolution(f'{block}._depthwise_conv', wide, 1, kernel)
        norm(f'{block}._bn1', wide)
        convolution(f'{block}._project_conv', outputs, wide, 1)
        norm(f'{block}._bn2', outputs)
    convolution('_conv_head', 1280, 320, 1)
    return tensors


def by_the_paper(tensors, picture):
    """The features at 1/32, by plain functions."""

    def layer(x, convolution, norm, *, stride=1, groups=1, active=True):
        weight = tensors[f'{convolution}.weight']
        x = functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
        parts = (tensors[f'{norm}.{p}'] for p in ('running_mean', 'running_var', 'weight', 'bias'))
        x = functional.batch_norm(x, *parts, eps=1e-3)
        return x.clamp(0, 6) if active else x

    x = layer(picture, '_conv_stem', '_bn0', stride=2)
    for number, (inputs, outputs, _, stride) in enumerate(BLOCKS):
        block, before = f'_blocks.{number}', x
        if number:
            x = layer(x, f'{block}._expand_conv', f'{block}._bn0')
        depthwise = f'{block}._depthwise_conv'
        x = layer(x, depthwise, f'{block}._bn1', stride=stride, groups=x.shape[1])
        x = layer(x, f'{block}._project_conv', f'{block}._bn2', active=False)
        if stride == 1 and inputs == outputs:
            x = x + before
    return x


def test_published_weights_give_the_published_features(published):
    encoder = MaskEncoder(LITE0)
    load_efficientnet_lite0(encoder, published)
    picture = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        levels = encoder.eval()(picture)
        torch.testing.assert_close(levels.coarse, by_the_paper(published, picture))
    assert levels.coarse.std() > 0.01
    assert [tuple(level.shape[1:]) for level in levels] == [
        (16, 32, 48),
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]
    assert sum(w.numel() for w in encoder.parameters()) == PUBLISHED_PARAMETERS


@pytest.mark.parametrize(
    'changed',
    [
        {'_blocks.15._bn2.bias': None},
        {'_conv_stem.weight': torch.zeros(24, 3, 3, 3)},
        {'_bn0.weight': torch.full((32,), float('nan'))},
    ],
)
def test_weights_of_another_network_are_refused_and_change_nothing(published, changed):
    encoder = MaskEncoder(LITE0)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    wrong = {k: v for k, v in {**published, **changed}.items() if v is not None}
    with pytest.raises(ModelError, match='EfficientNet-Lite0'):
        load_efficientnet_lite0(encoder, wrong)
    assert all(torch.equal(before[name], t) for name, t in encoder.state_dict().items())
