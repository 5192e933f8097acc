"""Disparity without any weights: OpenCV's semi-global block matching, the baseline of the product.

Source: Hirschmueller, 'Stereo Processing by Semiglobal Matching and Mutual Information', TPAMI
2008, as OpenCV implements it (`cv2.StereoSGBM`). Three choices are ours. They were made on six
rendered tissue surfaces (the slow tests of this module measure them again), on Middlebury cones
and on KITTI 2015 frame 46, at 256 disparities; times are of 640x512 pairs on two cores.

- `MODE_SGBM_3WAY`: it errs as little as `MODE_SGBM` (rendered 0.15 against 0.14 px, cones 0.60
  against 0.59, KITTI 0.87 against 0.96) and as `MODE_HH4` (0.20, 0.66, 0.79), and it spreads over
  the cores: 58 ms against 149 and 192 ms. Its four stripes are fixed, so that the result does not
  depend on the number of threads.
- Grey, not colour: 58 against 76 ms. Colour errs as much (0.17 px; 0.59; 0.91) and answers 0.1 %
  and 0.7 % more of the rendered surfaces and cones, and 0.3 % less of KITTI.
- SGBM leaves the leftmost `num_disparities` columns out, so both pictures are extended to the left
  by that much and the result is cut back. The border pixel is repeated: of the left pixels whose
  partner lies outside of the right picture, SGBM then claims a partner inside for 0.2 %, against
  0.6 % with a mirrored and 5.8 % with a black border.

The other settings are the usual ones: with half or double of any of them, none had a smaller error
on all of those pictures without answering fewer pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.core.errors import BackendError, UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput, contiguous_pair
from msdesis_ros.runtime.model_card import InputRule

# One step of disparity costs P1, a jump P2; both scale with the pixels of the block, as in the
# examples of OpenCV.
BLOCK_SIZE = 5
SETTINGS = {
    'blockSize': BLOCK_SIZE,
    'P1': 8 * BLOCK_SIZE**2,
    'P2': 32 * BLOCK_SIZE**2,
    'disp12MaxDiff': 1,
    'preFilterCap': 31,
    'uniquenessRatio': 5,
    'speckleWindowSize': 100,
    'speckleRange': 2,
}
# Nothing smaller than the block can be compared.
SIZES = InputRule(smallest=(BLOCK_SIZE, BLOCK_SIZE))
# OpenCV returns 16 times the disparity as int16, and a negative number where it has none.
FIXED_POINT_STEPS = 16


class OpenCvSgbm:
    """The `opencv_sgbm` backend: searches 0 to `num_disparities` - 1 px at every column.

    `num_disparities` is a positive multiple of 16 below 2048 (the int16 result holds no more).
    `threads` sets the number of threads of OpenCV, which is one setting for the whole process;
    None leaves it alone. Pictures may have any size from 5x5, odd ones too. Raises UsageError for
    numbers outside of these.
    """

    heads = frozenset({'disparity'})
    min_disparity_px = 0.0
    disparity_step_px = 1 / FIXED_POINT_STEPS

    def __init__(
        self,
        *,
        num_disparities: int = 256,
        threads: int | None = None,
        name: str = 'opencv_sgbm',
    ) -> None:
        if num_disparities % 16 or not 0 < num_disparities < 2048:
            raise UsageError(
                f'num_disparities is {num_disparities}; expected a positive multiple of 16 '
                'below 2048'
            )
        if threads is not None:
            cv2.setNumThreads(threads)
        self.identity = ModelIdentity(name=name, sha256=None, backend='opencv')
        self.max_disparity_px = float(num_disparities - 1)
        self._num_disparities = num_disparities
        self._matcher: cv2.StereoSGBM | None = cv2.StereoSGBM_create(
            minDisparity=0,
            numDisparities=num_disparities,
            mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
            **SETTINGS,
        )

    def warm_up(self, image_size: tuple[int, int]) -> None:
        """Match one blank pair, so that OpenCV's buffers and threads are there (see Backend)."""
        width, height = image_size
        SIZES.require(image_size, model=self.identity.name)
        blank = np.zeros((height, width, 3), dtype=np.uint8)
        self.run(blank, blank)

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        """Match one pair (see Backend): disparity in steps of 1/16 px, NaN where SGBM has none."""
        left, right = contiguous_pair(left, right)
        SIZES.require((left.shape[1], left.shape[0]), model=self.identity.name)
        if self._matcher is None:
            raise BackendError(f'{self.identity.name} is closed; create the backend again')
        try:
            fixed = self._matcher.compute(self._prepared(left), self._prepared(right))
        except (cv2.error, MemoryError) as error:
            raise BackendError(
                f'OpenCV failed to match a {left.shape[1]}x{left.shape[0]} pair: {error}'
            ) from error
        fixed = fixed[:, self._num_disparities :]
        disparity_px = np.multiply(fixed, 1 / FIXED_POINT_STEPS, dtype=np.float32)
        disparity_px[fixed < 0] = np.nan
        return RawOutput(disparity_px=disparity_px)

    def close(self) -> None:
        """Drop the matcher and its buffers; closing again does nothing."""
        self._matcher = None

    def _prepared(self, picture: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        return cv2.copyMakeBorder(grey, 0, 0, self._num_disparities, 0, cv2.BORDER_REPLICATE)
