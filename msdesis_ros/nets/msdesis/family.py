"""The published networks: what `nets.family` asks of them. Importing it needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msdesis_ros.core.errors import ModelError
from msdesis_ros.nets.family import Family
from msdesis_ros.nets.msdesis.config import (
    COARSEST_STRIDE,
    FEATURE_CHANNELS,
    HEADS_OF_MODE,
    MsdesisConfig,
)
from msdesis_ros.nets.tensor_files import shape_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from msdesis_ros.nets.msdesis.model import Msdesis

# The first weight of each encoder.
FINGERPRINTS = {
    'light': 'feature_extractor.encoder_0.encoder.0.weight',
    'resnet34': 'feature_extractor.layer_0.0.weight',
}
# The weights whose shapes depend on max_disparity and n_classes.
SEARCH_WEIGHT = 'disparity_head.disp_decoder_5.estimation.0.layer.0.weight'
CLASSES_WEIGHT = 'segmentation_head.out_conv.weight'


class MsdesisFamily(Family):
    """Two encoders, one disparity and one segmentation half."""

    name = 'msdesis'
    config = MsdesisConfig
    heads_of_mode = HEADS_OF_MODE
    stride = COARSEST_STRIDE
    # What pictures enter by, what answers, and whatever works on disparities.
    float_weights = (
        'feature_extractor.encoder_0.encoder.0.*',  # light
        'feature_extractor.layer_0.0.*',  # resnet34
        'disparity_head.disp_decoder_?.estimation.5.*',
        'disparity_head.upsample?.*',
        'disparity_head.refine.*',
    )

    def build(self, config: MsdesisConfig) -> nn.Module:
        from msdesis_ros.nets.msdesis.model import Msdesis

        return Msdesis(config)

    def config_of(
        self, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str], source: str
    ) -> MsdesisConfig | None:
        """Shapes tell `max_disparity` to the lower multiple of 32; `metadata` may know better."""
        encoders = [encoder for encoder, name in FINGERPRINTS.items() if name in state]
        if len(encoders) != 1:
            return None
        encoder = encoders[0]
        for name in (SEARCH_WEIGHT, CLASSES_WEIGHT):
            if name not in state:
                raise ModelError(f'{source} lacks {name}; it is no whole {encoder} checkpoint')
        search, classes = state[SEARCH_WEIGHT].shape, state[CLASSES_WEIGHT].shape
        candidates = search[1] - FEATURE_CHANNELS[encoder][-1] if len(search) == 4 else 0
        if candidates < 1 or len(classes) != 4 or classes[0] < 1:
            raise ModelError(
                f'{source}: {SEARCH_WEIGHT} is {shape_text(search)} and {CLASSES_WEIGHT} is '
                f'{shape_text(classes)}, which no {encoder} network has'
            )
        max_disparity = max((candidates - 1) * COARSEST_STRIDE, 1)
        told = metadata.get('max_disparity', '')
        if told.isdecimal() and len(told) < 10 and int(told) // COARSEST_STRIDE + 1 == candidates:
            max_disparity = max(int(told), 1)
        return MsdesisConfig(encoder, max_disparity, classes[0])

    def fixed(self, config: MsdesisConfig) -> dict[str, Any]:
        return {
            'encoder': config.encoder,
            'max_disparity': config.candidates,
            'n_classes': config.n_classes,
        }

    def inputs(self, config: MsdesisConfig) -> tuple[str, ...]:
        return ('left', 'right') if 'disparity' in config.heads else ('left',)

    def planes(self, answer: Any) -> dict[str, Tensor]:
        disparities, logits = answer
        planes = {}
        if disparities is not None:
            planes['disparity'] = disparities[0]
        if logits is not None:
            # The authors' tools use the first class alone.
            planes['mask_logits'] = logits[:, :1]
        return planes

    def simplified(self, network: Msdesis) -> nn.Module:
        from msdesis_ros.nets.msdesis.simplified import simplified

        return simplified(network)

    def with_half_features(self, network: Msdesis) -> nn.Module:
        from msdesis_ros.nets.msdesis.precision import with_half_features

        return with_half_features(network)
