from __future__ import annotations

import numpy as np
import pytest

from msdesis_ros.core.errors import ImageError
from msdesis_ros.data.rectification_picture import ROWS, rectification_picture

GREY = np.full((96, 128, 3), 70, np.uint8)


def test_both_views_stand_side_by_side_under_lines_that_cross_both():
    sheet = rectification_picture(GREY, GREY + 40, title_lines=('one', 'two'))
    assert sheet.shape[1] == 1280
    views = sheet[-480:]
    assert (views[10, 10] == 70).all() and (views[10, 700] == 110).all()
    lines = [row for row in range(480) if (views[row] == views[row, 0]).all()]
    assert lines == [round(n * 480 / ROWS) for n in range(1, ROWS)]
    # Neighbouring lines differ, so that they can be followed.
    assert all((views[a, 0] != views[b, 0]).any() for a, b in zip(lines, lines[1:]))  # noqa: B905


def test_corners_are_marked_where_they_lie():
    corner = np.array([[30.0, 22.0], [np.nan, 3.0], [1e7, 1e7]])
    sheet = rectification_picture(GREY, GREY, corners=(corner, corner + [8, 0]))
    views = sheet[-480:]
    green = (views[..., 1] > 200) & (views[..., 0] < 100) & (views[..., 2] < 100)
    y, x = np.nonzero(green & (np.indices(green.shape)[1] < 640))
    assert (np.median(x), np.median(y)) == (pytest.approx(152, abs=1), pytest.approx(112, abs=1))
    y, x = np.nonzero(green & (np.indices(green.shape)[1] >= 640))
    assert np.median(x) == pytest.approx(640 + 192, abs=1)


def test_views_of_two_sizes_are_refused():
    with pytest.raises(ImageError, match='expected one H x W x 3'):
        rectification_picture(GREY, GREY[:50])
