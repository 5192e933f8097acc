"""`msdesis_fast`: what `nets.family` asks of it. Importing it needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msdesis_ros.core.errors import ModelError
from msdesis_ros.nets.family import Family
from msdesis_ros.nets.fast.config import (
    COARSEST_STRIDE,
    HEADS_OF_MODE,
    MATCH_STRIDE,
    SIZES,
    Enlargements,
    FastConfig,
)
from msdesis_ros.nets.tensor_files import shape_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from msdesis_ros.nets.fast.model import FastOutput, FastStereo

# The weights whose shapes depend on max_disparity, on the size, and on n_parts.
SEARCH_WEIGHT = 'matcher.classify.weight'
SIZE_WEIGHT = 'matcher.compare.weight'
PARTS_WEIGHT = 'mask_head.parts.weight'


class FastFamily(Family):
    """One cost volume, two corrections, uncertainty and mask."""

    name = 'msdesis_fast'
    config = FastConfig
    heads_of_mode = HEADS_OF_MODE
    stride = COARSEST_STRIDE
    use_options = frozenset({'mode', 'enlarged'})
    # What pictures enter by, what corrects disparities, what answers; and the mask, whose logits
    # OpenVINO makes up to 3 of otherwise.
    float_weights = (
        'encoder.to_half.*',
        'matcher.classify.*',
        'carry.*',
        'first.*',
        'second.*',
        'scale.*',
        'upsample.*',
        'mask_head.*',
    )

    def build(self, config: FastConfig) -> nn.Module:
        from msdesis_ros.nets.fast.model import FastStereo

        return FastStereo(config)

    def config_of(
        self, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str], source: str
    ) -> FastConfig | None:
        if SEARCH_WEIGHT not in state:
            return None
        for name in (SIZE_WEIGHT, PARTS_WEIGHT):
            if name not in state:
                raise ModelError(f'{source} lacks {name}; it is no whole {self.name} checkpoint')
        search, compare, parts = (
            tuple(state[name].shape) for name in (SEARCH_WEIGHT, SIZE_WEIGHT, PARTS_WEIGHT)
        )
        known = {(widths.matching, widths.features[2], 1, 1): s for s, widths in SIZES.items()}
        if compare not in known or len(search) != 4 or search[0] < 1 or parts[:1] < (2,):
            raise ModelError(
                f'{source}: {SIZE_WEIGHT} is {shape_text(compare)}, {SEARCH_WEIGHT} is '
                f'{shape_text(search)} and {PARTS_WEIGHT} is {shape_text(parts)}, which no '
                f'{self.name} network has'
            )
        return FastConfig(known[compare], search[0] * MATCH_STRIDE, parts[0] - 1)

    def fixed(self, config: FastConfig) -> dict[str, Any]:
        return {
            'size': config.size,
            'max_disparity': config.max_disparity,
            'n_parts': config.n_parts,
        }

    def enlarged(self, config: FastConfig) -> Enlargements:
        return config.enlarged

    def of_input(self, enlarged: Enlargements) -> dict[str, Any]:
        return {'enlarged': enlarged}

    def inputs(self, config: FastConfig) -> tuple[str, ...]:
        return ('left', 'right') if 'disparity' in config.heads else ('left',)

    def deployed(self, network: FastStereo, left: Tensor, right: Tensor | None) -> FastOutput:
        return network.deployed(left, right)

    def planes(self, answer: FastOutput) -> dict[str, Tensor]:
        planes = {
            'disparity': answer.disparity_px,
            'mask_logits': answer.mask_logits,
            'log_scale': answer.log_scale,
        }
        return {name: plane for name, plane in planes.items() if plane is not None}

    def simplified(self, network: FastStereo) -> nn.Module:
        from msdesis_ros.nets.folding import fold_batch_norms

        return fold_batch_norms(network)

    def with_half_features(self, network: FastStereo) -> nn.Module:
        from msdesis_ros.nets.fast.precision import with_half_features

        return with_half_features(network)
