"""The node with a test-only backend that returns one stored disparity: our own cost remains.

Run as a program it is the executable `stereo_endoscope` with that backend.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.ros.stereo_endoscope import main
from msdesis_ros.runtime.backend import RawOutput


class StoredDisparity:
    """A smooth surface between 20 and 90 px with holes, made once for each picture size."""

    identity = ModelIdentity('stored_disparity', None, 'replay')
    heads = frozenset({'disparity'})
    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 255.0, 0.0

    def __init__(self) -> None:
        self._stored = np.empty((0, 0), np.float32)

    def warm_up(self, image_size: tuple[int, int]) -> None:
        width, height = image_size
        rng = np.random.default_rng(0)
        coarse = rng.uniform(20, 90, (8, 8)).astype(np.float32)
        self._stored = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        self._stored[rng.random((height, width)) < 0.05] = np.nan

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        if self._stored.shape != left.shape[:2]:
            self.warm_up((left.shape[1], left.shape[0]))
        return RawOutput(self._stored)

    def close(self) -> None:
        pass


if __name__ == '__main__':
    sys.exit(main(make_backend=lambda *_, **__: StoredDisparity()))
