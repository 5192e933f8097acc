"""The two published ways to score SCARED's test sets: which frames count, and what is averaged.

loose   evaluate_scared of MSDESIS: disparity of the rectified view, frames with truth at 7 % of
        the pixels and more.
paper   scared_toolkit, which the figures of the paper come from (Psychogyios et al., IEEE TMI
        2022): depth maps of the original, distorted left view, or disparities; frames with a depth
        at 10 % of the pixels and more.

In both a frame is a mean over its known pixels, a key frame a mean over its frames, a set a mean
over its key frames, and the final figure the mean of the two sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from msdesis_ros.core.errors import UsageError, shown
from msdesis_ros.core.rig import StereoRig

Domain = Literal['disparity', 'depthmap']
Measures = dict[str, float | None]
BAD_PX = 3.0
# What evaluate_scared counts for a pixel without a usable depth.
LOST_DEPTH_ERROR_MM = 40.0


@dataclass(frozen=True)
class Protocol:
    """One way to score.

    domain: the planes that are compared. least_coverage: a frame counts from this share of known
    pixels in the truth of `coverage_domain`, 0 to 1. measures: columns of the table; px or mm,
    Bad3 and bad3 in percent.
    """

    name: str
    domain: Domain
    least_coverage: float
    coverage_domain: Domain
    measures: tuple[str, ...]

    @property
    def unit(self) -> str:
        """Of the planes that are compared."""
        return 'px' if self.domain == 'disparity' else 'mm'


LOOSE = Protocol('loose', 'disparity', 0.07, 'disparity', ('EPE', 'Bad3', 'Depth_MAE'))
PAPER_DEPTHMAP = Protocol('paper', 'depthmap', 0.10, 'depthmap', ('MAE',))
PAPER_DISPARITY = Protocol('paper', 'disparity', 0.10, 'depthmap', ('MAE', 'bad3'))
PROTOCOLS = (LOOSE, PAPER_DEPTHMAP, PAPER_DISPARITY)
PROTOCOL_NAMES = tuple(dict.fromkeys(protocol.name for protocol in PROTOCOLS))
DOMAINS: tuple[Domain, ...] = ('depthmap', 'disparity')


def find_protocol(name: str, domain: str | None = None) -> Protocol:
    """The protocol of a name and a domain, None = its first; UsageError where there is none."""
    if name not in PROTOCOL_NAMES:
        raise UsageError(
            f'the protocol {shown(name)} is unknown; known are {", ".join(PROTOCOL_NAMES)}'
        )
    of_name = [protocol for protocol in PROTOCOLS if protocol.name == name]
    for protocol in of_name:
        if domain in (None, protocol.domain):
            return protocol
    known = ', '.join(protocol.domain for protocol in of_name)
    raise UsageError(f'the protocol {name} has no domain {shown(domain)}; known are {known}')


@dataclass(frozen=True)
class RectifiedDepth:
    """Depth of a disparity in the rectified view, as the matrix Q of the calibration gives it.

    focal_times_baseline_mm: px * mm. cx_offset_px: cx of P1 less cx of P2.
    """

    focal_times_baseline_mm: float
    cx_offset_px: float = 0.0

    @classmethod
    def of_rig(cls, rig: StereoRig) -> RectifiedDepth:
        """From P1 and P2, which Q is made of."""
        focal_px = float(rig.left.projection[0, 0])
        return cls(focal_px * rig.baseline_m * 1e3, rig.cx_offset_px)

    def of_disparity(self, disparity_px: np.ndarray) -> np.ndarray:
        """Z in mm, float64; infinite or negative where the disparity says so."""
        with np.errstate(divide='ignore'):
            return self.focal_times_baseline_mm / (
                disparity_px.astype(np.float64) - self.cx_offset_px
            )


def coverage(truth: np.ndarray) -> float:
    """The share of the picture with a truth (NaN = none), 0 to 1."""
    return float(np.count_nonzero(np.isfinite(truth))) / max(truth.size, 1)


def score_loose(
    predicted_px: np.ndarray, truth_px: np.ndarray, depth: RectifiedDepth | None
) -> Measures:
    """EPE (px), Bad3 (%) and Depth_MAE (mm, None without `depth`) of one frame.

    predicted_px, truth_px: H x W, NaN where unknown; neither is altered. Over all pixels with a
    truth: an unknown prediction, like a negative one, is a disparity of 0. Its depth, as any that
    is not finite and positive, is off by 40 mm. UsageError for a truth without a known pixel.
    """
    predicted, truth = _at_known(predicted_px, truth_px)
    error = np.abs(predicted - truth)
    measures: Measures = {'EPE': _mean(error), 'Bad3': 100 * _mean(error > BAD_PX)}
    measures['Depth_MAE'] = None if depth is None else _depth_error(predicted, truth, depth)
    return measures


def score_paper(predicted: np.ndarray, truth: np.ndarray, protocol: Protocol) -> Measures:
    """MAE of one frame (px or mm), and bad3 (%) for disparities; otherwise as `score_loose`.

    An unknown prediction is 0 and counts, so that its error is the whole truth.
    """
    known_prediction, known_truth = _at_known(predicted, truth)
    error = np.abs(known_prediction - known_truth)
    measures: Measures = {'MAE': _mean(error)}
    if 'bad3' in protocol.measures:
        measures['bad3'] = 100 * _mean(error > BAD_PX)
    return measures


@dataclass(frozen=True)
class FrameScore:
    """One scored frame.

    coverage: the share of the picture with a truth. answered: the share of that with a prediction.
    """

    name: str
    coverage: float
    answered: float
    measures: Measures


@dataclass
class KeyFrameScore:
    """What became of the frames of one key frame.

    skipped: names of frames that do not count, by reason. missing: counted frames that have no
    prediction at all. notes: sentences about the whole key frame.
    """

    dataset: int
    key_frame: int
    frames: list[FrameScore] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the folders: dataset_8/keyframe_0."""
        return f'dataset_{self.dataset}/keyframe_{self.key_frame}'

    def skip(self, reason: str, name: str) -> None:
        """Note a frame that does not count."""
        self.skipped.setdefault(reason, []).append(name)

    def mean(self, measure: str) -> float | None:
        """Over its frames; None where none counts."""
        return mean_of([frame.measures[measure] for frame in self.frames])


def set_mean(key_frames: Sequence[KeyFrameScore], dataset: int, measure: str) -> float | None:
    """Over the key frames of a set that have a figure; None where none has."""
    return mean_of([k.mean(measure) for k in key_frames if k.dataset == dataset])


def final_mean(
    key_frames: Sequence[KeyFrameScore], datasets: Sequence[int], measure: str
) -> float | None:
    """The mean of the sets; None unless each of them has a figure."""
    means = [set_mean(key_frames, dataset, measure) for dataset in datasets]
    return None if None in means else mean_of(means)


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _at_known(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both at the pixels with a truth, float64; an unknown or negative prediction is 0."""
    if predicted.shape != truth.shape:
        raise UsageError(
            f'the prediction has the shape {predicted.shape} and the truth {truth.shape}; both '
            'must be of one view at one size'
        )
    known = np.isfinite(truth)
    if not known.any():
        raise UsageError('the truth has no known pixel, so there is nothing to score')
    found = predicted[known].astype(np.float64)
    usable = np.isfinite(found) & (found > 0)
    return np.where(usable, found, 0.0), truth[known].astype(np.float64)


def _depth_error(
    predicted_px: np.ndarray, truth_px: np.ndarray, depth: RectifiedDepth
) -> float | None:
    truth_mm, found_mm = depth.of_disparity(truth_px), depth.of_disparity(predicted_px)
    ahead = np.isfinite(truth_mm) & (truth_mm > 0)
    if not ahead.any():
        return None
    truth_mm, found_mm = truth_mm[ahead], found_mm[ahead]
    lost = ~np.isfinite(found_mm) | (found_mm <= 0)
    error = np.abs(np.where(lost, 0.0, found_mm) - truth_mm)
    return _mean(np.where(lost, LOST_DEPTH_ERROR_MM, error))


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64))
