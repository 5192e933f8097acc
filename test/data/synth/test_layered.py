"""The layered source: exact truth, determinism, consistent labels."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.layered import LayeredSource
from msdesis_ros.data.synth.layered.recipe import (
    FEWEST_LAYERS,
    KINDS,
    MOST_LAYERS,
    disparity_limits_px,
    sample_recipe,
)
from msdesis_ros.data.synth.layered.source import build_scene
from msdesis_ros.data.synth.stereo_frame import Part, StereoFrame, ToolType

SIZE = (320, 256)
SEED = 4
FRAMES = range(8)


@pytest.fixture(scope='module')
def clean_frames() -> list[StereoFrame]:
    source = LayeredSource(SEED, SIZE, clean=True)
    return [source.frame(index) for index in FRAMES]


@pytest.fixture(scope='module')
def full_frames() -> list[StereoFrame]:
    source = LayeredSource(SEED, SIZE)
    return [source.frame(index) for index in FRAMES]


def warp_errors(frame: StereoFrame, disparity_px: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Absolute differences of the warped right and the left picture, away from all edges.

    Edges are borders of layers in the left view and, because they are borders of layers in the
    right one, the ends of the hidden strips.
    """
    height, width = owner.shape
    x = np.arange(width, dtype=np.float32)[None] - disparity_px
    y = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    warped = cv2.remap(frame.right, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    edges = np.zeros(owner.shape, bool)
    for labels in (owner.astype(np.int16), frame.occluded.astype(np.int16)):
        edges[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        edges[1:] |= labels[1:] != labels[:-1]
    near_edge = cv2.dilate(edges.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    kept = ~frame.occluded & ~near_edge
    assert kept.mean() > 0.4
    return np.abs(warped.astype(int) - frame.left)[kept]


@pytest.mark.parametrize('index', FRAMES)
def test_a_clean_right_picture_warped_by_the_disparity_is_the_left_one(
    clean_frames: list[StereoFrame], index: int
) -> None:
    owner = build_scene((SEED, index), SIZE, clean=True).left.owner
    errors = warp_errors(clean_frames[index], clean_frames[index].disparity_px, owner)
    assert np.median(errors) <= 2
    assert np.percentile(errors, 99) <= 12


def test_a_disparity_that_is_half_a_pixel_off_warps_visibly_worse(
    clean_frames: list[StereoFrame],
) -> None:
    right, wrong = [], []
    for index, frame in enumerate(clean_frames):
        owner = build_scene((SEED, index), SIZE, clean=True).left.owner
        right.append(warp_errors(frame, frame.disparity_px, owner).mean())
        wrong.append(warp_errors(frame, frame.disparity_px + np.float32(0.5), owner).mean())
    assert np.mean(wrong) > 2 * np.mean(right)


def test_the_same_number_gives_the_same_bytes_in_any_order_and_process() -> None:
    source = LayeredSource(SEED, (160, 128))
    source.frame(0)
    here = [digest(source.frame(index)) for index in (3, 1)]
    assert here == [digest(LayeredSource(SEED, (160, 128)).frame(index)) for index in (3, 1)]
    program = (
        'import hashlib, cv2; cv2.setNumThreads(1)\n'
        'from msdesis_ros.data.synth.layered import LayeredSource\n'
        f'source = LayeredSource({SEED}, (160, 128))\n'
        'for index in (3, 1):\n'
        '    f = source.frame(index)\n'
        '    arrays = (f.left, f.right, f.disparity_px, f.parts, f.types, f.occluded)\n'
        "    print(hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest())\n"
    )
    run = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == here


def digest(frame: StereoFrame) -> str:
    arrays = (
        frame.left,
        frame.right,
        frame.disparity_px,
        frame.parts,
        frame.types,
        frame.occluded,
    )
    return hashlib.sha256(b''.join(array.tobytes() for array in arrays)).hexdigest()


def test_seeds_and_numbers_give_different_pictures() -> None:
    pictures = [
        LayeredSource(seed, (160, 128)).frame(index).left.tobytes()
        for seed, index in ((1, 0), (1, 1), (2, 0))
    ]
    assert len(set(pictures)) == 3


def test_frames_have_the_agreed_shapes_and_types(full_frames: list[StereoFrame]) -> None:
    for frame in full_frames:
        assert frame.image_size == SIZE
        assert frame.left.shape == frame.right.shape == (256, 320, 3)
        assert frame.left.dtype == frame.right.dtype == np.uint8
        assert frame.disparity_px.shape == frame.parts.shape == frame.occluded.shape == (256, 320)
        assert frame.disparity_px.dtype == np.float32
        assert frame.parts.dtype == frame.types.dtype == np.uint8
        assert frame.occluded.dtype == bool
        assert frame.geometry.image_size == SIZE
        json.dumps(frame.scene)


def test_parts_and_types_are_known_values_at_the_same_pixels(
    full_frames: list[StereoFrame],
) -> None:
    for frame in full_frames:
        assert np.array_equal(frame.parts > 0, frame.types > 0)
        assert set(np.unique(frame.parts)) <= set(Part)
        assert set(np.unique(frame.types)) <= set(ToolType)
        assert not frame.parts[np.isnan(frame.disparity_px)].any()
    assert set(np.unique([frame.parts for frame in full_frames])) == set(Part)


def test_parts_are_those_of_the_tool_that_owns_the_pixel() -> None:
    seen = 0
    for index in FRAMES:
        scene = build_scene((SEED, index), SIZE, clean=True)
        frame = LayeredSource(SEED, SIZE, clean=True).frame(index)
        tools = [n for n, layer in enumerate(scene.layers) if layer.shape.parts is not None]
        assert np.array_equal(frame.instrument_mask, np.isin(scene.left.owner, tools))
        for number in tools:
            mine = scene.left.owner == number
            seen += bool(mine.any())
            assert (frame.types[mine] == scene.layers[number].shape.tool_type).all()
    assert seen >= 2


def test_disparity_is_positive_and_below_256_px_at_1280(full_frames: list[StereoFrame]) -> None:
    low, high = disparity_limits_px(SIZE[0])
    for frame in full_frames:
        known = frame.disparity_px[np.isfinite(frame.disparity_px)]
        assert known.size > 0.2 * frame.disparity_px.size
        assert known.min() >= low
        assert known.max() <= high
        assert np.isfinite(frame.depth_mm[np.isfinite(frame.disparity_px)]).all()


def test_recipes_cover_the_range_of_disparities_and_of_layer_counts() -> None:
    recipes = [sample_recipe(np.random.default_rng([1, n]), (1280, 1024)) for n in range(300)]
    counts = [len(recipe.layers) for recipe in recipes]
    assert min(counts) >= FEWEST_LAYERS
    assert max(counts) <= MOST_LAYERS
    means = np.array([layer.disparity_px for recipe in recipes for layer in recipe.layers])
    share, _ = np.histogram(means, bins=[0, 32, 64, 96, 128, 160, 192, 224, 256])
    assert share.sum() == means.size
    assert (share / means.size > 0.03).all()
    assert {recipe.kind for recipe in recipes} == {'tissue', 'mixed', 'anything'}


def test_all_scenes_are_of_the_kind_that_is_asked_for() -> None:
    for kind in KINDS:
        source = LayeredSource(SEED, (160, 128), scenes=kind)
        kinds = {source.frame(index).scene['recipe']['kind'] for index in range(6)}
        assert kinds == {kind}


def test_asking_for_a_kind_leaves_scenes_of_that_kind_as_they_are() -> None:
    size = (160, 128)
    free = LayeredSource(SEED, size).frame(0)
    kind = free.scene['recipe']['kind']
    asked = LayeredSource(SEED, size, scenes=kind).frame(0)
    np.testing.assert_array_equal(asked.left, free.left)
    np.testing.assert_array_equal(asked.disparity_px, free.disparity_px)


def test_what_the_picture_does_not_show_has_no_truth(full_frames: list[StereoFrame]) -> None:
    cut = [frame for frame in full_frames if np.isnan(frame.disparity_px).any()]
    assert cut, 'no frame of this seed has a round field of view; take another seed'
    for frame in cut:
        lost = np.isnan(frame.disparity_px)
        assert not frame.occluded[lost].any()
        assert frame.left[lost].mean() < 30


def test_clean_frames_have_truth_everywhere(clean_frames: list[StereoFrame]) -> None:
    for frame in clean_frames:
        assert np.isfinite(frame.disparity_px).all()


def test_highlights_differ_between_the_views_only_in_full_frames() -> None:
    clean = [build_scene((SEED, index), SIZE, clean=True).layers for index in FRAMES]
    full = [build_scene((SEED, index), SIZE, clean=False).layers for index in FRAMES]
    assert all(np.array_equal(y.left_colour, y.right_colour) for x in clean for y in x)
    assert any(not np.array_equal(y.left_colour, y.right_colour) for x in full for y in x)


@pytest.mark.parametrize('size', [(64, 64), (161, 97), (100, 300)])
def test_any_size_from_64_px_works(size: tuple[int, int]) -> None:
    source = LayeredSource(1, size)
    for index in range(4):
        assert source.frame(index).image_size == size


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match='seed'):
        LayeredSource(-1)
    with pytest.raises(UsageError, match='64'):
        LayeredSource(1, (63, 512))
    with pytest.raises(UsageError, match="'indoor'; known: tissue, mixed, anything"):
        LayeredSource(1, SIZE, scenes='indoor')
    with pytest.raises(UsageError, match='frame'):
        LayeredSource(1, SIZE).frame(-1)
