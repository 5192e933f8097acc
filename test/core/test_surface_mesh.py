"""The mesh of an organised surface against planes, a sphere and steps known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface import SurfaceBuilder, unpack
from msdesis_ros.core.surface_mesh import EdgeLimits, SurfaceMesh, surface_mesh, vertex_normals

SIZE = (24, 18)
GEOMETRY = StereoGeometry(SIZE, 100.0, 110.0, 11.2, 8.7, 0.004)


def rays(size=SIZE, geometry=GEOMETRY) -> np.ndarray:
    y, x = np.mgrid[: size[1], : size[0]].astype(float)
    across = (x - geometry.cx_px) / geometry.focal_px
    down = (y - geometry.cy_px) / geometry.focal_y_px
    return np.stack([across, down, np.ones_like(x)], axis=-1)


def plane_depth(normal: np.ndarray, at_m: float) -> np.ndarray:
    """Depth of the plane through (0, 0, at_m)."""
    return (normal[2] * at_m / (rays() @ normal)).astype(np.float32)


def mesh_of(depth_m: np.ndarray, *, stride: int = 1, **options) -> SurfaceMesh:
    colour = np.zeros((*depth_m.shape, 3), np.uint8)
    colour[..., 0] = np.arange(depth_m.shape[1])
    colour[..., 1] = np.arange(depth_m.shape[0])[:, None]
    packed = SurfaceBuilder(GEOMETRY, stride=stride).pack(depth_m, colour)
    points_m, colours, labels = unpack(packed)
    return surface_mesh(points_m, colours, labels, geometry=GEOMETRY, stride=stride, **options)


def slanted(degrees: float) -> np.ndarray:
    """The normal, towards the camera, of a plane turned about the y axis."""
    angle = math.radians(degrees)
    return np.array([math.sin(angle), 0.0, -math.cos(angle)])


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('degrees', [0.0, 40.0, -60.0])
def test_a_plane_becomes_a_plane_of_its_area_with_its_normal(degrees, stride):
    normal = slanted(degrees)
    mesh = mesh_of(plane_depth(normal, 0.08), stride=stride)
    width, height = SIZE[0] // stride, SIZE[1] // stride
    assert len(mesh.points_m) == width * height
    assert len(mesh.faces) == 2 * (width - 1) * (height - 1)
    offset = mesh.points_m.astype(float) @ normal - normal[2] * 0.08
    assert np.abs(offset).max() < 1e-7
    np.testing.assert_allclose(mesh.normals, np.tile(normal, (len(mesh.normals), 1)), atol=2e-4)
    grid = mesh.points_m.reshape(height, width, 3).astype(float)
    a, b, c, d = grid[0, 0], grid[0, -1], grid[-1, -1], grid[-1, 0]
    outline = 0.5 * np.linalg.norm(np.cross(c - a, d - b))
    corners = mesh.points_m[mesh.faces].astype(float)
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.linalg.norm(areas, axis=1).sum() / 2 == pytest.approx(outline, rel=1e-5)


def test_the_normals_of_a_sphere_point_from_its_centre_to_the_camera():
    centre, radius = np.array([0.002, -0.001, 0.1]), 0.02
    direction = rays()
    along = direction @ centre
    under = along**2 - (direction**2).sum(axis=-1) * (centre @ centre - radius**2)
    with np.errstate(invalid='ignore'):
        depth = ((along - np.sqrt(under)) / (direction**2).sum(axis=-1)).astype(np.float32)
    mesh = mesh_of(depth)
    outward = (mesh.points_m - centre) / radius
    np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1.0, atol=1e-5)
    cosine = (outward * mesh.normals).sum(axis=1)
    # Triangles of 1 mm on a sphere of 20 mm; one-sided at the rim.
    assert np.median(cosine) > 0.9995 and cosine.min() > 0.95
    assert len(mesh.points_m) > 0.9 * np.isfinite(depth).sum()


def test_no_triangle_reaches_over_a_depth_edge():
    depth = np.full(SIZE[::-1], 0.1, np.float32)
    depth[5:12, 6:15] = 0.06
    mesh = mesh_of(depth)
    near = mesh.points_m[:, 2] < 0.08
    of_face = near[mesh.faces].sum(axis=1)
    assert set(of_face.tolist()) == {0, 3}
    assert (of_face == 3).sum() == 2 * 6 * 8
    assert len(mesh.points_m) == depth.size


def test_invalid_pixels_never_become_points_and_leave_half_a_cell():
    depth = np.full(SIZE[::-1], 0.1, np.float32)
    depth[0, 0] = depth[7, 9] = np.nan
    mesh = mesh_of(depth)
    assert len(mesh.points_m) == depth.size - 2
    assert np.isfinite(mesh.points_m).all()
    cells = (SIZE[0] - 1) * (SIZE[1] - 1)
    # One cell of the corner and four around the hole have one triangle in place of two.
    assert len(mesh.faces) == 2 * cells - 5
    assert [0, 0] not in mesh.colours[:, :2].tolist()
    assert [9, 7] not in mesh.colours[:, :2].tolist()


def test_colours_and_labels_stay_with_their_points():
    depth = plane_depth(slanted(30.0), 0.09)
    depth[:, :4] = np.nan
    mesh = mesh_of(depth)
    ray = mesh.points_m[:, :2] / mesh.points_m[:, 2:]
    column = ray[:, 0] * GEOMETRY.focal_px + GEOMETRY.cx_px
    row = ray[:, 1] * GEOMETRY.focal_y_px + GEOMETRY.cy_px
    np.testing.assert_allclose(np.stack([column, row], axis=1), mesh.colours[:, :2], atol=1e-3)


def test_points_without_a_neighbour_are_left_out():
    depth = np.full(SIZE[::-1], np.nan, np.float32)
    depth[3, 3] = depth[10, 10] = 0.1
    mesh = mesh_of(depth)
    assert len(mesh.points_m) == 0 and len(mesh.faces) == 0


@pytest.mark.parametrize('size', [(1, 5), (5, 1), (1, 1)])
def test_a_picture_of_one_row_or_column_has_no_triangle(size):
    depth = np.full(size, 0.1, np.float32)
    points = np.stack([np.zeros(size), np.zeros(size), depth], axis=-1).astype(np.float32)
    mesh = surface_mesh(
        points, np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8), geometry=GEOMETRY
    )
    assert len(mesh.faces) == 0


@pytest.mark.parametrize(('stride', 'faces'), [(1, 2 * 23 * 17), (2, 2 * 11 * 8)])
def test_a_surface_steeper_than_the_limit_is_torn(stride, faces):
    depth = plane_depth(slanted(70.0), 0.08)
    quiet = {'noise_px': 0.0}
    # The lines of sight are within 7 degrees of the axis.
    whole = mesh_of(depth, stride=stride, limits=EdgeLimits(max_slant_deg=78.0, **quiet))
    assert len(whole.faces) == faces
    torn = mesh_of(depth, stride=stride, limits=EdgeLimits(max_slant_deg=62.0, **quiet))
    assert len(torn.faces) == 0


@pytest.mark.parametrize(
    ('step_px', 'sigma_px', 'joined'),
    [(0.2, None, True), (0.2, 0.05, False), (0.2, np.nan, True), (0.6, None, False),
     (0.6, 50.0, False)],
)  # fmt: skip
def test_uncertainty_lowers_what_a_step_may_be_and_never_raises_it(step_px, sigma_px, joined):
    near_px = 40.0
    disparity = np.full(SIZE[::-1], near_px, np.float32)
    disparity[:, 12:] -= step_px
    depth = np.float32(GEOMETRY.focal_times_baseline) / disparity
    sigma = None if sigma_px is None else np.full(SIZE[::-1], sigma_px, np.float32)
    # A slope of 5 degrees allows 40 tan(5) / 100 = 0.035 px.
    mesh = mesh_of(depth, uncertainty_px=sigma, limits=EdgeLimits(max_slant_deg=5.0))
    missing = 2 * 23 * 17 - len(mesh.faces)
    assert missing == (0 if joined else 2 * 17)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), wild=st.floats(0, 0.3))
def test_every_triangle_faces_the_camera_and_has_no_long_edge(seed, wild):
    rng = np.random.default_rng(seed)
    disparity = (40 + np.cumsum(rng.normal(0, 0.08, SIZE[::-1]), axis=1)).astype(np.float32)
    disparity += np.float32(15) * (rng.random(SIZE[::-1]) < wild)
    disparity[rng.random(SIZE[::-1]) < wild] = np.nan
    depth = np.float32(GEOMETRY.focal_times_baseline) / disparity
    limits = EdgeLimits(max_slant_deg=60.0, noise_px=0.2)
    mesh = mesh_of(depth, limits=limits)
    assert set(np.unique(mesh.faces)) == set(range(len(mesh.points_m)))
    corners = mesh.points_m[mesh.faces].astype(float)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (across * corners.mean(axis=1) < 0).any(axis=1).all()
    assert ((across * corners.mean(axis=1)).sum(axis=1) < 0).all()
    pixel = mesh.colours[:, :2].astype(int)[mesh.faces]
    found = GEOMETRY.focal_times_baseline / corners[..., 2]
    for one, other in ((0, 1), (1, 2), (2, 0)):
        dx, dy = np.abs(pixel[:, one] - pixel[:, other]).T
        slope = math.tan(math.radians(60)) * np.hypot(dx / 100.0, dy / 110.0)
        allowed = np.minimum(found[:, one], found[:, other]) * slope + 0.2
        assert (np.abs(found[:, one] - found[:, other]) <= allowed + 1e-4).all()
        assert dx.max(initial=0) <= 1 and dy.max(initial=0) <= 1


def test_a_point_without_a_face_has_no_normal():
    points = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [5, 5, 5]], np.float32)
    normals = vertex_normals(points, np.array([[0, 2, 1]], np.int32))
    np.testing.assert_allclose(normals, [[0, 0, -1]] * 3 + [[0, 0, 0]])


@pytest.mark.parametrize(
    'options', [{'max_slant_deg': 90.0}, {'max_slant_deg': 0.0}, {'noise_px': -0.1},
                {'noise_px': float('nan')}],
)  # fmt: skip
def test_limits_that_cannot_be_are_refused(options):
    with pytest.raises(UsageError, match='expected'):
        EdgeLimits(**options)


@pytest.mark.parametrize('damage', ['nan', 'face', 'dtype', 'length'])
def test_a_mesh_that_contradicts_itself_is_refused(damage):
    parts = {
        'points_m': np.zeros((3, 3), np.float32),
        'normals': np.zeros((3, 3), np.float32),
        'colours': np.zeros((3, 3), np.uint8),
        'labels': np.zeros(3, np.uint8),
        'faces': np.array([[0, 1, 2]], np.int32),
    }
    SurfaceMesh(**parts)
    if damage == 'nan':
        parts['points_m'][1, 2] = np.nan
    elif damage == 'face':
        parts['faces'][0, 0] = 3
    elif damage == 'dtype':
        parts['colours'] = parts['colours'].astype(float)
    else:
        parts['labels'] = parts['labels'][:2]
    with pytest.raises(UsageError):
        SurfaceMesh(**parts)
