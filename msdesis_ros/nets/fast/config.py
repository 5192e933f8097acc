"""What makes one fast network different from another. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msdesis_ros.core.errors import UsageError

# The cost volume lies at 1/8 of the picture, corrections at 1/4.
MATCH_STRIDE, REFINE_STRIDE = 8, 4
# Sides of the pictures must be multiples of this; the coarser levels round up.
COARSEST_STRIDE = 32
# (numerator, denominator, most pixels): pictures are enlarged by the quotient where they then have
# no more pixels than that. The first that fits counts; none = no picture is enlarged.
Enlargements = tuple[tuple[int, int, int], ...]
# Small pictures are enlarged by 3/2 as long as they then have no more pixels than 1280x1024, so
# that no picture costs more than one of that size that is taken as it is; and the smallest by 7/4,
# as long as none of them costs more than one of 640x512.
ENLARGED: Enlargements = ((7, 4, 960 * 768), (3, 2, 1280 * 1024))
# What each mode answers, in the words of the model cards.
HEADS_OF_MODE = {
    'multitask': frozenset({'disparity', 'instrument_mask', 'uncertainty'}),
    'disparity': frozenset({'disparity', 'uncertainty'}),
    'segmentation': frozenset({'instrument_mask'}),
}


@dataclass(frozen=True)
class MaskTrunk:
    """The encoder of the mask's branch.

    size: (width, height) of what it looks at, px, whatever the size of the picture; multiples of
    32. fine_size: the same for small pictures, whose disparity leaves time for it. stem: channels
    at 1/2. stages: expansion, channels, kernel, stride and repeats of each of the seven stages, of
    which the first stays at 1/2 and stages 2, 3, 4 and 6 halve the size.
    """

    size: tuple[int, int]
    fine_size: tuple[int, int]
    stem: int
    stages: tuple[tuple[int, int, int, int, int], ...]

    @property
    def features(self) -> tuple[int, int, int, int, int]:
        """Channels that leave it at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        half, quarter, eighth, _, sixteenth, _, coarse = (stage[1] for stage in self.stages)
        return half, quarter, eighth, sixteenth, coarse


# EfficientNet-Lite0, whose published weights fit.
LITE0 = MaskTrunk(
    (608, 480),
    (832, 672),
    32,
    (
        (1, 16, 3, 1, 1),
        (6, 24, 3, 2, 2),
        (6, 40, 5, 2, 2),
        (6, 80, 3, 2, 3),
        (6, 112, 5, 1, 3),
        (6, 192, 5, 2, 4),
        (6, 320, 3, 1, 1),
    ),
)


@dataclass(frozen=True)
class Widths:
    """Channels of one size of the network.

    features: of the encoder at 1/2, 1/4, 1/8, 1/16, 1/32 and 1/64. matching: of what is compared
    in the cost volume, in `groups` groups. local: of what is compared at 1/4. matcher: of the
    hourglass at 1/8, 1/16 and 1/32. refine: of the two corrections. mask: the mask's encoder.
    """

    features: tuple[int, int, int, int, int, int]
    matching: int
    groups: int
    local: int
    matcher: tuple[int, int, int]
    refine: tuple[int, int]
    mask: MaskTrunk = LITE0


SIZES = {
    'small': Widths((16, 16, 32, 48, 64, 64), 32, 2, 16, (32, 48, 64), (16, 16)),
    'base': Widths((16, 16, 48, 64, 96, 128), 48, 2, 16, (48, 64, 96), (32, 16)),
    'large': Widths((32, 32, 64, 96, 128, 160), 64, 4, 16, (64, 96, 128), (48, 32)),
}


@dataclass(frozen=True)
class FastConfig:
    """One fast network.

    `size`: a key of SIZES. `max_disparity`: px of the full picture that the cost volume searches,
    a multiple of 8. `n_parts`: classes beside the background that the mask tells apart in
    training. `mode`: 'multitask', 'disparity' or 'segmentation', what the network answers.
    `enlarged`: by how much small pictures are enlarged to be matched (`working_size`); with none,
    they are matched at their own size, and their mask is looked for at the size of the others:
    about half the work, for larger errors. Weights are the same in every mode and either way.
    Raises UsageError for anything else.
    """

    size: str = 'base'
    max_disparity: int = 256
    n_parts: int = 3
    mode: str = 'multitask'
    enlarged: Enlargements = ENLARGED

    def __post_init__(self) -> None:
        for name, known in (('size', SIZES), ('mode', HEADS_OF_MODE)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise UsageError(f'{name} is {value!r}; known: {", ".join(known)}')
        for name in ('max_disparity', 'n_parts'):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f'{name} is {value!r}; expected a whole number from 1')
        object.__setattr__(self, 'enlarged', _checked_enlargements(self.enlarged))
        if self.max_disparity % MATCH_STRIDE:
            raise UsageError(
                f'max_disparity is {self.max_disparity}; expected a multiple of {MATCH_STRIDE}'
            )

    @property
    def widths(self) -> Widths:
        return SIZES[self.size]

    @property
    def bins(self) -> int:
        """Candidates of the cost volume: 0, 8, .. max_disparity - 8 px."""
        return self.max_disparity // MATCH_STRIDE

    @property
    def heads(self) -> frozenset[str]:
        """What a deployment answers, in the words of the model cards."""
        return HEADS_OF_MODE[self.mode]


def _checked_enlargements(given: Any) -> Enlargements:
    """Tuples, of what may have come as lists."""
    try:
        found = tuple((int(n), int(d), int(most)) for n, d, most in given)
        right = all(0 < d < n and most > 0 for n, d, most in found)
        right = right and all(tuple(g) == f for g, f in zip(given, found, strict=True))
    except (TypeError, ValueError):
        right = False
    if not right:
        raise UsageError(
            f'enlarged is {given!r}; expected rows of numerator, denominator and most pixels, '
            'such as [[3, 2, 1310720]], or [] to enlarge nothing'
        )
    return found
