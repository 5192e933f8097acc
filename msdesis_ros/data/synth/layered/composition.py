"""Both views of the layers: the nearest wins in each, and what hides what is exact.

A point of the left picture at x with the disparity d is at x - d in the right one. Along a row
that is monotone for each layer, so the right view looks it up the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.layer import Layer, Shape

SOLID = 0.5  # from this opacity on a pixel belongs to the layer
ROW_STEP = 4  # every fourth row is inverted by search, which starts the rows between
SUBPIXEL_STEPS = 32  # OpenCV's remap rounds positions to this
NEWTON_STEPS = 3
FAR_PX = 2e4  # beyond the ends of a layer


@dataclass(frozen=True, eq=False)
class View:
    """One picture: colour H x W x 3 float32, disparity_px H x W float32, owner H x W int16.

    owner counts the layers from 0, back to front. disparity_px is that of the owner at the pixel
    of this view: a point at x here is at x - d (left view) or x + d (right view) in the other.
    """

    colour: np.ndarray
    disparity_px: np.ndarray
    owner: np.ndarray

    @classmethod
    def blank(cls, image_size: tuple[int, int]) -> View:
        """Nothing yet."""
        width, height = image_size
        return cls(
            np.zeros((height, width, 3), np.float32),
            np.full((height, width), -1, np.float32),
            np.full((height, width), -1, np.int16),
        )

    def paint(
        self,
        number: int,
        corner: tuple[int, int],
        *,
        colour: np.ndarray,
        opacity: np.ndarray,
        disparity_px: np.ndarray,
    ) -> None:
        """Put layer `number` in front of what is farther away; corner: (x, y) in the picture.

        Layer 0 is the ground: opaque, and painted before all others.
        """
        rows = slice(corner[1], corner[1] + opacity.shape[0])
        columns = slice(corner[0], corner[0] + opacity.shape[1])
        if number == 0:  # the ground covers everything
            self.colour[rows, columns] = colour
            self.disparity_px[rows, columns] = disparity_px
            self.owner[rows, columns] = 0
            return
        behind = self.disparity_px[rows, columns]
        weight = opacity * (disparity_px > behind)
        solid = weight >= SOLID
        target = self.colour[rows, columns]
        target[:] = cv2.blendLinear(colour, target, weight, 1 - weight)
        np.copyto(behind, disparity_px, where=solid)
        np.copyto(self.owner[rows, columns], np.int16(number), where=solid)


def compose(layers: Sequence[Layer], image_size: tuple[int, int]) -> tuple[View, View]:
    """The left and the right view of layers given back to front."""
    left, right = View.blank(image_size), View.blank(image_size)
    for number, layer in enumerate(layers):
        _paint_left(left, number, layer)
        _paint_right(right, number, layer)
    return left, right


def _paint_left(view: View, number: int, layer: Layer) -> None:
    x, y, width, _ = layer.shape.box
    width = min(width, view.owner.shape[1] - x)
    if width > 0:
        view.paint(
            number,
            (x, y),
            colour=layer.left_colour[:, :width],
            opacity=layer.shape.opacity[:, :width],
            disparity_px=layer.shape.disparity_px[:, :width],
        )


def _paint_right(view: View, number: int, layer: Layer) -> None:
    box_x, box_y, box_width, _ = layer.shape.box
    disparity = layer.shape.disparity_px
    first = max(0, int(np.ceil(box_x - disparity[:, 0].max())))
    last = min(
        view.owner.shape[1] - 1,
        int(np.floor(box_x + box_width - 1 - disparity[:, -1].min())),
    )
    if last < first:
        return
    x_right = np.arange(first, last + 1, dtype=np.float32)
    x_left = inverse(disparity, x_right - box_x)
    map_y = row_numbers(x_left.shape)
    opacity = cv2.remap(
        layer.shape.opacity, x_left, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    colour = cv2.remap(
        layer.right_colour, x_left, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    view.paint(
        number,
        (first, box_y),
        colour=colour,
        opacity=opacity,
        disparity_px=x_left + (box_x - x_right),
    )


def inverse(disparity_px: np.ndarray, x_right: np.ndarray) -> np.ndarray:
    """H x N float32: the x at which x - d(x) = x_right, in columns of `disparity_px`.

    disparity_px: H x W float32, linear between its pixels, slope along x below 1. x_right: N
    float32. Exact to 0.01 px where the answer lies on the array; outside of it, it is beyond the
    ends too (by an unknown amount).
    """
    height, width = disparity_px.shape
    blocks = -(-height // ROW_STEP)
    starts = _starts(disparity_px, x_right, blocks)
    stretch = np.gradient(starts, axis=1) if len(x_right) > 1 else np.ones_like(starts)
    stretch = _between_rows(stretch)
    x_left = _between_rows(starts)
    y = row_numbers(x_left.shape)
    for _ in range(NEWTON_STEPS):
        # From a position that remap does not round.
        x_left *= SUBPIXEL_STEPS
        np.rint(x_left, out=x_left)
        x_left *= np.float32(1 / SUBPIXEL_STEPS)
        error = cv2.remap(
            disparity_px, x_left, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        error += x_right
        error -= x_left
        error *= stretch
        x_left += error
    return x_left[:height]


def _between_rows(known: np.ndarray) -> np.ndarray:
    """(N + 1) x W values of every ROW_STEP-th row as all N * ROW_STEP rows, on straight lines."""
    share = (np.arange(ROW_STEP, dtype=np.float32) / ROW_STEP)[:, None]
    between = known[:-1, None] + (known[1:, None] - known[:-1, None]) * share
    return between.reshape(-1, known.shape[1])


def row_numbers(shape: tuple[int, int]) -> np.ndarray:
    """H x W float32: the number of each row, for a remap along rows."""
    return np.repeat(np.arange(shape[0], dtype=np.float32)[:, None], shape[1], axis=1)


def _starts(disparity_px: np.ndarray, x_right: np.ndarray, blocks: int) -> np.ndarray:
    """(blocks + 1) x N: the inverse along each ROW_STEP-th row, searched.

    The last of these rows may lie below the array, where the disparity goes on straight.
    """
    height, width = disparity_px.shape
    columns = np.arange(width, dtype=np.float64)
    ends = np.concatenate([[-FAR_PX], columns, [width + FAR_PX]])
    starts = np.empty((blocks + 1, len(x_right)), np.float32)
    for number, start in enumerate(starts):
        row = min(number * ROW_STEP, height - 1)
        disparity = disparity_px[row]
        if (beyond := number * ROW_STEP - row) and height > 1:
            disparity = disparity + beyond * (disparity - disparity_px[row - 1])
        forward = columns - disparity
        # Straight on beyond the ends, so that the slope is right up to them.
        before = forward[0] - FAR_PX * (forward[1] - forward[0])
        after = forward[-1] + FAR_PX * (forward[-1] - forward[-2])
        forward = np.concatenate([[before], forward, [after]])
        start[:] = np.interp(x_right, forward, ends)
    return starts


def occlusion(shapes: Sequence[Shape], left: View, right: View) -> np.ndarray:
    """H x W bool: the left pixel is hidden in, or outside of, the right picture.

    Hidden: another layer is nearer at x - d. Where the right picture shows the pixel's own layer
    on both sides of x - d it is visible; everywhere else each layer is asked at x - d itself.
    """
    height, width = left.owner.shape
    x_right = np.arange(width, dtype=np.float32) - left.disparity_px
    outside = x_right < 0
    before = np.clip(np.floor(x_right), 0, width - 2).astype(np.int32)
    flat = before + np.arange(height, dtype=np.int32)[:, None] * width
    owners = right.owner.ravel()
    shown = (owners[flat] == left.owner) & (owners[flat + 1] == left.owner)
    hidden = outside.copy()
    y, x = np.nonzero(~shown & ~outside)
    where = x_right[y, x].astype(np.float64)
    own_disparity, own_layer = left.disparity_px[y, x], left.owner[y, x]
    for number in range(len(shapes) - 1, -1, -1):
        rest = np.nonzero(~hidden[y, x] & (own_layer != number))[0]
        covers = nearer_at(
            shapes[number],
            where[rest],
            y[rest],
            than_px=own_disparity[rest],
        )
        hidden[y[rest[covers]], x[rest[covers]]] = True
    return hidden


def nearer_at(
    shape: Shape, x_right: np.ndarray, rows: np.ndarray, *, than_px: np.ndarray
) -> np.ndarray:
    """N bool: the layer covers (x_right, row) of the right view with a larger disparity."""
    box_x, box_y, width, height = shape.box
    answer = np.zeros(len(x_right), bool)
    near = shape.disparity_px.max()
    asked = np.nonzero(
        (rows >= box_y)
        & (rows < box_y + height)
        & (than_px < near)
        & (x_right + near >= box_x)
        & (x_right <= box_x + width - 1)
    )[0]
    row, target = rows[asked] - box_y, x_right[asked] - box_x
    # Bisection along the row: x - d(x) rises with x.
    low, high = np.zeros(len(asked), np.int64), np.full(len(asked), width - 1)
    while len(low) and int((high - low).max()) > 1:
        middle = (low + high) // 2
        left_of = middle - shape.disparity_px[row, middle] <= target
        low, high = np.where(left_of, middle, low), np.where(left_of, high, middle)
    first = low - shape.disparity_px[row, low].astype(np.float64)
    second = high - shape.disparity_px[row, high].astype(np.float64)
    share = (target - first) / np.where(second > first, second - first, 1.0)
    inside = (share >= 0) & (share <= 1)
    disparity = low + share * (high - low) - target
    opacity = shape.opacity[row, low] * (1 - share) + shape.opacity[row, high] * share
    answer[asked] = inside & (opacity >= SOLID) & (disparity > than_px[asked])
    return answer
