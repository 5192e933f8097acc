"""The procedural scene is exact: its surfaces, its cameras and the truth derived from them."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.data.synth.effects.raw_cameras import undistort_plumb_bob

sys.path.append(str(Path(__file__).parents[1]))
from analytic_scene.picture import RawCamera, analytic_cameras, photograph
from analytic_scene.scene import MISS, TISSUE, Scene, rectified_truth
from analytic_scene.shapes import Capsule, Tissue

SEEDS = range(6)


@pytest.fixture(scope='module')
def cameras() -> tuple[RawCamera, RawCamera]:
    return analytic_cameras((160, 128))


def test_the_slopes_of_the_tissue_are_the_derivatives_of_its_height():
    rng = np.random.default_rng(0)
    tissue = Tissue(rng)
    x, y, step = rng.uniform(-60, 60, 500), rng.uniform(-50, 50, 500), 1e-5
    _, hx, hy, _ = tissue.heights(x, y, 1.3)
    for slope, dx, dy in ((hx, step, 0), (hy, 0, step)):
        ahead, behind = (tissue.heights(x + s * dx, y + s * dy, 1.3)[0] for s in (1, -1))
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), atol=1e-6)


@pytest.mark.parametrize('seed', SEEDS)
def test_a_ray_meets_the_tissue_once_and_where_the_trace_says(cameras, seed):
    moment = Scene(seed).at(0.7 * seed)
    for camera in cameras:
        rays, origin = camera.directions[::7, ::7].reshape(-1, 3), camera.centre_mm
        distance = moment.tissue.intersect(origin, rays, moment.time_s)

        def gap(parameter, rays=rays, origin=origin):
            x, y, z = (origin + parameter[:, None] * rays).T
            return z - moment.tissue.heights(x, y, moment.time_s)[0]

        assert np.abs(gap(distance)).max() < 1e-6
        for part in np.linspace(0.2, 0.999, 60):
            assert (gap(part * distance) < 0).all()
        for part in np.linspace(1.001, 1.5, 40):
            assert (gap(part * distance) > 0).all()


@pytest.mark.parametrize('seed', SEEDS)
def test_no_ray_comes_near_to_grazing_the_tissue(cameras, seed):
    for time_s in (0.0, 1.9, 5.5):
        tissue = Scene(seed).at(time_s).tissue
        for camera in cameras:
            rays, origin = camera.directions[::5, ::5].reshape(-1, 3), camera.centre_mm
            x, y, _ = (origin + tissue.intersect(origin, rays, time_s)[:, None] * rays).T
            _, hx, hy, _ = tissue.heights(x, y, time_s)
            assert (rays[:, 2] - hx * rays[:, 0] - hy * rays[:, 1]).min() > 0.2


def test_a_guess_of_the_distance_changes_the_speed_only(cameras):
    moment, rays = Scene(3).at(1.0), cameras[1].directions[::5, ::5]
    exact, surface = moment.trace(cameras[1].centre_mm, rays)
    guess = exact + np.random.default_rng(1).normal(0, 0.5, exact.shape)
    again, same_surface = moment.trace(cameras[1].centre_mm, rays, guess)
    np.testing.assert_allclose(again, exact, atol=1e-6)
    np.testing.assert_array_equal(same_surface, surface)


def test_a_ray_that_goes_backwards_hits_nothing():
    rays = np.array([[0.0, 0.0, -1.0], [0.1, 0.0, 0.0], [0.0, 0.0, 1.0]])
    distance, surface = Scene(0).at(0.0).trace(np.zeros(3), rays)
    assert np.isnan(distance[:2]).all()
    assert (surface[:2] == MISS).all()
    assert np.isfinite(distance[2])


def _distance_to_segment(points, a, b):
    station = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(points - a - station[..., None] * (b - a), axis=-1)


def test_a_ray_enters_a_capsule_on_its_surface_and_nowhere_before():
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(40):
        a, b = rng.uniform(-20, 20, (2, 3)) + [0, 0, 60]
        capsule = Capsule(a, b, rng.uniform(0.5, 8), (1.0, 1.0, 1.0), 0.0)
        rays = np.append(rng.uniform(-0.4, 0.4, (100, 2)), np.ones((100, 1)), axis=1)
        distance = capsule.intersect(np.zeros(3), rays)
        met = np.isfinite(distance)
        hits += met.sum()
        points = rays[met] * distance[met, None]
        np.testing.assert_allclose(
            _distance_to_segment(points, a, b), capsule.radius_mm, atol=1e-9
        )
        outward = capsule.normals(points)
        np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1, atol=1e-9)
        assert (np.einsum('ij,ij->i', outward, rays[met]) <= 1e-6).all()
        # Along the way to the hit, and along the whole ray that misses, nothing is inside.
        reach = np.where(met, distance, 150.0)
        for part in np.linspace(0, 0.9999, 300):
            on_way = rays * (part * reach)[:, None]
            assert (_distance_to_segment(on_way, a, b) > capsule.radius_mm - 1e-9).all()
    assert 200 < hits < 3800


@pytest.mark.parametrize('seed', SEEDS)
def test_the_instruments_hover_in_front_of_the_tissue(cameras, seed):
    moment = Scene(seed).at(1.5)
    distance, surface = moment.trace(np.zeros(3), cameras[0].directions)
    behind = moment.tissue.intersect(np.zeros(3), cameras[0].directions.reshape(-1, 3), 1.5)
    mask = surface > TISSUE
    assert (distance[mask] < behind.reshape(mask.shape)[mask]).all()
    np.testing.assert_array_equal(distance[~mask], behind.reshape(mask.shape)[~mask])
    assert 0.03 < mask.mean() < 0.25
    assert set(np.unique(surface)) >= {TISSUE, 1, 2, 5, 6}


@pytest.mark.parametrize('side', [0, 1])
def test_no_part_of_an_instrument_is_overlooked(cameras, side):
    camera, moment = cameras[side], Scene(1).at(0.3)
    distance, surface = moment.trace(camera.centre_mm, camera.directions)
    rays = camera.directions.reshape(-1, 3)
    every = [part.intersect(camera.centre_mm, rays) for part in moment.parts]
    every.insert(0, moment.tissue.intersect(camera.centre_mm, rays, 0.3))
    np.testing.assert_array_equal(distance.ravel(), np.min(every, axis=0))
    np.testing.assert_array_equal(surface.ravel(), np.argmin(every, axis=0))


@pytest.mark.parametrize('seed', SEEDS)
def test_depth_stays_in_the_range_an_endoscope_sees(cameras, seed):
    distance, _ = Scene(seed).at(2.0).trace(np.zeros(3), cameras[0].directions)
    assert distance.min() > 33
    assert distance.max() < 125


def test_the_scene_moves_smoothly_and_the_seed_decides_it(cameras):
    def depth(seed, time_s):
        return Scene(seed).at(time_s).trace(np.zeros(3), cameras[0].directions[::4, ::4])[0]

    still, later = depth(0, 1.0), depth(0, 1.1)
    moved = np.abs(later - still)
    assert 0.01 < np.median(moved) < 1.0
    np.testing.assert_array_equal(depth(0, 1.0), still)
    assert np.median(np.abs(depth(1, 1.0) - still)) > 0.5


@pytest.mark.parametrize('side', [0, 1])
def test_opencv_projects_every_hit_back_into_its_pixel(cameras, side):
    camera = cameras[side]
    distance, _ = Scene(0).at(0.0).trace(camera.centre_mm, camera.directions)
    points = camera.centre_mm + distance[..., None] * camera.directions
    rotation, _ = cv2.Rodrigues(camera.rotation)
    pixels, _ = cv2.projectPoints(
        points.reshape(-1, 1, 3),
        rotation,
        camera.translation_mm,
        camera.camera_matrix,
        camera.distortion,
    )
    x, y = np.meshgrid(np.arange(160), np.arange(128))
    np.testing.assert_allclose(pixels.reshape(128, 160, 2), np.dstack([x, y]), atol=1e-6)


def test_a_distortion_that_folds_the_picture_is_refused():
    with pytest.raises(CalibrationError, match='cannot be inverted'):
        undistort_plumb_bob(np.array([0.9]), np.array([0.0]), np.array([-0.9, 0, 0, 0, 0]))


def test_the_truth_of_a_rotated_view_is_the_same_surface():
    moment = Scene(2).at(0.4)
    rotation, _ = cv2.Rodrigues(np.array([0.02, -0.03, 0.04]))
    depth_mm, mask = rectified_truth(
        moment,
        image_size=(80, 64),
        focal_px=65.0,
        focal_y_px=64.0,
        cx_px=41.0,
        cy_px=30.0,
        rotation=rotation,
    )
    x, y = np.meshgrid(np.arange(80), np.arange(64))
    rectified = np.dstack([(x - 41.0) / 65.0, (y - 30.0) / 64.0, np.ones((64, 80))])
    points = (rectified * depth_mm[..., None]).reshape(-1, 3) @ rotation  # inverse rotation
    height = moment.tissue.heights(points[:, 0], points[:, 1], 0.4)[0]
    on_tissue = np.abs(points[:, 2] - height) < 1e-6
    np.testing.assert_array_equal(on_tissue, ~mask.ravel())
    assert 0.02 < mask.mean() < 0.3


def test_noise_is_decided_by_its_generator():
    radiance = np.full((48, 64, 3), 0.3, np.float32)
    one, same, other = (photograph(radiance, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.5
    assert 1 < one[16:32, 16:48].std() < 8


def test_the_rig_exercises_rectification():
    left, right = analytic_cameras()
    angle = np.degrees(np.linalg.norm(cv2.Rodrigues(right.rotation)[0]))
    assert 1 < angle < 2
    assert 4.4 < np.linalg.norm(right.centre_mm) < 4.6
    assert np.abs(left.camera_matrix - right.camera_matrix).max() > 5
    # The lens moves the corner of the picture by dozens of pixels.
    corner = left.camera_matrix @ left.directions[0, 0]
    assert np.linalg.norm(corner[:2]) > 25
