"""A backend is used only if it answers as the model did when its card was written."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.card_writer import table_toml
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.check_samples import SelfCheck, Tolerance
from msdesis_ros.runtime.factory import create_backend
from msdesis_ros.runtime.graph_contract import GraphInterface
from msdesis_ros.runtime.network_backend import NetworkBackend
from msdesis_ros.runtime.self_check import (
    check_against_card,
    check_pictures,
    make_self_check,
    run_self_check,
)

SIZE = (64, 48)
FP32 = Tolerance(precision='fp32', disparity_px=0.01, mask_logits=0.01, uncertainty_px=0.01)
FP16 = Tolerance(precision='fp16', disparity_px=1.0, mask_logits=1.0, uncertainty_px=1.0)


class Difference(NetworkBackend):
    """Mean difference of the views, times `gain`, and `spoil` added to some pixels."""

    def __init__(
        self,
        *,
        gain: float = 1.0,
        spoil: float = 0.0,
        every: int = 1,
        precision: str = 'fp32',
        width: int | None = None,
    ) -> None:
        super().__init__(
            identity=ModelIdentity('difference', None, 'test'),
            interface=GraphInterface(
                ('left', 'right'), ('disparity', 'mask_logits'), width, 48 if width else None
            ),
            min_disparity_px=0.0,
            max_disparity_px=255.0,
            precision=precision,
        )
        self.gain, self.spoil, self.every = gain, spoil, every

    def _infer(self, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        apart = (pictures['left'].astype(np.float32) - pictures['right']).mean(axis=2)
        apart = apart * np.float32(self.gain)
        spoilt = apart.copy()
        spoilt.ravel()[:: self.every] += np.float32(self.spoil)
        return {'disparity': spoilt[None, None], 'mask_logits': -apart[None, None]}

    def _release(self) -> None:
        pass


def made(**options: float) -> SelfCheck:
    return make_self_check(Difference(**options), image_size=SIZE, tolerances=(FP32, FP16), seed=3)


def test_the_pictures_of_a_seed_are_the_same_bytes_everywhere() -> None:
    left, right = check_pictures(seed=1, image_size=SIZE)
    digest = hashlib.sha256(left.tobytes() + right.tobytes()).hexdigest()
    assert digest == PICTURES_SHA256
    np.testing.assert_array_equal(left[:, 12:], right[:, :-12])
    other, _ = check_pictures(seed=2, image_size=SIZE)
    assert (other != left).mean() > 0.9


PICTURES_SHA256 = 'b8a97ca4c2b5af4ee9a680b15722b69bcbe09b6635b94a42d4bcd8735ae66c31'


def test_256_samples_of_each_plane_are_kept_at_different_pixels() -> None:
    check = made()
    assert len(check.columns) == len(check.disparity_px) == len(check.mask_logits) == 256
    assert len(set(zip(check.columns, check.rows, strict=True))) == 256
    assert not check.uncertainty_px
    left, right = check_pictures(seed=3, image_size=SIZE)
    column, row = check.columns[7], check.rows[7]
    expected = (left[row, column].astype(float) - right[row, column]).mean()
    assert check.disparity_px[7] == pytest.approx(expected, abs=1e-3)


def test_the_same_answers_pass() -> None:
    run_self_check(Difference(), made())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'gain': 1.01}, 'of 256 samples of disparity_px are within 0.01 of the card'),
        ({'spoil': 0.5}, 'only 0% .*median error 0.5, largest 0.5'),
        ({'spoil': 0.5, 'every': 4}, 'samples of disparity_px'),
        ({'gain': -1.0}, 'samples of disparity_px'),
    ],
)
def test_other_answers_fail_with_figures(options: dict[str, float], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        run_self_check(Difference(**options), made())


def test_a_few_samples_may_be_off_for_a_surface_may_be_undecided() -> None:
    run_self_check(Difference(spoil=0.5, every=97), made())


def test_half_precision_is_given_its_own_tolerance() -> None:
    run_self_check(Difference(spoil=0.5, precision='fp16'), made())
    with pytest.raises(BackendError, match='within 1 of the card'):
        run_self_check(Difference(spoil=1.5, precision='fp16'), made())


def test_a_precision_that_the_card_has_no_tolerance_for_is_refused() -> None:
    with pytest.raises(ModelError, match='no tolerance for int8, only for fp32, fp16'):
        run_self_check(Difference(precision='int8'), made())


def test_a_plane_that_is_not_given_fails() -> None:
    check = replace(made(), uncertainty_px=made().disparity_px)
    with pytest.raises(BackendError, match='wants uncertainty_px'):
        run_self_check(Difference(), check)


CARD = """
name = 'difference'
family = 'test'
summary = 'mean difference'
heads = ['disparity', 'instrument_mask']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 255
intended_use = 'tests'
known_failures = []
outputs = []
measured = []
input = {{}}
training = {{ data = 'none' }}
[[files]]
path = 'difference.onnx'
format = 'onnx'
sha256 = '{sha256}'
{checks}
"""


def write_card(folder: Path, *checks: SelfCheck, model: bytes = b'no graph') -> None:
    (folder / 'difference.onnx').write_bytes(model)
    text = CARD.format(
        sha256=hashlib.sha256(model).hexdigest(),
        checks='\n'.join(table_toml('self_check', check) for check in checks),
    )
    (folder / 'difference.toml').write_text(text, encoding='utf-8')


def test_a_card_keeps_the_samples(tmp_path: Path) -> None:
    write_card(tmp_path, made())
    assert load_card('difference', tmp_path).self_check == (made(),)


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('columns = [', 'columns = [1, ', 'as many rows and values'),
        ('image_size = [64, 48]', 'image_size = [6, 48]', 'outside of its image_size'),
        ("precision = 'fp32'", "precision = 'fp23'", "precision 'fp23' is unknown"),
        ('disparity_px = 0.01', 'disparity_px = 0.0', 'tolerances of fp32 must be above 0'),
        ('seed = 3', 'seed = -3', 'a seed from 0'),
        ('seed = 3', 'seeds = 3', r'self_check\[0\] has unknown keys'),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    write_card(tmp_path, made())
    path = tmp_path / 'difference.toml'
    text = path.read_text(encoding='utf-8')
    assert old in text
    path.write_text(text.replace(old, new), encoding='utf-8')
    with pytest.raises(ModelError, match=message):
        load_card('difference', tmp_path)


def test_the_smallest_pair_that_the_engine_takes_is_used(tmp_path: Path) -> None:
    large = make_self_check(Difference(), image_size=(96, 48), tolerances=(FP32,))
    wrong = make_self_check(Difference(gain=2), image_size=SIZE, tolerances=(FP32,))
    write_card(tmp_path, large, wrong)
    card = load_card('difference', tmp_path)
    check_against_card(Difference(width=96), card)
    with pytest.raises(BackendError, match='fails its self-check'):
        check_against_card(Difference(), card)


def test_an_engine_of_a_size_without_samples_is_refused(tmp_path: Path) -> None:
    write_card(tmp_path, made())
    with pytest.raises(ModelError, match='no self-check of difference fits .*made for 96x48'):
        check_against_card(Difference(width=96), load_card('difference', tmp_path))


def test_a_card_without_samples_is_believed(tmp_path: Path) -> None:
    write_card(tmp_path)
    check_against_card(Difference(), load_card('difference', tmp_path))


GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (uint8[1,H,W,3] left, uint8[1,H,W,3] right)
  => (float[1,1,H,W] disparity, float[1,1,H,W] mask_logits)
{
  l = Cast<to=1>(left)
  r = Cast<to=1>(right)
  difference = Sub(l, r)
  mean = ReduceMean<axes=[3], keepdims=1>(difference)
  disparity = Transpose<perm=[0,3,1,2]>(mean)
  mask_logits = Neg(disparity)
}
"""


@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino'])
def test_the_factory_hands_out_no_engine_that_answers_otherwise(
    tmp_path: Path, backend: str
) -> None:
    onnx = pytest.importorskip('onnx', reason='the package onnx makes the test graph')
    pytest.importorskip(backend, reason=f'{backend} is not installed')
    model = onnx.parser.parse_model(GRAPH).SerializeToString()
    write_card(tmp_path, made(), model=model)
    create_backend('difference', backend=backend, models_dir=tmp_path).close()
    # The right hash, and yet another network: what a mixed-up conversion would give.
    swapped = onnx.parser.parse_model(GRAPH.replace('Sub(l, r)', 'Sub(r, l)'))
    write_card(tmp_path, made(), model=swapped.SerializeToString())
    with pytest.raises(BackendError, match='fails its self-check'):
        create_backend('difference', backend=backend, models_dir=tmp_path)
