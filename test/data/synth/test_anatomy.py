"""Anatomy: its numbers, its bodies, how they move, and the surface that tools touch."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.anatomy import (
    AnatomyScene,
    build_anatomy,
    sample_anatomy,
    surface_of,
)
from msdesis_ros.data.synth.anatomy.build import triangle_count
from msdesis_ros.data.synth.anatomy.composing import Stage
from msdesis_ros.data.synth.anatomy.description import (
    FARTHEST_MM,
    AnatomyBody,
    Motion,
    Organ,
    Stains,
    Strands,
    Wall,
)
from msdesis_ros.data.synth.anatomy.sampling import TRIANGLES, keep_to_budget, triangles_of
from msdesis_ros.data.synth.anatomy.themes import THEMES
from msdesis_ros.data.synth.assembly import Body, Material
from msdesis_ros.data.synth.rigs import sample_rig
from msdesis_ros.data.synth.stereo_frame import Part, ToolType

SIZE = (640, 512)


def scene_of(seed: int, theme: str | None = None, distance_mm: float = 90.0) -> AnatomyScene:
    rng = np.random.default_rng(seed)
    return sample_anatomy(rng, sample_rig(rng, SIZE), distance_mm, theme=theme)


@pytest.fixture(scope='module', params=sorted(THEMES))
def scene(request: pytest.FixtureRequest) -> AnatomyScene:
    return scene_of(5, request.param)


def bare(distance_mm: float, *bodies: AnatomyBody, **wall: object) -> AnatomyScene:
    ground = AnatomyBody(
        'wall', Wall(distance_mm, relief=0.0, **wall), Material((0.5, 0.1, 0.1)), Stains(), 1
    )
    return AnatomyScene('bare', distance_mm, 15.0, (ground, *bodies), Motion(), (1, 1, 1), 3)


def test_the_same_generator_draws_the_same_anatomy_and_the_same_bytes(scene):
    again = scene_of(5, scene.theme)
    assert again == scene
    bodies = build_anatomy(scene, 0.3)
    # Another scene in between must not matter.
    build_anatomy(scene_of(6, scene.theme), 0.3)
    for one, other in zip(bodies, build_anatomy(again, 0.3), strict=True):
        assert one.mesh.positions.tobytes() == other.mesh.positions.tobytes()
        assert one.mesh.paint.tobytes() == other.mesh.paint.tobytes()
        assert one.material == other.material


def test_another_seed_draws_another_anatomy():
    assert scene_of(5) != scene_of(6)


def test_an_anatomy_survives_json(scene):
    text = json.dumps(asdict(scene), allow_nan=False)
    assert json.loads(text)['theme'] == scene.theme


def test_meshes_are_finite_with_unit_normals_and_faces_in_range(scene):
    bodies = build_anatomy(scene, 0.7)
    assert len(bodies) == len(scene.bodies)
    for body in bodies:
        mesh = body.mesh
        for name in ('positions', 'normals', 'tangents', 'coords', 'paint'):
            assert np.isfinite(getattr(mesh, name)).all(), name
        lengths = np.linalg.norm(mesh.normals, axis=1)
        assert np.abs(lengths - 1).max() < 1e-3
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.positions)
        assert mesh.paint.min() >= 0
        assert mesh.paint.max() <= 1


def test_anatomy_is_background(scene):
    for body in build_anatomy(scene, 0.0):
        assert (body.part, body.tool_type, body.instrument) == (
            Part.BACKGROUND,
            ToolType.BACKGROUND,
            0,
        )


@pytest.mark.parametrize('distance_mm', [20.0, 60.0, 200.0])
def test_everything_stays_between_the_nearest_and_the_farthest_depth(distance_mm):
    for theme in ('upper_abdomen', 'pelvis'):
        scene = scene_of(8, theme, distance_mm)
        assert scene.distance_mm >= scene.nearest_mm * 1.29
        for time_s in (0.0, 1.1):
            depth = np.concatenate([b.mesh.positions[:, 2] for b in build_anatomy(scene, time_s)])
            assert depth.min() >= scene.nearest_mm
            assert depth.max() <= FARTHEST_MM


def test_the_wall_fills_the_picture_whatever_stands_before_it(scene):
    wall = build_anatomy(scene, 0.0)[0].mesh.positions
    direction = wall[:, :2] / wall[:, 2:]
    assert (direction.min(0) < -0.9).all()
    assert (direction.max(0) > 0.9).all()


def test_tissue_moves_smoothly_and_does_move(scene):
    scene = replace(
        scene, motion=replace(scene.motion, breathing_mm=(1.0, 1.0, 0.5), peristalsis=0.05)
    )
    step_s = 1 / 30
    frames = [
        np.concatenate([body.mesh.positions for body in build_anatomy(scene, k * step_s)])
        for k in range(3)
    ]
    first, second = frames[1] - frames[0], frames[2] - frames[1]
    assert np.abs(first).max() > 0.01
    assert np.linalg.norm(first, axis=1).max() < 0.03 * scene.distance_mm
    # Speed changes slowly: no point jumps.
    assert np.linalg.norm(second - first, axis=1).max() < 0.008 * scene.distance_mm


def test_normals_follow_the_motion():
    heart = Motion(heartbeat_mm=12.0, heart_mm=(0.0, 0.0, 80.0), heart_radius_mm=20.0)
    scene = replace(bare(80.0), motion=heart)
    still, beating = (build_anatomy(scene, t)[0].mesh.normals for t in (0.0, 0.2))
    assert np.abs(beating - still).max() > 0.1


def test_a_scene_keeps_to_its_triangles():
    for seed in range(5):
        scene = scene_of(seed)
        counted = triangle_count(build_anatomy(scene, 0.0))
        assert counted <= sum(triangles_of(body.shape) for body in scene.bodies) <= TRIANGLES


def test_extras_beyond_the_triangles_are_left_out_the_last_first():
    stage = Stage(np.random.default_rng(0), 90.0, turn=0.0, mirror=False)
    stage.add('wall', Wall(90.0), 'fat')
    for _ in range(20):
        stage.add('organ', Organ((0.0, 0.0, 90.0), (40.0, 40.0, 40.0)), 'liver')
    first = stage.bodies[:3]
    keep_to_budget(stage)
    assert stage.bodies[:3] == first
    assert 3 < len(stage.bodies) < 21
    assert sum(triangles_of(body.shape) for body in stage.bodies) <= TRIANGLES


def test_a_moving_scene_is_built_within_its_time(scene, noise_s):
    build_anatomy(scene, 0.0)
    spent = []
    for k in range(3):
        start = time.process_time()
        build_anatomy(scene, 0.1 * k)
        spent.append(time.process_time() - start)
    # The costliest takes 0.3 of a field of noise, some 20 ms on a free core.
    assert min(spent) < 1.5 * noise_s


def test_the_surface_of_a_plain_wall_is_its_depth():
    surface = surface_of(bare(80.0), 0.0)
    x, y = np.meshgrid(np.linspace(-40, 40, 9), np.linspace(-30, 30, 7))
    z = surface(x, y)
    assert z.shape == x.shape
    np.testing.assert_allclose(z, 80.0, rtol=1e-6)
    assert float(surface(3.0, 4.0)) == pytest.approx(80.0)


def test_the_surface_agrees_with_rays_through_the_triangles(scene):
    time_s = 0.4
    bodies = [
        body
        for body, what in zip(build_anatomy(scene, time_s), scene.bodies, strict=True)
        if what.shape.kind not in ('strands', 'drops')
    ]
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.45, 0.45, (2, 60)) * scene.distance_mm
    exact = first_hits(bodies, x, y)
    error = np.abs(surface_of(scene, time_s)(x, y) - exact) / scene.distance_mm
    # At a steep edge the nearest surface is one or the other.
    assert np.median(error) < 0.005
    assert np.mean(error < 0.03) > 0.85


def first_hits(bodies: list[Body], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth of the first triangle on lines along z."""
    corners = np.concatenate([b.mesh.positions[b.mesh.faces] for b in bodies]).astype(np.float64)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area = np.where(np.abs(area) < 1e-12, np.nan, area)
    hits = np.empty(len(x))
    for k, (px, py) in enumerate(zip(x, y, strict=True)):
        s = ((px - a[:, 0]) * (c[:, 1] - a[:, 1]) - (py - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
        t = ((b[:, 0] - a[:, 0]) * (py - a[:, 1]) - (b[:, 1] - a[:, 1]) * (px - a[:, 0])) / area
        inside = (s >= 0) & (t >= 0) & (s + t <= 1)
        z = a[:, 2] + s * (b[:, 2] - a[:, 2]) + t * (c[:, 2] - a[:, 2])
        hits[k] = z[inside].min()
    return hits


def test_a_draped_line_lies_on_what_is_below_it():
    line = tuple((float(x), 5.0, 80.0) for x in np.linspace(-20, 20, 5))
    vessel = AnatomyBody(
        'vessel',
        Strands((line,), (0.5,), hold='draped', lift=0.0),
        Material((0.3, 0, 0)),
        Stains(),
        4,
    )
    scene = bare(100.0, vessel, tilt=(0.5, 0.0))
    wall = surface_of(scene, 0.0)
    points = build_anatomy(scene, 0.0)[1].mesh.positions
    off = points[:, 2] - wall(points[:, 0], points[:, 1])
    assert np.abs(off).max() < 1.6


def test_places_where_bodies_meet_are_darker_than_open_ones():
    blob = AnatomyBody(
        'blob', Organ((0.0, 0.0, 95.0), (18.0, 18.0, 25.0)), Material((0.5, 0, 0)), Stains(), 2
    )
    wall = build_anatomy(bare(100.0, blob), 0.0)[0].mesh
    away = np.linalg.norm(wall.positions[:, :2], axis=1)
    openness = wall.paint[:, 3]
    assert openness[away > 60].mean() > 0.95
    assert openness[(away > 20) & (away < 27)].mean() < 0.8


def test_some_of_many_scenes_have_what_a_mask_may_take_for_a_tool():
    names = {body.name for seed in range(120) for body in scene_of(seed).bodies}
    assert {'gauze', 'drain', 'ligament', 'clot', 'suture', 'veil', 'blood pool'} <= names


def test_wrong_requests_say_what_to_do():
    with pytest.raises(UsageError, match='known are'):
        scene_of(1, 'brain')
    with pytest.raises(UsageError, match='at most 215'):
        scene_of(1, None, 500.0)
    with pytest.raises(UsageError, match='known are free, ends, draped'):
        Strands((((0, 0, 1), (1, 0, 1)),), (1.0,), hold='glued')
    with pytest.raises(UsageError, match='first body'):
        replace(bare(80.0), bodies=())
