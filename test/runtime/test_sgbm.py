"""The SGBM baseline on pairs whose disparity is known by construction, and on a real one."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, UsageError
from msdesis_ros.evaluation.disparity_metrics import score_disparity
from msdesis_ros.runtime.sgbm import SETTINGS, OpenCvSgbm

LOG = logging.getLogger(__name__)
Scenes = list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def rendered_pair(
    truth: np.ndarray, *, seed: int = 7, contrast: float = 30.0, noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Left and right view of a textured surface whose disparity in the left view is `truth`.

    Both views sample one texture, the left one at x - d, so the truth is exact to the resampling
    (it must not fall by more than 1 px a column, or the surface would hide parts of itself).
    `contrast` is the deviation of the texture and `noise` that of the sensor, in grey levels.
    """
    height, width = truth.shape
    rng = np.random.default_rng(seed)
    margin = int(truth.max()) + 8
    texture = np.zeros((height, width + margin, 3), dtype=np.float32)
    for blur in (0.0, 1.2, 5.0):  # fine and coarse structure, mostly the same in all colours
        grain = rng.normal(0, 1, texture.shape[:2])[..., None] + rng.normal(0, 0.5, texture.shape)
        grain = cv2.GaussianBlur(grain, (0, 0), 0.6 + blur)
        texture += (contrast * grain / grain.std()).astype(np.float32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)

    def view(x: np.ndarray) -> np.ndarray:
        seen = cv2.remap(texture, x + np.float32(margin), rows, cv2.INTER_CUBIC)
        seen = seen + (160, 110, 90) + rng.normal(0, noise, seen.shape)
        return np.clip(seen, 0, 255).astype(np.uint8)

    return view(columns - truth), view(columns)


def slanted_pair(
    *, width: int = 360, height: int = 120, near_px: float = 60.0, far_px: float = 30.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured plane from `far_px` (top) to `near_px` (bottom): left, right, disparity."""
    truth = np.linspace(far_px, near_px, height, dtype=np.float32)[:, None].repeat(width, axis=1)
    return (*rendered_pair(truth), truth)


def tissue_pair(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A 640x512 surface with smooth bumps, faint texture, noise and two highlights off it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:512, 0:640].astype(np.float32)
    truth = rng.uniform(30, 60) + rng.uniform(-0.03, 0.03) * (rows - 256)
    for _ in range(6):
        x, y, wide = rng.uniform(0, 640), rng.uniform(0, 512), rng.uniform(50, 160)
        bump = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * wide**2))
        truth = truth + rng.uniform(-8, 10) * bump
    truth = truth.astype(np.float32)
    left, right = rendered_pair(truth, seed=seed, contrast=rng.uniform(3, 12), noise=2.5)
    for _ in range(2):
        x, y, wide = rng.uniform(150, 640), rng.uniform(0, 512), rng.uniform(4, 14)
        shift = truth[int(y), int(x)] + rng.uniform(-6, 6)
        for picture, centre in ((left, x), (right, x - shift)):
            glare = 300 * np.exp(-((columns - centre) ** 2 + (rows - y) ** 2) / (2 * wide**2))
            picture[:] = np.minimum(picture + glare[..., None], 255).astype(np.uint8)
    return left, right, truth


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


def test_red_is_the_first_channel_and_weighs_more_than_blue() -> None:
    # The two colours contradict each other; grey is 0.30 red + 0.59 green + 0.11 blue.
    near, far = (slanted_pair(near_px=d, far_px=d)[:2] for d in (40, 20))
    views = zip(near, far, strict=True)
    left, right = (np.dstack([a[..., 0], 0 * a[..., 1], b[..., 2]]) for a, b in views)
    disparity = OpenCvSgbm(num_disparities=64).run(left, right).disparity_px
    assert disparity is not None
    assert np.nanmedian(disparity[:, 64:]) == pytest.approx(40, abs=0.5)


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


BORDERS = {
    'repeated': cv2.BORDER_REPLICATE,
    'mirrored': cv2.BORDER_REFLECT_101,
    'black': cv2.BORDER_CONSTANT,
}
MODES = {
    'SGBM': cv2.STEREO_SGBM_MODE_SGBM,
    '3WAY': cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    'HH4': cv2.STEREO_SGBM_MODE_HH4,
}


def matched(
    left: np.ndarray,
    right: np.ndarray,
    *,
    mode: str = '3WAY',
    border: str = 'repeated',
    colour: bool = False,
) -> tuple[np.ndarray, float]:
    """What the choices of the backend could have been: disparity and milliseconds (best of 3)."""
    settings = dict(SETTINGS)
    if colour:  # costs are summed over the channels
        settings |= {'P1': 3 * SETTINGS['P1'], 'P2': 3 * SETTINGS['P2']}
    else:
        left, right = (cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in (left, right))
    views = [cv2.copyMakeBorder(v, 0, 0, 256, 0, BORDERS[border]) for v in (left, right)]
    matcher = cv2.StereoSGBM_create(numDisparities=256, mode=MODES[mode], **settings)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        fixed = matcher.compute(*views)[:, 256:]
        times.append(1e3 * (time.perf_counter() - start))
    return np.where(fixed < 0, np.nan, fixed / np.float32(16)).astype(np.float32), min(times)


def study(scenes: Scenes, **choice: Any) -> dict[str, float]:
    """Means over scenes: error and coverage, wrong claims about hidden partners, milliseconds."""
    rows = []
    for left, right, truth in scenes:
        disparity, spent_ms = matched(left, right, **choice)
        claimed = np.where(inside(np.nan_to_num(disparity)), disparity, np.nan)
        outside = (truth > 0) & ~inside(truth)
        score = score_disparity(claimed, truth, (truth > 0) & ~outside)
        false_claims = np.isfinite(claimed[outside]).mean() if outside.any() else np.nan
        rows.append((score.epe_px, score.coverage, false_claims, spent_ms))
    names = ('epe_px', 'coverage', 'false_claims', 'ms')
    result = dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))
    LOG.info('%s: %s', choice, ', '.join(f'{name} {value:.3f}' for name, value in result.items()))
    return result


@pytest.fixture(scope='module')
def tissue() -> Scenes:
    return [tissue_pair(seed) for seed in range(6)]


@pytest.mark.slow
def test_repeating_the_border_claims_least_of_what_the_right_view_does_not_show(
    tissue: Scenes,
) -> None:
    repeated, mirrored, black = (study(tissue, border=border) for border in BORDERS)
    assert repeated['false_claims'] < mirrored['false_claims'] < black['false_claims']
    assert repeated['coverage'] >= mirrored['coverage'] - 0.001
    assert repeated['coverage'] > black['coverage']


@pytest.mark.slow
def test_the_fast_mode_is_as_exact_as_the_slower_ones(tissue: Scenes) -> None:
    chosen = study(tissue, mode='3WAY')
    for other in (study(tissue, mode='SGBM'), study(tissue, mode='HH4')):
        assert chosen['epe_px'] < other['epe_px'] + 0.05
        assert chosen['coverage'] > other['coverage'] - 0.005


@pytest.mark.slow
def test_grey_pictures_match_as_well_as_colour_ones(tissue: Scenes) -> None:
    grey, colour = (study(tissue, colour=colour) for colour in (False, True))
    assert grey['epe_px'] < colour['epe_px'] + 0.05
    assert grey['coverage'] > colour['coverage'] - 0.005


@pytest.mark.slow
def test_a_vertical_offset_costs_answers_before_it_costs_truth(tissue: Scenes) -> None:
    def shifted(offset_px: int) -> tuple[float, float]:
        scores = []
        for left, right, truth in tissue:
            moved = np.roll(right, offset_px, axis=0)
            disparity = OpenCvSgbm().run(left, moved).disparity_px
            assert disparity is not None
            score = score_disparity(disparity, truth, inside(truth))
            scores.append((score.coverage, score.bad_3))
        coverage, bad_3 = np.mean(scores, axis=0).tolist()
        LOG.info('offset %d px: coverage %.3f, bad-3 %.3f', offset_px, coverage, bad_3)
        return coverage, bad_3

    none, two, three = shifted(0), shifted(2), shifted(3)
    assert none[0] > two[0] > three[0]
    assert two[1] < 0.03


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
