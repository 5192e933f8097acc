from __future__ import annotations

import math

import numpy as np
import pytest

from msdesis_ros.core.errors import ModelError
from msdesis_ros.export.parity import (
    TOLERANCES,
    ParityRow,
    Tolerance,
    compare,
    parity_pairs,
    require_parity,
)

# Exports take seconds, on a busy machine minutes.
pytestmark = pytest.mark.timeout(600)
ALLOWED = Tolerance(greatest=1.0, mean=0.1)


def row(greatest=0.5, mean=0.05, output='disparity'):
    return ParityRow('noise', output, 'px', greatest, mean, ALLOWED)


@pytest.mark.parametrize(
    ('found', 'holds'),
    [
        (row(), True),
        (row(greatest=1.0, mean=0.1), True),
        (row(greatest=1.01), False),
        (row(mean=0.11), False),
        (row(greatest=math.nan), False),
        (row(mean=math.nan), False),
        (row(greatest=math.inf), False),
    ],
)
def test_a_row_holds_when_largest_and_mean_difference_are_allowed(found, holds):
    assert found.holds == holds


def test_the_worst_row_is_named():
    with pytest.raises(ModelError, match='mask_logits differs by up to nan px .*nothing was writ'):
        require_parity([row(), row(greatest=7.0), row(greatest=math.nan, output='mask_logits')])
    require_parity([row(), row()])


@pytest.mark.parametrize('size', [(1, 1), (59, 51), (320, 256)], ids=str)
def test_pictures_have_the_size_and_are_the_same_every_time(size):
    first, again = parity_pairs(size), parity_pairs(size)
    for name, views in first.items():
        for view, other in zip(views, again[name], strict=True):
            assert view.shape == (size[1], size[0], 3) and view.dtype == np.uint8
            np.testing.assert_array_equal(view, other)
    if size[0] > 40:
        for left, right in first.values():
            shift = size[0] // 40
            np.testing.assert_array_equal(left[:, shift:], right[:, :-shift])
            assert left.std() > 20


def test_a_graph_of_other_weights_does_not_hold(exported, lively):
    from msdesis_ros.nets.pictures import PictureNetwork

    report = exported()
    other = PictureNetwork(lively.lively_network('light', seed=1))
    pairs = parity_pairs((59, 51))
    rows = compare(report.path.read_bytes(), other, pairs=pairs, tolerance=TOLERANCES['fp16'])
    assert not any(found.holds for found in rows)


def test_a_graph_for_another_size_or_no_graph_is_refused(exported, lively):
    from msdesis_ros.nets.pictures import PictureNetwork

    network = PictureNetwork(lively.lively_network('light'))
    for model in (exported().path.read_bytes(), b'no graph'):
        with pytest.raises(ModelError, match='ONNX Runtime cannot run the exported graph'):
            compare(model, network, pairs=parity_pairs((64, 64)), tolerance=ALLOWED)
