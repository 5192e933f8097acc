"""Draws the numbers of an anatomy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.anatomy import patches, sheets, thin
from msdesis_ros.data.synth.anatomy.composing import Stage
from msdesis_ros.data.synth.anatomy.description import (
    FARTHEST_MM,
    AnatomyScene,
    Drops,
    Motion,
    Organ,
    Shape,
    Strands,
)
from msdesis_ros.data.synth.anatomy.extras import add_extras
from msdesis_ros.data.synth.anatomy.palettes import recoloured
from msdesis_ros.data.synth.anatomy.themes import THEMES
from msdesis_ros.data.synth.rigs import EndoscopeRig

TRIANGLES = 60_000  # of a scene
THEME_SHARES = {
    'upper_abdomen': 0.24,
    'bowel_loops': 0.14,
    'pelvis': 0.15,
    'kidney': 0.12,
    'heart': 0.09,
    'close_up': 0.13,
    'omentum': 0.13,
}
# Robots are also set up, taught and tested on phantoms, whose colours are no tissue's.
BENCH_SHARE = 0.07


def sample_anatomy(
    rng: np.random.Generator,
    rig: EndoscopeRig,
    distance_mm: float,
    *,
    theme: str | None = None,
) -> AnatomyScene:
    """Draw the anatomy of a scene for a rig.

    distance_mm: how far away the tissue in question is; a distance at which it would be nearer
    than the rig allows is raised to what it does. theme: one of `THEMES`; by default drawn.

    Raises:
        UsageError: unknown theme, or a distance beyond 0..FARTHEST_MM.
    """
    if theme is not None and theme not in THEMES:
        raise UsageError(f'unknown theme {theme!r}; known are {", ".join(sorted(THEMES))}')
    if not 0 < distance_mm <= FARTHEST_MM:
        raise UsageError(
            f'a distance of {distance_mm:g} mm; expected more than 0 and at most {FARTHEST_MM:g}'
        )
    nearest_mm = float(1.04 * rig.nearest_mm)
    distance_mm = float(np.clip(distance_mm, 1.3 * nearest_mm, 0.95 * FARTHEST_MM))
    names, shares = zip(*THEME_SHARES.items(), strict=True)
    drawn = str(rng.choice(names, p=shares))
    theme = theme or drawn
    seed = int(rng.integers(2**31))
    # A surgeon holds the camera upright more or less; sometimes from another side.
    turn = rng.normal(0, 0.35) if rng.random() < 0.8 else rng.uniform(-np.pi, np.pi)
    stage = Stage(rng, distance_mm, turn=float(turn), mirror=bool(rng.random() < 0.5))
    THEMES[theme](stage)
    add_extras(stage)
    keep_to_budget(stage)
    if rng.random() < BENCH_SHARE:
        stage.bodies[:] = [
            replace(body, material=recoloured(rng, body.material)) for body in stage.bodies
        ]
    base = np.array(stage.bodies[0].material.colour)
    around = 0.5 * base / base.max() + 0.12
    return AnatomyScene(
        theme=theme,
        distance_mm=distance_mm,
        nearest_mm=nearest_mm,
        bodies=tuple(stage.bodies),
        motion=_sample_motion(stage, theme),
        surroundings=(float(around[0]), float(around[1]), float(around[2])),
        seed=seed,
    )


def triangles_of(shape: Shape) -> int:
    """How many triangles a body's mesh has at most."""
    if isinstance(shape, Organ):
        return 2 * (patches.organ_side(shape) - 1) ** 2
    if isinstance(shape, Strands):
        sides = sum(
            thin.strand_segments(radius, line[0][2])
            for radius, line in zip(shape.radii_mm, shape.lines_mm, strict=True)
        )
        return 2 * (thin.LINE_POINTS - 1) * sides
    if isinstance(shape, Drops):
        return len(shape.radii_mm) * 2 * (thin.drop_side(shape) - 1) ** 2
    rows, columns = {
        'wall': (patches.WALL_ROWS, patches.WALL_COLUMNS),
        'lobe': (patches.LOBE_ROWS, patches.LOBE_COLUMNS),
        'sheet': (sheets.SHEET_ROWS, sheets.SHEET_COLUMNS),
        'tube': (patches.TUBE_SEGMENTS + 1, patches.TUBE_POINTS),
        'pool': (sheets.POOL_SIDE, sheets.POOL_SIDE),
    }[shape.kind]
    return 2 * (rows - 1) * (columns - 1)


def keep_to_budget(stage: Stage) -> None:
    """Leave out extras, the last first, until the scene is as light as it has to be."""
    while sum(triangles_of(body.shape) for body in stage.bodies) > TRIANGLES:
        stage.bodies.pop()


def _sample_motion(stage: Stage, theme: str) -> Motion:
    between, size = stage.between, stage.size(1.0)
    breath = between(0.0, 0.02) * size
    beats = between(0.01, 0.03) if theme == 'heart' else between(0.0, 0.006)
    return Motion(
        breathing_mm=(breath * stage.near(0, 0.5), breath * 0.8, breath * stage.near(0, 0.6)),
        breathing_hz=between(0.15, 0.35),
        heartbeat_mm=beats * size,
        heartbeat_hz=between(0.9, 1.8),
        heart_mm=stage.at(stage.near(0, 0.5), stage.near(0, 0.4), 1.05),
        heart_radius_mm=between(0.3, 0.8) * size,
        peristalsis=between(0.0, 0.06),
        peristalsis_hz=between(0.05, 0.2),
        peristalsis_mm=between(0.2, 0.6) * size,
        phase=between(0, 2 * np.pi),
    )
