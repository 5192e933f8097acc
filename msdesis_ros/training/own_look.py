"""The look of a fine-tuning's own pairs, for the pairs with truth that it rehearses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.training.batch import Sample
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.look import Dressing, look_of
from msdesis_ros.training.own_frames_source import OwnFramesSource, spread
from msdesis_ros.training.sources import Mixture, PairSource

# Pairs of either kind that are measured, at most, evenly spread over all there are.
MEASURED = 64


def dressing_of(config: TrainConfig, mixture: Mixture) -> Dressing | None:
    """What `self_supervised.look_share` asks for; None for a training that has no use for it.

    Raises FileFormatError for a broken pair, unless the mixture skips such.
    """
    settings = config.self_supervised
    if settings is None or not settings.look_share:
        return None
    own, others = (
        _some(
            [s for s in mixture.sources if isinstance(s, OwnFramesSource) is ours],
            mixture.when_broken == 'skip',
        )
        for ours in (True, False)
    )
    look = look_of(own, others)
    return None if look is None else Dressing(look, settings.look_share)


def _some(sources: Sequence[PairSource], skip: bool) -> list[Sample]:
    """Of each source as many as it has of all of them, at least one."""
    pairs = sum(map(len, sources))
    share = min(MEASURED / max(pairs, 1), 1)
    found = []
    for source in sources:
        found += _read(source, math.ceil(len(source) * share), skip)
    return found


def _read(source: PairSource, most: int, skip: bool) -> list[Sample]:
    found = []
    for number in spread(len(source))[:most]:
        try:
            found.append(source.sample(number))
        except FileFormatError:
            if not skip:
                raise
    return found
