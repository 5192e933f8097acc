"""Instruments: every model, how they are drawn for a scene, how they move."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.instruments import (
    InstrumentScene,
    Wave,
    build_instruments,
    sample_instruments,
)
from msdesis_ros.data.synth.instruments.build import tool_pose, triangles_of
from msdesis_ros.data.synth.instruments.catalogue import ENTRIES, model_of
from msdesis_ros.data.synth.instruments.clearance import (
    apart,
    axis_points,
    clear_of_tissue,
    fits_the_view,
    jaw_tips,
    tips_near_surface,
)
from msdesis_ros.data.synth.instruments.materials import FINISHES, Surface, finished
from msdesis_ros.data.synth.instruments.pieces import joint_poses
from msdesis_ros.data.synth.instruments.sampling import MAX_SPEED_MM_S
from msdesis_ros.data.synth.mesh import Mesh
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.stereo_frame import Part, ToolType

RIG = EndoscopeRig((640, 512), 530.0, 319.5, 255.5, 4.36)
NAMES = sorted(ENTRIES)


def slope_mm(x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
    """A tilted, wavy tissue 90 mm away."""
    return 90.0 + 0.15 * x_mm - 0.1 * y_mm + 4.0 * np.sin(x_mm / 15.0) * np.cos(y_mm / 18.0)


def scene_of(name: str, /, **changes: object) -> InstrumentScene:
    known = ENTRIES[name]
    plain = InstrumentScene(
        name=name,
        type=known.tool_type,
        family=known.family,
        shaft_radius_mm=known.shaft_radius_mm,
        trocar_mm=(90.0, 50.0, -10.0),
        tip_mm=(-5.0, 2.0, 60.0),
        opening_rad=Wave(np.radians(known.opening_deg) / 2),
        bloodiness=0.4,
    )
    return replace(plain, **changes)


def open_edges(mesh: Mesh) -> int:
    """How many edges have an odd number of faces once vertices at one place are one."""
    keys = np.round(mesh.positions.astype(np.float64) / 2e-3).astype(np.int64)
    place = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    faces = place[mesh.faces]
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    return int((np.unique(edges, axis=0, return_counts=True)[1] % 2).sum())


@pytest.fixture(scope='module')
def scenes() -> list[tuple[InstrumentScene, ...]]:
    return [
        sample_instruments(np.random.default_rng([seed, 3]), rig=RIG, surface_mm=slope_mm)
        for seed in range(40)
    ]


@pytest.mark.parametrize('name', NAMES)
def test_every_piece_is_a_closed_outward_solid_with_unit_normals(name: str) -> None:
    for piece in model_of(name, -34.0).pieces:
        mesh = piece.mesh
        what = f'{name} {piece.finish} {piece.joint}'
        for array in (mesh.positions, mesh.normals, mesh.tangents, mesh.coords, mesh.paint):
            assert np.isfinite(array).all(), what
        assert open_edges(mesh) == 0, what
        a, b, c = (mesh.positions[mesh.faces[:, k]].astype(np.float64) for k in range(3))
        middle = mesh.positions.mean(axis=0)
        volume = np.einsum('ij,ij->', a - middle, np.cross(b - middle, c - middle)) / 6
        assert volume > 0, what
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3), what
        assert np.allclose(np.linalg.norm(mesh.tangents, axis=1), 1, atol=1e-3), what
        flat = np.abs((mesh.normals * mesh.tangents).sum(axis=1))
        assert flat.max() < 2e-3, what
        facing = np.einsum(
            'ij,ij->i', np.cross(b - a, c - a), mesh.normals[mesh.faces].sum(axis=1)
        )
        assert (facing > 0).mean() > 0.97, what
        assert mesh.paint.min() >= 0 and mesh.paint.max() <= 1


@pytest.mark.parametrize('name', NAMES)
def test_every_instrument_has_a_plausible_size_and_part_order(name: str) -> None:
    known, model = ENTRIES[name], model_of(name, None)
    for piece in model.pieces:
        if piece.joint.startswith('link'):
            continue  # In a frame of its own.
        across = np.hypot(piece.mesh.positions[:, 0], piece.mesh.positions[:, 1]).max()
        assert across < 1.9 * known.shaft_radius_mm
        assert piece.mesh.positions[:, 2].max() < model.tip_mm + 3.0
    ends = {part: [] for part in Part}
    for piece in model.pieces:
        if not piece.joint.startswith('link'):
            ends[piece.part].append(piece.mesh.positions[:, 2].max())
    assert max(ends[Part.JAWS]) == pytest.approx(model.tip_mm, abs=2.0)
    assert max(ends[Part.SHAFT]) <= 0.01
    assert not ends[Part.BACKGROUND]


def test_the_catalogue_has_every_type_with_a_shaft_and_keeps_the_triangle_budget() -> None:
    types = {known.tool_type for known in ENTRIES.values()}
    assert types == set(ToolType) - {ToolType.BACKGROUND, ToolType.NEEDLE, ToolType.CLIP}
    counts = [model_of(name, -34.0).triangles for name in NAMES]
    assert np.mean(counts) <= 6000
    assert max(counts) <= 8000


@pytest.mark.parametrize('name', NAMES)
def test_bodies_carry_the_type_parts_and_number_of_their_description(name: str) -> None:
    scene = scene_of(name)
    bodies = build_instruments([scene_of('lap_hook'), scene], 0.3)
    mine = [body for body in bodies if body.instrument == 2]
    assert {body.tool_type for body in mine} == {scene.type}
    assert {Part.SHAFT, Part.JAWS} <= {body.part for body in mine} <= set(Part) - {Part.BACKGROUND}
    triangles = sum(len(body.mesh.faces) for body in mine)
    assert triangles == triangles_of(scene)


def test_what_jaws_hold_counts_after_the_descriptions_and_thread_is_no_instrument() -> None:
    scenes = [
        scene_of('large_needle_driver', load='needle'),
        scene_of('lap_clip_applier', load='clip'),
    ]
    bodies = build_instruments(scenes, 0.0)
    needle = [body for body in bodies if body.tool_type == ToolType.NEEDLE]
    clip = [body for body in bodies if body.tool_type == ToolType.CLIP]
    assert {body.instrument for body in needle} == {3}
    assert {body.instrument for body in clip} == {4}
    assert {body.part for body in (*needle, *clip)} == {Part.JAWS}
    thread = [body for body in bodies if body.part == Part.BACKGROUND]
    assert len(thread) == 1 and thread[0].tool_type == ToolType.BACKGROUND
    # The needle goes through the jaws' tip.
    place = needle[0].mesh.positions @ needle[0].pose[:3, :3].T + needle[0].pose[:3, 3]
    assert np.linalg.norm(place - scenes[0].tip_at(0.0), axis=1).min() < 3.0


@pytest.mark.parametrize('name', NAMES)
def test_the_tip_is_where_the_description_says_and_the_shaft_goes_through_the_trocar(
    name: str,
) -> None:
    bent = ENTRIES[name].family == 'da_vinci'
    scene = scene_of(
        name, pitch_rad=Wave(0.5 * bent), yaw_rad=Wave(-0.4 * bent), roll_rad=Wave(1.0)
    )
    pose, _ = tool_pose(scene, 0.0)
    points = axis_points(scene, 0.0)
    single = model_of(name, None).single_action
    assert np.linalg.norm(points[0] - scene.tip_at(0.0)) < (0.5 if not single else 0.6)
    assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    to_trocar = np.array(scene.trocar_mm) - pose[:3, 3]
    off_axis = to_trocar - (to_trocar @ pose[:3, 2]) * pose[:3, 2]
    assert np.linalg.norm(off_axis) < 0.05


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(NAMES), st.floats(0, 20), st.integers(0, 9))
def test_an_instrument_moves_without_jumps(name: str, time_s: float, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def wave(mean: float, amplitude: float) -> Wave:
        return Wave(mean, amplitude, float(rng.uniform(2, 6)), float(rng.uniform(0, 6)))

    scene = scene_of(
        name,
        tip_motion_mm=(wave(0, 8), wave(0, 8), wave(0, 4)),
        roll_rad=wave(1, 0.5),
        pitch_rad=wave(0, 0.6),
        yaw_rad=wave(0, 0.5),
        opening_rad=wave(0.3, 0.3),
    )
    step = 1e-3
    before, after = (build_instruments([scene], time_s + at) for at in (0.0, step))
    for first, second in zip(before, after, strict=True):
        distal = first.mesh.positions[:, 2] > -60
        if not distal.any():
            continue
        places = [
            body.mesh.positions[distal] @ body.pose[:3, :3].T + body.pose[:3, 3]
            for body in (first, second)
        ]
        assert np.linalg.norm(places[1] - places[0], axis=1).max() < 200 * step


def test_joints_open_the_jaws_apart_and_keep_links_attached() -> None:
    model = model_of('lap_dolphin_grasper', None)
    for opening in (0.0, 0.5, 1.0):
        joints = joint_poses(model, pitch_rad=0.0, yaw_rad=0.0, opening_rad=opening)
        tips = [joints[jaw] @ (0, 0, model.tip_mm, 1.0) for jaw in ('jaw_a', 'jaw_b')]
        reach = model.tip_mm - model.hinge_mm
        assert tips[0][0] - tips[1][0] == pytest.approx(2 * reach * np.sin(opening / 2), abs=1e-6)
        tail = joints['jaw_a'] @ (-model.tail_mm, 0, model.link_mm, 1.0)
        end = joints['link_a'] @ (0, 0, model.link_length_mm, 1.0)
        assert np.allclose(tail, end, atol=1e-6)
        assert joints['link_a'][0, 3] == joints['link_b'][0, 3] == 0


def test_sampling_gives_the_same_plain_numbers_for_the_same_seed() -> None:
    first, second = (
        sample_instruments(np.random.default_rng(8), rig=RIG, surface_mm=slope_mm, count=3)
        for _ in range(2)
    )
    assert first == second
    other = sample_instruments(np.random.default_rng(9), rig=RIG, surface_mm=slope_mm, count=3)
    assert other != first
    text = json.dumps([scene.as_json() for scene in first])
    assert json.loads(text)[0]['type'] == first[0].type.name


def test_scenes_have_mostly_one_or_two_instruments(
    scenes: list[tuple[InstrumentScene, ...]],
) -> None:
    counts = Counter(sum(scene.has_shaft for scene in made) for made in scenes)
    assert set(counts) <= {0, 1, 2, 3, 4}
    assert counts[1] + counts[2] > 0.55 * len(scenes)
    assert counts[0] < 0.2 * len(scenes)
    contacts = Counter(scene.contact for made in scenes for scene in made if scene.has_shaft)
    assert min(contacts['touch'], contacts['hover']) > 0.15 * contacts.total()
    families = {scene.family for made in scenes for scene in made}
    assert {'da_vinci', 'laparoscopic'} <= families


def test_instruments_enter_over_the_border_and_show_their_tips(
    scenes: list[tuple[InstrumentScene, ...]],
) -> None:
    for made in scenes:
        for scene in made:
            if not scene.has_shaft:
                continue
            points = axis_points(scene, 0.0)
            seen = points[:, 2] > 1
            u = RIG.focal_px * points[:, 0] / points[:, 2] + RIG.cx_px
            v = RIG.focal_px * points[:, 1] / points[:, 2] + RIG.cy_px
            inside = seen & (u > 0) & (u < 639) & (v > 0) & (v < 511)
            assert inside[0], scene.name
            assert not inside[-1], scene.name
            # In view from the tip to the border without a gap.
            assert (np.diff(inside.astype(int)) > 0).sum() == 0, scene.name
            assert (points[inside, 2] > RIG.nearest_mm).all()


def test_instruments_stay_above_the_tissue_and_apart(
    scenes: list[tuple[InstrumentScene, ...]],
) -> None:
    touching = []
    for made in scenes:
        tools = [scene for scene in made if scene.has_shaft]
        axes = [np.stack([axis_points(each, t) for t in (0.0, 2.0, 4.0)]) for each in tools]
        for number, (scene, axis) in enumerate(zip(tools, axes, strict=True)):
            depth = axis[..., 2] - slope_mm(axis[..., 0], axis[..., 1])
            assert depth.max() < 1.01, scene.name
            if scene.contact == 'touch':
                touching.append(depth.max())
            for other, against in zip(tools[:number], axes[:number], strict=True):
                gap = scene.shaft_radius_mm + other.shaft_radius_mm
                assert apart(axis, against, gap)
    assert np.median(np.abs(touching)) < 3.0


def test_the_checks_refuse_what_is_deep_in_tissue_too_near_or_crossing() -> None:
    scene = scene_of('prograsp')
    points = axis_points(scene, 0.0)[None]
    assert clear_of_tissue(points, scene, slope_mm)
    assert not clear_of_tissue(points + (0, 0, 40.0), scene, slope_mm)
    tips = jaw_tips(scene, 0.0)[None]
    level = tips[..., 2].max() - 1.0
    for contact, allowed in (('touch', True), ('hover', False)):
        made = replace(scene, contact=contact)
        assert tips_near_surface(tips, made, lambda x, y: np.full(x.shape, level)) is allowed
    assert fits_the_view(points, 4.2, RIG)
    assert not fits_the_view(points - (0, 0, 45.0), 4.2, RIG)
    assert not fits_the_view(points + (400.0, 0, 0), 4.2, RIG)
    assert not apart(points, points + (3.0, 0, 0), 8.0)
    assert apart(points, points + (60.0, -60.0, 0), 8.0)


def test_tips_move_no_faster_than_the_limit(scenes: list[tuple[InstrumentScene, ...]]) -> None:
    times = np.linspace(0, 4, 200)
    fastest = []
    for made in scenes:
        for scene in made:
            path = np.array([scene.tip_at(time) for time in times])
            fastest.append((np.linalg.norm(np.diff(path, axis=0), axis=1) / (4 / 199)).max())
    assert max(fastest) <= 1.05 * MAX_SPEED_MM_S
    assert np.median(fastest) > 1.0


def test_tissue_that_is_nowhere_gives_no_instruments() -> None:
    def nowhere(x_mm: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
        return np.full(np.shape(x_mm), np.nan)

    rng = np.random.default_rng(0)
    assert sample_instruments(rng, rig=RIG, surface_mm=nowhere, count=2) == ()


def test_blood_darkens_only_bloody_instruments_and_mostly_their_tips() -> None:
    clean = build_instruments([scene_of('prograsp', bloodiness=0.0)], 0.0)
    assert all(not body.mesh.paint[:, 1].any() for body in clean)
    bloody = build_instruments([scene_of('prograsp', bloodiness=0.6)], 0.0)
    jaws = np.concatenate([b.mesh.paint[:, 1] for b in bloody if b.part == Part.JAWS])
    rod = [body.mesh for body in bloody if body.part == Part.SHAFT]
    far = np.concatenate([mesh.paint[mesh.positions[:, 2] < -80, 1] for mesh in rod])
    assert jaws.mean() > 0.25
    assert len(far) > 0 and far.mean() < 0.12


def test_light_reaches_less_far_where_parts_meet() -> None:
    wrist = [piece.mesh for piece in model_of('prograsp', None).pieces if piece.part == Part.WRIST]
    openness = np.concatenate([mesh.paint[:, 3] for mesh in wrist])
    assert openness.min() < 0.5 < 0.9 < openness.max()


def test_a_clip_and_a_needle_lie_flat_on_the_tissue() -> None:
    for name, kind in (('clip', ToolType.CLIP), ('needle', ToolType.NEEDLE)):
        scene = InstrumentScene(
            name, kind, 'lying', 0.0, (0, 0, 50), (0, 0, 50), normal=(0.0, 0.6, -0.8), size_mm=8.0
        )
        bodies = build_instruments([scene], 0.0)
        assert {(body.tool_type, body.part, body.instrument) for body in bodies} == {
            (kind, Part.JAWS, 1)
        }
        for body in bodies:
            place = body.mesh.positions @ body.pose[:3, :3].T + body.pose[:3, 3] - (0, 0, 50)
            height = place @ np.array(scene.normal)
            assert height.min() > -0.5 and height.max() < 1.6
            assert open_edges(body.mesh) == 0


@pytest.mark.parametrize(
    'wrong', [{'type': ToolType.CLIP}, {'load': 'sponge'}, {'bloodiness': 1.5},
              {'tip_mm': (0.0, 0.0, float('nan'))}, {'name': 'spoon'}]
)  # fmt: skip
def test_a_description_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        scene_of('prograsp', **wrong)


def test_every_finish_of_a_model_is_known_and_wear_shows() -> None:
    used = {piece.finish for name in NAMES for piece in model_of(name, -34.0).pieces}
    assert used <= set(FINISHES)
    new, old = Surface(wear=0.0), Surface(wear=1.0)
    assert finished('steel', old).vessels > finished('steel', new).vessels
    assert finished('shaft', Surface(shaft_metallic=True)).metallic == 1.0
    with pytest.raises(UsageError, match='known are'):
        finished('wood', new)
