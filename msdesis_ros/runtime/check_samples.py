"""Answers of a model that its card keeps, to recognise an engine that answers something else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from msdesis_ros.core.errors import ModelError

# What a network computes in. tf32 and bf16 are what a program may make of an fp32 file.
PRECISIONS = ('fp32', 'tf32', 'bf16', 'fp16', 'int8')


@dataclass(frozen=True)
class Tolerance:
    """How far an engine of one precision (of PRECISIONS) may be from the samples of a card."""

    precision: str
    disparity_px: float
    mask_logits: float
    uncertainty_px: float

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            known = ', '.join(PRECISIONS)
            raise ModelError(f'precision {self.precision!r} is unknown; known: {known}')
        if not 0 < min(self.disparity_px, self.mask_logits, self.uncertainty_px) < math.inf:
            raise ModelError(f'the tolerances of {self.precision} must be above 0')


@dataclass(frozen=True)
class SelfCheck:
    """Answers of the model to a made-up pair of pictures (`self_check`), at some of its pixels.

    `seed`, `image_size` (width, height): which pair. `columns`, `rows`: where the samples are;
    the planes hold the answers there, and nothing for a head that the model lacks.
    """

    seed: int
    image_size: tuple[int, int]
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    tolerances: tuple[Tolerance, ...]
    disparity_px: tuple[float, ...] = ()
    mask_logits: tuple[float, ...] = ()
    uncertainty_px: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.columns)
        planes = [p for p in (self.disparity_px, self.mask_logits, self.uncertainty_px) if p]
        if not count or not planes or any(len(p) != count for p in (self.rows, *planes)):
            raise ModelError('a self_check needs as many rows and values a plane as columns')
        if min(self.image_size) < 1 or not 0 <= self.seed < 2**32:
            raise ModelError('a self_check needs an image_size from 1 and a seed from 0')
        for places, side in zip((self.columns, self.rows), self.image_size, strict=True):
            if min(places) < 0 or max(places) >= side:
                raise ModelError('a self_check has samples outside of its image_size')
        if not all(math.isfinite(value) for plane in planes for value in plane):
            raise ModelError('a self_check has values that are not finite')

    def tolerance(self, precision: str) -> dict[str, float]:
        """The tolerance of each plane; ModelError where the card has none for this precision."""
        for tolerance in self.tolerances:
            if tolerance.precision == precision:
                return {
                    'disparity_px': tolerance.disparity_px,
                    'mask_logits': tolerance.mask_logits,
                    'uncertainty_px': tolerance.uncertainty_px,
                }
        listed = ', '.join(tolerance.precision for tolerance in self.tolerances) or 'none'
        raise ModelError(
            f'the self_check has no tolerance for {precision}, only for {listed}; add it to the '
            'card, or use another backend'
        )
