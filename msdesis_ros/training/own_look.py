"""The look of a fine-tuning's own pairs, for the pairs with truth that it rehearses."""

from __future__ import annotations

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.training.batch import Sample
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.look import Dressing, look_of
from msdesis_ros.training.own_frames_source import OwnFramesSource, spread
from msdesis_ros.training.sources import Mixture, PairSource

# Pairs of either kind that are measured, evenly spread over all there are.
MEASURED = 32


def dressing_of(config: TrainConfig, mixture: Mixture) -> Dressing | None:
    """What `self_supervised.look_share` asks for; None for a training that has no use for it.

    Raises FileFormatError for a broken pair, unless the mixture skips such.
    """
    settings = config.self_supervised
    if settings is None or not settings.look_share:
        return None
    own, others = (
        [
            s
            for source in mixture.sources
            if isinstance(source, OwnFramesSource) is ours
            for s in _some(source, mixture.when_broken == 'skip')
        ]
        for ours in (True, False)
    )
    look = look_of(own, others)
    return None if look is None else Dressing(look, settings.look_share)


def _some(source: PairSource, skip: bool) -> list[Sample]:
    found = []
    for number in spread(len(source))[:MEASURED]:
        try:
            found.append(source.sample(number))
        except FileFormatError:
            if not skip:
                raise
    return found
