"""The SGBM baseline on pairs whose disparity is known by construction, and on a real one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, UsageError
from msdesis_ros.evaluation.disparity_metrics import score_disparity
from msdesis_ros.runtime.sgbm import OpenCvSgbm

LOG = logging.getLogger(__name__)


def slanted_pair(
    *, width: int = 360, height: int = 120, near_px: float = 60.0, far_px: float = 30.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured plane, `far_px` at the top and `near_px` at the bottom: left, right, disparity.

    Both views sample one texture, the left one at x - d, so the truth is exact to the resampling.
    """
    rng = np.random.default_rng(7)
    margin = 300
    texture = rng.normal(0, 1, (height, width + margin, 3)).astype(np.float32)
    texture = 128 + 150 * cv2.GaussianBlur(texture, (0, 0), 1.2)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    truth = far_px + (near_px - far_px) * rows / (height - 1)

    def view(x: np.ndarray) -> np.ndarray:
        seen = cv2.remap(texture, x + margin, rows, cv2.INTER_CUBIC)
        return np.clip(seen + rng.normal(0, 1, seen.shape), 0, 255).astype(np.uint8)

    return view(columns - truth), view(columns), truth


def inside(truth: np.ndarray) -> np.ndarray:
    """The pixels whose partner lies in the right picture."""
    return np.arange(truth.shape[1]) - truth >= 0


@pytest.fixture
def opencv_threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def test_a_slanted_plane_comes_back_to_a_fraction_of_a_pixel() -> None:
    left, right, truth = slanted_pair()
    disparity = OpenCvSgbm().run(left, right).disparity_px
    assert disparity is not None
    score = score_disparity(disparity, truth, inside(truth))
    assert score.coverage > 0.97
    assert score.epe_px < 0.25
    assert score.bad_3 < 0.01


def test_the_columns_left_of_the_search_range_are_answered_too() -> None:
    left, right, truth = slanted_pair()
    beside = inside(truth)
    beside[:, 256:] = False
    disparity = OpenCvSgbm(num_disparities=256).run(left, right).disparity_px
    assert disparity is not None
    score = score_disparity(disparity, truth, beside)
    assert score.coverage > 0.95
    assert score.bad_3 < 0.02
    # The control: OpenCV alone leaves every one of these columns out.
    plain = cv2.StereoSGBM_create(numDisparities=256, blockSize=5, P1=200, P2=800)
    assert (plain.compute(left, right)[:, :256] < 0).all()


@pytest.mark.parametrize('shift_px', [1, 128, 250])
def test_the_whole_range_of_disparities_is_found(shift_px: int) -> None:
    left, right, truth = slanted_pair(near_px=shift_px, far_px=shift_px)
    disparity = OpenCvSgbm(num_disparities=256).run(left, right).disparity_px
    assert disparity is not None
    far_enough = inside(truth)
    far_enough[:, : shift_px + 3] = False
    assert score_disparity(disparity, truth, far_enough).median_px < 0.1


def test_values_lie_in_the_declared_range_and_steps() -> None:
    backend = OpenCvSgbm(num_disparities=64)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 90, 120, 3), dtype=np.uint8)
    disparity = backend.run(noise[0], noise[1]).disparity_px
    assert disparity is not None
    found = disparity[np.isfinite(disparity)]
    assert found.size
    assert found.min() >= backend.min_disparity_px
    assert found.max() <= backend.max_disparity_px == 63.0
    assert (found % backend.disparity_step_px == 0).all()


def test_swapped_views_are_not_matched() -> None:
    left, right, truth = slanted_pair()
    disparity = OpenCvSgbm().run(right, left).disparity_px
    assert disparity is not None
    close = np.abs(disparity - truth) < 3
    assert close.mean() < 0.05


def test_pictures_without_texture_are_not_answered_with_a_surface() -> None:
    grey = np.full((100, 150, 3), 128, dtype=np.uint8)
    disparity = OpenCvSgbm().run(grey, grey).disparity_px
    assert disparity is not None
    assert not (disparity > 0).any()


@pytest.mark.parametrize('size', [(5, 5), (37, 5), (5, 61), (101, 33), (333, 211), (640, 513)])
def test_any_size_from_one_block_on_is_taken(size: tuple[int, int]) -> None:
    width, height = size
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    disparity = OpenCvSgbm().run(picture, picture).disparity_px
    assert disparity is not None
    assert disparity.shape == (height, width)


@pytest.mark.parametrize('size', [(4, 5), (5, 4), (1, 1)])
def test_pictures_smaller_than_a_block_are_refused_naming_what_is_taken(
    size: tuple[int, int],
) -> None:
    backend = OpenCvSgbm()
    picture = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    with pytest.raises(BackendError, match='any size from 5x5'):
        backend.run(picture, picture)
    with pytest.raises(BackendError, match='any size from 5x5'):
        backend.warm_up(size)


def test_the_result_does_not_depend_on_the_number_of_threads(opencv_threads: None) -> None:
    left, right, _ = slanted_pair(width=217, height=131)
    one, many = (OpenCvSgbm(threads=n).run(left, right).disparity_px for n in (1, 5))
    np.testing.assert_array_equal(one, many)


def test_the_number_of_threads_is_left_alone_unless_given(opencv_threads: None) -> None:
    cv2.setNumThreads(3)
    OpenCvSgbm()
    assert cv2.getNumThreads() == 3
    OpenCvSgbm(threads=1)
    assert cv2.getNumThreads() == 1


@pytest.mark.parametrize('count', [0, -16, 100, 2048])
def test_a_number_of_disparities_that_opencv_cannot_search_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match='multiple of 16'):
        OpenCvSgbm(num_disparities=count)


def test_the_real_endoscope_pair_is_covered_and_exact(test_data: Path) -> None:
    folder, name = test_data / 'scared_d1k2', 'dataset_1_keyframe_2_frame_data000000'
    left, right = (
        cv2.cvtColor(cv2.imread(str(folder / side / f'{name}.png')), cv2.COLOR_BGR2RGB)
        for side in ('left', 'right')
    )
    truth = cv2.imread(str(folder / 'disparity' / f'{name}.tiff'), cv2.IMREAD_UNCHANGED)
    disparity = OpenCvSgbm(num_disparities=256).run(left, right).disparity_px
    assert disparity is not None
    # A partner outside of the right picture is no answer: the rule of the pipeline.
    claimed = np.where(inside(np.nan_to_num(disparity)), disparity, np.nan).astype(np.float32)
    score = score_disparity(claimed, truth, truth > 0)
    LOG.info('%s', score)
    assert score.coverage >= 0.90
    assert score.epe_px <= 0.42
