"""A training that has become useless ends, and one that is merely rough goes on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from msdesis_ros.training.divergence import DivergenceError, DivergenceWatch


def test_a_loss_that_falls_roughly_goes_on():
    watch = DivergenceWatch()
    for step in range(2000):
        watch.loss(step, {'full': 20 / (1 + step / 100) * (1.5 + math.sin(step))})


def test_a_loss_below_0_goes_on():
    watch = DivergenceWatch()
    for step in range(500):
        watch.loss(step, {'likelihood': -0.5 - step / 1000})


def test_a_loss_that_stays_high_ends_it_soon():
    watch = DivergenceWatch()
    for step in range(100):
        watch.loss(step, {'full': 10.0})
    with pytest.raises(DivergenceError, match=r'around step [12]\d\d the loss is [36]\d'):
        for step in range(100, 400):
            watch.loss(step, {'full': 60.0})


def test_single_pairs_of_which_a_few_are_very_hard_go_on():
    # As a fine-tuning sees them: the mean of 50 steps is at times twice that of the first.
    random = np.random.default_rng(1)
    losses = random.lognormal(0.0, 1.2, 4000)
    means = losses.reshape(-1, 50).mean(axis=1)
    assert means.max() > 2 * means[0]
    watch = DivergenceWatch()
    for step, loss in enumerate(losses):
        watch.loss(step, {'rehearsal': float(loss)})
    with pytest.raises(DivergenceError):
        for step in range(400):
            watch.loss(step, {'rehearsal': 3 * float(losses[step])})


def test_a_single_outlier_is_forgiven():
    watch = DivergenceWatch()
    for step in range(300):
        watch.loss(step, {'full': 400.0 if step == 200 else 10.0})


def test_a_term_that_is_no_number_is_named():
    with pytest.raises(DivergenceError, match='at step 7: the loss term dice is nan'):
        DivergenceWatch().loss(7, {'full': 1.0, 'dice': math.nan})


def test_ten_steps_without_usable_gradients_end_it():
    watch = DivergenceWatch()
    assert watch.gradient(0, 3.0)
    for step in range(9):
        assert not watch.gradient(step, math.inf)
    assert watch.gradient(9, 1.0)
    for step in range(9):
        assert not watch.gradient(step, math.nan)
    with pytest.raises(DivergenceError, match='10 steps in a row'):
        watch.gradient(19, math.nan)


def test_it_goes_on_from_its_state():
    one, other = DivergenceWatch(), DivergenceWatch()
    for step in range(80):
        one.loss(step, {'full': 10.0 + step % 3})
    other.load(one.state())
    assert other.state() == one.state()
    with pytest.raises(DivergenceError):
        for step in range(300):
            other.loss(step, {'full': 50.0})


def test_the_state_of_an_older_version_begins_anew():
    watch = DivergenceWatch()
    watch.load([80.0, 11.0, 11.0, 0])
    assert watch.state() == DivergenceWatch().state()
    watch.loss(80, {'full': 10.0})
