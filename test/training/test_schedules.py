"""Learning rates by step."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import UsageError  # noqa: E402
from msdesis_ros.training.schedules import Fall, Schedule  # noqa: E402


def test_a_cosine_rises_and_falls():
    schedule = Schedule(steps=100, lr=0.002, warmup=10, end_share=0.1)
    rates = [schedule.lr_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.0002) and rates[9] == pytest.approx(0.002)
    assert rates[55] == pytest.approx((0.002 + 0.0002) / 2)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.0002, rel=0.01)


def test_steps_divide_the_rate():
    schedule = Schedule(steps=100, lr=1.0, kind='multistep', milestones=(0.5, 0.8), warmup=4)
    assert [schedule.lr_at(s) for s in (3, 4, 49)] == [1.0, 1.0, 1.0]
    assert [schedule.lr_at(s) for s in (50, 79, 80, 99)] == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_a_constant_stays():
    schedule = Schedule(steps=10, lr=1e-4, kind='constant')
    assert {schedule.lr_at(step) for step in range(10)} == {1e-4}


def test_a_fall_ends_in_nothing():
    fall = Fall(begin=10, steps=4)
    assert fall.end == 14
    # Ten steps more took a fifth of the time.
    assert Fall.after(20, 30) == Fall(30, 40)
    shares = [fall.share_at(step) for step in (0, 10, 11, 12, 13, 14, 99)]
    assert shares == pytest.approx([1, 1, 0.854, 0.5, 0.146, 0, 0], abs=1e-3)


def test_one_cycle_is_that_of_pytorch():
    weights = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weights], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1e-3, total_steps=200)
    ours = Schedule(steps=200, lr=1e-3, kind='onecycle')
    for step in range(200):
        assert ours.lr_at(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-6), step
        optimiser.step()
        if step < 199:
            theirs.step()


def test_epochs_become_steps():
    schedule = Schedule(epochs=3, lr=1e-4, kind='constant').resolved(pairs=10, batch_size=4)
    assert schedule.steps == 9 and schedule.epochs is None
    fixed = Schedule(steps=7, lr=1e-4)
    assert fixed.resolved(pairs=10, batch_size=4) == fixed


@pytest.mark.parametrize(
    ('values', 'sentence'),
    [
        ({'kind': 'linear'}, 'known: cosine, multistep, constant, onecycle'),
        ({'steps': 0}, 'no more warm-up'),
        ({'warmup': 200}, 'no more warm-up'),
        ({'steps': None}, 'either steps or epochs'),
        ({'epochs': 3}, 'either steps or epochs'),
        ({'lr': 0.0}, 'a rate above 0'),
        ({'milestones': (1.5,)}, 'shares of the steps'),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(values, sentence):
    with pytest.raises(UsageError, match=sentence):
        Schedule(**{'steps': 100, 'lr': 1e-3, **values})
