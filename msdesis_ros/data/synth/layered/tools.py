"""Instruments as silhouettes: a shaft from the border, a wrist, two jaws; parts and disparity."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.layer import Box, Shape
from msdesis_ros.data.synth.layered.silhouettes import (
    Contour,
    bounding_box,
    filled,
    rotation,
    with_edge,
)
from msdesis_ros.data.synth.stereo_frame import Part, ToolType

SHAFT_RADII_MM = (2.5, 4.2)  # laparoscopic 5 mm to da Vinci 8 mm instruments
LARGEST_RADIUS = 0.09  # of the picture's width; nearer tools would fill it


@dataclass(frozen=True)
class JawForm:
    """Lengths in shaft radii: of the jaws, their half widths at the root and tip; the opening."""

    length: float
    root: float
    tip: float
    widest_opening: float
    window: bool = False


JAWS = {
    ToolType.NEEDLE_DRIVER: JawForm(2.2, 0.62, 0.3, 0.9),
    ToolType.FORCEPS: JawForm(3.4, 0.55, 0.26, 1.1, window=True),
    ToolType.SCISSORS: JawForm(2.6, 0.5, 0.04, 1.2),
    ToolType.GRASPER: JawForm(4.0, 0.55, 0.4, 1.0, window=True),
    ToolType.CLIP_APPLIER: JawForm(2.8, 0.5, 0.36, 0.8),
}
TOOLS = (*JAWS, ToolType.HOOK, ToolType.SUCTION_TUBE)


@dataclass(frozen=True, eq=False)
class Limb:
    """A straight piece: from `start` along a unit `heading`, its contours and which part it is."""

    start: np.ndarray
    heading: np.ndarray
    radius_px: float
    contours: tuple[Contour, ...]
    part: Part


@dataclass(frozen=True, eq=False)
class Tool:
    """An instrument on the canvas, from the shaft to the jaws.

    The shaft widens away from the tip as its disparity rises: px per mm are disparity / baseline.
    slope: px of disparity per px along the shaft, towards the border.
    """

    tool_type: ToolType
    tip: np.ndarray
    heading: np.ndarray
    radius_px: float
    disparity_px: float
    slope: float
    limbs: tuple[Limb, ...]

    def along_across(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """H x W: px along the shaft (0 at the tip), and across it in local radii."""
        along, across = local_axes(box, self.tip, self.heading)
        widening = np.maximum(1 - along * np.float32(self.slope / self.disparity_px), 0.05)
        return along, across / (widening * np.float32(self.radius_px))


def local_axes(box: Box, origin: np.ndarray, heading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """H x W float32: px along a heading and across it, from an origin on the canvas."""
    x = np.arange(box[2], dtype=np.float32)[None] + np.float32(box[0] - origin[0])
    y = np.arange(box[3], dtype=np.float32)[:, None] + np.float32(box[1] - origin[1])
    cos, sin = np.float32(heading[0]), np.float32(heading[1])
    return x * cos + y * sin, y * cos - x * sin


def sample_tool(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    *,
    disparity_px: float,
    largest_px: float,
    baseline_mm: float,
) -> Tool:
    """Draw an instrument whose tip is in the picture and whose shaft comes from its border."""
    width, height = image_size
    tip = rng.uniform((0.12, 0.12), (0.88, 0.85)) * image_size
    # From the sides and from below, seldom from above.
    angle = rng.choice([rng.normal(0, 0.6), np.pi + rng.normal(0, 0.6), rng.uniform(0, 6.3)])
    heading = rotation(angle)[:, 0]
    if heading[1] > 0.2 and rng.random() < 0.6:
        heading = heading * (1, -1)
    radius_mm = rng.uniform(*SHAFT_RADII_MM)
    radius = min(radius_mm * disparity_px / baseline_mm, LARGEST_RADIUS * width)
    length = float(np.hypot(width, height)) * 1.4
    slope = min(rng.uniform(0, 0.1), 0.9 * (largest_px - disparity_px) / length)
    tool_type = TOOLS[rng.integers(len(TOOLS))]
    limbs = _limbs(rng, tool_type, tip, heading, radius, length, 1 + slope / disparity_px * length)
    return Tool(tool_type, tip, heading, radius, disparity_px, slope, limbs)


def _limbs(
    rng: np.random.Generator,
    tool_type: ToolType,
    tip: np.ndarray,
    heading: np.ndarray,
    radius: float,
    length: float,
    widening: float,
) -> tuple[Limb, ...]:
    side = np.array([-heading[1], heading[0]])
    ends = [(-length, widening), (0, 1), (0, -1), (-length, -widening)]
    if tool_type is ToolType.SUCTION_TUBE:
        ends[1:3] = [(-0.3 * radius, 1), (0, 0.55), (0, -0.55), (-0.3 * radius, -1)]
    outline = np.array([tip + t * heading + u * 0.98 * radius * side for t, u in ends])
    shaft = Limb(tip, heading, radius, (outline,), Part.SHAFT)
    if tool_type is ToolType.SUCTION_TUBE:
        return (shaft,)
    bend = rng.normal(0, 0.35)
    wrist_heading = rotation(bend) @ heading
    wrist_length = radius * rng.uniform(1.2, 2.6)
    neck = rng.uniform(0.6, 0.9)
    profile = [(-0.25, 0.9), (0.1, 0.95), (0.3, neck), (0.8, neck), (1.05, 0.8 * neck)]
    wrist = _mirrored(tip, wrist_heading, profile, (wrist_length, radius))
    joint = tip + wrist_heading * wrist_length
    limbs = [shaft, Limb(tip, wrist_heading, radius, (wrist,), Part.WRIST)]
    if tool_type is ToolType.HOOK:
        return (*limbs, _hook(rng, joint, wrist_heading, radius))
    form = JAWS[tool_type]
    middle = rng.normal(0, 0.35)
    opening = rng.uniform(0.05, form.widest_opening) * (rng.random() < 0.8)
    for sign in (-1, 1):
        jaw_heading = rotation(middle + sign * opening / 2) @ wrist_heading
        limbs.append(_jaw(rng, joint, jaw_heading, radius, form, sign=sign))
    return tuple(limbs)


def _mirrored(
    origin: np.ndarray,
    heading: np.ndarray,
    profile: list[tuple[float, float]],
    scale: tuple[float, float],
) -> Contour:
    """The outline of (along, half width) pairs about an axis."""
    half = np.array(profile) * scale
    points = np.concatenate([half, (half * (1, -1))[::-1]])
    return origin + points @ np.stack([heading, [-heading[1], heading[0]]])


def _jaw(
    rng: np.random.Generator,
    joint: np.ndarray,
    heading: np.ndarray,
    radius: float,
    form: JawForm,
    *,
    sign: int,
) -> Limb:
    root, tip = form.root, form.tip
    outline = np.array(
        [(-0.12, -0.4), (0.15, -0.12), (0.98, 0.0), (1.0, 0.3 * tip), (0.97, 0.85 * tip)]
        + [(0.85, tip), (0.5, 0.55 * root + 0.45 * tip), (0.18, root), (-0.12, 0.8 * root)]
    )
    axes = np.stack([heading * form.length * radius, np.array([-heading[1], heading[0]]) * radius])
    axes[1] *= sign
    contours = [joint + outline @ axes]
    if form.window and rng.random() < 0.8:
        inner = np.array([(0.35, 0.3), (0.8, 0.35), (0.8, 0.7), (0.4, 0.72)])
        contours.append(joint + (inner * (1, (root + tip) / 2)) @ axes)
    return Limb(joint, heading, radius * root, tuple(contours), Part.JAWS)


def _hook(rng: np.random.Generator, joint: np.ndarray, heading: np.ndarray, radius: float) -> Limb:
    thick, reach = rng.uniform(0.14, 0.25), rng.uniform(0.7, 1.3) * rng.choice([-1, 1])
    long = rng.uniform(1.5, 3)
    sign = np.sign(reach)
    outline = np.array(
        [(-0.2, -thick * sign), (long + thick, -thick * sign), (long + thick, reach)]
        + [(long - thick, reach), (long - thick, thick * sign), (-0.2, thick * sign)]
    )
    axes = np.stack([heading, [-heading[1], heading[0]]]) * radius
    return Limb(joint, heading, radius * thick, (joint + outline @ axes,), Part.JAWS)


def tool_shape(
    tool: Tool,
    canvas: tuple[int, int],
    *,
    focal_px: float,
    limits_px: tuple[float, float],
    softness_px: float,
) -> Shape | None:
    """Opacity, parts and disparity of a tool, or None if it misses the canvas.

    Half a cylinder of radius r (px) at the disparity d stands out of its axis by d r / f; the
    bell over the axis has that height and no vertical flanks.
    """
    box = bounding_box([c for limb in tool.limbs for c in limb.contours], canvas)
    if box is None:
        return None
    drawn = [filled(limb.contours, box) for limb in tool.limbs]
    opacity = with_edge(np.maximum.reduce(drawn), softness_px=softness_px)
    parts = np.zeros((box[3], box[2]), np.uint8)
    for limb, picture in zip(tool.limbs, drawn, strict=True):
        parts[picture >= 96] = limb.part
    # Blurring the border may carry it beyond the drawing by a pixel or two.
    while (missing := (parts == 0) & (opacity >= 0.5)).any():
        parts[missing] = cv2.dilate(parts, np.ones((3, 3), np.uint8))[missing]
    along, across = tool.along_across(box)
    disparity = along * np.float32(-tool.slope) + np.float32(tool.disparity_px)
    bell = np.exp(-np.square(across))
    disparity += disparity * bell * np.float32(tool.radius_px / focal_px)
    return Shape(box, opacity, np.clip(disparity, *np.float32(limits_px)), parts, tool.tool_type)
