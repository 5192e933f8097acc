"""A model as what predicts the instrument masks of RIS 2017."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.data.images import read_rgb, write_image
from msdesis_ros.data.layouts.headers import read_header
from msdesis_ros.evaluation.ris_set import RisFrame, saved_file
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.pipeline import PerceptionPipeline

HEAD = 'instrument_mask'


class ModelMasks:
    """Predicts the mask of a frame by the pipeline of the node, from a pair or from the left eye.

    threshold: above this probability (0 to 1) a pixel is instrument. left_only: leave right
    pictures alone. folder: where masks are saved as 0 and 255, None = nowhere. counts: how many
    frames went as a pair, and how many with the left eye alone. Raises UsageError for a model
    without masks, and for another threshold.
    """

    def __init__(
        self, backend: Backend, *, threshold: float, left_only: bool, folder: Path | None
    ) -> None:
        if HEAD not in backend.heads:
            raise UsageError(
                f'{backend.identity.name} gives no instrument mask (it gives '
                f'{", ".join(sorted(backend.heads))}), so there is nothing to score: give '
                '--checkpoint FILE of a network that was trained for masks, a --model with the '
                f'head {HEAD} (msdesis models show NAME), or saved masks with --predictions DIR'
            )
        self._backend, self._left_only, self._folder = backend, left_only, folder
        self._logit = threshold_logit(threshold)
        self.counts = {'pairs': 0, 'left_alone': 0}

    def __call__(self, frame: RisFrame) -> np.ndarray:
        """H x W bool; FileFormatError where a picture is missing or broken."""
        if self._folder is not None:  # that of an earlier run, should there be none now
            saved_file(self._folder, frame).unlink(missing_ok=True)
        if frame.left is None:
            raise FileFormatError(f'{frame.folder}/left_frame/{frame.name}.png is missing')
        left = read_rgb(frame.left)
        # A pipeline remembers the pair before; these frames are no stream.
        pipeline = PerceptionPipeline(self._backend)
        if frame.right is None or self._left_only:
            result = pipeline.process_left(left, 0, None)
            self.counts['left_alone'] += 1
        else:
            right = read_rgb(frame.right)
            if right.shape != left.shape:
                raise FileFormatError(f'{frame.right} has another size than its left picture')
            pair = RawPair(left, right, stamp_ns=0, right_stamp_ns=0)
            result = pipeline.process(pair, None)
            self.counts['pairs'] += 1
        assert result.raw.mask_logits is not None  # the pipeline refuses an output without it
        mask = result.raw.mask_logits > self._logit
        if self._folder is not None:
            write_image(saved_file(self._folder, frame), mask.astype(np.uint8) * np.uint8(255))
        return mask


def threshold_logit(threshold: float) -> float:
    """The logit above which the probability is above `threshold`; at 0.5 exactly 0.

    Raises UsageError for a number that is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise UsageError(f'the threshold is {threshold:g}; expected a number between 0 and 1')
    return math.log(threshold / (1 - threshold))


def first_size(frames: list[RisFrame]) -> tuple[int, int]:
    """(width, height) px of the first left picture that can be read; FileFormatError for none."""
    error: FileFormatError | None = None
    for frame in frames:
        try:
            if frame.left is not None:
                return read_header(frame.left).image_size
        except FileFormatError as found:
            error = error or found
    raise error or FileFormatError(
        f'{frames[0].folder.parent} has masks but no left_frame/*.png of their names'
    )
