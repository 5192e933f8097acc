"""What else lies in a scene: strands, blood, burns, and things that a mask may take for tools.

All of it is background: gauze, pale bands, drains, clots, straight dark gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from msdesis_ros.data.synth.anatomy.composing import Stage
from msdesis_ros.data.synth.anatomy.description import Drops, Pool, Sheet, Strands, Wall


def add_extras(stage: Stage) -> None:
    """Each by its own chance."""
    for share, extra in EXTRAS:
        if stage.chance(share):
            extra(stage)


def strands(stage: Stage) -> None:
    """Connective tissue stretched between surfaces, in a bundle."""
    u, v = stage.near(0, 0.4), stage.near(0, 0.3)
    angle, length = stage.between(0, 2 * np.pi), stage.between(0.12, 0.4)
    step = np.array([np.cos(angle), np.sin(angle)]) * length
    lines, radii = [], []
    for _ in range(int(stage.rng.integers(4, 14))):
        a, b = stage.rng.normal(0, 0.035, 2), stage.rng.normal(0, 0.06, 2)
        sag = stage.rng.normal(0, 0.015, 2)
        lines.append(
            stage.line(
                [
                    (u + a[0], v + a[1], 1.0),
                    (u + (a[0] + b[0] + step[0]) / 2 + sag[0],
                     v + (a[1] + b[1] + step[1]) / 2 + sag[1], 0.975),
                    (u + b[0] + step[0], v + b[1] + step[1], 1.0),
                ]
            )
        )  # fmt: skip
        radii.append(stage.size(0.0006 * float(np.exp(stage.between(0, 1.6)))))
    shape = Strands(tuple(lines), tuple(radii), flare=stage.between(1.5, 3.5))
    stage.add('strands', shape, 'membrane' if stage.chance(0.7) else 'ligament')


def veil(stage: Stage) -> None:
    """A pale glossy membrane stretched between surfaces."""
    _ribbon(stage, 'veil', 'membrane', stage.between(0.05, 0.15))


def band(stage: Stage) -> None:
    """A white ligament or tendon."""
    _ribbon(stage, 'ligament', 'ligament', stage.between(0.02, 0.07))


def _ribbon(stage: Stage, name: str, look: str, width: float) -> None:
    """A sheet held at both ends: one of them out of view, the other spread on the tissue."""
    turn = stage.between(0, 2 * np.pi)
    u, v = stage.near(0, 0.35), stage.near(0, 0.3)
    along = np.array([np.cos(turn), np.sin(turn)])
    over = np.array([-np.sin(turn), np.cos(turn)]) * width / 2
    sway = stage.rng.normal(0, 0.05, 4)
    wide = stage.between(1.8, 3.5)

    def edge(side: float) -> list[tuple[float, float, float]]:
        stations = ((0.0, wide), (0.12, 1.2), (0.5, 0.9), (1.1, 1.1))
        return [
            (u + s * along[0] + (side * w + bend / width) * over[0],
             v + s * along[1] + (side * w + bend / width) * over[1],
             0.97 + 0.01 * side)
            for (s, w), bend in zip(stations, sway, strict=True)
        ]  # fmt: skip

    sheet = Sheet(
        stage.line(edge(-1)), stage.line(edge(1)),
        sag_mm=stage.along(0, 0, -0.25 * width), wrinkle_mm=stage.size(0.05 * width),
        wrinkle_scale_mm=stage.size(0.9 * width), held=True, loose=True,
    )  # fmt: skip
    stage.add(name, sheet, look)


def suture(stage: Stage) -> None:
    """A thread with free ends, or a row of stitches."""
    u, v, heading = stage.near(0, 0.35), stage.near(0, 0.3), stage.between(0, 2 * np.pi)
    radius = stage.size(0.0022)
    if stage.chance(0.5):
        line = stage.wander((u, v), heading, length=stage.between(0.3, 0.9), bend=0.45, steps=9)
        thread = stage.line([(*place, 1.0) for place in line])
        shape = Strands((thread,), (radius,), hold='draped', lift=2.0)
    else:
        lines = []
        for number in range(int(stage.rng.integers(3, 7))):
            a = u + 0.06 * number * np.cos(heading), v + 0.06 * number * np.sin(heading)
            across = 0.03 * np.array([-np.sin(heading + 0.5), np.cos(heading + 0.5)])
            lines.append(
                stage.line([(a[0] - across[0], a[1] - across[1], 1.0), (*a, 0.985),
                            (a[0] + across[0], a[1] + across[1], 1.0)])
            )  # fmt: skip
        shape = Strands(tuple(lines), (radius,) * len(lines), flare=1.0)
    stage.add('suture', shape, 'suture' if stage.chance(0.7) else 'drain', blood=0.0)


def surface_vessels(stage: Stage) -> None:
    """A tree of vessels that stands out of the surface."""
    stage.tree(
        'vessels', ('artery', 'vein')[stage.rng.integers(2)],
        (stage.near(0, 0.5), stage.near(0, 0.4)), stage.between(0, 2 * np.pi),
        length=stage.between(0.4, 1.0), radius=stage.between(0.002, 0.006),
        branches=int(stage.rng.integers(4, 9)),
    )  # fmt: skip


def pool(stage: Stage) -> None:
    """Blood in a hollow."""
    centre = stage.at(stage.near(0, 0.4), stage.near(0.1, 0.3), 1.0)
    shape = Pool(
        centre, stage.size(stage.between(0.1, 0.25)), depth=stage.between(0.0, 0.06),
        tilt=(stage.near(0, 0.15), stage.near(0, 0.15)),
    )  # fmt: skip
    stage.add('blood pool', shape, 'blood', blood=0.0)


def drops(stage: Stage) -> None:
    """Drops of blood or water."""
    _scatter(stage, 'drops', 'blood' if stage.chance(0.65) else 'water', 0.002, 0.009, 0.45)


def burns(stage: Stage) -> None:
    """Char where a hook has been: on the skin of a body, or crumbs."""
    if stage.chance(0.3):
        _scatter(stage, 'char', 'char', 0.002, 0.010, 0.15)
        return
    number = int(stage.rng.integers(len(stage.bodies)))
    body = stage.bodies[number]
    stains = replace(
        body.stains, char=stage.between(0.02, 0.08), scale_mm=stage.size(stage.between(0.08, 0.2))
    )
    stage.bodies[number] = replace(body, stains=stains)


def clot(stage: Stage) -> None:
    """Clotted blood, dark as a tool's shaft."""
    u, v = stage.near(0, 0.4), stage.near(0, 0.3)
    for _ in range(int(stage.rng.integers(1, 4))):
        places = stage.line([(u + stage.near(0, 0.08), v + stage.near(0, 0.06), 1.0)] * 1)
        radius = stage.size(stage.between(0.03, 0.08))
        stage.add('clot', Drops(places, (radius,), height=0.4), 'clot', blood=0.0)


def gauze(stage: Stage) -> None:
    """A swab: white woven cloth in loose folds, partly soaked with blood."""
    u, v = stage.near(0, 0.5), stage.near(0.05, 0.4)
    turn, half = stage.between(0, 2 * np.pi), stage.between(0.16, 0.32)
    along = np.array([np.cos(turn), np.sin(turn)]) * half
    over = np.array([-np.sin(turn), np.cos(turn)]) * half * stage.between(0.5, 1.0)

    def edge(side: float) -> list[tuple[float, float, float]]:
        return [
            (u + s * along[0] + side * over[0] + stage.near(0, 0.02),
             v + s * along[1] + side * over[1] + stage.near(0, 0.02),
             0.92 + stage.near(0, 0.04))
            for s in (-1.0, -0.5, 0.0, 0.5, 1.0)
        ]  # fmt: skip

    cloth = Sheet(
        stage.line(edge(-1)), stage.line(edge(1)), sag_mm=stage.along(0, 0, -0.05),
        wrinkle_mm=stage.size(stage.between(0.02, 0.045)),
        wrinkle_scale_mm=stage.size(stage.between(0.12, 0.25)), ragged=0.06, loose=True,
    )  # fmt: skip
    blood = stage.between(0.1, 0.7) if stage.chance(0.75) else 0.0
    stage.add('gauze', cloth, 'gauze', second=0.1, second_spread=0.15, blood=blood)


def drain(stage: Stage) -> None:
    """A catheter, drain or vessel loop across the view: smooth and straight as a shaft."""
    turn = stage.between(0, 2 * np.pi)
    u, v = stage.near(0, 0.35), stage.near(0, 0.25)
    reach = np.array([np.cos(turn), np.sin(turn)]) * 1.3
    bend = stage.rng.normal(0, 0.12, 2)
    inside = stage.between(0.15, 0.5)
    line = stage.line(
        [
            (u - reach[0], v - reach[1], stage.between(0.6, 0.85)),
            (u - 0.3 * reach[0] + bend[0], v - 0.3 * reach[1] + bend[1], 0.86),
            (u + inside * reach[0], v + inside * reach[1], 1.0),
            (u + 0.95 * reach[0], v + 0.95 * reach[1], 1.25),
        ]
    )
    look = ('catheter', 'drain', 'vessel_loop')[stage.rng.choice(3, p=[0.5, 0.3, 0.2])]
    radius = stage.between(0.014, 0.04) if look != 'vessel_loop' else stage.between(0.006, 0.012)
    stage.add('drain', Strands((line,), (stage.size(radius),), hold='free'), look, second=0.1)


def straight_gap(stage: Stage) -> None:
    """A dark gap with straight edges in the wall."""
    body = stage.bodies[0]
    assert isinstance(body.shape, Wall)
    slit = (
        *stage.direction(stage.near(0, 0.45), stage.near(0, 0.35)), stage.between(0, np.pi),
        stage.between(0.12, 0.4), stage.between(0.02, 0.045), stage.between(0.15, 0.4),
    )  # fmt: skip
    shape = replace(body.shape, slits=(*body.shape.slits, slit))
    stage.bodies[0] = replace(body, shape=shape)


def _scatter(
    stage: Stage, name: str, look: str, small: float, large: float, height: float
) -> None:
    u, v = stage.near(0, 0.4), stage.near(0, 0.3)
    spread = stage.between(0.03, 0.12)
    count = int(stage.rng.integers(4, 16))
    places = stage.line([(u + a, v + b, 1.0) for a, b in stage.rng.normal(0, spread, (count, 2))])
    radii = tuple(
        stage.size(float(value))
        for value in np.exp(stage.rng.uniform(np.log(small), np.log(large), count))
    )
    stage.add(name, Drops(places, radii, height=height), look, blood=0.0)


EXTRAS: tuple[tuple[float, Callable[[Stage], None]], ...] = (
    (0.10, straight_gap),
    (0.08, veil),
    (0.16, band),
    (0.15, gauze),
    (0.16, drain),
    (0.35, surface_vessels),
    (0.35, strands),
    (0.25, strands),
    (0.22, pool),
    (0.16, clot),
    (0.10, burns),
    (0.22, drops),
    (0.18, suture),
)
