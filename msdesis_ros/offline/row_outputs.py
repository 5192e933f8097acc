"""What of a result goes into files: which plane, in which unit, in which form."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.images import write_image
from msdesis_ros.data.scaled_png import DEFAULT_SCALE, write_scaled
from msdesis_ros.offline.pair_list import PairRow
from msdesis_ros.runtime.pipeline import PerceptionResult

# Kind of result -> the head that a model needs for it.
HEAD_OF = {
    'disparity': 'disparity',
    'segmentation': 'instrument_mask',
    'depth': 'disparity',
    'uncertainty': 'uncertainty',
}
FLOAT_SUFFIXES = ('.tif', '.tiff')
MM_PER_M = np.float32(1000)


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """How results become files.

    A .png of disparity and uncertainty holds px x `disparity_scale_factor`, that of depth mm x
    `depth_scale_factor`, in 16 bits, 0 = unknown; a .tiff holds float32 px or m with NaN.
    `segmentation_threshold`: a pixel is tool (255, else 0) where its probability is above it.
    `valid_only`: disparity and uncertainty are unknown where depth would be, instead of the
    model's value at every pixel. Raises UsageError for numbers outside of their range.
    """

    disparity_scale_factor: float = DEFAULT_SCALE
    depth_scale_factor: float = DEFAULT_SCALE
    segmentation_threshold: float = 0.5
    valid_only: bool = False

    def __post_init__(self) -> None:
        for name in ('disparity_scale_factor', 'depth_scale_factor'):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise UsageError(f'the {name} is {value:g}; expected a number above 0, e.g. 128')
        if not 0 < self.segmentation_threshold < 1:
            raise UsageError(
                f'the segmentation threshold is {self.segmentation_threshold:g}; expected a '
                'probability between 0 and 1'
            )

    def scale_of(self, kind: str) -> float:
        """What a 16-bit sample of this kind is divided by."""
        return self.depth_scale_factor if kind == 'depth' else self.disparity_scale_factor

    def planes(self, result: PerceptionResult, kinds: Iterable[str]) -> dict[str, np.ndarray]:
        """H x W of the rectified left picture by kind.

        disparity, uncertainty (px) and depth (m): float32, NaN = unknown; segmentation: uint8.
        """
        return {kind: self._plane(result, kind) for kind in kinds}

    def _plane(self, result: PerceptionResult, kind: str) -> np.ndarray:
        prediction = result.prediction
        if kind == 'segmentation':
            logits = result.raw.mask_logits
            assert logits is not None, 'only asked of a model with this head'
            threshold = self.segmentation_threshold
            # sigmoid(x) > t in the logits, where nothing is rounded near 0 and 1.
            return (logits > math.log(threshold / (1 - threshold))).astype(np.uint8) * np.uint8(
                255
            )
        if kind == 'depth':
            assert prediction.depth_m is not None, 'only asked of a row with a calibration'
            return prediction.depth_m
        plane = prediction.disparity_px if kind == 'disparity' else prediction.uncertainty_px
        assert plane is not None, 'only asked of a model with this head'
        if self.valid_only:
            return np.where(prediction.valid, plane, np.float32(np.nan))
        return plane

    def write(self, path: Path, kind: str, plane: np.ndarray) -> int:
        """Write one plane, whole or not at all; how many values were too large for 16 bits.

        Those are stored as the largest sample. Raises as `data.images.write_image`.
        """
        if kind == 'segmentation' or path.suffix.lower() in FLOAT_SUFFIXES:
            write_image(path, plane)
            return 0
        values = plane * MM_PER_M if kind == 'depth' else plane
        return write_scaled(path, values, self.scale_of(kind))


def require_writable(rows: Iterable[PairRow]) -> None:
    """Raise UsageError where the name of a result says a form that it cannot have."""
    for row in rows:
        for kind, path in row.outputs.items():
            known = ('.png',) if kind == 'segmentation' else ('.png', *FLOAT_SUFFIXES)
            if path.suffix.lower() not in known:
                raise UsageError(
                    f'line {row.line}: the {kind} cannot be written to {path}; its name ends in '
                    f'{" or ".join(known)}'
                )
