from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from msdesis_ros.core.alignment import measure_vertical_offset
from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import BackendError, CalibrationError, ImageError, UsageError
from msdesis_ros.core.left_rig import LeftRig
from msdesis_ros.core.prediction import ModelIdentity, RawPair
from msdesis_ros.core.quality import Reason, State
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.runtime.backend import RawOutput
from msdesis_ros.runtime.pipeline import PerceptionPipeline

WIDTH, HEIGHT, FOCAL, BASELINE = 96, 64, 100.0, 0.005


class Stub:
    """Answers with whatever the test puts into `output`, and keeps what it was given."""

    identity = ModelIdentity('stub', None, 'stub')
    heads = frozenset({'disparity'})
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 63.0, 0.5

    def __init__(self, output: RawOutput) -> None:
        self.output = output
        self.given: list[tuple[np.ndarray, np.ndarray]] = []

    def warm_up(self, image_size: tuple[int, int]) -> None:
        pass

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        self.given.append((left, right))
        return self.output

    def close(self) -> None:
        pass


def constant(value: float, **heads: np.ndarray) -> RawOutput:
    return RawOutput(np.full((HEIGHT, WIDTH), value, np.float32), **heads)


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(40, 220, (16, 24, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)


def pair(stamp_ns: int = 5, left: np.ndarray | None = None) -> RawPair:
    return RawPair(picture(0) if left is None else left, picture(1), stamp_ns, stamp_ns + 7)


def rig(
    *,
    rectified: bool = True,
    cx_right: float = 48.0,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    **changes,
) -> StereoRig:
    def camera(cx: float, tx: float) -> CameraCalibration:
        return CameraCalibration.from_camera_info_fields(
            width=size[0],
            height=size[1],
            distortion_model='plumb_bob',
            d=changes.get('d', []),
            k=[FOCAL, 0, cx, 0, FOCAL, 32, 0, 0, 1],
            r=np.eye(3),
            p=[FOCAL, 0, cx, tx, 0, FOCAL, 32, 0, 0, 0, 1, 0],
        )

    return StereoRig.from_cameras(
        camera(48.0, 0.0), camera(cx_right, -FOCAL * BASELINE), rectified=rectified
    )


def test_a_pair_becomes_a_prediction_in_metres_under_its_left_stamp():
    result = PerceptionPipeline(Stub(constant(10.0))).process(pair(123), rig())
    prediction = result.prediction
    assert prediction.stamp_ns == 123 and result.skew_ns == 7
    assert not prediction.valid[:, :10].any() and prediction.valid[:, 10:].all()
    np.testing.assert_allclose(prediction.depth_m[:, 10:], 0.05, rtol=1e-6)
    assert np.isnan(prediction.depth_m[:, :10]).all()
    assert (prediction.disparity_px == 10.0).all(), 'the model keeps its value everywhere'
    assert prediction.model.name == 'stub'
    assert (prediction.min_disparity_px, prediction.max_disparity_px) == (0.0, 63.0)
    assert result.verdict.state is State.OK
    assert set(result.stages_ms) == {'maps', 'rectify', 'quality', 'infer', 'geometry'}


def test_without_a_rig_there_is_disparity_but_no_depth():
    prediction = PerceptionPipeline(Stub(constant(10.0))).process(pair(), None).prediction
    assert prediction.depth_m is None and prediction.geometry is None
    assert prediction.valid[:, 10:].all()


@pytest.mark.parametrize('offset', [8.0, -12.0, -12.5])
def test_the_offset_of_the_principal_points_is_taken_out_of_rectified_pairs(offset):
    # Z = f B / (d_raw - (cx_l - cx_r)) = 0.05 m, so d_raw = 10 + offset in the pictures as given.
    one = rig(cx_right=48.0 - offset)
    shift = max(0, int(np.ceil(-offset)))
    stub = Stub(constant(10.0 + offset + shift))
    prediction = PerceptionPipeline(stub).process(pair(), one).prediction
    np.testing.assert_allclose(prediction.disparity_px, 10.0)
    known = np.isfinite(prediction.depth_m)
    assert known.any()
    np.testing.assert_allclose(prediction.depth_m[known], 0.05, rtol=1e-6)
    assert prediction.min_disparity_px == pytest.approx(0.0 - offset - shift)
    assert prediction.max_disparity_px == pytest.approx(63.0 - offset - shift)


def test_a_model_may_search_less_in_pictures_of_this_size():
    stub = Stub(replace(constant(10.0), max_disparity_px=42.0))
    assert PerceptionPipeline(stub).process(pair(), rig()).prediction.max_disparity_px == 42.0


def test_behind_infinity_is_not_valid():
    # 5 px in the pictures, of which 8 belong to the offset: a point behind infinity.
    prediction = (
        PerceptionPipeline(Stub(constant(5.0))).process(pair(), rig(cx_right=40.0)).prediction
    )
    assert not prediction.valid.any() and np.isnan(prediction.depth_m).all()


def test_the_backend_gets_rectified_pictures():
    stub = Stub(constant(10.0))
    one = rig(rectified=False, cx_right=53.0)
    PerceptionPipeline(stub).process(pair(), one)
    left, right = stub.given[0]
    np.testing.assert_array_equal(left, picture(0))
    np.testing.assert_array_equal(right[:, :91], picture(1)[:, 5:])


def test_maps_are_made_once_and_again_when_the_rig_changes(monkeypatch):
    made = []
    import msdesis_ros.runtime.pipeline as module

    original = module.Rectifier
    monkeypatch.setattr(module, 'Rectifier', lambda *a, **k: made.append(1) or original(*a, **k))
    pipeline = PerceptionPipeline(Stub(constant(10.0)))
    first, same, other = rig(), rig(), rig(d=[0.1, 0, 0, 0, 0])
    for one, count in ((first, 1), (first, 1), (same, 1), (other, 2), (first, 3)):
        pipeline.process(pair(), one)
        assert len(made) == count


def test_an_invalid_verdict_withholds_every_pixel():
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    result = PerceptionPipeline(Stub(constant(10.0))).process(pair(left=black), rig())
    assert result.verdict.state is State.INVALID
    assert not result.prediction.valid.any()
    assert np.isnan(result.prediction.depth_m).all()


def test_little_coverage_is_part_of_the_verdict():
    result = PerceptionPipeline(Stub(constant(np.nan))).process(pair(), rig())
    assert [reason.code for reason in result.verdict.reasons] == ['low_coverage']
    assert result.verdict.state is State.DEGRADED


def test_mask_logits_above_zero_are_instrument():
    logits = np.zeros((HEIGHT, WIDTH), np.float32)
    logits[3, 4], logits[5, 6] = 0.1, -0.1
    output = constant(10.0, mask_logits=logits)
    mask = PerceptionPipeline(Stub(output)).process(pair(), rig()).prediction.instrument_mask
    assert mask[3, 4] and mask.sum() == 1


def test_one_eye_gives_a_mask_and_neither_disparity_nor_depth():
    logits = np.full((HEIGHT, WIDTH), 1.0, np.float32)
    stub = Stub(constant(10.0, mask_logits=logits))
    stub.heads = frozenset({'disparity', 'instrument_mask'})
    pipeline = PerceptionPipeline(stub)
    lost = Reason('one_eye', State.DEGRADED, 1.2, 1.0, 'right image is missing')
    result = pipeline.process_left(picture(0), 9, rig(), lost)
    assert result.prediction.instrument_mask.all() and result.prediction.stamp_ns == 9
    assert result.prediction.depth_m is None and not result.prediction.valid.any()
    assert np.isnan(result.prediction.disparity_px).all()
    assert [reason.code for reason in result.verdict.reasons] == ['one_eye']
    assert result.right_rect is None
    assert pipeline.measure_vertical_offset(result) is None


def test_one_eye_is_not_enough_for_a_model_without_a_mask():
    with pytest.raises(UsageError, match='one eye'):
        PerceptionPipeline(Stub(constant(10.0))).process_left(picture(0), 9, rig())


def test_a_model_that_finds_instruments_only_needs_no_coverage():
    stub = Stub(RawOutput(None, mask_logits=np.ones((HEIGHT, WIDTH), np.float32)))
    stub.heads = frozenset({'instrument_mask'})
    result = PerceptionPipeline(stub).process(pair(), rig())
    assert result.verdict.state is State.OK
    assert result.prediction.depth_m is None and result.prediction.instrument_mask.all()


def test_a_model_that_owes_a_disparity_must_give_one():
    stub = Stub(RawOutput(None, mask_logits=np.ones((HEIGHT, WIDTH), np.float32)))
    with pytest.raises(BackendError, match='no disparity'):
        PerceptionPipeline(stub).process(pair(), rig())


def test_an_answer_of_another_shape_is_a_backend_error():
    wrong = RawOutput(np.zeros((HEIGHT // 2, WIDTH), np.float32))
    with pytest.raises(BackendError, match='expected'):
        PerceptionPipeline(Stub(wrong)).process(pair(), rig())


def test_pictures_of_another_size_than_calibrated_are_refused():
    small = RawPair(picture(0)[:32], picture(1)[:32], 0, 0)
    with pytest.raises(CalibrationError, match='96x32.*96x64'):
        PerceptionPipeline(Stub(constant(10.0))).process(small, rig())


def displaced() -> tuple[np.ndarray, np.ndarray]:
    """A scene of 320x240 px, and the same 6 px lower."""
    rng = np.random.default_rng(0)
    scene = np.zeros((240, 320, 3), np.float32)
    for step in (4, 8, 16):
        coarse = rng.uniform(0, 80, (240 // step, 320 // step, 3)).astype(np.float32)
        scene += cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    left = np.clip(scene, 0, 255).astype(np.uint8)
    return left, np.roll(left, 6, axis=0)


def codes(result) -> list[str]:
    return [reason.code for reason in result.verdict.reasons]


def test_a_measured_vertical_offset_enters_the_next_verdict():
    left, right = displaced()
    pipeline = PerceptionPipeline(Stub(RawOutput(np.full((240, 320), 10.0, np.float32))))
    result = pipeline.process(RawPair(left, right, 0, 0), None)
    assert result.verdict.state is State.OK
    offset = pipeline.measure_vertical_offset(result)
    assert offset is not None and offset.median_px == pytest.approx(-6.0, abs=0.2)
    again = pipeline.process(RawPair(left.copy(), right, 1, 1), None)
    assert 'vertical_offset' in codes(again)


def test_a_vertical_offset_goes_with_the_calibration_it_was_measured_with():
    left, right = displaced()
    pipeline = PerceptionPipeline(Stub(RawOutput(np.full((240, 320), 10.0, np.float32))))
    old = pipeline.process(RawPair(left, right, 0, 0), None)
    pipeline.measure_vertical_offset(old)
    new = pipeline.process(RawPair(left.copy(), right, 1, 1), rig(size=(320, 240)))
    assert 'vertical_offset' not in codes(new)
    # A measurement that took until the calibration had changed.
    assert pipeline.measure_vertical_offset(old) is not None
    assert pipeline.monitor.vertical_offset is None
    pipeline.measure_vertical_offset(new)
    assert pipeline.monitor.vertical_offset is not None


def test_a_measurement_of_a_forgotten_stream_is_dropped(monkeypatch):
    left, right = displaced()
    pipeline = PerceptionPipeline(Stub(RawOutput(np.full((240, 320), 10.0, np.float32))))
    result = pipeline.process(RawPair(left, right, 0, 0), None)

    def measure(*pictures):
        pipeline.monitor.reset()
        return measure_vertical_offset(*pictures)

    monkeypatch.setattr('msdesis_ros.runtime.pipeline.measure_vertical_offset', measure)
    assert pipeline.measure_vertical_offset(result) is not None
    assert pipeline.monitor.vertical_offset is None


def masked(logits: np.ndarray | None) -> Stub:
    stub = Stub(RawOutput(None, mask_logits=logits))
    stub.heads = frozenset({'instrument_mask'})
    return stub


def test_the_left_camera_alone_is_enough_for_a_mask_and_its_geometry():
    stub = masked(np.ones((HEIGHT, WIDTH), np.float32))
    left = LeftRig(rig(d=[-0.2, 0, 0, 0, 0]).left)
    result = PerceptionPipeline(stub).process_left(picture(0), 9, left)
    assert result.verdict.state is State.OK
    assert result.skew_ns is None and result.prediction.depth_m is None
    expected = cv2.undistort(picture(0), left.left.camera_matrix, left.left.distortion)
    given = stub.given[0][0].astype(int)
    np.testing.assert_array_equal(given, result.prediction.left_rect)
    assert np.abs(given - expected).mean() < 1 < np.abs(given - picture(0)).mean()
    geometry = result.prediction.geometry
    assert (geometry.image_size, geometry.focal_px) == ((WIDTH, HEIGHT), FOCAL)


def test_the_maps_of_a_left_camera_and_of_its_pair_are_two():
    stub = masked(np.ones((HEIGHT, WIDTH), np.float32))
    pipeline = PerceptionPipeline(stub)
    both = rig()
    for one in (both, LeftRig(both.left, rectified=True), both):
        pipeline.process_left(picture(0), 9, one)
        assert hasattr(pipeline.geometry, 'baseline_m') == (one is both)


def test_a_mask_that_the_model_owes_is_a_backend_error_where_it_is_missing_or_cut():
    for logits, words in ((None, 'no instrument mask'), (np.ones((5, 5), np.float32), 'expected')):
        with pytest.raises(BackendError, match=words):
            PerceptionPipeline(masked(logits)).process_left(picture(0), 9, rig())


def test_a_left_picture_that_is_no_picture_is_refused():
    stub = masked(np.ones((HEIGHT, WIDTH), np.float32))
    with pytest.raises(ImageError, match='left picture'):
        PerceptionPipeline(stub).process_left(picture(0)[..., 0], 9, rig())
    with pytest.raises(CalibrationError, match='96x32.*96x64'):
        PerceptionPipeline(stub).process_left(picture(0)[:32], 9, LeftRig(rig().left))
