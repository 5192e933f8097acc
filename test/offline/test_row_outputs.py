from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.images import read_plane
from msdesis_ros.offline.pair_list import PairRow
from msdesis_ros.offline.row_outputs import HEAD_OF, OutputSettings, require_writable
from msdesis_ros.runtime.backend import RawOutput
from msdesis_ros.runtime.pipeline import PerceptionPipeline

KINDS = tuple(HEAD_OF)


def answering(fake, **planes: np.ndarray):
    """The fake model, giving these planes."""
    fake.heads = frozenset({'disparity', 'instrument_mask', 'uncertainty'})
    fake.run = lambda left, right: RawOutput(**planes)
    return fake


@pytest.fixture
def result(fake_backend):
    """A pair at 4 mm baseline and 100 px, with disparities that a file has to get right."""
    disparity = np.full((8, 700), 2.0, np.float32)
    disparity[0, :6] = [np.nan, -3, 0, 0.004, 511.995, 600]
    backend = answering(
        fake_backend,
        disparity_px=disparity,
        mask_logits=np.linspace(-6, 6, disparity.size, dtype=np.float32).reshape(disparity.shape),
        uncertainty_px=np.full(disparity.shape, 0.5, np.float32),
    )
    picture = np.random.default_rng(0).integers(0, 255, (*disparity.shape, 3), np.uint8)
    rig = StereoRig.from_focal_and_baseline(image_size=(700, 8), focal_px=100.0, baseline_m=0.004)
    pair = RawPair(picture, picture, stamp_ns=0, right_stamp_ns=0)
    return PerceptionPipeline(backend).process(pair, rig)


def written(path: Path, result, kind: str, **settings) -> tuple[np.ndarray, int]:
    """The file of one kind as OpenCV reads it, and how many values were too large."""
    made = OutputSettings(**settings)
    too_large = made.write(path, kind, made.planes(result, [kind])[kind])
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED), too_large


def test_a_disparity_is_rounded_and_saturates_and_never_wraps(tmp_path, result):
    stored, too_large = written(tmp_path / 'd.png', result, 'disparity')
    assert stored.dtype == np.uint16 and too_large == 1
    # Unknown, negative and zero are 0; 600 px x 128 is 76800, which wrapped around to 11264.
    assert stored[0, :7].tolist() == [0, 0, 0, 1, 65535, 65535, 256]


def test_the_scale_factor_multiplies_pixels(tmp_path, result):
    stored, too_large = written(
        tmp_path / 'd.png', result, 'disparity', disparity_scale_factor=64.0
    )
    assert too_large == 0 and stored[0, 5:7].tolist() == [38400, 128]


def test_every_pixel_of_the_model_is_written_unless_only_valid_ones_are_wanted(tmp_path, result):
    every, _ = written(tmp_path / 'd.png', result, 'disparity')
    valid, _ = written(tmp_path / 'v.png', result, 'disparity', valid_only=True)
    # The first two columns have their partners outside of the right picture.
    assert (every[1:, :2] == 256).all() and not valid[1:, :2].any()
    assert (valid[1:, 2:] == 256).all()
    np.testing.assert_array_equal(valid > 0, result.prediction.valid)


def test_tiff_holds_floats_and_nan(tmp_path, result):
    stored, too_large = written(tmp_path / 'd.tiff', result, 'disparity')
    np.testing.assert_array_equal(stored, result.prediction.disparity_px)
    assert too_large == 0
    depth, _ = written(tmp_path / 'z.tif', result, 'depth', depth_scale_factor=1.0)
    np.testing.assert_array_equal(depth, result.prediction.depth_m)


def test_depth_is_stored_in_millimetres(tmp_path, result):
    # 100 px x 4 mm / 2 px = 200 mm.
    stored, _ = written(tmp_path / 'z.png', result, 'depth')
    assert stored[1, 300] == 200 * 128
    assert not stored[1, :2].any(), 'no depth where there is no partner'
    stored, _ = written(tmp_path / 'z.png', result, 'depth', depth_scale_factor=10.0)
    assert stored[1, 300] == 2000


def test_uncertainty_has_the_scale_of_the_disparity(tmp_path, result):
    stored, _ = written(tmp_path / 'u.png', result, 'uncertainty', disparity_scale_factor=1000.0)
    assert (stored == 500).all()


@pytest.mark.parametrize('threshold', [0.01, 0.3, 0.5, 0.77, 0.99])
def test_a_tool_is_where_its_probability_is_above_the_threshold(tmp_path, result, threshold):
    path = tmp_path / 'm.png'
    stored, _ = written(path, result, 'segmentation', segmentation_threshold=threshold)
    probability = 1 / (1 + np.exp(-result.raw.mask_logits.astype(np.float64)))
    expected = np.where(probability > threshold, 255, 0)
    np.testing.assert_array_equal(stored, expected)
    assert read_plane(path).dtype == np.uint8 and 0 < stored.mean() < 255


@pytest.mark.parametrize(
    'settings',
    [
        {'disparity_scale_factor': 0.0},
        {'disparity_scale_factor': -128.0},
        {'depth_scale_factor': float('nan')},
        {'depth_scale_factor': float('inf')},
        {'segmentation_threshold': 0.0},
        {'segmentation_threshold': 1.0},
        {'segmentation_threshold': float('nan')},
    ],
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UsageError):
        OutputSettings(**settings)


@pytest.mark.parametrize('kind', KINDS)
def test_a_name_of_a_form_that_cannot_hold_it_is_refused(kind):
    def row(name: str) -> list[PairRow]:
        return [PairRow(4, Path('l'), Path('r'), {kind: Path(name)})]

    require_writable(row('a.PNG'))
    for name in ('a.jpg', 'a', *(['a.tiff'] if kind == 'segmentation' else [])):
        with pytest.raises(UsageError, match=f'line 4: the {kind}'):
            require_writable(row(name))
