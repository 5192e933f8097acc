"""The circling camera and its pictures against hand-written projections."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from msdesis_ros.core.errors import MissingExtraError, UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface_mesh import SurfaceMesh
from msdesis_ros.data.cloud_view import renderer as renderer_module
from msdesis_ros.data.cloud_view.orbit import Orbit, fitting_view_angle_deg, robust_centre
from msdesis_ros.data.cloud_view.renderer import CloudRenderer, focal_of_view
from msdesis_ros.data.cloud_view.solids import endoscope, grid, polyline, sight_lines
from msdesis_ros.data.cloud_view.viewer import (
    SurfaceViewer,
    ViewedCloud,
    ViewSettings,
    point_widths,
)

SIZE = (96, 80)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
lengths = st.floats(-0.3, 0.3)


@pytest.fixture(scope='module')
def drawing():
    try:
        made = CloudRenderer(SIZE)
    except MissingExtraError as error:
        pytest.skip(str(error))
    yield made
    made.close()


@pytest.fixture
def renderer(drawing):
    yield drawing
    for name in ('surface', 'wall', 'line'):
        drawing.hide(name)


# --- the way of the camera --------------------------------------------------------------------


@given(
    focus=st.tuples(lengths, lengths, st.floats(0.02, 0.3)),
    radius=st.floats(0.01, 0.3),
    distance=st.floats(-0.5, 0.0),
    time_s=st.floats(0, 9),
)
def test_the_camera_is_on_the_circle_about_the_focus_and_looks_at_it(
    focus, radius, distance, time_s
):
    assume(focus[2] - distance > 0.06 * radius)
    orbit = Orbit(focus, radius, distance, period_s=4.0)
    pose = orbit.world_from_view(time_s)
    place = pose[:3, 3]
    assert place[2] == pytest.approx(distance)
    assert math.hypot(place[0] - focus[0], place[1] - focus[1]) == pytest.approx(radius)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    # In the camera's own frame the focus lies straight ahead.
    ahead = np.linalg.inv(pose) @ [*focus, 1.0]
    np.testing.assert_allclose(ahead[:3], [0, 0, orbit.reach_m], atol=1e-9)
    # Upright: what is down in the world is not up in the picture, nor to the side.
    assert pose[1, 1] > 0 and abs(pose[1, 0]) < 1e-12
    np.testing.assert_allclose(orbit.world_from_view(time_s + 4.0), pose, atol=1e-9)


def test_the_camera_goes_round_once_in_a_period():
    orbit = Orbit((0.01, 0.02, 0.1), radius_m=0.05, distance_m=-0.1, period_s=2.0)
    places = np.array([orbit.world_from_view(t)[:2, 3] for t in np.linspace(0, 2, 9)[:-1]])
    around = places - [0.01, 0.02]
    angles = np.unwrap(np.arctan2(around[:, 1], around[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * math.pi / 8)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'radius_m': 0.0}, 'radius'),
        ({'period_s': -1.0}, 'period'),
        ({'distance_m': 0.1}, 'before or behind'),
        ({'distance_m': float('nan')}, 'not finite'),
        ({'focus_m': (0.0, float('inf'), 0.1)}, 'not finite'),
    ],
)
def test_a_circle_that_cannot_be_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        Orbit(**{'focus_m': (0.0, 0.0, 0.1), **changes})


def test_a_few_wild_points_do_not_move_the_centre():
    rng = np.random.default_rng(1)
    points = rng.normal([0.01, -0.02, 0.1], 0.005, (1000, 3))
    points[:200] = [5.0, 5.0, 50.0]
    np.testing.assert_allclose(robust_centre(points), [0.01, -0.02, 0.1], atol=0.003)
    with pytest.raises(UsageError, match='no point'):
        robust_centre(points[:0])


def test_the_fitting_angle_shows_the_surface_from_everywhere_and_not_much_else():
    rng = np.random.default_rng(2)
    points = rng.uniform([-0.03, -0.02, 0.08], [0.03, 0.02, 0.12], (3000, 3))
    orbit = Orbit((0.0, 0.0, 0.1))
    half = math.tan(math.radians(fitting_view_angle_deg(points, orbit)) / 2)
    worst = 0.0
    for time_s in np.linspace(0, 4, 40):
        pose = orbit.world_from_view(time_s)
        seen = (points - pose[:3, 3]) @ pose[:3, :3]
        tangents = np.abs(seen[:, :2]).max(axis=1) / seen[:, 2]
        assert (tangents <= half).mean() > 0.97
        worst = max(worst, float(tangents.max()))
    assert half < 1.15 * worst


# --- pictures ---------------------------------------------------------------------------------


def marks() -> tuple[np.ndarray, np.ndarray]:
    points = np.array([[0.0, 0.0, 0.1], [0.02, -0.01, 0.11], [-0.015, 0.012, 0.09]], np.float32)
    return points, np.array([RED, GREEN, BLUE], np.uint8)


def find(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a colour is, (column, row): the mean of its pixels, by how much of it they have."""
    strength = picture[..., int(np.argmax(colour))].astype(float)
    others = np.delete(picture, int(np.argmax(colour)), axis=2).max(axis=2)
    strength[strength < 100] = 0
    strength[others > strength] = 0
    assert strength.sum() > 0, 'the colour is not in the picture'
    row, column = np.indices(strength.shape)
    return np.array([(strength * column).sum(), (strength * row).sum()]) / strength.sum()


@pytest.mark.parametrize('time_s', [0.0, 0.7, 2.3])
def test_points_appear_where_an_independent_projection_puts_them(renderer, time_s):
    points, colours = marks()
    renderer.show_points(points, colours, np.full(3, 0.006, np.float32))
    orbit, focal = Orbit((0.0, 0.0, 0.1)), 300.0
    pose = orbit.world_from_view(time_s)
    picture = renderer.draw(pose, focal_px=focal)
    assert picture.shape == (80, 96, 3) and picture.dtype == np.uint8
    turn, place = pose[:3, :3], pose[:3, 3]
    for point, colour in zip(points, (RED, GREEN, BLUE), strict=True):
        x, y, z = turn.T @ (point - place)
        expected = np.array([(96 - 1) / 2 + focal * x / z, (80 - 1) / 2 + focal * y / z])
        np.testing.assert_allclose(find(picture, colour), expected, atol=0.3)


def test_a_point_is_as_wide_as_it_is_near_and_scaled(renderer):
    def area(depth_m: float, scale: float) -> int:
        renderer.show_points(
            np.array([[0, 0, depth_m]], np.float32),
            np.array([RED], np.uint8),
            np.array([0.01], np.float32),
            scale=scale,
        )
        return int((renderer.draw(np.eye(4), focal_px=200.0)[..., 0] > 150).sum())

    # 200 px * 10 mm / 100 mm = 20 px wide.
    assert area(0.1, 1.0) == pytest.approx(400, rel=0.05)
    assert area(0.2, 1.0) == pytest.approx(100, rel=0.1)
    assert area(0.2, 2.0) == pytest.approx(400, rel=0.05)


def square(z_m: float, colour: tuple[int, int, int], *, flip: bool = False) -> SurfaceMesh:
    points = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * 0.01
    points[:, 2] = z_m
    normal = [0, 0, 1 if flip else -1]
    return SurfaceMesh(
        points,
        np.tile(np.array(normal, np.float32), (4, 1)),
        np.tile(np.array(colour, np.uint8), (4, 1)),
        np.zeros(4, np.uint8),
        np.array([[0, 3, 2], [0, 2, 1]], np.int32),
    )


def test_a_mesh_covers_the_pixels_it_projects_to_in_its_colour(renderer):
    renderer.show_mesh(square(0.1, (200, 100, 50)))
    picture = renderer.draw(np.eye(4), focal_px=200.0)
    # 10 mm at 100 mm: 20 px to each side of the middle, (47.5, 39.5).
    np.testing.assert_array_equal(picture[22:58, 30:66], np.full((36, 36, 3), (200, 100, 50)))
    assert (np.abs(picture[:18].astype(int) - (200, 100, 50)).sum(axis=2) > 100).all()


def test_a_mesh_is_darker_from_behind(renderer):
    renderer.show_mesh(square(0.1, (200, 100, 50), flip=True))
    behind = renderer.draw(np.eye(4), focal_px=200.0)[40, 48]
    assert 0.7 * 200 < behind[0] < 0.95 * 200


def test_what_is_nearer_hides_what_is_behind_whichever_is_drawn_last(renderer):
    for first, second in ((0.1, 0.12), (0.12, 0.1)):
        renderer.show_mesh(square(first, RED), name='wall')
        renderer.show_mesh(square(second, GREEN))
        red, green, _ = renderer.draw(np.eye(4), focal_px=200.0)[40, 48]
        assert (red > green) == (first < second)


def test_hidden_things_are_gone_and_a_name_shows_one_thing(renderer):
    empty = renderer.draw(np.eye(4), focal_px=200.0)
    renderer.show_mesh(square(0.1, RED))
    renderer.show_mesh(square(0.1, GREEN))
    assert renderer.draw(np.eye(4), focal_px=200.0)[40, 48].tolist() == [0, 255, 0]
    renderer.hide('surface')
    renderer.hide('surface')
    np.testing.assert_array_equal(renderer.draw(np.eye(4), focal_px=200.0), empty)


def test_the_same_view_is_drawn_to_the_bit_again(renderer):
    points, colours = marks()
    renderer.show_points(points, colours, np.full(3, 0.006, np.float32))
    pose = Orbit((0.0, 0.0, 0.1)).world_from_view(1.0)
    once = renderer.draw(pose, focal_px=200.0)
    np.testing.assert_array_equal(renderer.draw(pose, focal_px=200.0), once)


def test_lines_are_drawn_between_their_ends(renderer):
    renderer.show_lines(polyline(np.array([[-0.01, 0.0, 0.1], [0.01, 0.0, 0.1]])), name='line')
    before = renderer.draw(np.eye(4), focal_px=200.0).astype(int)
    renderer.hide('line')
    changed = np.abs(before - renderer.draw(np.eye(4), focal_px=200.0)).sum(axis=2) > 20
    rows, columns = np.nonzero(changed)
    assert set(rows) <= {39, 40} and columns.min() in (27, 28) and columns.max() in (66, 67, 68)


def test_the_view_angle_is_that_of_the_shorter_side():
    assert 80 / 2 / focal_of_view((96, 80), 40.0) == pytest.approx(math.tan(math.radians(20)))
    for angle in (0.0, 180.0):
        with pytest.raises(UsageError, match='view angle'):
            focal_of_view((96, 80), angle)


# --- without OpenGL ---------------------------------------------------------------------------


def test_a_missing_driver_says_what_to_install(monkeypatch):
    moderngl = pytest.importorskip('moderngl', reason='needs moderngl')

    def refuse(**options: object) -> None:
        raise Exception('libEGL.so not loaded')

    monkeypatch.setattr(moderngl, 'create_context', refuse)
    with pytest.raises(MissingExtraError, match=r'libegl1 libgl1-mesa-dri.*libEGL\.so not loaded'):
        CloudRenderer((8, 8))


def test_a_missing_binding_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'moderngl', None)
    with pytest.raises(MissingExtraError, match=r'msdesis_ros\[synth\]'):
        CloudRenderer((8, 8))


@pytest.mark.parametrize('size', [(0, 10), (10, 5000)])
def test_a_size_that_cannot_be_drawn_is_refused_before_anything_is_opened(monkeypatch, size):
    monkeypatch.setattr(renderer_module, 'open_context', lambda _: pytest.fail('opened'))
    with pytest.raises(UsageError, match='cannot be drawn'):
        CloudRenderer(size)


# --- what stands around -----------------------------------------------------------------------


def test_the_endoscope_has_both_lenses_and_stays_behind_them():
    solid = endoscope(0.0042)
    glass = solid.points_m[(solid.colours == (18, 30, 46)).all(axis=1)]
    for x in (0.0, 0.0042):
        assert np.abs(glass[:, :2] - [x, 0]).sum(axis=1).min() < 1e-6
    assert solid.points_m[:, 2].max() <= 0
    apart = np.hypot(solid.points_m[:, 0] - 0.0021, solid.points_m[:, 1])
    assert 0.004 < apart[solid.points_m[:, 2] > -0.05].max() < 0.006
    assert solid.faces.min() == 0 and solid.faces.max() == len(solid.points_m) - 1
    # Outward: away from the shaft's axis on its side.
    side = (np.abs(solid.normals[:, 2]) < 0.05) & (solid.points_m[:, 2] < -0.02)
    out = solid.points_m[side, :2] - [0.0021, 0]
    assert ((out * solid.normals[side, :2]).sum(axis=1) > 0.9 * apart[side]).all()


def test_the_lenses_of_a_wide_rig_fit_into_its_shaft():
    solid = endoscope(0.012)
    assert np.hypot(solid.points_m[:, 0] - 0.006, solid.points_m[:, 1]).max() > 0.007


def test_the_lines_of_sight_end_at_the_corners_of_the_picture():
    geometry = StereoGeometry((64, 48), 50.0, 60.0, 30.0, 20.0, 0.004)
    lines = sight_lines(geometry, 0.05)
    ends = lines.points_m[1:8:2]
    np.testing.assert_allclose(lines.points_m[0:8:2], 0)
    columns = ends[:, 0] / ends[:, 2] * 50 + 30
    rows = ends[:, 1] / ends[:, 2] * 60 + 20
    np.testing.assert_allclose(columns, [-0.5, 63.5, 63.5, -0.5], atol=1e-4)
    np.testing.assert_allclose(rows, [-0.5, -0.5, 47.5, 47.5], atol=1e-4)
    np.testing.assert_allclose(ends[:, 2], 0.05)


def test_the_grid_has_a_round_spacing_and_stands_below_and_behind():
    rng = np.random.default_rng(3)
    points = rng.uniform([-0.05, -0.04, 0.07], [0.05, 0.04, 0.13], (5000, 3))
    lines, spacing = grid(points)
    assert spacing == pytest.approx(0.01)
    on_lines = np.round(lines.points_m / spacing, 4)
    np.testing.assert_allclose(on_lines, np.round(on_lines), atol=1e-3)
    low, high = lines.points_m.min(axis=0), lines.points_m.max(axis=0)
    floor = np.isclose(lines.points_m[:, 1], high[1])
    wall = np.isclose(lines.points_m[:, 2], high[2])
    assert (floor | wall).all() and (low <= [-0.048, -0.038, 0.072]).all()


# --- the viewer -------------------------------------------------------------------------------


@pytest.fixture
def viewed_cloud():
    points, colours = marks()
    return ViewedCloud(points, colours, np.full(3, 0.004, np.float32))


def test_the_way_of_a_camera_that_stood_at_one_place_is_none(viewed_cloud):
    try:
        viewer = SurfaceViewer(ViewSettings(image_size=(32, 32)))
    except MissingExtraError as error:
        pytest.skip(str(error))
    with viewer:
        viewer.show(viewed_cloud, None)
        before = viewer.picture(0)
        viewer.show_path(np.zeros((1, 3)))
        np.testing.assert_array_equal(viewer.picture(0), before)
        viewer.show_path(np.array([[0, 0, 0.05], [0, 0.05, 0.1]]))
        assert (viewer.picture(0) != before).any()


def test_the_viewer_draws_surface_endoscope_and_grid(viewed_cloud):
    settings = ViewSettings(image_size=(96, 96), with_grid=True, fps=2.0, period_s=2.0)
    geometry = StereoGeometry((64, 48), 50.0, 50.0, 31.5, 23.5, 0.004)
    try:
        viewer = SurfaceViewer(settings)
    except MissingExtraError as error:
        pytest.skip(str(error))
    with viewer:
        with pytest.raises(UsageError, match='no surface'):
            viewer.picture(0)
        viewer.show(viewed_cloud, geometry)
        whole = viewer.picture(0)
        for colour in (RED, GREEN, BLUE):
            find(whole, colour)
        np.testing.assert_allclose(viewer.orbit.focus_m, [0.0, 0.0, 0.1], atol=1e-6)
        viewer.hide()
        rest = viewer.picture(0)
        assert (np.abs(whole.astype(int) - rest).max(axis=2) > 60).any()
        # Shaft, sight and grid are left.
        assert len(np.unique(rest.reshape(-1, 3), axis=0)) > 30
    assert settings.pictures_a_round == 4


@pytest.mark.parametrize(
    'options',
    [{'fps': 0.0}, {'period_s': 0.0}, {'point_scale': -1.0}, {'radius_m': 0.0},
     {'distance_m': float('nan')}, {'view_angle_deg': 200.0}, {'focus_m': (0.0, 0.0, -0.2)}],
)  # fmt: skip
def test_a_view_that_cannot_be_is_refused(options):
    with pytest.raises(UsageError):
        ViewSettings(**options)


def test_points_of_unknown_width_are_half_again_as_wide_as_they_are_apart():
    x, y = np.meshgrid(np.arange(20), np.arange(20))
    points = np.stack([x, y, np.full_like(x, 90)], axis=-1).reshape(-1, 3) * np.float32(0.001)
    assert point_widths(points) == pytest.approx(0.0015, rel=1e-3)
    assert point_widths(points[:1]) == 1e-3
