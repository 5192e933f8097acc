"""Compositions of deep places: pelvis, kidney, heart. Places are in `Stage`'s units."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.anatomy.composing import Stage
from msdesis_ros.data.synth.anatomy.description import Organ, Sheet, Tube, Wall
from msdesis_ros.data.synth.anatomy.extras import band
from msdesis_ros.data.synth.anatomy.heaps import fat_heap, fold


def pelvis(stage: Stage) -> None:
    """A deep cavity between side walls; a gland in its middle; bands, fat and strands."""
    near, between = stage.near, stage.between
    wall = Wall(
        stage.size(between(1.05, 1.2)), cling=between(0.3, 1.0), bowl=between(0.2, 0.5),
        relief=between(0.1, 0.16), relief_scale=0.5,
        folds=between(0.02, 0.05), fold_angle=between(0, 3), fold_scale=0.2,
        hollows=((*stage.direction(near(0, 0.15), near(-0.12, 0.1)), between(0.35, 0.5),
                  between(0.3, 0.55)),
                 (*stage.direction(near(0, 0.4), near(0.2, 0.15)), between(0.12, 0.2), 0.25)),
        cliffs=((stage.angle(0.0), between(0.3, 0.45), 0.25, between(-0.5, -0.2)),
                (stage.angle(np.pi), between(0.32, 0.5), 0.22, between(-0.6, -0.2))),
    )  # fmt: skip
    stage.add('pelvic wall', wall, ('peritoneum', 'deep_fat', 'muscle')[stage.rng.integers(3)],
              second=0.3)  # fmt: skip
    gland = Organ(
        stage.at(near(0, 0.15), near(0.15, 0.1), 1.24),
        (stage.size(between(0.25, 0.42)), stage.size(between(0.2, 0.3)), stage.size(0.22)),
        rotation=(near(0, 0.4), near(0, 0.4), near(0, 0.6)), lumps=0.16,
    )  # fmt: skip
    stage.add(
        'gland', gland, ('prostate', 'bowel', 'peritoneum', 'prostate')[stage.rng.integers(4)]
    )
    fat_heap(stage, (near(-0.35, 0.1), near(-0.2, 0.2), 1.02), 0.28, count=2)
    fat_heap(stage, (near(0.4, 0.1), near(0.2, 0.2), 1.0), 0.26, count=2)
    if stage.chance(0.5):
        band(stage)
    for _ in range(int(stage.rng.integers(1, 3))):
        look = ('peritoneum', 'fat', 'peritoneum', 'bowel')[stage.rng.integers(4)]
        fold(stage, look, side=between(0.2, 0.45))
    if stage.chance(0.4):
        cut = Sheet(
            stage.line([(-0.7, near(0.45, 0.1), 0.75), (0, near(0.42, 0.08), 0.9),
                        (0.7, near(0.5, 0.1), 0.8)]),
            stage.line([(-0.8, 0.95, 0.62), (0, 0.9, 0.7), (0.8, 1.0, 0.62)]),
            wrinkle_mm=stage.size(0.035), wrinkle_scale_mm=stage.size(0.25),
        )  # fmt: skip
        stage.add('peritoneal fold', cut, ('peritoneum', 'membrane', 'fat')[stage.rng.integers(3)])
    stage.tree('vessels', 'vein', (near(-0.2, 0.2), 0.0), between(0, 6), length=0.5,
               radius=0.005, branches=5)  # fmt: skip


def kidney(stage: Stage) -> None:
    """A kidney in its fat, with the vessels of its hilum."""
    near, between = stage.near, stage.between
    wall = Wall(
        stage.size(between(1.2, 1.35)), cling=between(0.4, 1.0), bowl=0.3, relief=0.12,
        relief_scale=0.45,
        folds=0.03, fold_angle=between(0, 3),
    )  # fmt: skip
    stage.add('bed', wall, ('deep_fat', 'peritoneum', 'fat', 'muscle')[stage.rng.integers(4)])
    fat = 'fat' if stage.chance(0.6) else 'pale_fat'
    tilt = near(0, 0.5)
    body = Organ(
        stage.at(near(0.08, 0.1), near(-0.05, 0.08), 1.18),
        (stage.size(between(0.40, 0.52)), stage.size(between(0.26, 0.34)), stage.size(0.30)),
        rotation=(near(0, 0.2), near(0, 0.2), stage.angle(tilt)), lumps=0.10, lump_scale=1.6,
    )  # fmt: skip
    stage.add('kidney', body, 'kidney', second=0.25)
    for place in ((-0.5, 0.25, 1.0), (0.1, 0.5, 0.98), (0.55, 0.3, 1.05), (-0.35, -0.5, 1.1)):
        if stage.chance(0.75):
            fat_heap(stage, (near(place[0], 0.08), near(place[1], 0.05), place[2]), 0.22,
                      count=2, look=fat)  # fmt: skip
    for look, radius in (('vein', 0.045), ('artery', 0.026)):
        if stage.chance(0.8):
            v = near(0.1, 0.1)
            trunk = Tube(
                stage.line([(-1.0, v + near(0.1, 0.1), 1.15), (-0.5, v, 1.05),
                            (-0.22, v - 0.05, 1.0), (0.0, v - 0.08, 1.05)]),
                stage.size(radius * between(0.8, 1.3)), profile=(1.0, 1.0, 0.9), lumps=0.05,
            )  # fmt: skip
            stage.add(look, trunk, look)
    fold(stage, fat, side=between(0.25, 0.45))
    if stage.chance(0.5):
        fold(stage, 'membrane' if stage.chance(0.4) else fat, side=between(0.3, 0.5))


def heart(stage: Stage) -> None:
    """A beating muscle with streaks of fat and its vessels; or a muscle's bed."""
    near, between = stage.near, stage.between
    wall = Wall(
        stage.size(between(1.15, 1.4)), cling=between(0.2, 0.9), bowl=0.35, relief=0.09,
        relief_scale=0.4,
        folds=0.04, fold_angle=between(0, 3),
    )  # fmt: skip
    stage.add(
        'pericardium', wall, ('peritoneum', 'muscle', 'pink', 'deep_fat')[stage.rng.integers(4)]
    )
    axes = (between(0.6, 0.8), between(0.5, 0.65), between(0.4, 0.5))
    muscle = Organ(
        stage.at(near(0.1, 0.15), near(0.08, 0.12), 1.0 + axes[2]),
        (stage.size(axes[0]), stage.size(axes[1]), stage.size(axes[2])),
        rotation=(near(0, 0.3), near(0, 0.3), between(0, 3)), lumps=0.05, lump_scale=1.3,
    )  # fmt: skip
    stage.add('heart', muscle, 'muscle', second=0.3, second_spread=0.4,
              mottle=stage.between(0.2, 0.4))  # fmt: skip
    heading = between(0, 6.28)
    start = 0.1 - 0.3 * float(np.cos(heading)), 0.08 - 0.3 * float(np.sin(heading))
    stage.tree('coronary', 'artery', (start[0] + 0.015, start[1]), heading, length=0.75,
               radius=between(0.006, 0.011), branches=6)  # fmt: skip
    stage.tree('coronary vein', 'vein', (start[0] - 0.03, start[1]), heading + 0.05, length=0.75,
               radius=between(0.006, 0.012), branches=5)  # fmt: skip
    fold(stage, 'fat' if stage.chance(0.6) else 'membrane', side=between(0.3, 0.5))
