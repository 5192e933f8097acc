"""Finding a calibration board in a picture, with whichever OpenCV is installed."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

from msdesis_ros.core.boards import (
    Board,
    BoardPair,
    BoardView,
    CharucoBoard,
    Checkerboard,
    fixes_pose,
    in_order_of,
)
from msdesis_ros.core.errors import MissingExtraError, UsageError

# The detector is off by less than this, except in pictures that are blurred beyond use.
MAX_REFINEMENT_PX = 1.0


class BoardFinder(Protocol):
    """Finds one board, many times."""

    def find(self, picture: np.ndarray) -> BoardView | None:
        """The board in an H x W x 3 uint8 RGB picture; None where too little of it is seen."""
        ...


def board_finder(board: Board) -> BoardFinder:
    """The finder of a board.

    Raises UsageError for an unknown dictionary or too few markers in it, MissingExtraError for
    a ChArUco board with an OpenCV that knows none.
    """
    if isinstance(board, Checkerboard):
        return CheckerboardFinder(board)
    return CharucoFinder(board)


def find_pair(
    finder: BoardFinder, board: Board, name: str, left: np.ndarray, right: np.ndarray
) -> BoardPair:
    """What two pictures (H x W x 3 uint8 RGB) taken at one moment show of the board."""
    views = finder.find(left), finder.find(right)
    if views[0] is None or views[1] is None:
        return BoardPair(name, *views)
    return BoardPair(name, views[0], in_order_of(views[0], views[1], board))


class CheckerboardFinder:
    """All corners of a checkerboard, or nothing; numbered as its colours tell.

    The sector-based detector of OpenCV (Duda and Frese 2018) finds them even in blurred and
    distorted pictures; gradients in a window inside of the squares then place them more exactly
    (0.03 against 0.16 px RMS in synthetic pictures with squares of 15 px). A picture in which it
    finds nothing is tried with the older detector, which needs less of a margin.
    """

    def __init__(self, board: Checkerboard) -> None:
        self.board = board

    def find(self, picture: np.ndarray) -> BoardView | None:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        points = self._corners(grey)
        if points is None:
            return None
        grid = _upright(points.reshape(self.board.rows, self.board.columns, 2))
        if not _first_square_is_dark(grey, grid):
            # Turned by a half where that exchanges the colours, otherwise by a quarter.
            turned = np.rot90(grid, 2 if (self.board.columns + self.board.rows) % 2 else 1)
            grid = turned if turned.shape == grid.shape else grid
        return BoardView(np.arange(grid.shape[0] * grid.shape[1]), grid.reshape(-1, 2))

    def _corners(self, grey: np.ndarray) -> np.ndarray | None:
        size = (self.board.columns, self.board.rows)
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE
        found, corners = cv2.findChessboardCornersSB(grey, size, flags=flags)
        if not found:
            flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
            found, corners = cv2.findChessboardCorners(grey, size, flags=flags)
        if not found or corners is None or corners.size != 2 * size[0] * size[1]:
            return None
        corners = np.asarray(corners, dtype=np.float32).reshape(-1, 1, 2)
        return _refined(grey, corners, half=_window(corners, size))


class CharucoFinder:
    """The corners of a ChArUco board that are seen, numbered by the markers around them."""

    def __init__(self, board: CharucoBoard) -> None:
        self.board = board
        self._corners_mm = board.corners_mm
        self._find = _charuco_detector(board)

    def find(self, picture: np.ndarray) -> BoardView | None:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        points, ids = self._find(grey)
        if ids is None or points is None or len(ids) == 0:
            return None
        ids = np.asarray(ids).reshape(-1).astype(np.int64)
        order = np.argsort(ids)
        points = _charuco_refined(grey, points, self.board)
        view = BoardView(ids[order], points[order])
        return view if fixes_pose(view, self._corners_mm) else None


def _charuco_detector(board: CharucoBoard) -> Any:
    """A function from a grey picture to (corners, ids) or (None, None).

    The one place that knows how OpenCV's aruco module changed: a contributed module up to 4.6,
    part of OpenCV with other names and another layout of the markers since 4.7.
    """
    aruco = getattr(cv2, 'aruco', None)
    if aruco is None:
        raise MissingExtraError(
            f'OpenCV {cv2.__version__} knows no ArUco markers; install OpenCV 4.7 or newer, or '
            'opencv-contrib-python-headless, or use a checkerboard'
        )
    dictionary = _dictionary(aruco, board)
    if hasattr(aruco, 'CharucoDetector'):
        size = (board.columns, board.rows)
        layout = aruco.CharucoBoard(size, board.square_mm, board.marker_mm, dictionary)
        layout.setLegacyPattern(board.legacy)
        detector = aruco.CharucoDetector(layout)
        return lambda grey: detector.detectBoard(grey)[:2]
    if board.rows % 2 == 0 and not board.legacy:
        raise UsageError(
            f'OpenCV {cv2.__version__} knows boards with an even number of rows only as versions '
            'before 4.6 printed them; install OpenCV 4.7 or newer, or say that the board is such '
            'a legacy one'
        )
    layout = aruco.CharucoBoard_create(
        board.columns, board.rows, board.square_mm, board.marker_mm, dictionary
    )

    def find(grey: np.ndarray) -> tuple[Any, Any]:
        markers, marker_ids, _ = aruco.detectMarkers(grey, dictionary)
        if marker_ids is None or len(marker_ids) == 0:
            return None, None
        points, ids = aruco.interpolateCornersCharuco(markers, marker_ids, grey, layout)[1:]
        if ids is None:
            return None, None
        # Up to 4.6 the corners were numbered from the lowest row upwards.
        across, down = board.columns - 1, board.rows - 1
        row, column = np.divmod(np.asarray(ids).ravel(), across)
        return points, (down - 1 - row) * across + column

    return find


def _dictionary(aruco: Any, board: CharucoBoard) -> Any:
    known = sorted(name for name in dir(aruco) if name.startswith('DICT_'))
    if board.dictionary not in known:
        raise UsageError(
            f'{board.dictionary!r} is no dictionary of markers; known are {", ".join(known)}'
        )
    dictionary = aruco.getPredefinedDictionary(getattr(aruco, board.dictionary))
    there, needed = len(dictionary.bytesList), board.columns * board.rows // 2
    if there < needed:
        raise UsageError(
            f'{board.dictionary} has {there} markers, and a board of {board.columns}x{board.rows} '
            f'squares has {needed}; name the dictionary that it was printed with'
        )
    return dictionary


def _upright(grid: np.ndarray) -> np.ndarray:
    """The grid (rows x columns x 2) as seen from the front: never mirrored."""
    across = (grid[:, -1] - grid[:, 0]).mean(axis=0)
    down = (grid[-1] - grid[0]).mean(axis=0)
    mirrored = across[0] * down[1] - across[1] * down[0] < 0
    return grid[::-1] if mirrored else grid


def _first_square_is_dark(grey: np.ndarray, grid: np.ndarray) -> bool:
    """Whether the square between the first four corners belongs to the darker ones."""
    middles = (grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:] + grid[1:, 1:]) / 4
    x, y = (
        np.clip(np.rint(middles[..., i]).astype(int), 0, grey.shape[1 - i] - 1) for i in (0, 1)
    )
    rows, columns = np.indices(middles.shape[:2])
    dark = (rows + columns) % 2 == 0
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    return bool(smooth[y, x][dark].mean() < smooth[y, x][~dark].mean())


def _charuco_refined(grey: np.ndarray, points: np.ndarray, board: CharucoBoard) -> np.ndarray:
    """The corners at their places, N x 2 float64 px.

    OpenCV 4.5 and 4.8, at least, put every one half a pixel to the right of its place and below
    it; 5.0 does not.
    """
    places = np.asarray(points, dtype=np.float32).reshape(-1, 1, 2)
    apart = np.linalg.norm(places - places.reshape(1, -1, 2), axis=2)
    step = float(np.min(apart[apart > 0], initial=np.inf))
    # No marker, whose own corners attract, may lie inside of the window.
    margin = step * (1 - board.marker_mm / board.square_mm) / 2
    half = int(np.clip(min(margin, 8.0), 2, 8))
    off = np.median(_refined(grey, places, half=half) - places.reshape(-1, 2), axis=0)
    if (off < -0.25).all():
        places -= np.float32(0.5)
    return _refined(grey, places, half=half)


def _window(corners: np.ndarray, size: tuple[int, int]) -> int:
    """Half of a window that stays inside of the squares around any corner, px."""
    grid = corners.reshape(size[1], size[0], 2)
    steps = [np.linalg.norm(np.diff(grid, axis=axis), axis=2).min() for axis in (0, 1)]
    return int(np.clip(min(steps) / 2.2, 2, 11))


def _refined(grey: np.ndarray, corners: np.ndarray, *, half: int) -> np.ndarray:
    """Corners (N x 1 x 2) placed by the gradients around them, N x 2 float64 px."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-3)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    moved = cv2.cornerSubPix(smooth, corners.copy(), (half, half), (-1, -1), criteria)
    # It runs away where blur leaves no gradient inside of the window.
    near = np.linalg.norm(moved - corners, axis=2, keepdims=True) <= MAX_REFINEMENT_PX
    return np.where(near, moved, corners).reshape(-1, 2).astype(np.float64)
