"""The models that ship: whole, complete, and as good as their results page says.

Bars that the weights do not reach yet are marked as such, with what was measured: a better
training turns the mark into a failure, and the mark goes. Real pictures are tests alone; none was
used to train or to choose.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.resources import resource
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.sample import sample_folder, sample_truth
from msdesis_ros.evaluation.truth_files import read_disparity_truth
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.cards import DEFAULT_MODEL, load_card
from msdesis_ros.runtime.factory import create_backend

MOST_BYTES = 40 * 1024**2
MODELS = sorted(path.stem for path in resource('models').glob('*.toml'))


@pytest.fixture(scope='module')
def network() -> Backend:
    backend = create_backend(DEFAULT_MODEL)
    yield backend
    backend.close()


@pytest.mark.parametrize('model', MODELS)
def test_every_card_is_complete_and_its_files_are_those_it_names(model: str) -> None:
    card = load_card(model)
    text = resource('models', f'{model}.toml').read_text(encoding='utf-8')
    assert 'not stated' not in text and '/tmp/' not in text
    for file in card.files:
        path = resource('models', file.path)
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == file.sha256, file.path
        assert len(content) <= MOST_BYTES
    assert all(figure.command and figure.data and figure.machine for figure in card.measured)


def test_the_default_network_has_a_graph_for_any_size_and_its_weights() -> None:
    card = load_card(DEFAULT_MODEL)
    assert card.heads == {'disparity', 'instrument_mask', 'uncertainty'}
    formats = {(file.format, file.image_size) for file in card.files}
    assert {('onnx', None), ('safetensors', None)} <= formats


@dataclass(frozen=True)
class Score:
    epe_px: float
    bad_3: float

    @classmethod
    def of(cls, disparity_px: np.ndarray, truth_px: np.ndarray) -> Score:
        """Over every pixel with truth; the answer is dense, so that none is left out."""
        known = np.isfinite(truth_px)
        assert np.isfinite(disparity_px[known]).all()
        error_px = np.abs(disparity_px - truth_px)[known]
        return cls(float(error_px.mean()), float((error_px > 3).mean()))


@dataclass(frozen=True)
class RealPair:
    """A real pair with truth, below MSDESIS_TEST_DATA, and the bars of its dense disparity."""

    left: str
    right: str
    truth: str
    scale: float
    most_epe_px: float
    most_bad_3: float = 1.0


SCARED = 'dataset_1_keyframe_2_frame_data000000'
PAIRS = {
    'scared_d1k2': RealPair(
        f'left/{SCARED}.png', f'right/{SCARED}.png', f'disparity/{SCARED}.tiff', 1, 0.38, 0.005
    ),
    'middlebury_cones': RealPair('Cones_LEFT.tif', 'Cones_RIGHT.tif', 'Cones_LEFT_GT.tif', 1, 1.0),
    'kitti2015_000046': RealPair(
        'image_2/000046_10.png', 'image_3/000046_10.png', 'disp_occ_0/000046_10.png', 256, 1.4
    ),
}


@pytest.mark.parametrize('name', PAIRS)
def test_real_pairs_are_matched_at_every_pixel(network: Backend, test_data: Path, name: str):
    pair, folder = PAIRS[name], test_data / name
    answer = network.run(read_rgb(folder / pair.left), read_rgb(folder / pair.right))
    truth_px = read_disparity_truth(folder / pair.truth, scale=pair.scale)
    score = Score.of(answer.disparity_px, truth_px)
    assert score.epe_px <= pair.most_epe_px and score.bad_3 <= pair.most_bad_3, score


def test_no_real_pair_is_answered_worse_than_the_results_page_says(
    network: Backend, test_data: Path
):
    measured = {'scared_d1k2': 0.348, 'middlebury_cones': 0.938, 'kitti2015_000046': 1.308}
    for name, pair in PAIRS.items():
        folder = test_data / name
        answer = network.run(read_rgb(folder / pair.left), read_rgb(folder / pair.right))
        truth_px = read_disparity_truth(folder / pair.truth, scale=pair.scale)
        assert Score.of(answer.disparity_px, truth_px).epe_px <= measured[name] + 0.01, name


def test_real_instruments_are_found(network: Backend, test_data: Path) -> None:
    folder = test_data / 'endovis2017_frame'
    picture = read_rgb(folder / 'frame.png')
    parts = [
        cv2.imread(str(folder / f'{side}_frame.png'), cv2.IMREAD_GRAYSCALE) > 0
        for side in ('left', 'right')
    ]
    # At its own size, and one view for both: the mask looks at the left one alone.
    found, wanted = network.run(picture, picture).mask_logits > 0, parts[0] | parts[1]
    # The bar is 0.75; 0.89 was measured.
    assert (found & wanted).sum() / (found | wanted).sum() >= 0.87


def test_a_picture_without_instruments_stays_unpainted(network: Backend, test_data: Path) -> None:
    pair, folder = PAIRS['scared_d1k2'], test_data / 'scared_d1k2'
    answer = network.run(read_rgb(folder / pair.left), read_rgb(folder / pair.right))
    assert (answer.mask_logits > 0).mean() <= 0.005


def test_the_instruments_of_the_bundled_sample_are_found(network: Backend, sample_pairs) -> None:
    both = either = 0
    for number, pair in enumerate(sample_pairs):
        found = network.run(*pair).mask_logits > 0
        wanted = sample_truth(number).instrument_mask
        both, either = both + (found & wanted).sum(), either + (found | wanted).sum()
    assert both / either >= 0.85


def test_the_bundled_sample_is_answered(network: Backend, sample_pairs) -> None:
    errors_px = [
        Score.of(network.run(*pair).disparity_px, sample_truth(number).disparity_px).epe_px
        for number, pair in enumerate(sample_pairs)
    ]
    assert np.mean(errors_px) <= 1.0


def test_the_light_network_answers_the_bundled_sample_too(sample_pairs) -> None:
    backend = create_backend('msdesis_light')
    assert backend.heads == {'disparity'}
    answer = backend.run(*sample_pairs[0]).disparity_px
    backend.close()
    # 2.1 px on the test split (docs/results/msdesis_light.md).
    assert Score.of(answer, sample_truth(0).disparity_px).epe_px <= 3.0


def test_where_no_partner_can_be_the_network_is_less_sure(network: Backend, sample_pairs) -> None:
    left, right = sample_pairs[0]
    answer, truth = network.run(left, right), sample_truth(0)
    known = np.isfinite(truth.disparity_px)
    outside = known & (np.arange(left.shape[1]) < truth.disparity_px)
    unsure = {
        name: np.median(answer.uncertainty_px[where & known])
        for name, where in {'outside': outside, 'seen': ~truth.occluded}.items()
    }
    assert unsure['outside'] > 2 * unsure['seen']


@pytest.fixture(scope='module')
def sample_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Three rectified pairs of the bundled sample, whose principal points agree."""
    folder = sample_folder()
    cameras = read_calibration(folder / 'calibration.json', image_size=(640, 512))
    rectifier = Rectifier(StereoRig.from_cameras(*cameras))
    assert not rectifier.disparity_offset_px
    views = (
        [read_rgb(folder / side / f'{number:06d}.jpg') for side in ('left', 'right')]
        for number in range(3)
    )
    return [rectifier.rectify(*pair) for pair in views]
