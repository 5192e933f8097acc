from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from msdesis_ros.nets.msdesis.layers import double_up  # noqa: E402
from msdesis_ros.nets.msdesis.phases import (  # noqa: E402
    convolution_on_phases,
    double_up_to_phases,
)

# One pixel, one row, one column: nothing but borders.
SIZES = [(5, 7), (1, 1), (1, 4), (3, 1)]


def plane(channels, size, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, *size, generator=random, dtype=torch.float64)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_phases_put_together_are_the_plane_of_twice_the_size(size, bias):
    up = double_up(3, 2, bias=bias).double()
    x = plane(3, size)
    found = functional.pixel_shuffle(double_up_to_phases(up)(x), 2)
    torch.testing.assert_close(found, up(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_a_convolution_of_phases_gives_the_phases_of_its_answer(size, bias):
    convolution = nn.Conv2d(3, 2, 3, padding=1, bias=bias).double()
    x = plane(3, (2 * size[0], 2 * size[1]))
    found = convolution_on_phases(convolution)(functional.pixel_unshuffle(x, 2))
    torch.testing.assert_close(
        functional.pixel_shuffle(found, 2), convolution(x), atol=1e-12, rtol=0
    )


def test_weights_keep_their_type_and_the_originals_stay():
    up, convolution = double_up(3, 2, bias=True).half(), nn.Conv2d(3, 2, 3, padding=1).half()
    before = [value.clone() for value in (*up.parameters(), *convolution.parameters())]
    made = double_up_to_phases(up), convolution_on_phases(convolution)
    assert {p.dtype for module in made for p in module.parameters()} == {torch.float16}
    for old, new in zip(before, (*up.parameters(), *convolution.parameters()), strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=0)
