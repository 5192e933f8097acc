"""How instruments differ from each other: colours, wear, gloss."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.assembly import Colour
from msdesis_ros.data.synth.instruments.catalogue import Entry
from msdesis_ros.data.synth.instruments.materials import Surface
from msdesis_ros.data.synth.stereo_frame import ToolType

SLEEVES: tuple[Colour, ...] = (
    (0.42, 0.1, 0.02),
    (0.34, 0.2, 0.04),
    (0.2, 0.2, 0.19),
    (0.03, 0.03, 0.03),
    (0.45, 0.42, 0.36),
    (0.03, 0.055, 0.13),
)
# Of monopolar scissors' tips: silicone.
COVERS: tuple[Colour, ...] = (
    (0.16, 0.14, 0.12),
    (0.2, 0.12, 0.06),
    (0.06, 0.06, 0.062),
    (0.26, 0.09, 0.025),
)
MARKS: tuple[Colour, ...] = ((0.42, 0.42, 0.41), (0.25, 0.25, 0.24), (0.14, 0.14, 0.14))
RINGS: tuple[Colour, ...] = (
    (0.015, 0.035, 0.1),
    (0.2, 0.12, 0.02),
    (0.02, 0.12, 0.05),
    (0.22, 0.02, 0.02),
    (0.35, 0.35, 0.33),
    (0.03, 0.03, 0.03),
)
THREADS: tuple[Colour, ...] = (
    (0.1, 0.03, 0.2),
    (0.02, 0.06, 0.25),
    (0.012, 0.012, 0.014),
    (0.5, 0.47, 0.42),
    (0.02, 0.14, 0.06),
)
CLIPS: tuple[Colour | None, ...] = (
    None,
    None,
    (0.5, 0.49, 0.46),
    (0.18, 0.05, 0.28),
    (0.05, 0.3, 0.1),
)
INSULATIONS: tuple[Colour, ...] = (
    (0.01, 0.01, 0.011),
    (0.022, 0.022, 0.024),
    (0.035, 0.018, 0.014),
    (0.011, 0.013, 0.022),
    (0.06, 0.06, 0.062),
)


def sample_surface(rng: np.random.Generator, known: Entry) -> Surface:
    """Draw the look of one instrument; the robot's shafts are coated, the others often bare."""
    robot = known.family == 'da_vinci'
    bare = known.tool_type == ToolType.SUCTION_TUBE or (not robot and rng.random() < 0.45)
    if robot:
        level = 0.09 if rng.random() < 0.05 else float(rng.uniform(0.005, 0.02))
        shaft: Colour = (level, level, level * float(rng.uniform(1.0, 1.15)))
    else:
        shaft = _pick(rng, INSULATIONS)
    bright = float(rng.uniform(0.7, 1.12))
    warm = float(rng.normal(0.0, 0.03))
    return Surface(
        steel_tint=(bright * (1 + warm), bright, bright * (1 - warm)),
        shaft_colour=shaft,
        shaft_metallic=bool(bare),
        shaft_roughness=float(rng.uniform(0.24, 0.48)),
        sleeve_colour=_pick(rng, COVERS if known.name == 'monopolar_scissors' else SLEEVES),
        ring_colour=_pick(rng, RINGS),
        thread_colour=_pick(rng, THREADS),
        clip_colour=CLIPS[int(rng.integers(len(CLIPS)))],
        mark_colour=_pick(rng, MARKS),
        dark_jaws=bool(rng.random() < 0.18 and known.tool_type != ToolType.SUCTION_TUBE),
        dark_wrist=bool(rng.random() < 0.12),
        wear=float(rng.beta(1.6, 2.4)),
        gloss=float(rng.uniform(0.0, 1.0)),
        seed=int(rng.integers(1 << 16)),
    )


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]
