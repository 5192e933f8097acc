"""Figures of the validation, against counts by hand; and processes by their environment."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

torch = pytest.importorskip('torch', reason='the extra torch is not installed')

from msdesis_ros.core.errors import UsageError  # noqa: E402
from msdesis_ros.training.batch import UNKNOWN, Batch  # noqa: E402
from msdesis_ros.training.objectives import Answer  # noqa: E402
from msdesis_ros.training.ranks import Ranks, ranks_of_environment  # noqa: E402
from msdesis_ros.training.validation import Figures, validate  # noqa: E402


def figures_of(disparity_px, truth_px, *, occluded=None, logits=None, mask=None):
    """Of one picture that is one row high."""

    def plane(values, kind):
        return torch.tensor(values, dtype=kind).view(1, 1, 1, -1)

    width = len(truth_px)
    picture = torch.zeros(1, 3, 1, width, dtype=torch.uint8)
    batch = Batch(
        picture,
        picture,
        plane(truth_px, torch.float32),
        plane(occluded or [False] * width, torch.bool),
        plane(mask or [UNKNOWN] * width, torch.uint8),
        plane([UNKNOWN] * width, torch.uint8),
    )
    answer = Answer(
        None if disparity_px is None else plane(disparity_px, torch.float32),
        None if logits is None else plane(logits, torch.float32),
    )
    runner = SimpleNamespace(device=torch.device('cpu'), deployed=lambda network, batch: None)
    objective = SimpleNamespace(answer=lambda output: answer)
    return validate(None, [batch], runner=runner, objective=objective, max_disparity=64)


def test_errors_count_where_truth_is_known_and_in_range():
    figures = figures_of(
        [11.0, 5.0, 9.0, 0.0, 70.0],
        [10.0, 10.0, math.nan, 64.0, 70.0],
        occluded=[False, True, False, False, False],
    )
    assert figures.epe_px == 3.0 and figures.epe_visible_px == 1.0
    assert figures.bad3_percent == 50.0
    assert math.isnan(figures.iou)


def test_the_mask_counts_where_it_is_known():
    figures = figures_of(
        None, [1.0] * 5, logits=[2.0, 2.0, -2.0, -2.0, 2.0], mask=[1, 0, 1, 0, UNKNOWN]
    )
    assert figures.iou == pytest.approx(1 / 3)
    assert math.isnan(figures.epe_px)


def test_the_task_decides_what_is_best():
    figures = Figures(epe_px=2.0, epe_visible_px=1.0, bad3_percent=3.0, iou=0.75)
    assert figures.score('multitask') == figures.score('disparity') == 2.0
    assert figures.score('segmentation') == 0.25
    nothing = Figures(math.nan, math.nan, math.nan, math.nan)
    assert nothing.score('disparity') is None


def test_one_process_is_alone_and_half_an_environment_is_refused(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    with ranks_of_environment() as ranks:
        assert ranks == Ranks() and ranks.first
        assert ranks.mean([1.5, 2.0], torch.device('cpu')) == [1.5, 2.0]
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(UsageError, match='torchrun'), ranks_of_environment():
        pass
