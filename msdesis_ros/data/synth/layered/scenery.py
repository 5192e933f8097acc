"""From a recipe to layers: where they are first, then light, then colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from msdesis_ros.data.synth.layered.colours import TISSUES
from msdesis_ros.data.synth.layered.layer import Layer, Shape
from msdesis_ros.data.synth.layered.light import add_glare, sample_lamp, shades
from msdesis_ros.data.synth.layered.noise import fractal
from msdesis_ros.data.synth.layered.patterns import pattern_colour
from msdesis_ros.data.synth.layered.recipe import LayerPlan, Recipe, disparity_limits_px
from msdesis_ros.data.synth.layered.silhouettes import (
    Contour,
    band,
    blob,
    bounding_box,
    filled,
    half_plane,
    meander,
    polygon,
    strokes,
    with_edge,
)
from msdesis_ros.data.synth.layered.surfaces import smooth_disparity
from msdesis_ros.data.synth.layered.tissue import tissue_colour
from msdesis_ros.data.synth.layered.tool_colours import tool_colour, tool_glare
from msdesis_ros.data.synth.layered.tools import Tool, sample_tool, tool_shape
from msdesis_ros.data.synth.rigs import EndoscopeRig

Seed = tuple[int, ...]


def build_layers(recipe: Recipe, rig: EndoscopeRig, seed: Seed, *, clean: bool) -> list[Layer]:
    """The layers of a recipe, farthest first. seed: of this scene; clean: without highlights."""
    limits = disparity_limits_px(rig.image_size[0])
    placed = []
    for number, plan in enumerate(recipe.layers):
        rng = np.random.default_rng([*seed, number, 0])
        shape, tool = _shape(rng, plan, rig, limits)
        if shape is not None:
            shape = seen_by_either(shape, rig.image_size[0])
            placed.append((_mean_disparity_px(shape), number, plan, shape, tool))
    # The ground stays first: it is the one that covers everything.
    placed[1:] = sorted(placed[1:], key=lambda one: one[:2])
    shapes = [one[3] for one in placed]
    rng = np.random.default_rng([*seed, len(recipe.layers), 1])
    lamp = sample_lamp(
        rng,
        rig.image_size,
        reference_px=float(np.median([one[0] for one in placed])),
        surgical=recipe.kind == 'tissue',
    )
    lights = shades(shapes, lamp, canvas_size(rig.image_size), focal_px=rig.focal_px)
    layers = []
    for (_, number, plan, shape, tool), light in zip(placed, lights, strict=True):
        rng = np.random.default_rng([*seed, number, 1])
        colour = _colour(rng, plan, shape, tool)
        cv2.multiply(colour, cv2.merge([light] * 3), dst=colour)
        layers.append(_with_glare(rng, plan, shape, colour, tool, clean=clean))
    return layers


def canvas_size(image_size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the left picture with what only the right camera can see, px."""
    width, height = image_size
    return width + int(np.ceil(disparity_limits_px(width)[1])) + 4, height


def seen_by_either(shape: Shape, width: int) -> Shape:
    """The shape without the columns that are right of what both cameras see."""
    x, y, columns, rows = shape.box
    leftmost = np.arange(x, x + columns) - shape.disparity_px.max(axis=0)
    # Two columns more, because cubic interpolation reaches that far.
    kept = min(columns, int(np.searchsorted(leftmost, width - 1, side='right')) + 3)
    if kept == columns or kept < 8:
        return shape
    return replace(
        shape,
        box=(x, y, kept, rows),
        opacity=np.ascontiguousarray(shape.opacity[:, :kept]),
        disparity_px=np.ascontiguousarray(shape.disparity_px[:, :kept]),
        parts=None if shape.parts is None else np.ascontiguousarray(shape.parts[:, :kept]),
    )


def _mean_disparity_px(shape: Shape) -> float:
    solid = (shape.opacity >= 0.5).view(np.uint8)
    return float(cv2.mean(shape.disparity_px, mask=solid)[0])


def _shape(
    rng: np.random.Generator, plan: LayerPlan, rig: EndoscopeRig, limits: tuple[float, float]
) -> tuple[Shape | None, Tool | None]:
    canvas = canvas_size(rig.image_size)
    if plan.form == 'tool':
        tool = sample_tool(
            rng,
            rig.image_size,
            disparity_px=plan.disparity_px,
            largest_px=limits[1],
            baseline_mm=rig.baseline_mm,
        )
        shape = tool_shape(
            tool,
            canvas,
            focal_px=rig.focal_px,
            limits_px=limits,
            softness_px=plan.softness_px,
        )
        return shape, tool
    if plan.form == 'ground':
        box = (0, 0, *canvas)
        opacity = np.ones((canvas[1], canvas[0]), np.float32)
    else:
        drawn = _outline(rng, plan, canvas, rig.image_size)
        if drawn is None:
            return None, None
        box, opacity = drawn
    disparity = smooth_disparity(
        rng, box, plan.relief, mean_px=plan.disparity_px, limits_px=limits, opacity=opacity
    )
    return Shape(box, opacity, disparity), None


def _outline(
    rng: np.random.Generator,
    plan: LayerPlan,
    canvas: tuple[int, int],
    image_size: tuple[int, int],
) -> tuple[tuple[int, int, int, int], np.ndarray] | None:
    """The box and the opacity of a layer, or None if it misses the canvas."""
    # The right camera sees the canvas from its own disparity on.
    centre = rng.uniform(0, 1, 2) * image_size + (plan.disparity_px * rng.random(), 0)
    if plan.form == 'threads':
        return _threads(rng, plan, canvas)
    box = bounding_box(contours := _contours(rng, plan, centre, canvas), canvas)
    if box is None:
        return None
    picture = filled(contours, box)
    if plan.form == 'cloud':
        holes = fractal(rng, picture.shape, coarsest_px=64, persistence=0.5)
        kept = np.clip((holes + np.float32(0.4)) * 2500 + 128, 0, 255).astype(np.uint8)
        picture = cv2.min(picture, cv2.GaussianBlur(kept, (0, 0), 1.0))
    opacity = with_edge(picture, softness_px=plan.softness_px)
    return (box, opacity) if (opacity >= 0.5).any() else None


def _contours(
    rng: np.random.Generator, plan: LayerPlan, centre: np.ndarray, canvas: tuple[int, int]
) -> list[Contour]:
    if plan.form == 'half_plane':
        return [half_plane(rng, centre, size_px=0.5 * canvas[0])]
    if plan.form == 'box':
        return [polygon(rng, centre, plan.size_px, corners=4)]
    if plan.form == 'polygon':
        return [polygon(rng, centre, plan.size_px, corners=int(rng.integers(3, 9)))]
    if plan.form == 'band':
        path = meander(rng, canvas, bends=0.1)
        width = plan.size_px * 0.25 * (1 + 0.4 * np.sin(np.linspace(0, 6, len(path))))
        return [band(path, np.maximum(width, 2.0))]
    if plan.form == 'ring':
        outer = blob(rng, centre, plan.size_px, roughness=0.1)
        return [outer, centre + (outer - centre) * rng.uniform(0.4, 0.85)]
    return [blob(rng, centre, plan.size_px, roughness=float(rng.uniform(0.05, 0.5)))]


def _threads(
    rng: np.random.Generator, plan: LayerPlan, canvas: tuple[int, int]
) -> tuple[tuple[int, int, int, int], np.ndarray] | None:
    paths = [meander(rng, canvas, bends=0.35) for _ in range(rng.integers(1, 4))]
    box = bounding_box(paths, canvas, margin_px=8)
    if box is None:
        return None
    picture = strokes(paths, box, width_px=float(np.exp(rng.uniform(0, np.log(6)))))
    opacity = with_edge(picture, softness_px=min(plan.softness_px, 0.5))
    return (box, opacity) if (opacity >= 0.5).any() else None


def _colour(
    rng: np.random.Generator, plan: LayerPlan, shape: Shape, tool: Tool | None
) -> np.ndarray:
    """H x W x 3 float32: what the layer reflects."""
    if tool is not None:
        return tool_colour(rng, tool, shape.box)
    size = shape.opacity.shape
    if plan.texture in TISSUES:
        return tissue_colour(rng, size, plan.texture, contrast=plan.contrast)
    return pattern_colour(rng, size, plan.texture)


def _with_glare(
    rng: np.random.Generator,
    plan: LayerPlan,
    shape: Shape,
    colour: np.ndarray,
    tool: Tool | None,
    *,
    clean: bool,
) -> Layer:
    if clean or (tool is None and not plan.glare_spots):
        return Layer(shape, colour, colour)
    left, right = colour, colour.copy()
    if tool is None:
        add_glare(rng, left, right, spots=plan.glare_spots)
    else:
        for view, glare in zip((left, right), tool_glare(rng, tool, shape.box), strict=True):
            view += glare[..., None]
    return Layer(shape, left, right)


def truth_of_parts(layers: Sequence[Layer], owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """H x W uint8 `Part` and `ToolType` of the left picture's pixels, by their owners."""
    parts, types = np.zeros(owner.shape, np.uint8), np.zeros(owner.shape, np.uint8)
    for number, layer in enumerate(layers):
        shape = layer.shape
        if shape.parts is None:
            continue
        x, y, width, height = shape.box
        width = min(width, owner.shape[1] - x)
        if width <= 0:
            continue
        place = (slice(y, y + height), slice(x, x + width))
        mine = owner[place] == number
        np.copyto(parts[place], shape.parts[:, :width], where=mine)
        types[place][mine] = shape.tool_type
    return parts, types
