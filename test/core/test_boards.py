from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.boards import (
    BoardPair,
    BoardView,
    CharucoBoard,
    Checkerboard,
    fixes_pose,
    in_order_of,
)
from msdesis_ros.core.errors import UsageError

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes


def test_corners_lie_on_the_grid_of_the_board():
    corners = Checkerboard(4, 3, 2.5).corners_mm
    assert corners.shape == (12, 3)
    assert corners[0].tolist() == [0, 0, 0]
    assert corners[5].tolist() == [2.5, 2.5, 0]
    assert CharucoBoard(5, 4, 2.5, 2).corners_mm.tolist() == corners.tolist()


@pytest.mark.parametrize(
    ('columns', 'rows', 'turns'),
    [(9, 6, (0,)), (8, 6, (0, 2)), (7, 5, (0, 2)), (5, 5, (0, 2)), (6, 6, (0, 1, 2, 3))],
)
def test_a_board_knows_its_symmetry(columns, rows, turns):
    assert Checkerboard(columns, rows, 1.0).turns == turns
    # The same by colouring squares: a turn that keeps both shape and colours.
    colours = np.indices((rows + 1, columns + 1)).sum(axis=0) % 2
    same = [k for k in range(4) if np.array_equal(np.rot90(colours, k), colours)]
    assert tuple(same) == turns


@pytest.mark.parametrize('turn', [0, 1, 2, 3])
def test_the_right_view_takes_the_numbers_of_the_left_one(turn):
    board = Checkerboard(6, 6, 3.0)
    left_px, right_px = scenes.eyes(board.corners_mm, scenes.POSES[2])
    ids = np.arange(36)
    order = np.rot90(ids.reshape(6, 6), turn).ravel()
    left, turned = BoardView(ids, left_px), BoardView(ids, right_px[order])
    np.testing.assert_array_equal(in_order_of(left, turned, board).points_px, right_px)


def test_a_board_without_symmetry_is_taken_as_it_was_found():
    board = Checkerboard(6, 5, 3.0)
    left_px, right_px = scenes.eyes(board.corners_mm, scenes.POSES[2])
    ids = np.arange(30)
    right = BoardView(ids, right_px[::-1])
    assert in_order_of(BoardView(ids, left_px), right, board) is right


def test_the_common_corners_of_a_pair_are_those_both_eyes_see():
    left = BoardView(np.arange(0, 12), np.arange(24.0).reshape(12, 2))
    right = BoardView(np.arange(3, 15), np.arange(24.0).reshape(12, 2) + 100)
    common = BoardPair('a', left, right).common
    assert common.left.ids.tolist() == common.right.ids.tolist() == list(range(3, 12))
    assert common.left.points_px[0].tolist() == [6, 7]
    assert common.right.points_px[0].tolist() == [100, 101]
    few = BoardView(np.arange(5, 16), np.zeros((11, 2)))
    assert BoardPair('a', left, few).common is None
    assert BoardPair('a', left, None).common is None


def test_corners_on_one_line_do_not_fix_a_pose():
    board = CharucoBoard(11, 4, 2.0, 1.0)
    assert fixes_pose(BoardView(np.arange(20), np.zeros((20, 2))), board.corners_mm)
    assert not fixes_pose(BoardView(np.arange(10), np.zeros((10, 2))), board.corners_mm)
    assert not fixes_pose(BoardView(np.arange(20)[::3], np.zeros((7, 2))), board.corners_mm)
    assert not fixes_pose(None, board.corners_mm)


@pytest.mark.parametrize(
    ('make', 'reason'),
    [
        (lambda: Checkerboard(2, 6, 1.0), '2x6 inner corners'),
        (lambda: Checkerboard(9, 101, 1.0), '9x101 inner corners'),
        (lambda: Checkerboard(9, 6, 0.0), 'side of a square is 0 mm'),
        (lambda: Checkerboard(9, 6, float('nan')), 'side of a square is nan mm'),
        (lambda: CharucoBoard(9, 6, 2.0, 2.0), r'markers \(2 mm\) must be smaller'),
        (lambda: CharucoBoard(9, 6, 2.0, -1.0), 'side of a marker is -1 mm'),
    ],
)
def test_a_board_that_cannot_be_is_refused(make, reason):
    with pytest.raises(UsageError, match=reason):
        make()
