"""Pairs with truth in the look of pairs without: what is measured, and what is put on."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import FileFormatError, UsageError  # noqa: E402
from msdesis_ros.data.images import write_image  # noqa: E402
from msdesis_ros.training.batch import Sample, Truth  # noqa: E402
from msdesis_ros.training.config import TrainConfig, build  # noqa: E402
from msdesis_ros.training.data import StepPlan, TrainingSet  # noqa: E402
from msdesis_ros.training.look import (  # noqa: E402
    Dressing,
    colours_of,
    look_of,
    noise_of,
    spectrum_of,
)
from msdesis_ros.training.own_frames_source import unlabelled  # noqa: E402
from msdesis_ros.training.own_look import dressing_of  # noqa: E402
from msdesis_ros.training.sources import mixtures_of  # noqa: E402

HEIGHT, WIDTH = 160, 192


def textured(seed: int, colour=(60.0, 40.0, 30.0), mean=(120.0, 100.0, 90.0)) -> np.ndarray:
    """A picture with detail at every scale, in shades of one colour and a little of others."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((HEIGHT, WIDTH), np.float32)
    for step in (1, 2, 4, 8, 16, 32):
        noise = rng.standard_normal((HEIGHT // step, WIDTH // step)).astype(np.float32)
        plane += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * step**0.5
    plane /= 3 * plane.std()
    tint = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH, 3)), (0, 0), 6) * 60
    return np.clip(plane[..., None] * colour + tint + mean, 9, 249).astype(np.uint8)


def known(seed: int, **of_the_left) -> Sample:
    left, right = textured(seed, **of_the_left), textured(seed + 1000, **of_the_left)
    nothing = np.zeros((HEIGHT, WIDTH), np.uint8)
    disparity_px = np.full((HEIGHT, WIDTH), 7, np.float32)
    return Sample(left, right, Truth(disparity_px, nothing.astype(bool), nothing, nothing))


def seen_by_another(view: np.ndarray, seed: int, *, blur_px=0.0, noise=0.0, gain=1.0):
    rng = np.random.default_rng(seed)
    light = view.astype(np.float32) * gain
    if blur_px:
        light = cv2.GaussianBlur(light, (0, 0), blur_px)
    light += rng.normal(0, noise, light.shape) if noise else 0
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def own_pairs(count=6, *, blur_px=(0.0, 0.0), noise=0.0, gain=(1.0, 1.0)) -> list[Sample]:
    return [
        unlabelled(
            *(
                seen_by_another(
                    textured(50 + n + 500 * eye),
                    n + 90 * eye,
                    blur_px=blur_px[eye],
                    noise=noise,
                    gain=gain[eye],
                )
                for eye in (0, 1)
            )
        )
        for n in range(count)
    ]


def measured(own: list[Sample], others: list[Sample] | None = None):
    return look_of(own, others or [known(n) for n in range(6)])


@pytest.mark.parametrize('deviation', [2.0, 6.0, 12.0])
def test_noise_is_measured_and_edges_are_no_noise(deviation):
    picture = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    picture[::16], picture[:, ::16] = 200, 40
    noisy = seen_by_another(picture, 1, noise=deviation)
    assert noise_of(noisy) == pytest.approx(np.full(3, deviation), rel=0.12)
    assert noise_of(picture) == pytest.approx(0)


def test_colours_are_those_of_the_pairs_that_were_measured():
    own = own_pairs(gain=(0.9, 0.6))
    others = [known(n, colour=(20, 50, 70), mean=(60, 120, 180)) for n in range(6)]
    look = measured(own, others)
    worn = [look.worn_by(other, rng(1)) for other in others]
    for side in ('left', 'right'):
        wanted, found = (
            colours_of(*(getattr(pair, side) for pair in pairs)) for pairs in (own, worn)
        )
        assert found.mean == pytest.approx(wanted.mean, abs=6), side
        assert np.sqrt(np.diag(found.covariance)) == pytest.approx(
            np.sqrt(np.diag(wanted.covariance)), rel=0.15
        ), side


def test_a_tone_curve_is_part_of_the_look():
    others = [known(n, colour=(50.0, 50.0, 50.0), mean=(128.0, 128.0, 128.0)) for n in range(6)]

    def darker(view):
        return np.rint((view / 255.0) ** 2 * 255).astype(np.uint8)

    own = [unlabelled(darker(other.left), darker(other.right)) for other in others]
    look = measured(own, others)
    for other, wanted in zip(others, own, strict=True):
        worn = look.worn_by(other, rng(1))
        apart = np.abs(worn.left.astype(int) - wanted.left)
        # Colours alone leave 2.4 levels.
        assert apart.mean() < 1


def test_a_scene_that_is_duller_than_others_stays_duller():
    dull = known(9, colour=(15.0, 10.0, 8.0))
    others = [known(n) for n in range(6)]
    look = measured(own_pairs(), [*others, dull])
    spreads = [look.worn_by(pair, rng(1)).left.std() for pair in (dull, others[0])]
    assert spreads[0] < 0.7 * spreads[1]


def test_what_sets_the_eyes_apart_is_part_of_the_look():
    worn = measured(own_pairs(gain=(1.0, 0.6))).worn_by(known(7), rng(1))
    alike = measured(own_pairs()).worn_by(known(7), rng(1))
    assert worn.right.mean() < 0.75 * worn.left.mean()
    assert alike.right.mean() == pytest.approx(alike.left.mean(), rel=0.1)


def test_each_eye_is_as_sharp_as_it_is_in_the_look():
    own = own_pairs(blur_px=(0.8, 2.0))
    worn = measured(own).worn_by(known(7), rng(1))
    for side in ('left', 'right'):
        plain, wanted, found = (
            np.mean([fine(getattr(pair, side)) for pair in pairs])
            for pairs in ([known(7)], own, [worn])
        )
        assert found < 0.8 * plain, side
        assert 0.5 < found / wanted < 2, side
    assert fine(worn.right) < 0.5 * fine(worn.left)


def fine(view: np.ndarray) -> float:
    """Share of the upper half of the frequencies, which noise has not."""
    power = spectrum_of(view)
    return float(np.sqrt(power[8:].sum() / power.sum()))


def test_noise_is_put_on_as_far_as_it_lacks():
    own = own_pairs(noise=8.0)
    for had in (0.0, 5.0):
        others = [
            replace(k, left=seen_by_another(k.left, n, noise=had), right=k.right)
            for n, k in enumerate(known(n) for n in range(6))
        ]
        worn = measured(own, others).worn_by(others[2], rng(1))
        there = np.mean([noise_of(pair.left) for pair in own])
        assert noise_of(worn.left).mean() == pytest.approx(there, rel=0.2), had


def test_nothing_is_sharpened():
    blurred = [
        replace(k, left=seen_by_another(k.left, 1, blur_px=2), right=k.right)
        for k in (known(n) for n in range(6))
    ]
    look = measured(own_pairs(), blurred)
    assert look.kernels[0].max() == pytest.approx(1, abs=0.05)
    assert np.abs(look.kernels[0]).sum() == pytest.approx(1, abs=0.1)


def test_black_around_a_round_view_counts_for_no_colour():
    view = textured(3)
    framed = view.copy()
    framed[:, :40] = framed[:, -40:] = 3
    inside, seen = colours_of(view[:, 40:-40]), colours_of(framed)
    assert seen.mean == pytest.approx(inside.mean, abs=0.5)  # of every eleventh pixel
    assert colours_of(np.full_like(view, 3)) is None


def test_pairs_that_are_all_black_have_no_look():
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert measured([unlabelled(black, black)] * 4) is None


def test_a_black_pair_with_truth_stays_a_picture():
    black = replace(known(1), left=np.zeros((HEIGHT, WIDTH, 3), np.uint8), right=textured(4))
    both_black = replace(black, right=black.left)
    look = measured(own_pairs(noise=4.0))
    for pair in (black, both_black):
        worn = look.worn_by(pair, rng(2))
        assert worn.left.dtype == np.uint8 and worn.left.shape == (HEIGHT, WIDTH, 3)


def test_pairs_that_are_nearly_black_have_a_look():
    dim = [
        unlabelled(*(np.uint8(view // 16) for view in (own.left, own.right)))
        for own in own_pairs()
    ]
    worn = measured(dim).worn_by(known(3), rng(1))
    assert 2 < worn.left.mean() < 20


def test_truth_stays_and_own_pairs_stay_as_they_are():
    dress = Dressing(measured(own_pairs()), share=1.0)
    pair, own = known(3), own_pairs(1)[0]
    worn = dress(pair, rng(1))
    assert worn.truth is pair.truth and (worn.left != pair.left).any()
    assert dress(own, rng(1)) is own


def test_a_share_of_the_pairs_is_dressed():
    dress, pair = Dressing(measured(own_pairs()), share=0.3), known(3)
    generator = rng(5)
    dressed = sum(dress(pair, generator) is not pair for _ in range(60))
    assert 8 <= dressed <= 30


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def content(tiny, shards, tmp_path):
    """The JSON of a tiny fine-tuning on own pairs that are blurred and noisy."""
    for number, pair in enumerate(own_pairs(5, blur_px=(1.0, 1.0), noise=6.0)):
        for side in ('left', 'right'):
            write_image(tmp_path / side / f'{number:04d}.png', getattr(pair, side))
    made = tiny.tiny_content(shards, task='disparity')
    made['self_supervised'] = {'frames': {'folder': str(tmp_path)}, 'rehearsal_share': 0.6}
    return made


def training_set(content) -> TrainingSet:
    config = build(TrainConfig, content, where='')
    mixture, _ = mixtures_of(config)
    plan = StepPlan(2, ((64, 32),), seed=1)
    dress = dressing_of(config, mixture)
    return TrainingSet(mixture, config.augment, plan, dress=dress)


def test_a_fine_tuning_shows_rehearsed_pairs_in_the_look_of_its_own(content):
    plain = training_set(content)
    content['self_supervised']['look_share'] = 1.0
    dressed, again = training_set(content), training_set(content)
    assert plain.dress is None
    changed = {True: [], False: []}
    for number in range(12):
        before, after, same = (each[number // 2, number] for each in (plain, dressed, again))
        with_truth = bool(np.isfinite(before.truth.disparity_px).any())
        changed[with_truth].append((before.left != after.left).any())
        assert np.array_equal(before.truth.disparity_px, after.truth.disparity_px, equal_nan=True)
        assert np.array_equal(after.left, same.left) and np.array_equal(after.right, same.right)
    assert all(changed[True]) and changed[True] and not any(changed[False]) and changed[False]


def test_the_noise_of_a_look_is_enlarged_with_the_picture(content):
    content['self_supervised']['look_share'] = 1.0
    left = {}
    for scale in (1.0, 2.0):
        content['augment'] = {'scale': [scale, scale]}
        dressed = training_set(content)
        samples = [dressed[number // 2, number] for number in range(12)]
        known = [s for s in samples if np.isfinite(s.truth.disparity_px).any()]
        left[scale] = np.median([noise_of(s.left).mean() for s in known])
    # White noise of a camera, enlarged, is no longer white.
    assert left[2.0] < 0.6 * left[1.0]


def test_a_training_with_truth_has_no_look(tiny, shards):
    config = build(TrainConfig, tiny.tiny_content(shards), where='')
    assert dressing_of(config, mixtures_of(config)[0]) is None


def test_a_share_beyond_one_is_refused(content):
    content['self_supervised']['look_share'] = 1.5
    with pytest.raises(UsageError, match='look_share is 1.5'):
        build(TrainConfig, content, where='')


def test_a_broken_pair_stops_the_measuring_unless_such_are_skipped(content, monkeypatch):
    content['self_supervised']['look_share'] = 1.0
    config = build(TrainConfig, content, where='')
    mixture, _ = mixtures_of(config)
    shards = mixture.sources[1]
    whole = shards.sample

    def sample(number):
        if number == 1:
            raise FileFormatError('record 1 is broken')
        return whole(number)

    monkeypatch.setattr(shards, 'sample', sample)
    with pytest.raises(FileFormatError, match='record 1'):
        dressing_of(config, mixture)
    mixture.when_broken = 'skip'
    assert dressing_of(config, mixture) is not None
