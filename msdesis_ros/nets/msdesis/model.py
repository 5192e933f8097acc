"""The whole network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from msdesis_ros.core.errors import ImageError
from msdesis_ros.nets.msdesis.config import COARSEST_STRIDE, MsdesisConfig
from msdesis_ros.nets.msdesis.disparity_head import DisparityHead
from msdesis_ros.nets.msdesis.encoder_light import LightEncoder
from msdesis_ros.nets.msdesis.encoder_resnet34 import Resnet34Encoder
from msdesis_ros.nets.msdesis.segmentation_head import SegmentationHead

ENCODERS = {'light': LightEncoder, 'resnet34': Resnet34Encoder}


class Msdesis(nn.Module):
    """Disparity of the left view, and where it shows instruments.

    Every part exists in every mode, so that one state_dict fits all of them. `PictureNetwork` puts
    normalising, padding and cropping around it.
    """

    def __init__(self, config: MsdesisConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_extractor = ENCODERS[config.encoder]()
        self.disparity_head = DisparityHead(config)
        self.segmentation_head = SegmentationHead(config)

    @property
    def feature_dtype(self) -> torch.dtype:
        """The type in which features are computed: that of the encoder's weights."""
        return next(self.feature_extractor.parameters()).dtype

    def forward(
        self, left: Tensor, right: Tensor | None = None
    ) -> tuple[tuple[Tensor, ...] | None, Tensor | None]:
        """Infer one batch of rectified pairs.

        `left`, `right`: N x 3 x H x W, normalised float32, H and W multiples of 32 (ImageError
        otherwise); mode 'segmentation' needs no `right`. Returns (disparities, logits):

        - disparities d0 .. d5: N x 1 x H/2^i x W/2^i float32 in px of level i, left x minus right
          x; d0 is the answer; None in mode 'segmentation'.
        - logits: N x n_classes x H x W float32, above 0 = instrument; None in mode 'disparity'.
        """
        self._require_sizes(left, right)
        disparities = logits = None
        left_features = self.feature_extractor(left.to(self.feature_dtype))
        if 'disparity' in self.config.heads:
            # One view after the other, not one batch: in training, batch-norm then takes its
            # statistics from each view by itself, left first, as it did for the authors' weights.
            right_features = self.feature_extractor(right.to(self.feature_dtype))
            disparities = self.disparity_head(left_features, right_features, right)
        if 'instrument_mask' in self.config.heads:
            logits = self.segmentation_head(left_features)
        return disparities, logits

    def _require_sizes(self, left: Tensor, right: Tensor | None) -> None:
        height, width = left.shape[-2:]
        if height % COARSEST_STRIDE or width % COARSEST_STRIDE or not height * width:
            raise ImageError(
                f'the network takes heights and widths that are multiples of {COARSEST_STRIDE}, '
                f'not {width}x{height}; pad the pictures (PictureNetwork does)'
            )
        if 'disparity' in self.config.heads and (right is None or right.shape != left.shape):
            raise ImageError(
                f'mode {self.config.mode} needs a right view of the size of the left one, '
                f'{tuple(left.shape)}; got {right if right is None else tuple(right.shape)}'
            )
