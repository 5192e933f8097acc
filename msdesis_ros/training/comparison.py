"""What a fine-tuning compares, and when its network is better than the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

# By what share the error on pairs with truth may grow.
MOST_FORGOTTEN = 0.05
# By what share the views may be less alike: that much is chance.
MORE_UNLIKE = 0.01
# By how many percent of the pixels more the eyes may disagree: that much is chance.
MORE_INCONSISTENT = 0.5


@dataclass(frozen=True)
class Comparison:
    """A network and the one it began with, on pairs that neither learns from.

    unlikeness: of the views, 0 to 1, and inconsistent_percent: of the disparities of both eyes,
    over the pixels that the initial network takes for visible, so that no pixel can be got rid of
    by calling it hidden. general_epe_px: over the pairs with truth, look_epe_px: over the same
    ones in the look of own pairs; general_growth, look_growth: by what factor the error of such a
    pair grew, in the geometric mean, so that a few hard pairs do not decide for all. NaN without
    such pairs. own_pairs, general_pairs: how many pairs the figures are of.

    The error in the look of own pairs decides; without one, unlikeness, which noise rules where
    there is much. Eyes that agree prove little, since both may be wrong alike: they may only not
    disagree more than before.
    """

    unlikeness: float
    unlikeness_before: float
    inconsistent_percent: float
    inconsistent_before_percent: float
    general_epe_px: float
    general_epe_before_px: float
    general_growth: float
    look_epe_px: float
    look_epe_before_px: float
    look_growth: float
    own_pairs: int
    general_pairs: int

    @property
    def forgotten(self) -> float:
        """By what share the error on the pairs with truth grew; NaN without any."""
        return self.general_growth - 1

    @property
    def _has_look(self) -> bool:
        """Whether there are pairs with truth in the look of own pairs."""
        return math.isfinite(self.look_epe_before_px)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the network is no improvement, in half sentences; empty where it is one."""
        found = []
        if self._has_look:
            if not self.look_growth < 1:
                found.append('the error in the look of own pairs is no less')
            if not self.unlikeness <= (1 + MORE_UNLIKE) * self.unlikeness_before:
                found.append('the views are less alike')
        elif not self.unlikeness < self.unlikeness_before:
            found.append('the views are no more alike')
        if self.inconsistent_percent > self.inconsistent_before_percent + MORE_INCONSISTENT:
            found.append('the eyes disagree more')
        if self.forgotten > MOST_FORGOTTEN:  # False for NaN
            found.append(f'the error on pairs with truth grew by {100 * self.forgotten:.1f} %')
        return tuple(found)

    def score(self, task: str) -> float | None:
        """What the best weights have the least of; None for weights that are no improvement."""
        decides = self.look_growth if self._has_look else self.unlikeness
        return None if self.reasons else decides


COMPARED = tuple(field.name for field in fields(Comparison))


def comparison_of(figures: dict[str, float]) -> Comparison:
    """Again from the figures that a training keeps of its best weights."""
    return Comparison(**{field.name: figures[field.name] for field in fields(Comparison)})
