"""Losses without truth are least where the disparity is right, and silent elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import UsageError  # noqa: E402
from msdesis_ros.nets.fast.model import FastOutput  # noqa: E402
from msdesis_ros.training.own_frames_source import OwnFrames  # noqa: E402
from msdesis_ros.training.self_supervised import (  # noqa: E402
    SelfSupervised,
    Views,
    anchor_loss,
    inconsistency_px,
    lit,
    roughness,
    steps_loss,
    unlikeness,
    views_of,
    visible,
)

SHIFTS = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)


def tensor_of(picture):
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]


def plane(array):
    return torch.from_numpy(np.asarray(array, np.float32))[None, None]


@pytest.fixture(scope='module')
def pair(scenes):
    """A wall and a box before it: the frame, both disparities, what the left eye sees alone."""
    frame = scenes.boxed_wall(3)
    values, counts = np.unique(frame.disparity_px, return_counts=True)
    wall_px, box_px = sorted(values[np.argsort(counts)[-2:]])
    box = frame.disparity_px == box_px
    right_px = np.full(box.shape, wall_px, np.float32)
    rows, columns = np.nonzero(box)
    right_px[rows, columns - int(box_px)] = box_px
    return frame, plane(frame.disparity_px), plane(right_px), torch.from_numpy(frame.occluded)


def views(pair, *, shift=0.0, right=None):
    frame, left_px, right_px, _ = pair
    shown = frame.right if right is None else right
    return Views(tensor_of(frame.left), tensor_of(shown), left_px + shift, right_px + shift)


def photometric(pair, **changes):
    truth = visible(views(pair))
    return float(unlikeness(views(pair, **changes), truth, scales=2))


def test_the_right_disparity_is_more_alike_than_any_other(pair):
    right = photometric(pair)
    assert right < 0.12
    assert all(photometric(pair, shift=shift) > right + 0.01 for shift in SHIFTS)


@pytest.mark.parametrize(('gain', 'offset'), [(0.7, 0), (1.0, 25), (0.8, 20)])
def test_another_brightness_of_one_eye_changes_nothing_of_that(pair, gain, offset):
    shown = np.clip(pair[0].right * gain + offset, 0, 249).astype(np.uint8)
    right = photometric(pair, right=shown)
    assert right < photometric(pair) + 0.02
    assert all(photometric(pair, shift=shift, right=shown) > right + 0.01 for shift in SHIFTS)


def test_hidden_pixels_are_found_and_do_not_count(pair):
    seen = visible(views(pair))[0, 0]
    hidden, frame = pair[3], pair[0]
    usable = lit(tensor_of(frame.left))[0, 0]
    # The last column of a box and single pixels may differ: truth is of whole pixels.
    assert (seen & hidden).sum() <= 0.02 * hidden.sum()
    assert (seen & ~hidden & usable).sum() >= 0.95 * (~hidden & usable).sum()
    wild = pair[1].clone()
    wild[0, 0][hidden] += 7.0
    truth = visible(views(pair))
    kept = unlikeness(views(pair)._replace(disparity_px=wild), truth, scales=1)
    assert float(kept) == pytest.approx(float(unlikeness(views(pair), truth, scales=1)), abs=2e-3)


def test_a_wrong_match_is_not_taken_for_hidden(pair):
    # Too near by 5 px: the right eye sees something farther there, which hides nothing.
    wrong = views(pair)._replace(disparity_px=pair[1] + 5)
    usable = lit(wrong.left) & (torch.arange(wrong.left.shape[-1]) > 40)
    there = visible(wrong) & usable
    assert there.sum() > 0.8 * usable.sum()


def test_black_borders_highlights_and_nan_do_not_count(pair):
    frame, left_px, right_px, _ = pair
    left, right = frame.left.copy(), frame.right.copy()
    left[:, 100:], right[20:40] = 0, 0
    left[60:70, 50:60] = 255
    disparity_px = left_px.clone()
    disparity_px[..., 80:90, 60:70] = math.nan
    shown = Views(tensor_of(left), tensor_of(right), disparity_px, right_px)
    seen = visible(shown)[0, 0]
    assert not seen[:, 100:].any() and not seen[20:40].any()
    assert not seen[60:70, 50:60].any() and not seen[80:90, 60:70].any()
    assert seen[80:90, 50:58].any()


def test_nothing_to_count_costs_nothing(pair):
    shown = views(pair)
    cost = unlikeness(shown, torch.zeros_like(shown.disparity_px) > 0, scales=3)
    assert float(cost) == 0.0


def test_gradients_lead_to_the_right_disparity(pair):
    shown = views(pair)
    truth = visible(shown)
    offset = torch.tensor(0.8, requires_grad=True)
    optimiser = torch.optim.Adam([offset], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        moved = shown._replace(disparity_px=shown.disparity_px + offset)
        unlikeness(moved, truth, scales=3).backward()
        assert torch.isfinite(offset.grad)
        optimiser.step()
    assert abs(float(offset.detach())) < 0.1


def test_the_mirror_image_of_a_pair_is_its_other_eye(pair):
    frame, left_px, right_px, _ = pair
    lefts = torch.cat((tensor_of(frame.left), tensor_of(frame.right).flip(-1)))
    rights = torch.cat((tensor_of(frame.right), tensor_of(frame.left).flip(-1)))
    both = views_of(lefts, rights, torch.cat((left_px, right_px.flip(-1))))
    assert torch.equal(both.other_px[0], right_px[0])
    assert torch.equal(both.other_px[1], left_px[0].flip(-1))
    seen = visible(both)
    apart = inconsistency_px(both)
    assert float(apart[seen].max()) < 0.01
    # The mirrored eye is as good a left one.
    costs = [
        float(unlikeness(Views(*(p[n : n + 1] for p in both)), seen[n : n + 1], scales=2))
        for n in (0, 1)
    ]
    assert costs[1] == pytest.approx(costs[0], abs=0.02)


def test_disparities_that_differ_between_the_eyes_are_inconsistent(pair):
    shown = views(pair)
    wrong = shown._replace(disparity_px=shown.disparity_px + 3)
    assert float(inconsistency_px(wrong)[visible(shown)].median()) == pytest.approx(3.0, abs=0.01)


def test_a_slanted_plane_is_smooth_and_a_bump_is_not():
    picture = torch.full((1, 3, 32, 48), 120, dtype=torch.uint8)
    slanted = torch.arange(48.0).view(1, 1, 1, 48).expand(1, 1, 32, 48) * 0.3
    assert float(roughness(slanted, picture)) < 1e-5
    bump = slanted.clone()
    bump[..., 12:16, 20:24] += 4
    rough = float(roughness(bump, picture))
    assert rough > 0.005
    edged = picture.clone()
    edged[..., 12:16, 20:24] = 255  # an edge where the disparity jumps
    assert float(roughness(bump, edged)) < 0.8 * rough


def output(disparity_px, log_scale=0.0, mask=0.0):
    size = disparity_px.shape
    rows, columns = size[-2] // 8, size[-1] // 8
    quarter = torch.nn.functional.avg_pool2d(disparity_px, 4)
    return FastOutput(
        disparity_px,
        torch.full(size, log_scale),
        torch.full(size, mask),
        torch.zeros(1, 4, 2 * rows, 2 * columns),
        torch.zeros(1, 8, rows, columns),
        (torch.nn.functional.avg_pool2d(disparity_px, 8), quarter, quarter),
    )


def test_the_anchor_holds_where_the_initial_network_was_sure():
    start = torch.full((1, 1, 32, 32), 9.0)
    found = (start + 1.5).requires_grad_()
    pulls = []
    for log_scale in (math.log(0.1), math.log(0.5), math.log(20)):
        loss = anchor_loss(found, output(start, log_scale), unsure_px=0.5)
        (gradient,) = torch.autograd.grad(loss, found)
        pulls.append(float(gradient.sum()))
    assert pulls[0] > 1.5 * pulls[1] > 10 * pulls[2] > 0
    assert pulls[1] == pytest.approx(0.5)
    assert float(anchor_loss(start, output(start), unsure_px=0.5)) == 0.0


def test_steps_on_the_way_learn_from_trusted_pixels_alone():
    right = torch.full((1, 1, 32, 32), 16.0)
    nowhere, everywhere = torch.zeros_like(right) > 0, torch.ones_like(right) > 0
    late = output(right)._replace(steps_px=output(right + 2).steps_px)
    assert float(steps_loss(late, nowhere)) == 0.0
    assert float(steps_loss(late, everywhere)) > float(steps_loss(output(right), everywhere)) + 3


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'anchor': -1.0}, 'self_supervised.anchor is -1'),
        ({'scales': 0}, 'expected 1 to 4 scales'),
        ({'unsure_px': 0.0}, 'more than 0 px'),
        ({'rehearsal_share': 1.0}, 'expected below 1'),
    ],
)
def test_settings_that_cannot_be_are_refused(change, sentence):
    with pytest.raises(UsageError, match=sentence):
        SelfSupervised(frames=OwnFrames('x'), **change)
