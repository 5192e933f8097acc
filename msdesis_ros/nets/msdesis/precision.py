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
    half = copy.deepcopy(network)
    half.feature_extractor.half()
    half.segmentation_head.half()
    head = half.disparity_head
    for level in (5, 4, 3, 2, 1):
        head.get_submodule(f'disp_decoder_{level}').half()
    # From the original: what has been float16 once is no longer what it was.
    answer = network.disparity_head.disp_decoder_5.estimation[-1]
    head.disp_decoder_5.estimation[-1] = copy.deepcopy(answer)
    return half
