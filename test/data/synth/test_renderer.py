"""The renderer against hand-written geometry: a plane, a sphere, lights and shadows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.data.synth.assembly import Assembly, Body, Light, Material
from msdesis_ros.data.synth.mesh import grid_mesh
from msdesis_ros.data.synth.renderer import Renderer
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.stereo_frame import Part, ToolType

SIZE = (160, 128)
RIG = EndoscopeRig(SIZE, focal_px=130.0, cx_px=78.3, cy_px=61.9, baseline_mm=4.4)
GREY = Material(colour=(0.5, 0.5, 0.5), second_colour=(0.5, 0.5, 0.5), roughness=0.6)
LIGHTS = (Light((-2.0, 0.0, 0.0), cone=0.0), Light((6.0, 0.0, 0.0), cone=0.0))


def plane(z_mm: float, *, half_mm: float = 200.0, slope: float = 0.0, at: float = 0.0) -> Body:
    y, x = np.mgrid[-half_mm:half_mm:5j, -half_mm:half_mm:5j]
    return Body(grid_mesh(np.stack([x + at, y, z_mm + slope * x], axis=-1)), GREY)


def scene(*bodies: Body, **changes) -> Assembly:
    return replace(Assembly(bodies, LIGHTS, ambient=0.0), **changes)


def columns() -> np.ndarray:
    return np.broadcast_to(np.arange(SIZE[0], dtype=float), SIZE[::-1])


def test_depth_of_a_slanted_plane_is_exact_at_pixel_centres(renderer):
    left, right = renderer.render(scene(plane(60.0, slope=0.4)), RIG)
    for view, shift in ((left, 0.0), (right, RIG.baseline_mm)):
        # z = 60 + 0.4 (x_camera + shift), x_camera = z (column - cx) / f
        tangent = (columns() - RIG.cx_px) / RIG.focal_px
        expected = (60.0 + 0.4 * shift) / (1 - 0.4 * tangent)
        np.testing.assert_allclose(view.depth_mm, expected, rtol=2e-5)


def test_what_lies_in_front_hides_what_lies_behind_and_names_itself(renderer):
    tool = replace(
        plane(30.0, half_mm=6.0), part=Part.WRIST, tool_type=ToolType.SCISSORS, instrument=2
    )
    left, right = renderer.render(scene(tool, plane(60.0)), RIG)
    for view, shift in ((left, 0.0), (right, RIG.baseline_mm)):
        x = 30.0 * (columns() - RIG.cx_px) / RIG.focal_px + shift
        y = 30.0 * (np.arange(SIZE[1])[:, None] - RIG.cy_px) / RIG.focal_px
        inside = (np.abs(x) < 6.0) & (np.abs(y) < 6.0)
        np.testing.assert_array_equal(view.parts == Part.WRIST, inside)
        np.testing.assert_array_equal(view.types == ToolType.SCISSORS, inside)
        np.testing.assert_array_equal(view.instruments, np.where(inside, 2, 0))
        np.testing.assert_array_equal(view.bodies, np.where(inside, 1, 2))


def test_where_nothing_is_the_depth_is_nan_and_the_light_zero(renderer):
    left, _ = renderer.render(scene(plane(60.0, half_mm=15.0)), RIG)
    empty = ~np.isfinite(left.depth_mm)
    assert 0.3 < empty.mean() < 0.9
    assert (left.bodies[empty] == 0).all()
    grown = np.isfinite(left.depth_mm)
    for axis in (0, 1):  # the picture's edges are smoothed over one pixel, the truth's are not
        grown = grown | np.roll(grown, 1, axis) | np.roll(grown, -1, axis)
    assert (left.radiance[~grown] == 0).all()


def test_a_matt_surface_gets_light_by_distance_and_angle(renderer):
    matt = replace(GREY, colour=(0.8, 0.4, 0.2), second_colour=(0.8, 0.4, 0.2))
    wall = replace(plane(50.0), material=matt)
    left, _ = renderer.render(scene(wall), RIG, clean=True)
    x = 50.0 * (columns() - RIG.cx_px) / RIG.focal_px
    y = 50.0 * (np.arange(SIZE[1])[:, None] - RIG.cy_px) / RIG.focal_px
    expected = np.zeros(SIZE[::-1])
    for light in LIGHTS:
        far2 = (x - light.position_mm[0]) ** 2 + y**2 + 50.0**2
        # Half of the power each; the reference is the median distance, 50 mm.
        expected += 0.5 * 50.0**2 / far2 * 50.0 / np.sqrt(far2)
    for channel, reflectance in enumerate((0.8, 0.4, 0.2)):
        np.testing.assert_allclose(
            left.radiance[..., channel], reflectance * expected, rtol=0.01, atol=1e-3
        )


def test_an_object_throws_a_shadow_away_from_the_light(renderer):
    lights = (Light((-25.0, 0.0, 0.0), cone=0.0), Light((-25.0, 0.0, 0.0), cone=0.0))
    blocker = plane(40.0, half_mm=5.0)
    bright, _ = renderer.render(scene(plane(60.0), lights=lights), RIG, clean=True)
    shaded, _ = renderer.render(scene(blocker, plane(60.0), lights=lights), RIG, clean=True)
    # From x = -25 past 0 at 40 mm the light meets the plane at x = 12.5 mm.
    row = round(RIG.cy_px)
    column = round(RIG.cx_px + RIG.focal_px * 12.5 / 60.0)
    assert shaded.radiance[row, column].max() < 0.05 * bright.radiance[row, column].max()
    column = round(RIG.cx_px - RIG.focal_px * 20.0 / 60.0)
    np.testing.assert_allclose(shaded.radiance[row, column], bright.radiance[row, column])


def test_highlights_stand_at_other_places_in_the_two_views_unless_clean(renderer):
    shiny = replace(GREY, roughness=0.25, wetness=1.0)
    wall = replace(plane(50.0), material=shiny)
    disparity_px = RIG.focal_px * RIG.baseline_mm / 50.0

    def brightest(view) -> float:
        weight = np.maximum(view.radiance[..., 0] - 0.7 * view.radiance[..., 0].max(), 0)
        return float((weight * columns()).sum() / weight.sum())

    lights = (Light((2.0, 0.0, 0.0), cone=0.0),) * 2
    left, right = renderer.render(scene(wall, lights=lights), RIG)
    # The mirror image of a light lies twice as far away: half of the disparity.
    assert brightest(left) - brightest(right) == pytest.approx(disparity_px / 2, abs=0.5)
    left, right = renderer.render(scene(wall), RIG, clean=True)
    shifted = int(round(disparity_px))
    assert abs(disparity_px - shifted) < 0.5
    np.testing.assert_allclose(
        left.radiance[:, 40:120], right.radiance[:, 40 - shifted : 120 - shifted], rtol=0.02
    )


def test_a_mirrored_light_is_bright_but_finite(renderer):
    mirror = Material(
        colour=(1.0, 1.0, 1.0), second_colour=(1.0, 1.0, 1.0), metallic=1.0, roughness=0.01
    )
    # Exposed for what is far, a mirror close by outshines what half floats can hold.
    lights = (Light((0.0, 0.0, 0.0), cone=0.0), Light((4.4, 0.0, 0.0), cone=0.0))
    patch = replace(plane(6.0, half_mm=1.0), material=mirror)
    left, right = renderer.render(scene(patch, plane(200.0), lights=lights), RIG)
    assert max(left.radiance.max(), right.radiance.max()) > 10_000
    assert np.isfinite(left.radiance).all() and np.isfinite(right.radiance).all()


def test_the_camera_may_stand_anywhere(renderer):
    pose = np.eye(4)
    pose[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # looks along the world's x
    pose[:3, 3] = [100.0, 0.0, 0.0]
    wall = replace(plane(60.0), pose=pose)
    seen, _ = renderer.render(scene(wall, left_camera=pose), RIG)
    straight, _ = renderer.render(scene(plane(60.0)), RIG)
    np.testing.assert_allclose(seen.depth_mm, straight.depth_mm, rtol=1e-5)
    np.testing.assert_allclose(seen.radiance, straight.radiance, rtol=0.01)


def test_the_same_scene_gives_the_same_bytes(renderer):
    drawn = scene(plane(30.0, half_mm=6.0), plane(60.0, slope=0.3))
    first, second = (renderer.render(drawn, RIG) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        for name in ('radiance', 'depth_mm', 'parts', 'bodies'):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_a_missing_binding_is_named_with_what_brings_it(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *rest, **named):
        if name == 'moderngl':
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(MissingExtraError, match=r'msdesis_ros\[synth\].*libegl1'):
        Renderer(SIZE)
