"""One layer of a scene: a smooth surface with a border, a texture and a disparity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.data.synth.stereo_frame import ToolType

Box = tuple[int, int, int, int]  # left, top, width, height on the canvas, px


@dataclass(frozen=True, eq=False)
class Shape:
    """Where a layer is and how far away: all that the light needs to know.

    The canvas is the left picture, extended to the right by the largest disparity, because that
    is how far to the right the right camera sees. box: the part of the canvas that the arrays
    cover. opacity: H x W float32 in 0..1; the layer is where it is at least 0.5. disparity_px:
    H x W float32, defined on the whole box, with a slope along x below 1. parts: H x W uint8 or
    None; tool_type belongs to it.
    """

    box: Box
    opacity: np.ndarray
    disparity_px: np.ndarray
    parts: np.ndarray | None = None
    tool_type: ToolType = ToolType.BACKGROUND


@dataclass(frozen=True, eq=False)
class Layer:
    """A shape with its colours: H x W x 3 float32 linear RGB as each view sees them.

    The two differ by the highlights only, which are no part of the surface.
    """

    shape: Shape
    left_colour: np.ndarray
    right_colour: np.ndarray
