"""Whole rendered pairs: exact, alike every time, consistent in themselves."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.data.synth.render_sequence import RenderSequence
from msdesis_ros.data.synth.render_source import RenderSource
from msdesis_ros.data.synth.scene import sample_scene
from msdesis_ros.data.synth.stereo_frame import Part, StereoFrame, ToolType

sys.path.insert(0, str(Path(__file__).parent))
from exactness import warp_errors

SEED, SIZE, SMALL = 5, (640, 512), (160, 128)


@pytest.fixture(scope='module', autouse=True)
def drawing(renderer) -> None:
    """Every test here draws; `renderer` skips where that cannot be."""


@pytest.fixture(scope='module')
def clean_frames() -> Iterator[list[StereoFrame]]:
    source = RenderSource(SEED, SIZE, clean=True)
    yield [source.frame(index) for index in range(2)]
    source.close()


def digest(frame: StereoFrame) -> str:
    arrays = (frame.left, frame.right, frame.disparity_px, frame.parts, frame.types)
    return hashlib.sha256(b''.join(array.tobytes() for array in arrays)).hexdigest()


def test_a_clean_right_picture_warped_by_the_disparity_is_the_left_one(clean_frames):
    for frame in clean_frames:
        errors = warp_errors(frame)
        assert len(errors) > 0.5 * frame.disparity_px.size
        assert np.median(errors) <= 2
        assert np.percentile(errors, 99) <= 12


def test_half_a_pixel_of_disparity_shows_in_the_warp(clean_frames):
    for frame in clean_frames:
        moved = replace(frame, disparity_px=frame.disparity_px + np.float32(0.5))
        assert warp_errors(moved).mean() > 1.5 * warp_errors(frame).mean()


def test_depth_and_disparity_are_one_truth(clean_frames):
    for frame in clean_frames:
        geometry = frame.geometry
        product = frame.depth_mm.astype(np.float64) * frame.disparity_px
        seen = np.isfinite(product)
        expected = geometry.focal_px * geometry.baseline_m * 1e3
        np.testing.assert_allclose(product[seen], expected, rtol=1e-6)
        assert seen.mean() > 0.99


def test_parts_and_types_are_those_of_the_same_pixels(clean_frames):
    painted = 0
    for frame in clean_frames:
        np.testing.assert_array_equal(frame.parts > 0, frame.types > 0)
        np.testing.assert_array_equal(frame.instrument_mask, frame.parts > 0)
        assert frame.parts.max() <= max(Part) and frame.types.max() <= max(ToolType)
        painted += int(frame.instrument_mask.sum())
    assert painted > 0


def test_instruments_stand_in_front_of_what_they_hide(clean_frames):
    for frame in clean_frames:
        mask = frame.instrument_mask.astype(np.uint8)
        if mask.sum() < 2000:
            continue
        ring = (cv2.dilate(mask, np.ones((9, 9))) > 0) & (mask == 0)
        core = cv2.erode(mask, np.ones((5, 5))) > 0
        assert np.median(frame.disparity_px[core]) > np.median(frame.disparity_px[ring])


def test_a_frame_is_the_same_whoever_makes_it_and_after_whatever():
    first, second = RenderSource(SEED, SMALL), RenderSource(SEED, SMALL)
    in_order = [digest(first.frame(index)) for index in (0, 1)]
    first.close()
    alone = digest(second.frame(1))
    second.close()
    assert alone == in_order[1]
    assert in_order[0] != in_order[1]


def test_another_seed_is_another_scene():
    numbers = [sample_scene((seed, 0), SMALL).description for seed in (1, 2)]
    for group in ('rig', 'anatomy', 'lighting', 'path', 'effects'):
        assert numbers[0][group] != numbers[1][group]


def test_every_number_of_a_scene_can_be_printed_and_written():
    scene = sample_scene((3, 1), SMALL)
    text = json.dumps(scene.description)
    assert json.loads(text)['distance_mm'] == scene.distance_mm
    for group in ('rig', 'anatomy', 'instruments', 'lighting', 'path', 'effects'):
        assert f'{group}: ' in str(scene)
    assert sample_scene((3, 1), SMALL).description == scene.description


def test_scenes_keep_to_the_working_distances_and_disparities_of_endoscopes():
    for index in range(15):
        scene = sample_scene((4, index), SMALL)
        assert 20.0 <= scene.distance_mm <= 200.0
        nearest_px = scene.rig.focal_px * scene.rig.baseline_mm / scene.anatomy.nearest_mm
        assert nearest_px <= 256.0 * SMALL[0] / 1280


@pytest.fixture(scope='module')
def sequence() -> Iterator[RenderSequence]:
    try:
        made = RenderSequence(2, SMALL, clean=True)
    except MissingExtraError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def test_a_sequence_begins_at_the_origin_and_moves_on_evenly_in_time(sequence):
    np.testing.assert_allclose(sequence.world_from_left(0), np.eye(4), atol=1e-12)
    moved = np.linalg.norm(sequence.world_from_left(25)[:3, 3])
    assert 0.05 < moved < 100.0
    stamps = [sequence.stamp_ns(index) for index in range(5)]
    assert set(np.diff(stamps)) == {40_000_000}


def test_points_of_a_sequence_lie_on_the_surface_that_the_first_frame_shows(sequence):
    frame, geometry = sequence.frame(0), sequence.frame(0).geometry
    x, y, z = sequence.points_mm.T
    column = np.rint(geometry.focal_px * x / z + geometry.cx_px).astype(int)
    row = np.rint(geometry.focal_y_px * y / z + geometry.cy_px).astype(int)
    inside = (column >= 0) & (column < SMALL[0]) & (row >= 0) & (row < SMALL[1])
    assert inside.mean() > 0.4
    seen_mm = frame.depth_mm[row[inside], column[inside]]
    behind = (z[inside] - seen_mm) / seen_mm
    # A vertex is on the surface or hidden behind it, never in front (a pixel's half aside).
    assert (behind > -0.03).mean() > 0.97
    assert (np.abs(behind) < 0.03).mean() > 0.3


def test_the_same_frame_of_a_sequence_is_made_again_alike(sequence):
    assert digest(sequence.frame(3)) == digest(sequence.frame(3))
    assert digest(sequence.frame(3)) != digest(sequence.frame(4))
