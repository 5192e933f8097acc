"""One frame's prediction against its truth, by region, in sums that add up over frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.stereo_frame import StereoFrame
from msdesis_ros.evaluation.disparity_sums import DisparitySums, Measures, disparity_sums
from msdesis_ros.evaluation.mask_sums import MaskSums, mask_sums
from msdesis_ros.evaluation.regions import find_regions
from msdesis_ros.evaluation.uncertainty_sums import UncertaintySums, uncertainty_sums
from msdesis_ros.runtime.pipeline import PerceptionResult


@dataclass(frozen=True, eq=False)
class FrameTruth:
    """What is known of one frame, all at the pixels of its rectified left picture.

    left: H x W x 3 uint8 RGB. disparity_px: H x W float, NaN = no truth. instrument_mask,
    occluded: H x W bool, None = not known. geometry: None leaves depths out. Raises UsageError
    for shapes that differ and for infinite truth.
    """

    left: np.ndarray
    disparity_px: np.ndarray
    instrument_mask: np.ndarray | None = None
    occluded: np.ndarray | None = None
    geometry: StereoGeometry | None = None

    def __post_init__(self) -> None:
        _require_planes(self.left.shape[:2], self, 'the truth')

    @classmethod
    def of_frame(cls, frame: StereoFrame) -> FrameTruth:
        """The truth that comes with a synthetic frame."""
        return cls(
            frame.left, frame.disparity_px, frame.instrument_mask, frame.occluded, frame.geometry
        )


@dataclass(frozen=True, eq=False)
class FrameAnswer:
    """What a model says of one frame; None for what it has no head for.

    disparity_px: H x W float, NaN = no number. valid: H x W bool, the pixels that the product
    uses. uncertainty_px: H x W float, 1 sigma. instrument_mask: H x W bool. Raises UsageError for
    shapes that differ and for an infinite disparity.
    """

    valid: np.ndarray
    disparity_px: np.ndarray | None = None
    uncertainty_px: np.ndarray | None = None
    instrument_mask: np.ndarray | None = None

    def __post_init__(self) -> None:
        _require_planes(self.valid.shape, self, 'the prediction')

    @classmethod
    def of_result(cls, result: PerceptionResult) -> FrameAnswer:
        """What the pipeline made of one pair."""
        prediction = result.prediction
        has_disparity = result.raw.disparity_px is not None
        return cls(
            valid=prediction.valid,
            disparity_px=prediction.disparity_px if has_disparity else None,
            uncertainty_px=prediction.uncertainty_px if has_disparity else None,
            instrument_mask=prediction.instrument_mask,
        )


@dataclass(frozen=True)
class RegionSums:
    """The sums of one region; `answered` and `dense` as in `disparity_sums`."""

    answered: DisparitySums
    dense: DisparitySums
    uncertainty: UncertaintySums | None = None

    def __add__(self, other: RegionSums) -> RegionSums:
        return RegionSums(
            self.answered + other.answered,
            self.dense + other.dense,
            _added(self.uncertainty, other.uncertainty),
        )

    @property
    def measures(self) -> Measures:
        """All figures of the region; those of the uncertainty are missing without one."""
        return {
            'truth_pixels': self.dense.truth_pixels,
            **self.answered.answered_measures,
            **self.dense.dense_measures,
            **(self.uncertainty.measures if self.uncertainty is not None else {}),
        }


@dataclass(frozen=True)
class Score:
    """Sums of one or of many frames; `+` joins them, whatever regions each of them has.

    regions: empty for a model without a disparity. mask: None where prediction or truth lack it.
    """

    regions: Mapping[str, RegionSums] = field(default_factory=dict)
    mask: MaskSums | None = None

    def __add__(self, other: Score) -> Score:
        names = dict.fromkeys((*self.regions, *other.regions))
        regions = {n: _added(self.regions.get(n), other.regions.get(n)) for n in names}
        return Score(regions, _added(self.mask, other.mask))

    @property
    def measures(self) -> dict[str, Measures]:
        """Figures by region; those of the mask are in the region `all`."""
        found = {name: sums.measures for name, sums in self.regions.items()}
        if self.mask is not None:
            found['all'] = found.get('all', {}) | self.mask.measures
        return found


def score_frame(truth: FrameTruth, answer: FrameAnswer) -> Score:
    """Sum up one frame; UsageError where the two differ in size.

    The uncertainty is judged on every pixel that has truth and a number, trusted or not: its task
    is to tell which ones to trust.
    """
    if answer.valid.shape != truth.disparity_px.shape:
        raise UsageError(
            f'the prediction has {_size(answer.valid)} px and the truth '
            f'{_size(truth.disparity_px)}; give the truth of the rectified left picture at its '
            'own size'
        )
    mask = None
    if answer.instrument_mask is not None and truth.instrument_mask is not None:
        mask = mask_sums(answer.instrument_mask, truth.instrument_mask)
    if answer.disparity_px is None:
        return Score(mask=mask)
    regions = find_regions(
        truth.left,
        truth.disparity_px,
        occluded=truth.occluded,
        instrument_mask=truth.instrument_mask,
    )
    answered_px = np.where(answer.valid, answer.disparity_px, np.nan)
    sums = {}
    for name, where in regions.items():
        sums[name] = RegionSums(
            disparity_sums(answered_px, truth.disparity_px, where, geometry=truth.geometry),
            disparity_sums(answer.disparity_px, truth.disparity_px, where),
            _uncertainty_of(answer, truth, where),
        )
    return Score(sums, mask)


def _uncertainty_of(
    answer: FrameAnswer, truth: FrameTruth, where: np.ndarray
) -> UncertaintySums | None:
    if answer.uncertainty_px is None or answer.disparity_px is None:
        return None
    told = where & ~np.isnan(answer.disparity_px)
    error_px = np.abs(answer.disparity_px[told].astype(np.float64) - truth.disparity_px[told])
    return uncertainty_sums(error_px, answer.uncertainty_px[told])


def _added(first: Any, second: Any) -> Any:
    """The sum of two values, either of which may be missing."""
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _require_planes(shape: tuple[int, ...], planes: FrameTruth | FrameAnswer, whose: str) -> None:
    for name in ('disparity_px', 'uncertainty_px', 'instrument_mask', 'occluded', 'valid'):
        plane = getattr(planes, name, None)
        if plane is not None and plane.shape != shape:
            raise UsageError(
                f'{whose} has {name} of shape {plane.shape}; expected {shape}, that of the others'
            )
    disparity_px = planes.disparity_px
    if disparity_px is not None and np.isinf(disparity_px).any():
        raise UsageError(f'{whose} holds an infinite disparity; give NaN where there is none')


def _size(plane: np.ndarray) -> str:
    return f'{plane.shape[1]}x{plane.shape[0]}'
