"""Parts that many compositions share: heaps of fat, folds, surfaces very near."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.anatomy.composing import Place, Stage
from msdesis_ros.data.synth.anatomy.description import Lobe, Organ


def fat_heap(stage: Stage, place: Place, size: float, *, count: int, look: str = 'fat') -> None:
    """A few lobules of fat that lie together."""
    for _ in range(count):
        radius = stage.size(size * stage.between(0.55, 1.0))
        lump = Organ(
            stage.at(
                stage.near(place[0], size * 0.6), stage.near(place[1], size * 0.35),
                place[2] + 0.62 * size,
            ),
            (radius, radius * stage.between(0.5, 0.85), radius * stage.between(0.4, 0.6)),
            rotation=(stage.near(0, 0.4), stage.near(0, 0.4), stage.angle(stage.near(0, 0.6))),
            lumps=stage.between(0.15, 0.35), lump_scale=stage.between(0.45, 0.8), puffy=0.8,
        )  # fmt: skip
        stage.add('fat', lump, look, second=stage.between(0.1, 0.4), second_spread=0.4)


def fold(stage: Stage, look: str, *, side: float) -> None:
    """A thick fold of tissue that reaches into the view from one side.

    side: how far its edge stays from the middle of the view.
    """
    turn = stage.between(0, 2 * np.pi)
    cos, sin = np.cos(turn), np.sin(turn)
    depth = stage.between(0.8, 1.02)
    places: list[Place] = []
    for along in (-1.1, -0.5, 0.0, 0.5, 1.1):
        out = side + stage.near(0, 0.06) + 0.1 * along * along
        places.append(
            (along * cos - out * sin, along * sin + out * cos, depth + stage.near(0, 0.04))
        )
    edge = Lobe(
        stage.line(places), stage.along(-0.7 * sin, 0.7 * cos, stage.near(-0.05, 0.15)),
        thickness_mm=stage.size(stage.between(0.12, 0.2)), sharpness=stage.between(1.8, 2.3),
        bulge_mm=stage.size(stage.between(0.0, 0.08)), waviness_mm=stage.size(0.035),
    )  # fmt: skip
    stage.add('fold', edge, look, second=stage.between(0.1, 0.4))


def side_organ(stage: Stage, side: float) -> None:
    """A surface very near, at one side of the view."""
    between = stage.between
    depth = between(0.45, 0.75)
    organ = Organ(
        stage.at(side * between(0.72, 0.9), stage.near(-0.1, 0.3), depth + 0.2),
        (stage.size(0.16), stage.size(between(0.35, 0.55)), stage.size(0.22)),
        rotation=(0.0, 0.0, stage.near(0, 0.3)), lumps=0.15,
    )  # fmt: skip
    stage.add('near tissue', organ, ('peritoneum', 'fat', 'liver', 'bowel')[stage.rng.integers(4)])
