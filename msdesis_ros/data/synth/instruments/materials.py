"""Finishes of instruments: what each surface is made of, and how wear and wetness change it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.assembly import Colour, Material
from msdesis_ros.data.synth.stereo_frame import Part

STEEL: Colour = (0.47, 0.46, 0.445)
DARK_STEEL: Colour = (0.30, 0.29, 0.28)
DIRT: Colour = (0.05, 0.04, 0.035)
# Each kind of detail texture has this many pictures, so that a worker makes few of them.
DETAIL_SEEDS = 2
MARK_SEEDS = 4
MARK_TILE_MM = 30.0

FINISHES: dict[str, Material] = {
    'steel': Material(
        STEEL, DARK_STEEL, (0.75, 0.74, 0.72), 'satin', tile_mm=22.0, mottle=0.28, vessels=0.35,
        bump_mm=0.015, metallic=1.0, roughness=0.29, anisotropy=0.25,
    ),
    'turned': Material(
        STEEL, DARK_STEEL, (0.75, 0.74, 0.72), 'brushed', tile_mm=16.0, mottle=0.3, vessels=0.3,
        bump_mm=0.012, metallic=1.0, roughness=0.26, anisotropy=0.7,
    ),
    'polished': Material(
        (0.58, 0.57, 0.555), STEEL, (0.4, 0.4, 0.4), 'satin', tile_mm=30.0, mottle=0.15,
        vessels=0.4, bump_mm=0.01, metallic=1.0, roughness=0.17, anisotropy=0.1,
    ),
    'dark_steel': Material(
        (0.2, 0.195, 0.19), (0.11, 0.105, 0.1), (0.5, 0.5, 0.5), 'satin', tile_mm=20.0,
        mottle=0.3, vessels=0.4, bump_mm=0.02, metallic=1.0, roughness=0.4, anisotropy=0.2,
    ),
    'carbide': Material(
        (0.36, 0.355, 0.35), (0.2, 0.2, 0.2), (0.03, 0.025, 0.02), 'crosshatch', tile_mm=8.0,
        mottle=0.25, vessels=0.8, bump_mm=0.10, metallic=1.0, roughness=0.38,
    ),
    'ribbed': Material(
        (0.45, 0.44, 0.43), (0.25, 0.25, 0.25), (0.03, 0.025, 0.02), 'knurled', tile_mm=14.0,
        mottle=0.25, vessels=0.7, bump_mm=0.14, metallic=1.0, roughness=0.36,
    ),
    'cable': Material(
        (0.5, 0.49, 0.47), (0.3, 0.29, 0.28), (0.05, 0.045, 0.04), 'stranded', tile_mm=5.0,
        mottle=0.35, vessels=0.9, bump_mm=0.06, metallic=1.0, roughness=0.34,
    ),
    'shaft': Material(
        (0.012, 0.012, 0.013), (0.03, 0.03, 0.031), (0.16, 0.16, 0.16), 'scratched',
        tile_mm=36.0, mottle=0.35, vessels=0.3, bump_mm=0.015, roughness=0.34, wetness=0.25,
    ),
    'marks': Material(
        (0.016, 0.016, 0.018), (0.045, 0.045, 0.047), (0.55, 0.55, 0.53), 'markings',
        tile_mm=MARK_TILE_MM, mottle=0.35, vessels=0.9, bump_mm=0.01, roughness=0.42,
        wetness=0.25,
    ),
    'plastic': Material(
        (0.16, 0.155, 0.15), (0.23, 0.22, 0.2), (0.07, 0.06, 0.055), 'scratched', tile_mm=30.0,
        mottle=0.25, vessels=0.4, bump_mm=0.015, roughness=0.5, wetness=0.15,
    ),
    'ceramic': Material(
        (0.72, 0.69, 0.62), (0.6, 0.52, 0.4), (0.2, 0.15, 0.1), 'scratched', tile_mm=25.0,
        mottle=0.2, vessels=0.3, bump_mm=0.008, roughness=0.35, wetness=0.35, translucency=0.3,
    ),
    'sleeve': Material(
        (0.42, 0.1, 0.02), (0.3, 0.08, 0.03), (0.18, 0.05, 0.02), 'scratched', tile_mm=28.0,
        mottle=0.3, vessels=0.3, bump_mm=0.02, roughness=0.5, wetness=0.3, translucency=0.2,
    ),
    'ring': Material(
        (0.05, 0.2, 0.5), (0.08, 0.22, 0.45), (0.3, 0.3, 0.3), 'scratched', tile_mm=30.0,
        mottle=0.2, vessels=0.3, bump_mm=0.01, roughness=0.45, wetness=0.2,
    ),
    'hole': Material(
        (0.01, 0.007, 0.006), (0.02, 0.01, 0.01), detail='scratched', mottle=0.2, roughness=0.7,
    ),
    'needle': Material(
        (0.6, 0.59, 0.57), STEEL, detail='satin', tile_mm=30.0, mottle=0.1, metallic=1.0,
        roughness=0.2, anisotropy=0.3,
    ),
    'clip': Material(
        (0.6, 0.6, 0.6), DARK_STEEL, (0.2, 0.2, 0.2), 'satin', tile_mm=12.0, mottle=0.3,
        vessels=0.3, bump_mm=0.02, metallic=1.0, roughness=0.3,
    ),
    'thread': Material(
        (0.12, 0.03, 0.22), (0.08, 0.03, 0.15), (0.03, 0.01, 0.05), 'stranded', tile_mm=4.0,
        mottle=0.3, vessels=0.15, bump_mm=0.008, roughness=0.5, wetness=0.4,
    ),
}  # fmt: skip

METALS = tuple(name for name, finish in FINISHES.items() if finish.metallic == 1.0)


@dataclass(frozen=True)
class Surface:
    """How one instrument's surfaces differ from the catalogue, drawn once per scene.

    steel_tint, shaft_colour, sleeve_colour, ring_colour, thread_colour: linear RGB.
    shaft_metallic: bare steel instead of a coating. dark_jaws, dark_wrist: coated black.
    gloss: 0 dull .. 1 new and wet. wear: 0..1.
    """

    steel_tint: Colour = (1.0, 1.0, 1.0)
    shaft_colour: Colour = (0.012, 0.012, 0.013)
    shaft_metallic: bool = False
    shaft_roughness: float = 0.34
    sleeve_colour: Colour = (0.42, 0.1, 0.02)
    ring_colour: Colour = (0.05, 0.2, 0.5)
    thread_colour: Colour = (0.12, 0.03, 0.22)
    clip_colour: Colour | None = None
    mark_colour: Colour = (0.55, 0.55, 0.53)
    dark_jaws: bool = False
    dark_wrist: bool = False
    wear: float = 0.3
    gloss: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.wear <= 1 and 0 <= self.gloss <= 1):
            raise UsageError(
                f'wear {self.wear} and gloss {self.gloss} of an instrument must be within 0..1'
            )


def finished(finish: str, surface: Surface) -> Material:
    """The material of a finish on one instrument.

    Raises:
        UsageError: unknown finish.
    """
    if finish not in FINISHES:
        raise UsageError(f'unknown finish {finish!r}; known are {", ".join(sorted(FINISHES))}')
    base = FINISHES[finish]
    seeds = MARK_SEEDS if base.detail == 'markings' else DETAIL_SEEDS
    base = replace(
        base,
        detail_seed=surface.seed % seeds,
        mottle=base.mottle * (0.6 + 0.8 * surface.wear),
        vessels=base.vessels * (1.0 if finish == 'marks' else 0.3 + 1.4 * surface.wear),
        roughness=float(np.clip(base.roughness * (1.25 - 0.5 * surface.gloss), 0.08, 0.9)),
        wetness=float(np.clip(base.wetness + 0.5 * (surface.gloss - 0.5), 0.0, 1.0)),
    )
    if base.metallic:
        base = replace(base, colour=_times(base.colour, surface.steel_tint))
    return _recoloured(base, finish, surface)


def coated(finish: str, part: Part, surface: Surface) -> str:
    """The finish that a part's plain steel has on one instrument."""
    dark = (part == Part.JAWS and surface.dark_jaws) or (part == Part.WRIST and surface.dark_wrist)
    return 'dark_steel' if dark and finish in ('steel', 'polished', 'turned') else finish


def _recoloured(base: Material, finish: str, surface: Surface) -> Material:
    if finish in ('shaft', 'marks'):
        return _shaft(base, finish, surface)
    if finish == 'clip' and surface.clip_colour is not None:
        plastic = _plain(base, surface.clip_colour)
        return replace(plastic, metallic=0.0, roughness=0.4, wetness=0.4, translucency=0.2)
    colours = {
        'sleeve': surface.sleeve_colour,
        'ring': surface.ring_colour,
        'thread': surface.thread_colour,
    }
    return _plain(base, colours[finish]) if finish in colours else base


def _shaft(base: Material, finish: str, surface: Surface) -> Material:
    marks = surface.mark_colour
    if not surface.shaft_metallic:
        coloured = _plain(base, surface.shaft_colour)
        rough = float(np.clip(surface.shaft_roughness * (1.25 - 0.5 * surface.gloss), 0.1, 0.9))
        over = marks if finish == 'marks' else _times(marks, (0.3, 0.3, 0.3))
        return replace(coloured, roughness=rough, vessel_colour=over)
    steel = finished('turned', surface)
    if finish == 'shaft':
        return replace(steel, tile_mm=30.0)
    return replace(
        steel, detail=base.detail, detail_seed=base.detail_seed, tile_mm=base.tile_mm,
        vessel_colour=(0.03, 0.03, 0.03), vessels=base.vessels,
    )  # fmt: skip


def _plain(base: Material, colour: Colour) -> Material:
    red, green, blue = (0.75 * channel + 0.012 for channel in colour)
    return replace(base, colour=colour, second_colour=(red, green, blue))


def _times(first: Colour, second: Colour) -> Colour:
    return (first[0] * second[0], first[1] * second[1], first[2] * second[2])
