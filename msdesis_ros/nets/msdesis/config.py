"""What makes one MSDESIS network different from another. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

from msdesis_ros.core.errors import UsageError

# Channels of the left and right features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture.
FEATURE_CHANNELS = {
    'light': (16, 32, 64, 96, 128),
    'resnet34': (64, 64, 128, 256, 512),
}
# What each mode answers, in the words of the model cards.
HEADS_OF_MODE = {
    'multitask': frozenset({'disparity', 'instrument_mask'}),
    'disparity': frozenset({'disparity'}),
    'segmentation': frozenset({'instrument_mask'}),
}
# Mean and standard deviation of the SCARED key frames (R, G, B of values from 0 to 1), with which
# the authors normalise in every inference and evaluation.
SCARED_MEAN = (0.5339, 0.3666, 0.4537)
SCARED_STD = (0.2006, 0.1978, 0.2128)
# The coarsest features have 1/32 of the picture's width, and so its sides must be multiples of 32.
COARSEST_STRIDE = 32


@dataclass(frozen=True)
class MsdesisConfig:
    """One MSDESIS network.

    `encoder`: 'light' or 'resnet34', in any case. `max_disparity`: px of the full picture that the
    coarsest level searches; `n_classes`: planes of the segmentation; the defaults are those of the
    authors' weights. `mode`: 'multitask', 'disparity' or 'segmentation': what the forward pass
    computes; parameters are the same in every mode. Raises UsageError for anything else.
    """

    encoder: str
    max_disparity: int = 320
    n_classes: int = 1
    mode: str = 'multitask'

    def __post_init__(self) -> None:
        for name, known in (('encoder', FEATURE_CHANNELS), ('mode', HEADS_OF_MODE)):
            value = getattr(self, name)
            if not isinstance(value, str) or value.lower() not in known:
                raise UsageError(f'{name} is {value!r}; known: {", ".join(known)}')
            object.__setattr__(self, name, value.lower())
        for name in ('max_disparity', 'n_classes'):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f'{name} is {value!r}; expected a whole number from 1')

    @property
    def heads(self) -> frozenset[str]:
        """What the forward pass answers, a subset of the heads a model card can have."""
        return HEADS_OF_MODE[self.mode]

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of the features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        return FEATURE_CHANNELS[self.encoder]

    @property
    def candidates(self) -> int:
        """How many disparities the coarsest level compares: 0 .. max_disparity / 32."""
        return self.max_disparity // COARSEST_STRIDE + 1
