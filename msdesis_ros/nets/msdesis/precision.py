"""Half precision where it is safe."""

from __future__ import annotations

import copy

from msdesis_ros.nets.msdesis.model import Msdesis


def with_half_features(network: Msdesis) -> Msdesis:
    """Copy a network so that features are float16, and whatever is a disparity stays float32.

    float16: the encoder, the estimators and the segmentation, which hold over 99.6 % of the
    multiplications. float32: the upsampling of disparities, the warp, the costs, the refinement at
    full size, and the last convolution of the coarsest estimator, which alone answers with a whole
    disparity instead of a correction: there a float16 step is 1/128 px of 32 px each.
    """
    half = copy.deepcopy(network).half()
    head = half.disparity_head
    head.refine.float()
    head.disp_decoder_5.estimation[-1].float()
    for level in (5, 4, 3, 2, 1):
        head.get_submodule(f'upsample{level}').float()
    return half
