"""Small pictures are matched enlarged, and nothing else about them changes."""

from __future__ import annotations

import math

import pytest

from msdesis_ros.nets.fast.working_size import mask_size, working_size
from msdesis_ros.nets.registry import create_network

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from torch.nn import functional  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402


@pytest.mark.parametrize(
    ('given', 'wanted'),
    [
        ((384, 480), (672, 864)),
        ((480, 480), (864, 864)),
        ((480, 512), (736, 768)),
        ((512, 640), (768, 960)),
        ((384, 1248), (576, 1888)),
        ((32, 32), (64, 64)),
        ((736, 768), (1120, 1152)),
        ((736, 800), (736, 800)),
        ((1024, 1280), (1024, 1280)),
        ((1088, 1920), (1088, 1920)),
    ],
)
def test_sides_grow_and_stay_multiples_of_32(given, wanted):
    assert working_size(*given) == wanted
    assert tuple(map(int, working_size(*map(torch.tensor, given)))) == wanted


def test_the_first_enlargement_that_fits_counts():
    both = (2, 1, 64 * 64), (3, 2, 96 * 96)
    assert working_size(32, 32, both) == (64, 64)
    assert working_size(32, 64, both) == (64, 96)
    assert working_size(32, 32, both[::-1]) == (64, 64)
    assert working_size(64, 64, both[:1]) == working_size(64, 64, ()) == (64, 64)


def test_no_picture_within_the_limit_costs_more_than_one_of_1280x1024():
    sides = range(32, 2048, 32)
    small = [(h, w) for h in sides for w in sides if h * w <= 1280 * 1024]
    for height, width in small:
        working = working_size(height, width)
        assert all(side % 32 == 0 for side in working)
        # Rounding up to multiples of 32 comes on top.
        assert (working[0] - 31) * (working[1] - 31) <= 1280 * 1024


def test_the_mask_of_small_pictures_alone_is_looked_for_at_the_finer_size():
    sizes = (608, 480), (832, 672)
    for height, width in ((32, 32), (512, 640), (576, 720)):
        assert mask_size(height, width, *sizes) == (672, 832)
        traced = mask_size(torch.tensor(height), torch.tensor(width), *sizes)
        assert tuple(map(int, traced)) == (672, 832)
    for height, width in ((608, 704), (1024, 1280), (1088, 1920)):
        assert mask_size(height, width, *sizes) == (480, 608)
        traced = mask_size(torch.tensor(height), torch.tensor(width), *sizes)
        assert tuple(map(int, traced)) == (480, 608)


def test_a_small_picture_is_matched_enlarged_and_answered_in_its_own_pixels(lively):
    network = lively.lively_fast()
    left, right = torch.randn(2, 1, 3, 64, 96)
    with torch.no_grad():
        found = network.deployed(left, right)
        # 96x64 by 7/4.
        larger = [
            functional.interpolate(view, (128, 192), mode='bilinear', align_corners=False)
            for view in (left, right)
        ]
        there = network(*larger)
        smaller = [
            functional.interpolate(plane, (64, 96), mode='bilinear', align_corners=False)
            for plane in (there.disparity_px, there.log_scale)
        ]
        mask = network(left, right).mask_logits
    torch.testing.assert_close(found.disparity_px, smaller[0] * (96 / 192))
    torch.testing.assert_close(found.log_scale, smaller[1] + math.log(96 / 192))
    torch.testing.assert_close(found.mask_logits, mask, rtol=0, atol=0)
    assert found.steps_px is None and found.match_logits is None


def test_a_large_picture_is_matched_as_it_is(lively):
    network = lively.lively_fast()
    left, right = torch.randn(2, 1, 3, 736, 800)
    with torch.no_grad():
        found, wanted = network.deployed(left, right), network(left, right)
    torch.testing.assert_close(found.disparity_px, wanted.disparity_px, rtol=0, atol=0)
    torch.testing.assert_close(found.log_scale, wanted.log_scale, rtol=0, atol=0)


@pytest.mark.parametrize('size', [(480, 480), (512, 640), (576, 704), (736, 768), (1024, 1280)])
def test_the_budget_holds_for_what_is_enlarged(size):
    with torch.device('meta'):
        network = create_network('msdesis_fast').eval()
        picture = torch.zeros(1, 3, *size)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.deployed(picture, picture)
    assert counter.get_total_flops() / 2e9 < 17.94
