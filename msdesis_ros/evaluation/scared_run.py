"""Scores every frame of SCARED's test sets by one protocol; nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.errors import CalibrationError, FileFormatError, UsageError
from msdesis_ros.core.original_view import OriginalView
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.conversion.depth_maps import Fill, depth_map_mm
from msdesis_ros.data.value_files import DEPTH, DISPARITY, agreed_scale, read_values
from msdesis_ros.evaluation.scared_predictions import FramePredictions
from msdesis_ros.evaluation.scared_protocols import (
    LOOSE,
    FrameScore,
    KeyFrameScore,
    Measures,
    Protocol,
    RectifiedDepth,
    coverage,
    score_loose,
    score_paper,
)
from msdesis_ros.evaluation.scared_tree import (
    CALIBRATION,
    VALID_LIST,
    Frame,
    FrameDoesNotCountError,
    KeyFrame,
)

Watcher = Callable[[Frame, np.ndarray, np.ndarray], None]


def _nothing(*_: Any) -> None:
    pass


class ScaredRun:
    """One evaluation.

    truth_scale: of the PNGs with the truth, None = what their folder says, else 128. fill: of the
    depth maps that are made of predicted disparities. watch: is shown each counted frame with
    truth and prediction (H x W, NaN = unknown). progress: is called after each frame.

    Raises UsageError where predicted depth maps meet a protocol that compares disparities.
    """

    def __init__(
        self,
        protocol: Protocol,
        predictions: FramePredictions,
        *,
        truth_scale: float | None,
        fill: Fill,
        watch: Watcher = _nothing,
        progress: Callable[[], None] = _nothing,
    ) -> None:
        if predictions.quantity == DEPTH and protocol.domain != 'depthmap':
            raise UsageError(
                'the predictions are depth maps, and this protocol compares disparities; give '
                '--protocol paper --domain depthmap'
            )
        self.protocol, self.predictions = protocol, predictions
        self._truth_scale, self._fill = truth_scale, fill
        self._watch, self._progress = watch, progress
        self._views: dict[str, OriginalView] = {}
        self._scales: dict[Path, float] = {}

    @property
    def truth_scales(self) -> list[float]:
        """The scales that the truth was read with so far, in order."""
        return sorted(set(self._scales.values()))

    def score(self, key_frames: Sequence[KeyFrame]) -> list[KeyFrameScore]:
        """Score all frames, key frame by key frame.

        Raises FileFormatError for a damaged prediction or one of another size than its truth,
        BackendError where a model fails, UsageError where the folders of the truth state another
        scale than the one that was given.
        """
        return [self._score_key_frame(key_frame) for key_frame in key_frames]

    def _score_key_frame(self, key_frame: KeyFrame) -> KeyFrameScore:
        score = KeyFrameScore(key_frame.dataset, key_frame.number)
        if key_frame.fault:
            score.notes.append(key_frame.fault)
        geometry = _Geometry(key_frame, self._views)
        for frame in key_frame.frames:
            self._score_frame(frame, geometry, score)
            self._progress()
        score.notes += [note for note in (geometry.fault, *geometry.warnings) if note]
        if key_frame.frames and not score.frames:
            score.notes.append(f'{key_frame.name}: no frame of it counts')
        if self.protocol.coverage_domain == 'depthmap':
            score.notes += _against_list(key_frame, score)
        return score

    def _score_frame(self, frame: Frame, geometry: _Geometry, score: KeyFrameScore) -> None:
        try:
            every_frame, predicted = self.predictions.every_frame, None
            if every_frame:
                predicted = self.predictions.predict(frame)
            truth = self._counted_truth(frame)
            if not every_frame:
                predicted = self.predictions.predict(frame)
            if predicted is None:
                score.missing.append(frame.name)
                predicted = np.full(truth.shape, np.nan, np.float32)
            else:
                predicted = self._in_domain(predicted, truth, geometry, frame)
        except FrameDoesNotCountError as left_out:
            score.skip(left_out.reason, frame.name)
            if left_out.detail:
                score.notes.append(left_out.detail)
            return
        answered = np.isfinite(predicted[np.isfinite(truth)])
        measures = self._measures(predicted, truth, geometry)
        score.frames.append(
            FrameScore(frame.name, coverage(truth), float(answered.mean()), measures)
        )
        self._watch(frame, truth, predicted)

    def _counted_truth(self, frame: Frame) -> np.ndarray:
        """The truth to compare with; raises FrameDoesNotCountError as the protocol says."""
        protocol = self.protocol
        decides = self._read_truth(frame, protocol.coverage_domain)
        if coverage(decides) < protocol.least_coverage:
            raise FrameDoesNotCountError(
                f'truth at less than {protocol.least_coverage:.0%} of the pixels'
            )
        if protocol.domain == protocol.coverage_domain:
            return decides
        truth = self._read_truth(frame, protocol.domain)
        if not np.isfinite(truth).any():
            raise FrameDoesNotCountError(f'no known pixel in the {protocol.domain}')
        return truth

    def _read_truth(self, frame: Frame, domain: str) -> np.ndarray:
        path = frame.files.get(domain)
        if path is None:
            detail = f'{frame.full_name} has no truth in {domain}'
            raise FrameDoesNotCountError(f'no {domain}', detail)
        try:
            return read_values(path, self._scale_of(path.parent, domain), _quantity(domain))
        except FileFormatError as error:
            raise FrameDoesNotCountError(f'damaged {domain}', str(error)) from error

    def _scale_of(self, folder: Path, domain: str) -> float:
        if folder not in self._scales:
            self._scales[folder] = agreed_scale(
                folder,
                quantity=_quantity(domain),
                scale=self._truth_scale,
                option='--truth-scale-factor',
            )
        return self._scales[folder]

    def _in_domain(
        self, predicted: np.ndarray, truth: np.ndarray, geometry: _Geometry, frame: Frame
    ) -> np.ndarray:
        """The prediction as the protocol compares it, of the size of the truth."""
        if predicted.shape != truth.shape:
            raise FileFormatError(
                f'{frame.full_name}: the prediction is {_size(predicted)} px and the truth '
                f'{_size(truth)} px; both must be of one view at one size'
            )
        if self.protocol.domain != 'depthmap' or self.predictions.quantity == DEPTH:
            return predicted
        view = geometry.view(truth)
        if view is None:
            raise FrameDoesNotCountError('no usable calibration')
        return depth_map_mm(predicted, view, fill=self._fill)

    def _measures(self, predicted: np.ndarray, truth: np.ndarray, geometry: _Geometry) -> Measures:
        if self.protocol is LOOSE:
            return score_loose(predicted, truth, geometry.depth(truth))
        return score_paper(predicted, truth, self.protocol)


class _Geometry:
    """What the calibration of a key frame gives, made when it is first needed.

    views: the view made last, by the fingerprint of its rig: key frames share calibrations. fault:
    what is wrong with the file, empty as long as nothing is known to be.
    """

    def __init__(self, key_frame: KeyFrame, views: dict[str, OriginalView]) -> None:
        self._path, self._name = key_frame.calibration, key_frame.name
        self._rigs: dict[tuple[int, ...], StereoRig | None] = {}
        self._views = views
        self.fault = ''
        self.warnings: tuple[str, ...] = ()

    def depth(self, plane: np.ndarray) -> RectifiedDepth | None:
        """Depth of the rectified view, for planes of this size; None where there is none."""
        rig = self._rig(plane)
        return None if rig is None else RectifiedDepth.of_rig(rig)

    def view(self, plane: np.ndarray) -> OriginalView | None:
        """The original left view, for planes of this size; None where there is none."""
        rig = self._rig(plane)
        if rig is None:
            return None
        if rig.fingerprint not in self._views:
            self._views.clear()
            self._views[rig.fingerprint] = OriginalView(rig)
        return self._views[rig.fingerprint]

    def _rig(self, plane: np.ndarray) -> StereoRig | None:
        if plane.shape not in self._rigs:
            self._rigs[plane.shape] = self._read(plane)
        return self._rigs[plane.shape]

    def _read(self, plane: np.ndarray) -> StereoRig | None:
        if self._path is None:
            self.fault = f'{self._name} has no {CALIBRATION}, so no depth can be made'
            return None
        try:
            height, width = plane.shape
            cameras = read_calibration(self._path, image_size=(width, height))
            rig = StereoRig.from_cameras(*cameras)
        except (FileFormatError, CalibrationError) as error:
            text = str(error)
            self.fault = text if str(self._path) in text else f'{self._path}: {text}'
            return None
        self.warnings = rig.warnings
        return rig


def _against_list(key_frame: KeyFrame, score: KeyFrameScore) -> list[str]:
    """What valid.csv says otherwise about which frames count; the depth maps decide."""
    if key_frame.listed is None:
        return []
    counted = {int(frame.name) for frame in score.frames if frame.name.isdecimal()}
    other = sorted(counted ^ key_frame.listed)
    if not other:
        return []
    return [
        f'{VALID_LIST} of {key_frame.name} says otherwise about {len(other)} frames, the first is '
        f'{other[0]}; the coverage of the depth maps decides'
    ]


def _quantity(domain: str) -> str:
    return DISPARITY if domain == 'disparity' else DEPTH


def _size(plane: np.ndarray) -> str:
    return f'{plane.shape[1]}x{plane.shape[0]}'
