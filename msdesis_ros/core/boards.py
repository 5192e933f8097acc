"""Calibration boards: what is printed on them, and what a picture shows of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from msdesis_ros.core.errors import UsageError

# Fewer corners, or corners on one line, leave the pose of the board open.
MIN_CORNERS = 8
MAX_SIDE = 100


@dataclass(frozen=True)
class Checkerboard:
    """A checkerboard by its inner corners, where four squares meet.

    columns, rows: inner corners across and down, 3 to 100. square_mm: side of a square. Corner
    `row * columns + column` lies at (column, row) * square_mm. Raises UsageError otherwise.
    """

    columns: int
    rows: int
    square_mm: float

    def __post_init__(self) -> None:
        _require_sides(self.columns, self.rows, 'inner corners of the checkerboard')
        _require_length(self.square_mm, 'the side of a square')

    @property
    def corners_mm(self) -> np.ndarray:
        """All corners, N x 3 float64, z = 0."""
        return _grid(self.columns, self.rows, self.square_mm)

    @property
    def turns(self) -> tuple[int, ...]:
        """By how many quarter turns the board looks like itself, colours included."""
        found = [0]
        if (self.columns + self.rows) % 2 == 0:
            found.append(2)
        if self.columns == self.rows and self.columns % 2 == 0:
            found += [1, 3]
        return tuple(sorted(found))

    def __str__(self) -> str:
        return (
            f'checkerboard of {self.columns}x{self.rows} inner corners, {self.square_mm:g} mm a '
            'square'
        )


@dataclass(frozen=True)
class CharucoBoard:
    """A checkerboard whose white squares hold ArUco markers, so that each corner has a number.

    columns, rows: squares across and down, 3 to 100. square_mm, marker_mm: sides. dictionary:
    name of the markers' dictionary in OpenCV, such as DICT_4X4_50. legacy: printed by OpenCV
    before 4.6, which places the markers of a board with an even number of rows otherwise. Raises
    UsageError otherwise.
    """

    columns: int
    rows: int
    square_mm: float
    marker_mm: float
    dictionary: str = 'DICT_4X4_50'
    legacy: bool = False

    def __post_init__(self) -> None:
        _require_sides(self.columns, self.rows, 'squares of the ChArUco board')
        _require_length(self.square_mm, 'the side of a square')
        _require_length(self.marker_mm, 'the side of a marker')
        if self.marker_mm >= self.square_mm:
            raise UsageError(
                f'the markers ({self.marker_mm:g} mm) must be smaller than the squares '
                f'({self.square_mm:g} mm) they stand in'
            )

    @property
    def corners_mm(self) -> np.ndarray:
        """All inner corners in the order of their numbers, N x 3 float64, z = 0."""
        return _grid(self.columns - 1, self.rows - 1, self.square_mm)

    @property
    def turns(self) -> tuple[int, ...]:
        """The markers tell every turn of the board."""
        return (0,)

    def __str__(self) -> str:
        return (
            f'ChArUco board of {self.columns}x{self.rows} squares, {self.square_mm:g} mm each, '
            f'{self.marker_mm:g} mm a marker of {self.dictionary}'
        )


Board = Checkerboard | CharucoBoard


class BoardView(NamedTuple):
    """What one picture shows of a board.

    ids: N distinct corner numbers, int, ascending. points_px: N x 2 float64, their places.
    """

    ids: np.ndarray
    points_px: np.ndarray

    def only(self, ids: np.ndarray) -> BoardView:
        """The corners of it whose numbers are among `ids`."""
        kept = np.isin(self.ids, ids)
        return BoardView(self.ids[kept], self.points_px[kept])


class BoardPair(NamedTuple):
    """What both pictures of a pair show; None where the board was not found in one of them."""

    name: str
    left: BoardView | None
    right: BoardView | None

    @property
    def common(self) -> BoardPair | None:
        """Both views reduced to the corners that both show; None where these do not suffice."""
        if self.left is None or self.right is None:
            return None
        left, right = self.left.only(self.right.ids), self.right.only(self.left.ids)
        return BoardPair(self.name, left, right) if len(left.ids) >= MIN_CORNERS else None


def fixes_pose(view: BoardView | None, corners_mm: np.ndarray) -> bool:
    """True where the corners suffice for the pose of the board: enough, and not on one line."""
    if view is None or len(view.ids) < MIN_CORNERS:
        return False
    places = corners_mm[view.ids, :2]
    spread = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)
    return bool(spread[1] > 0.05 * spread[0])


def in_order_of(left: BoardView, right: BoardView, board: Board) -> BoardView:
    """The right view with the corner numbers of the left one.

    A board that looks the same after a half (or quarter) turn gives its first corner to either
    end. The eyes of a rig stand side by side and upright, so that of all numberings the one is
    right whose corners lie about the middle of the board as in the left view.
    """
    if board.turns == (0,):
        return right
    assert isinstance(board, Checkerboard)
    numbers = np.arange(board.columns * board.rows).reshape(board.rows, board.columns)
    places = right.points_px - right.points_px.mean(axis=0)
    wanted = left.points_px - left.points_px.mean(axis=0)

    def distance(order: np.ndarray) -> float:
        return float(np.square(places[order] - wanted).sum())

    orders = [np.rot90(numbers, turn).ravel() for turn in board.turns]
    best = min(orders, key=distance)
    return BoardView(right.ids, right.points_px[best])


def _grid(columns: int, rows: int, side_mm: float) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1) * float(side_mm)


def _require_sides(columns: int, rows: int, what: str) -> None:
    if not (3 <= columns <= MAX_SIDE and 3 <= rows <= MAX_SIDE):
        raise UsageError(f'{columns}x{rows} {what}; expected 3 to {MAX_SIDE} a side')


def _require_length(length_mm: float, what: str) -> None:
    if not (math.isfinite(length_mm) and length_mm > 0):
        raise UsageError(f'{what} is {length_mm:g} mm; expected a positive length')
