"""Boards in pictures that were made by casting rays, so that every corner's place is known."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.boards import CharucoBoard, Checkerboard
from msdesis_ros.core.errors import MissingExtraError, UsageError
from msdesis_ros.data.board_finder import board_finder, find_pair

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes

BOARD = Checkerboard(8, 5, 3.0)
# OpenCV has ArUco since 4.7; before, the contributed modules may bring it.
needs_aruco = pytest.mark.skipif(
    not hasattr(cv2, 'aruco'), reason=f'OpenCV {cv2.__version__} has no ArUco markers'
)
OLD_ARUCO = hasattr(cv2, 'aruco') and not hasattr(cv2.aruco, 'CharucoDetector')


def off_px(view, truth):
    return np.linalg.norm(view.points_px - truth[view.ids], axis=1)


def test_corners_are_found_where_they_are():
    pictures = scenes.checkerboard_pictures()
    finder = board_finder(BOARD)
    errors = []
    for number in (0, 4, 9):
        pair = find_pair(finder, BOARD, 'a', *pictures[number])
        truth = scenes.eyes(BOARD.corners_mm, scenes.POSES[number])
        assert pair.left.ids.tolist() == list(range(40))
        errors += [off_px(pair.left, truth[0]), off_px(pair.right, truth[1])]
    errors = np.concatenate(errors)
    assert np.sqrt(np.mean(errors**2)) < 0.1
    assert errors.max() < 0.3


@pytest.mark.parametrize('columns', [6, 9])
def test_the_colours_tell_which_end_of_a_board_is_up(columns):
    # An odd and an even number of corners: the board looks another way after half a turn.
    board, rows = Checkerboard(columns, 5 if columns == 6 else 6, 2.5), 5 if columns == 6 else 6
    printed = scenes.checkerboard(columns, rows, 2.5)
    pose = scenes.POSES[2]
    left = scenes.picture(printed, pose, 'left')
    # The right eye stands on its head, or the board was turned over: the numbers turn with it.
    turned = scenes.picture(printed, pose, 'right', half_turn=True)
    pair = find_pair(board_finder(board), board, 'a', left, turned)
    truth_left, truth_right = scenes.eyes(board.corners_mm, pose)
    assert off_px(pair.left, truth_left).max() < 0.3
    assert off_px(pair.right, truth_right[::-1]).max() < 0.3


@pytest.mark.parametrize('turned_deg', [0, 100, 175, -80])
@pytest.mark.parametrize(('columns', 'rows'), [(6, 4), (5, 5), (4, 4)])
def test_symmetric_boards_get_one_numbering_in_both_eyes(columns, rows, turned_deg):
    board = Checkerboard(columns, rows, 3.0)
    pose = scenes.Pose((0, 0, 45), (15, -10, turned_deg))
    printed = scenes.checkerboard(columns, rows, 3.0)
    views = [scenes.picture(printed, pose, side) for side in ('left', 'right')]
    pair = find_pair(board_finder(board), board, 'a', *views)
    truth_left, truth_right = scenes.eyes(board.corners_mm, pose)
    grid = np.arange(columns * rows).reshape(rows, columns)
    orders = [
        turned.ravel() for k in range(4) if (turned := np.rot90(grid, k)).shape == grid.shape
    ]
    # Whichever end is taken for the first, it is the same one in both eyes.
    (found,) = [o for o in orders if off_px(pair.left, truth_left[o]).max() < 0.3]
    assert off_px(pair.right, truth_right[found]).max() < 0.3


def test_a_mirrored_numbering_is_undone(monkeypatch):
    pictures = scenes.checkerboard_pictures()
    found, corners = cv2.findChessboardCornersSB(
        cv2.cvtColor(pictures[0][0], cv2.COLOR_RGB2GRAY), (8, 5)
    )
    assert found
    mirrored = corners.reshape(5, 8, 2)[::-1].reshape(-1, 1, 2).copy()
    monkeypatch.setattr(cv2, 'findChessboardCornersSB', lambda *_, **__: (True, mirrored))
    view = board_finder(BOARD).find(pictures[0][0])
    truth = scenes.eyes(BOARD.corners_mm, scenes.POSES[0])[0]
    assert off_px(view, truth).max() < 0.3


def test_the_older_detector_takes_over_where_the_newer_finds_nothing(monkeypatch):
    pictures = scenes.checkerboard_pictures()
    monkeypatch.setattr(cv2, 'findChessboardCornersSB', lambda *_, **__: (False, None))
    view = board_finder(BOARD).find(pictures[4][1])
    truth = scenes.eyes(BOARD.corners_mm, scenes.POSES[4])[1]
    assert off_px(view, truth).max() < 0.3


def test_a_refinement_that_runs_away_is_not_taken(monkeypatch):
    pictures = scenes.checkerboard_pictures()

    def runs_away(_, corners, *__):
        corners[3] += 5
        return corners

    monkeypatch.setattr(cv2, 'cornerSubPix', runs_away)
    view = board_finder(BOARD).find(pictures[0][0])
    truth = scenes.eyes(BOARD.corners_mm, scenes.POSES[0])[0]
    assert off_px(view, truth).max() < 1


def test_no_board_is_no_view():
    cloth = np.random.default_rng(0).integers(100, 140, (128, 160, 3), np.uint8)
    assert board_finder(BOARD).find(cloth) is None
    # Another board than the one that is there.
    other = board_finder(Checkerboard(9, 6, 3.0))
    assert other.find(scenes.checkerboard_pictures()[0][0]) is None


def test_a_pair_with_a_board_in_one_eye_keeps_that_eye():
    left, right = scenes.checkerboard_pictures()[0]
    pair = find_pair(board_finder(BOARD), BOARD, 'a', left, np.full_like(right, 100))
    assert pair.left is not None and pair.right is None


@needs_aruco
@pytest.mark.parametrize(
    ('columns', 'rows', 'legacy'), [(7, 5, False), (6, 4, False), (6, 4, True)]
)
def test_charuco_corners_are_found_and_numbered(columns, rows, legacy):
    if OLD_ARUCO and rows % 2 == 0 and not legacy:
        pytest.skip('this OpenCV prints legacy boards only')
    board = CharucoBoard(columns, rows, 4.0, 3.0, legacy=legacy)
    printed = scenes.charuco(columns, rows, 4.0, 3.0, legacy)
    pose = scenes.Pose((0, 0, 36), (18, -12, 8))
    views = [scenes.picture(printed, pose, side) for side in ('left', 'right')]
    pair = find_pair(board_finder(board), board, 'a', *views)
    truth = scenes.eyes(board.corners_mm, pose)
    for view, true in ((pair.left, truth[0]), (pair.right, truth[1])):
        assert len(view.ids) >= 0.8 * len(board.corners_mm)
        assert (np.diff(view.ids) > 0).all()
        assert off_px(view, true).max() < 0.25


@needs_aruco
@pytest.mark.parametrize('off_by_px', [0.0, 0.5])
def test_the_half_pixel_that_versions_of_opencv_differ_by_is_undone(off_by_px):
    board = CharucoBoard(7, 5, 4.0, 3.0)
    pose = scenes.Pose((0, 0, 36), (18, -12, 8))
    truth = scenes.eyes(board.corners_mm, pose)[0]
    finder = board_finder(board)
    finder._find = lambda _: ((truth + off_by_px).reshape(-1, 1, 2), np.arange(24).reshape(-1, 1))
    printed = scenes.charuco(7, 5, 4.0, 3.0, legacy=False)
    view = finder.find(scenes.picture(printed, pose, 'left'))
    assert off_px(view, truth).max() < 0.2
    # Without gradients to go by the corners stay where they were found.
    blank = finder.find(np.full((256, 320, 3), 90, np.uint8))
    np.testing.assert_allclose(off_px(blank, truth), off_by_px * 2**0.5, atol=1e-4)


@needs_aruco
def test_a_charuco_board_that_is_partly_seen_gives_the_corners_that_are():
    board = CharucoBoard(7, 5, 4.0, 3.0)
    printed = scenes.charuco(7, 5, 4.0, 3.0, legacy=False)
    pose = scenes.Pose((14, 0, 36), (10, 5, 0))
    view = board_finder(board).find(scenes.picture(printed, pose, 'left'))
    truth = scenes.eyes(board.corners_mm, pose)[0]
    inside = (truth[:, 0] < scenes.SIZE[0]).sum()
    assert 8 <= len(view.ids) <= inside < len(truth)
    assert off_px(view, truth).max() < 0.25


@needs_aruco
def test_the_other_layout_of_markers_is_not_taken_for_this_one():
    if OLD_ARUCO:
        pytest.skip('this OpenCV knows legacy boards only')
    printed = scenes.charuco(6, 4, 4.0, 3.0, legacy=True)
    picture = scenes.picture(printed, scenes.Pose((0, 0, 36), (18, -12, 8)), 'left')
    assert board_finder(CharucoBoard(6, 4, 4.0, 3.0, legacy=False)).find(picture) is None


@needs_aruco
@pytest.mark.parametrize(
    ('dictionary', 'reason'),
    [('DICT_9X9', 'no dictionary of markers; known are DICT_4X4'), ('DICT_4X4_50', 'has 50')],
)
def test_dictionaries_that_do_not_serve_are_refused(dictionary, reason):
    with pytest.raises(UsageError, match=reason):
        board_finder(CharucoBoard(12, 10, 4.0, 3.0, dictionary))


def test_an_opencv_without_markers_says_what_to_install(monkeypatch):
    monkeypatch.delattr(cv2, 'aruco', raising=False)
    with pytest.raises(MissingExtraError, match='knows no ArUco markers; install OpenCV 4.7'):
        board_finder(CharucoBoard(7, 5, 4.0, 3.0))


class FormerAruco:
    """The names of OpenCV's aruco module before 4.7, backed by the present one."""

    def __init__(self, aruco):
        self._aruco = aruco
        self.DICT_4X4_50 = aruco.DICT_4X4_50
        self.getPredefinedDictionary = aruco.getPredefinedDictionary

    def CharucoBoard_create(self, columns, rows, square, marker, dictionary):  # noqa: N802
        board = self._aruco.CharucoBoard((columns, rows), square, marker, dictionary)
        board.setLegacyPattern(True)
        self._sides = columns - 1, rows - 1
        return self._aruco.CharucoDetector(board)

    def detectMarkers(self, grey, dictionary):  # noqa: N802
        return self._aruco.ArucoDetector(dictionary).detectMarkers(grey)

    def interpolateCornersCharuco(self, markers, ids, grey, detector):  # noqa: N802
        corners, numbers, _, _ = detector.detectBoard(grey, markerCorners=markers, markerIds=ids)
        if numbers is None:
            return 0, None, None
        across, down = self._sides
        row, column = np.divmod(numbers, across)  # from the lowest row upwards
        return len(numbers), corners, (down - 1 - row) * across + column


@needs_aruco
def test_versions_before_4_7_are_asked_by_their_names(monkeypatch):
    if not OLD_ARUCO:
        monkeypatch.setattr(cv2, 'aruco', FormerAruco(cv2.aruco))
    board = CharucoBoard(7, 5, 4.0, 3.0)
    monkeypatch.undo()
    printed = scenes.charuco(7, 5, 4.0, 3.0, legacy=True)
    if not OLD_ARUCO:
        monkeypatch.setattr(cv2, 'aruco', FormerAruco(cv2.aruco))
    pose = scenes.Pose((0, 0, 36), (18, -12, 8))
    finder = board_finder(board)
    view = finder.find(scenes.picture(printed, pose, 'left'))
    # They were numbered from below.
    assert off_px(view, scenes.eyes(board.corners_mm, pose)[0]).max() < 0.2
    assert finder.find(np.full((128, 160, 3), 90, np.uint8)) is None
    with pytest.raises(UsageError, match='even number of rows'):
        board_finder(CharucoBoard(6, 4, 4.0, 3.0))
