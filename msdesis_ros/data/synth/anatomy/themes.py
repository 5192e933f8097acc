"""Compositions: which bodies stand where in a scene of a kind. Places are in `Stage`'s units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msdesis_ros.data.synth.anatomy.composing import Place, Stage
from msdesis_ros.data.synth.anatomy.description import Lobe, Organ, Sheet, Strands, Tube, Wall
from msdesis_ros.data.synth.anatomy.heaps import fat_heap, side_organ
from msdesis_ros.data.synth.anatomy.themes_deep import heart, kidney, pelvis


def upper_abdomen(stage: Stage) -> None:
    """Lobes of the liver over each other, the gallbladder, fat, the abdominal wall behind."""
    near, between = stage.near, stage.between
    depth = between(1.3, 1.9)
    wall = Wall(
        stage.size(depth), cling=between(0, 0.8), bowl=between(0.1, 0.45), relief=0.06,
        relief_scale=0.6,
        folds=between(0, 0.03), fold_angle=between(0, 3),
        hollows=((*stage.direction(near(0.1, 0.2), near(0.15, 0.1)), between(0.2, 0.35),
        between(0.2, 0.6)),),
    )  # fmt: skip
    behind = ('peritoneum', 'peritoneum', 'diaphragm', 'liver', 'deep_fat')[stage.rng.integers(5)]
    stage.add('abdominal wall', wall, behind)
    liver = 'liver' if stage.chance(0.85) else 'pale_liver'
    low = near(0.08, 0.08)
    rear = Lobe(
        stage.line([(-1.0, low - 0.25, 1.25), (-0.4, low + 0.02, 1.15), (0.1, low + 0.1, 1.12),
                    (0.5, low, 1.15), (1.0, low - 0.2, 1.3)]),
        stage.along(near(0.0, 0.15), -0.8, between(0.15, 0.45)),
        thickness_mm=stage.size(0.16), sharpness=between(1.5, 2.0),
        bulge_mm=stage.size(between(0.02, 0.10)), waviness_mm=stage.size(0.025),
    )  # fmt: skip
    stage.add('liver', rear, liver)
    if stage.chance(0.75):
        front = Lobe(
            stage.line([(near(0.15, 0.1), -0.9, 0.95), (near(0.28, 0.08), -0.35, 0.82),
                        (near(0.42, 0.08), 0.08, 0.8), (near(0.55, 0.08), 0.55, 0.85),
                        (0.7, 1.0, 0.95)]),
            stage.along(0.8, near(-0.1, 0.15), between(-0.05, 0.25)),
            thickness_mm=stage.size(0.17), sharpness=between(1.6, 2.1),
            bulge_mm=stage.size(between(0.03, 0.10)), waviness_mm=stage.size(0.03),
        )  # fmt: skip
        stage.add('liver', front, liver if stage.chance(0.9) else 'pale_liver')
    if stage.chance(0.8):
        u = near(-0.12, 0.12)
        neck = near(0.38, 0.06)
        bladder = Tube(
            stage.line([(u - 0.02, neck - 0.72, 1.06), (u + near(0, 0.03), -0.12, 0.93),
                        (u + 0.08, 0.12, 0.92), (u + 0.17, neck, 1.02)]),
            stage.size(between(0.085, 0.14)),
            profile=(0.5, 0.95, 1.0, 0.92, 0.6, 0.28), lumps=0.06, flat=0.12,
        )  # fmt: skip
        stage.add('gallbladder', bladder, 'gallbladder', second=0.3, second_spread=0.35)
        duct = stage.line([(u + 0.15, neck - 0.02, 0.98), (u + 0.26, neck + 0.08, 1.0),
                           (u + 0.3, neck + 0.2, 1.05)])  # fmt: skip
        stage.add('duct', Strands((duct,), (stage.size(0.022),), hold='free'), 'membrane')
    fat_heap(stage, (near(0.25, 0.15), 0.5, 1.05), 0.30, count=3)
    if stage.chance(0.5):
        v = near(0.55, 0.06)
        duodenum = Tube(
            stage.line([(-0.9, v + 0.1, 1.1), (-0.3, v - 0.02, 1.0), (0.2, v + 0.05, 1.0),
                        (0.9, v, 1.15)]),
            stage.size(between(0.12, 0.18)), profile=(1.0, 1.0, 1.0),
            haustra=between(0, 0.15), haustra_mm=stage.size(0.25), lumps=0.08,
        )  # fmt: skip
        stage.add('duodenum', duodenum, 'bowel' if stage.chance(0.6) else 'colon')
    if stage.chance(0.6):
        side_organ(stage, -1.0)


def bowel_loops(stage: Stage) -> None:
    """Loops of bowel and the fan of the mesentery with its vessels."""
    near, between = stage.near, stage.between
    wall = Wall(
        stage.size(between(1.25, 1.45)), cling=between(0.2, 0.9), bowl=0.25, relief=0.09,
        relief_scale=0.5,
        folds=0.03, fold_angle=between(0, 3),
    )  # fmt: skip
    stage.add(
        'posterior wall', wall, ('mesentery', 'peritoneum', 'deep_fat')[stage.rng.integers(3)]
    )
    root = near(0.0, 0.2), near(0.12, 0.08)
    if stage.chance(0.6):
        fan = Sheet(
            stage.line([(-1.3, root[1] + 0.1, 1.8), (-0.3, root[1] + 0.02, 1.6),
                        (0.3, root[1], 1.6), (1.3, root[1] + 0.1, 1.8)]),
            stage.line([(-1.3, -0.3, 1.15), (-0.4, -0.45, 1.05), (0.3, -0.48, 1.06),
                        (1.3, -0.3, 1.15)]),
            sag_mm=stage.along(0, 0.03, 0.07), wrinkle_mm=stage.size(0.045),
            wrinkle_scale_mm=stage.size(0.35),
        )  # fmt: skip
        stage.add('mesentery', fan, 'mesentery', second=0.15)
    look = 'bowel' if stage.chance(0.75) else 'colon'
    radius = between(0.13, 0.2)
    haustra = between(0.03, 0.12) if look == 'bowel' else between(0.15, 0.3)
    for row in range(int(stage.rng.integers(3, 6))):
        depth = 1.1 - 0.04 * row
        v = (-0.42, 0.44, -0.16, 0.72, 0.2)[row] + near(0, 0.06)
        swing = between(0.08, 0.2) * (1 if stage.chance(0.5) else -1)
        places: list[Place] = [
            (u, v + swing * np.cos(2.6 * u + row) + near(0, 0.05), depth + near(0, 0.05))
            for u in (-1.0, -0.62, -0.25, 0.12, 0.5, 0.95)
        ]
        loop = Tube(
            stage.line(places), stage.size(radius * between(0.8, 1.15)),
            profile=(1.0, near(1.0, 0.15), near(0.95, 0.2), near(1.05, 0.15), 1.0),
            haustra=haustra, haustra_mm=stage.size(between(0.16, 0.3)), lumps=0.08,
            flat=between(0, 0.2),
        )  # fmt: skip
        stage.add('bowel', loop, look, second_spread=0.35)
    for _ in range(int(stage.rng.integers(1, 4))):
        start = root[0] + near(0, 0.1), root[1]
        stage.tree('mesenteric vessels', ('artery', 'vein')[stage.rng.integers(2)], start,
                   between(-2.6, -0.5), length=0.5, radius=between(0.003, 0.007),
                   branches=4)  # fmt: skip
    if stage.chance(0.6):
        fat_heap(stage, (near(0, 0.5), near(0.5, 0.1), 0.95), 0.2, count=2)


def close_up(stage: Stage) -> None:
    """An organ that fills the view, wet and poor in texture, as on a bench or in a phantom."""
    near, between = stage.near, stage.between
    look = ('phantom', 'phantom', 'liver', 'pale_liver', 'pink', 'mucosa', 'kidney', 'spleen',
            'spleen')[stage.rng.integers(9)]  # fmt: skip
    wall = Wall(
        stage.size(between(1.0, 1.15)), cling=between(0.3, 1),
        tilt=(near(0, 0.5), near(0, 0.4)), bowl=near(0, 0.3),
        relief=between(0.04, 0.16), relief_scale=between(0.5, 1.0),
        folds=between(0, 0.05), fold_angle=between(0, 3), fold_scale=between(0.2, 0.5),
        hollows=((*stage.direction(near(0, 0.4), near(0, 0.3)), between(0.12, 0.35),
                  between(0.1, 0.4)),),
        cliffs=((stage.angle(between(0, 6.2)), between(0.1, 0.5), between(0.1, 0.35),
                 between(-0.35, 0.35)),),
    )  # fmt: skip
    stage.add('organ', wall, look, second=between(0.1, 0.5))
    for _ in range(int(stage.rng.integers(0, 3))):
        size = between(0.2, 0.5)
        lump = Organ(
            stage.at(near(0, 0.5), near(0, 0.4), 1.05 + 0.6 * size),
            (stage.size(size), stage.size(size * between(0.6, 1.0)), stage.size(size * 0.8)),
            rotation=(near(0, 0.5), near(0, 0.5), near(0, 3)), lumps=between(0.05, 0.2),
        )  # fmt: skip
        stage.add('organ', lump, look if stage.chance(0.6) else 'pink')


def omentum(stage: Stage) -> None:
    """The abdominal wall with its vessels, and the fatty apron of the omentum."""
    near, between = stage.near, stage.between
    wall = Wall(
        stage.size(between(1.2, 1.5)), tilt=stage.direction(0, near(0.15, 0.15)),
        bowl=between(0.1, 0.4), relief=0.05, relief_scale=0.7, folds=between(0, 0.03),
        fold_angle=between(0, 3), fold_scale=0.4,
    )  # fmt: skip
    stage.add('abdominal wall', wall, 'peritoneum' if stage.chance(0.75) else 'diaphragm')
    v = near(0.05, 0.12)
    places: list[Place] = [
        (u, v + near(0, 0.07), 1.0 + near(0, 0.08)) for u in (-0.9, -0.45, 0.0, 0.45, 0.9)
    ]
    apron = Sheet(
        stage.line([(-1.1, 0.85, 0.82), (-0.4, 0.75, 0.75), (0.4, 0.78, 0.75), (1.1, 0.85, 0.8)]),
        stage.line(places), sag_mm=stage.along(0, 0, -0.05), wrinkle_mm=stage.size(0.055),
        wrinkle_scale_mm=stage.size(between(0.22, 0.4)), ragged=between(0.1, 0.35),
    )  # fmt: skip
    stage.add('omentum', apron, 'fat' if stage.chance(0.7) else 'mesentery', second=0.25)
    for _ in range(int(stage.rng.integers(1, 4))):
        fat_heap(stage, (near(0, 0.5), v + near(0.02, 0.06), 1.02), 0.14, count=2)
    stage.tree('omental vessels', 'artery', (near(0, 0.3), 0.5), near(-1.6, 0.5), length=0.45,
               radius=0.004, branches=6)  # fmt: skip
    if stage.chance(0.5):
        edge = Lobe(
            stage.line([(-1.0, near(-0.3, 0.05), 1.1), (-0.3, near(-0.2, 0.08), 0.98),
                        (0.3, near(-0.22, 0.08), 1.0), (1.0, near(-0.35, 0.05), 1.15)]),
            stage.along(near(0, 0.1), -0.7, between(0, 0.3)), thickness_mm=stage.size(0.15),
            bulge_mm=stage.size(0.05), waviness_mm=stage.size(0.025),
        )  # fmt: skip
        stage.add('liver', edge, 'liver')
    elif stage.chance(0.5):
        colon = Tube(
            stage.line([(-0.9, near(-0.2, 0.1), 1.15), (0.0, near(-0.1, 0.1), 1.02),
                        (0.9, near(-0.2, 0.1), 1.2)]),
            stage.size(between(0.13, 0.18)), profile=(1.0, 1.0), haustra=0.25,
            haustra_mm=stage.size(0.28), lumps=0.08,
        )  # fmt: skip
        stage.add('colon', colon, 'colon')


THEMES: dict[str, Callable[[Stage], None]] = {
    'upper_abdomen': upper_abdomen,
    'bowel_loops': bowel_loops,
    'pelvis': pelvis,
    'kidney': kidney,
    'heart': heart,
    'close_up': close_up,
    'omentum': omentum,
}
