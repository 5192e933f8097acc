"""Synthetic pairs with truth that a fine-tuning rehearses, where none are given."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.data.synth.generate import generate_shards
from msdesis_ros.data.synth.recipes import SourceRecipe

# Pairs with truth that are made where none are given. Rendered scenes are what most own footage
# is like; layered ones keep the network from forgetting everything else. Kind, pairs, seed.
REHEARSAL_SIZE = (640, 512)
REHEARSAL = {
    'validation': (('render', 9, 810_004), ('layered', 3, 810_002)),
    'train': (('layered', 96, 810_001), ('render', 80, 811_000)),
}
# As many lots of rendered pairs are made, each with the next seed, as end within this share of the
# time, at least one.
REHEARSAL_TIME_SHARE = 0.15
# Of the layered pairs among those to learn from, however many there are of either.
LAYERED_SHARE = 0.2
MOST_LOTS = 9


def make_rehearsal(
    folder: Path,
    *,
    parts: Sequence[str] = tuple(REHEARSAL),
    seconds: float,
    workers: int,
    progress: Callable[[str, int], None] = lambda part, done: None,
) -> dict[str, list[dict[str, Any]]]:
    """Make synthetic pairs with truth below a folder, where they are not there yet.

    parts: keys of REHEARSAL. seconds: of which REHEARSAL_TIME_SHARE goes into pairs to learn from.
    Where nothing can be rendered all of them are layered. Returns `data.train` and
    `data.validation` of a configuration.
    """

    def place_of(part: str, kind: str, frames: int, seed: int) -> Path:
        place = folder / part / f'{kind}_{seed}'
        generate_shards(
            place,
            SourceRecipe(kind, seed, REHEARSAL_SIZE),
            frames=frames,
            workers=min(workers, frames),
            progress=lambda done: progress(part, done),
        )
        return place

    made: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for kind, frames, seed in REHEARSAL[part]:
            most = MOST_LOTS if (part, kind) == ('train', 'render') else 1
            begin, lots = time.monotonic(), []
            for lot in range(most):
                try:
                    place = place_of(part, kind, frames, seed + lot)
                except MissingExtraError:
                    place = place_of(part, 'layered', frames, seed + lot)
                lots.append({'shards': str(place)})
                # Another lot takes as long as those before did.
                spent = (time.monotonic() - begin) * (lot + 2) / (lot + 1)
                if spent > REHEARSAL_TIME_SHARE * seconds:
                    break
            if part == 'train':
                share = LAYERED_SHARE if kind == 'layered' else 1 - LAYERED_SHARE
                lots = [one | {'weight': share / len(lots)} for one in lots]
            made.setdefault(part, []).extend(lots)
    return made
