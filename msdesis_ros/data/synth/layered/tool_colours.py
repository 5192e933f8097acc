"""What instruments look like: dark or metal shafts, wrists with pins and slots, metal jaws."""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.colours import DISPLAY_TO_LINEAR
from msdesis_ros.data.synth.layered.layer import Box
from msdesis_ros.data.synth.layered.noise import fractal
from msdesis_ros.data.synth.layered.silhouettes import filled, fixed_point
from msdesis_ros.data.synth.layered.tools import Limb, Tool, local_axes
from msdesis_ros.data.synth.stereo_frame import Part, ToolType


def tool_colour(rng: np.random.Generator, tool: Tool, box: Box) -> np.ndarray:
    """H x W x 3 float32 linear RGB over the box of the tool."""
    along, across = tool.along_across(box)
    metal_shaft = tool.tool_type is ToolType.SUCTION_TUBE or rng.random() < 0.35
    profile = _metal_profile(rng) if metal_shaft else _dark_profile(rng)
    display = _rolled(rng, across, profile, wear=10.0 if metal_shaft else 4.0)
    _ring_marks(rng, display, along / tool.radius_px)
    for limb in tool.limbs[1:]:
        _paint_limb(rng, display, limb, box)
    _holes(rng, display, tool, box)
    if rng.random() < 0.2:
        _stain(rng, display, along, reach_px=tool.radius_px * rng.uniform(2, 6))
    return cv2.LUT(cv2.GaussianBlur(display, (5, 5), 0.7), DISPLAY_TO_LINEAR)


def tool_glare(rng: np.random.Generator, tool: Tool, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """The light along the shaft as the left and the right eye see it, H x W float32 each.

    The reflection of a fibre on a cylinder is a line, and not at one place for both eyes.
    """
    _, across = tool.along_across(box)
    wear = fractal(rng, across.shape, coarsest_px=64, persistence=0.7)
    wear = np.clip(wear * np.float32(0.5) + np.float32(0.6), 0, 1.5)
    place, width = rng.uniform(-0.6, 0.6), rng.uniform(0.03, 0.14)
    strength = rng.choice([rng.uniform(0.02, 0.3), rng.uniform(0.3, 2.0)])
    views = []
    for shift in (0.0, rng.normal(0, 0.12)):
        bell = np.exp(-np.square((across - np.float32(place + shift)) * np.float32(1 / width)))
        views.append(bell * wear * np.float32(strength * rng.uniform(0.6, 1.3)))
    return views[0], views[1]


def _dark_profile(rng: np.random.Generator) -> np.ndarray:
    """256 x 3 display values across a coated shaft, lit from the front."""
    u = np.linspace(-1, 1, 256)
    light = 0.35 + 0.65 * np.sqrt(np.maximum(1 - (u - rng.uniform(-0.3, 0.3)) ** 2, 0))
    light += 0.8 * np.exp(-(((u - rng.uniform(-0.5, 0.5)) / rng.uniform(0.1, 0.3)) ** 2))
    grey = rng.uniform(16, 52) * (1 + rng.normal(0, 0.08, 3))
    return light[:, None] * grey


def _metal_profile(rng: np.random.Generator) -> np.ndarray:
    """256 x 3 display values: metal mirrors its surroundings in bands, some of them tissue."""
    u = np.linspace(-1, 1, 256)
    level = rng.uniform(60, 140) * (0.5 + 0.5 * np.sqrt(np.maximum(1 - 0.9 * u**2, 0)))
    profile = np.repeat(level[:, None], 3, axis=1)
    for _ in range(int(rng.integers(3, 7))):
        bell = np.exp(-(((u - rng.uniform(-1, 1)) / rng.uniform(0.06, 0.35)) ** 2))
        tint = (1, 1, 1) if rng.random() < 0.6 else (1.0, 0.45, 0.38)
        profile += bell[:, None] * rng.uniform(-60, 110) * np.array(tint)
    return profile


def _rolled(
    rng: np.random.Generator, across: np.ndarray, profile: np.ndarray, *, wear: float
) -> np.ndarray:
    """H x W x 3 uint8: a profile across a limb, with the uneven surface of a used instrument."""
    level = across * np.float32(110) + np.float32(128)
    level += fractal(rng, across.shape, coarsest_px=32, persistence=0.7) * np.float32(wear)
    index = np.clip(level, 0, 255).astype(np.uint8)
    ramp = np.clip(profile, 4, 250).astype(np.uint8)[None]
    return cv2.LUT(cv2.merge([index] * 3), ramp)


def _ring_marks(rng: np.random.Generator, display: np.ndarray, along: np.ndarray) -> None:
    """Rings and seams around the shaft; along: in radii, 0 at the tip, falling to the border."""
    for _ in range(int(rng.integers(0, 4))):
        at, width = -rng.uniform(0.2, 9), rng.uniform(0.04, 0.35)
        ring = np.abs(along - np.float32(at)) < width
        gain = rng.uniform(0.3, 0.8) if rng.random() < 0.6 else rng.uniform(1.2, 2.6)
        display[ring] = np.clip(display[ring] * gain + 6, 0, 255).astype(np.uint8)


def _paint_limb(rng: np.random.Generator, display: np.ndarray, limb: Limb, box: Box) -> None:
    """Metal with its own profile, where the limb is."""
    points = np.concatenate(limb.contours)
    low = np.maximum(np.floor(points.min(0)).astype(int) - 3, (box[0], box[1]))
    high = np.minimum(np.ceil(points.max(0)).astype(int) + 4, (box[0] + box[2], box[1] + box[3]))
    if (high - low < 8).any():
        return
    inner = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    along, across = local_axes(inner, limb.start, limb.heading)
    colour = _rolled(rng, across / np.float32(limb.radius_px), _metal_profile(rng), wear=14.0)
    if limb.part is Part.WRIST:
        _slots(rng, colour, along / np.float32(limb.radius_px))
    elif rng.random() < 0.6:
        pitch = max(3.0, 0.14 * limb.radius_px)
        teeth = np.sin(along * np.float32(2 * np.pi / pitch)) * (
            np.abs(across) < limb.radius_px * 0.35
        )
        colour = cv2.add(colour, cv2.merge([(teeth * 14).astype(np.int16)] * 3), dtype=cv2.CV_8U)
    mask = cv2.dilate(filled(limb.contours, inner), np.ones((3, 3), np.uint8))
    rows = slice(inner[1] - box[1], inner[1] - box[1] + inner[3])
    columns = slice(inner[0] - box[0], inner[0] - box[0] + inner[2])
    target = display[rows, columns]
    np.copyto(target, colour, where=(mask >= 64)[..., None])
    outline = [fixed_point(c, inner) for c in limb.contours]
    edge = np.zeros(mask.shape, np.uint8)
    cv2.polylines(edge, outline, True, 55, 2, cv2.LINE_AA, 4)
    target[:] = cv2.subtract(target, cv2.merge([cv2.min(edge, mask)] * 3), dtype=cv2.CV_8U)


def _slots(rng: np.random.Generator, colour: np.ndarray, along: np.ndarray) -> None:
    """Dark gaps and steps between the pieces of a wrist."""
    for _ in range(int(rng.integers(1, 4))):
        at, width = rng.uniform(0, 2), rng.uniform(0.04, 0.2)
        gap = np.abs(along - np.float32(at)) < width
        colour[gap] = (colour[gap] * rng.uniform(0.15, 0.6)).astype(np.uint8)


def _holes(rng: np.random.Generator, display: np.ndarray, tool: Tool, box: Box) -> None:
    """Pins of the joints, or the holes of a suction tube."""
    if tool.tool_type is ToolType.SUCTION_TUBE:
        places = [tool.tip - tool.heading * tool.radius_px * t for t in rng.uniform(0.8, 4.0, 4)]
        size, ring, core = 0.2 * tool.radius_px, 60, 8
    else:
        places = [limb.start for limb in tool.limbs[1:3]]
        size, ring, core = rng.uniform(0.15, 0.3) * tool.radius_px, 30, int(rng.uniform(50, 150))
    for place in places:
        centre = tuple(int(v) for v in fixed_point(place[None], box)[0])
        for part, level in ((1.0, ring), (0.7, core)):
            radius = max(8, int(size * part * 16))
            cv2.circle(display, centre, radius, (level,) * 3, -1, cv2.LINE_AA, 4)


def _stain(
    rng: np.random.Generator, display: np.ndarray, along: np.ndarray, *, reach_px: float
) -> None:
    """Blood near the tip."""
    cover = fractal(rng, along.shape, coarsest_px=32, persistence=0.6)
    cover += along * np.float32(1 / reach_px)
    cover = np.clip(cover * np.float32(1.5), 0, np.float32(rng.uniform(0.4, 0.9)))
    blood = np.array([rng.uniform(60, 120), 8, 10], np.float32)
    mixed = display + (blood - display) * cover[..., None]
    display[:] = mixed.astype(np.uint8)
