"""Natural looks of tissue and cloth: colours are linear RGB, spread from scene to scene."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from msdesis_ros.data.synth.assembly import Colour, Material

MANUFACTURED = frozenset({'gauze', 'catheter', 'drain', 'vessel_loop', 'suture'})
DETAIL_SEEDS = 3  # pictures a kind, so that a worker can keep them all


@dataclass(frozen=True)
class Look:
    """A material for a tile of `tile_mm` at 90 mm, before it is varied."""

    colour: Colour
    second_colour: Colour
    detail: str
    vessel_colour: Colour = (0.30, 0.015, 0.02)
    tile_mm: float = 95.0
    mottle: float = 0.3
    vessels: float = 0.0
    bump_mm: float = 1.2
    roughness: float = 0.7
    wetness: float = 0.6
    translucency: float = 0.4
    spread: float = 0.12


LOOKS: dict[str, Look] = {
    'liver': Look(
        (0.150, 0.020, 0.018), (0.215, 0.045, 0.034), 'liver', (0.30, 0.07, 0.06),
        mottle=0.34, vessels=0.35, bump_mm=1.5, roughness=0.75, wetness=0.8, translucency=0.25,
    ),
    'spleen': Look(
        (0.14, 0.022, 0.035), (0.22, 0.05, 0.06), 'liver', (0.3, 0.08, 0.08),
        mottle=0.3, vessels=0.3, bump_mm=1.3, wetness=0.8, translucency=0.2,
    ),
    'pale_liver': Look(
        (0.21, 0.040, 0.030), (0.28, 0.075, 0.045), 'liver', (0.3, 0.06, 0.05),
        mottle=0.4, vessels=0.3, bump_mm=1.3, wetness=0.7,
    ),
    'gallbladder': Look(
        (0.42, 0.235, 0.105), (0.30, 0.20, 0.15), 'gallbladder', (0.27, 0.035, 0.035),
        tile_mm=70, mottle=0.34, vessels=0.95, bump_mm=0.6, roughness=0.55, wetness=0.55,
        translucency=0.6, spread=0.18,
    ),
    'fat': Look(
        (0.70, 0.325, 0.08), (0.62, 0.20, 0.065), 'fat', (0.42, 0.03, 0.02),
        mottle=0.32, vessels=0.8, bump_mm=1.3, roughness=0.65, wetness=0.6, translucency=0.8,
    ),
    'deep_fat': Look(
        (0.62, 0.225, 0.075), (0.52, 0.135, 0.06), 'fat', (0.42, 0.03, 0.02),
        mottle=0.32, vessels=0.9, bump_mm=1.3, roughness=0.65, wetness=0.6, translucency=0.8,
    ),
    'pale_fat': Look(
        (0.68, 0.40, 0.17), (0.60, 0.25, 0.12), 'fat', (0.45, 0.05, 0.035),
        mottle=0.4, vessels=0.7, bump_mm=1.5, wetness=0.6, translucency=0.7,
    ),
    'bowel': Look(
        (0.50, 0.20, 0.145), (0.58, 0.33, 0.22), 'serosa', (0.40, 0.05, 0.045),
        tile_mm=75, mottle=0.34, vessels=0.6, bump_mm=0.8, roughness=0.6, wetness=0.75,
        translucency=0.6,
    ),
    'colon': Look(
        (0.50, 0.22, 0.15), (0.54, 0.29, 0.17), 'serosa', (0.36, 0.05, 0.05),
        tile_mm=85, mottle=0.3, vessels=0.6, bump_mm=0.8, wetness=0.65, translucency=0.6,
    ),
    'peritoneum': Look(
        (0.46, 0.118, 0.072), (0.54, 0.23, 0.11), 'peritoneum', (0.30, 0.018, 0.022),
        mottle=0.36, vessels=1.0, bump_mm=1.3, roughness=0.65, wetness=0.65, translucency=0.6,
        spread=0.2,
    ),
    'diaphragm': Look(
        (0.33, 0.07, 0.045), (0.46, 0.17, 0.10), 'muscle', (0.24, 0.015, 0.02),
        tile_mm=150, mottle=0.3, vessels=0.6, bump_mm=1.3, wetness=0.6,
    ),
    'muscle': Look(
        (0.28, 0.045, 0.032), (0.40, 0.14, 0.09), 'muscle', (0.22, 0.012, 0.016),
        tile_mm=80, mottle=0.36, vessels=0.5, bump_mm=1.3, roughness=0.65, wetness=0.65,
    ),
    'mucosa': Look(
        (0.50, 0.155, 0.11), (0.42, 0.085, 0.07), 'mucosa', (0.34, 0.02, 0.025),
        mottle=0.4, vessels=0.6, bump_mm=2.2, roughness=0.4, wetness=0.85, translucency=0.7,
    ),
    'kidney': Look(
        (0.26, 0.05, 0.036), (0.38, 0.12, 0.07), 'capsule', (0.20, 0.012, 0.025),
        mottle=0.3, vessels=0.6, bump_mm=1.4, roughness=0.65, wetness=0.75,
    ),
    'prostate': Look(
        (0.48, 0.165, 0.10), (0.55, 0.28, 0.17), 'membrane', (0.32, 0.03, 0.04),
        tile_mm=70, mottle=0.34, vessels=0.8, bump_mm=1.1, wetness=0.6, translucency=0.6,
    ),
    'membrane': Look(
        (0.50, 0.24, 0.14), (0.60, 0.40, 0.26), 'membrane', (0.36, 0.04, 0.045),
        tile_mm=70, mottle=0.3, vessels=0.7, bump_mm=0.8, roughness=0.35, wetness=0.8,
        translucency=0.8, spread=0.16,
    ),
    'mesentery': Look(
        (0.58, 0.27, 0.13), (0.55, 0.20, 0.11), 'fat', (0.40, 0.03, 0.03),
        mottle=0.36, vessels=0.8, bump_mm=1.5, roughness=0.45, wetness=0.7, translucency=0.7,
    ),
    'ligament': Look(
        (0.62, 0.47, 0.36), (0.58, 0.31, 0.22), 'ligament', (0.45, 0.08, 0.07),
        tile_mm=40, mottle=0.4, vessels=0.5, bump_mm=0.6, roughness=0.4, wetness=0.7,
        translucency=0.6,
    ),
    'pink': Look(
        (0.52, 0.24, 0.17), (0.46, 0.15, 0.11), 'smooth', tile_mm=70, mottle=0.25, bump_mm=1.0,
        roughness=0.4, wetness=0.8, translucency=0.7, spread=0.2,
    ),
    'phantom': Look(
        (0.52, 0.23, 0.16), (0.50, 0.28, 0.20), 'smooth', mottle=0.14, bump_mm=1.0,
        roughness=0.5, wetness=0.5, translucency=0.6, spread=0.3,
    ),
    'artery': Look(
        (0.42, 0.06, 0.045), (0.52, 0.20, 0.13), 'ligament', tile_mm=40, mottle=0.3,
        bump_mm=0.3, roughness=0.4, wetness=0.7, translucency=0.5,
    ),
    'vein': Look(
        (0.15, 0.035, 0.050), (0.26, 0.09, 0.09), 'smooth', tile_mm=50, mottle=0.25,
        bump_mm=0.5, roughness=0.4, wetness=0.75, translucency=0.5,
    ),
    'gauze': Look(
        (0.74, 0.71, 0.65), (0.42, 0.37, 0.32), 'gauze', tile_mm=95, mottle=0.16, bump_mm=0.4,
        roughness=0.95, wetness=0.0, translucency=0.3, spread=0.04,
    ),
    'clot': Look(
        (0.055, 0.006, 0.007), (0.12, 0.010, 0.010), 'clot', tile_mm=60, mottle=0.5,
        bump_mm=2.2, roughness=0.4, wetness=0.9, translucency=0.1,
    ),
    'blood': Look(
        (0.13, 0.004, 0.006), (0.17, 0.008, 0.009), 'smooth', mottle=0.15, bump_mm=0.12,
        roughness=0.3, wetness=1.0, translucency=0.15, spread=0.15,
    ),
    'char': Look(
        (0.02, 0.013, 0.010), (0.06, 0.035, 0.02), 'clot', tile_mm=40, mottle=0.6, bump_mm=1.6,
        roughness=0.9, wetness=0.1, translucency=0.0,
    ),
    'catheter': Look(
        (0.62, 0.36, 0.045), (0.66, 0.45, 0.12), 'smooth', tile_mm=80, mottle=0.1,
        bump_mm=0.05, roughness=0.38, wetness=0.25, translucency=0.6, spread=0.1,
    ),
    'drain': Look(
        (0.68, 0.66, 0.58), (0.60, 0.55, 0.45), 'smooth', tile_mm=80, mottle=0.12,
        bump_mm=0.05, roughness=0.3, wetness=0.4, translucency=0.8, spread=0.06,
    ),
    'vessel_loop': Look(
        (0.03, 0.08, 0.42), (0.05, 0.1, 0.45), 'smooth', tile_mm=80, mottle=0.1, bump_mm=0.02,
        roughness=0.4, wetness=0.2, spread=0.1,
    ),
    'suture': Look(
        (0.10, 0.04, 0.17), (0.12, 0.05, 0.2), 'ligament', tile_mm=8, mottle=0.3, bump_mm=0.05,
        roughness=0.5, wetness=0.2, translucency=0.0,
    ),
    'water': Look(
        (0.40, 0.15, 0.11), (0.45, 0.2, 0.14), 'smooth', mottle=0.1, bump_mm=0.1,
        roughness=0.2, wetness=1.0, translucency=0.8,
    ),
}  # fmt: skip


class Palette:
    """The looks of one scene: all tissue shares a tint and a wetness; each body varies some."""

    def __init__(self, rng: np.random.Generator, distance_mm: float) -> None:
        self._rng = rng
        # Close up, one sees smaller things, but not in proportion: organs differ in size too.
        self._size = (distance_mm / 90.0) ** 0.65
        # Never greener: no tissue is.
        self._tint = np.exp(np.clip(rng.normal(0, [0.05, 0.08, 0.12]), -0.25, [0.1, 0.05, 0.2]))
        self._wet = float(np.clip(rng.normal(1.0, 0.22), 0.4, 1.35))
        self._vivid = float(rng.uniform(0.94, 1.2))

    def __call__(self, name: str, **changes: object) -> Material:
        """The material of a look; `changes` replace its values at last."""
        look, rng = LOOKS[name], self._rng
        made = name in MANUFACTURED
        body = np.exp(rng.normal(0, look.spread)) * np.exp(
            rng.normal(0, look.spread * np.array([0.2, 0.4, 0.6]))
        )
        material = Material(
            colour=self._colour(look.colour, body, made=made),
            second_colour=self._colour(look.second_colour, body, made=made),
            vessel_colour=self._vessel(look.vessel_colour),
            detail=look.detail,
            detail_seed=int(rng.integers(DETAIL_SEEDS)),
            tile_mm=float(look.tile_mm * self._size * rng.uniform(0.85, 1.25)),
            mottle=float(look.mottle * rng.uniform(0.7, 1.25)),
            vessels=float(look.vessels * rng.uniform(0.5, 1.15)),
            bump_mm=float(look.bump_mm * self._size * rng.uniform(0.7, 1.2)),
            roughness=float(np.clip(look.roughness * rng.uniform(0.85, 1.15), 0.2, 1)),
            wetness=float(np.clip(look.wetness * self._wet, 0, 1)),
            translucency=look.translucency,
        )
        return replace(material, **changes)  # type: ignore[arg-type]

    def _colour(self, colour: Colour, body: np.ndarray, *, made: bool) -> Colour:
        if made:
            return _triple(np.clip(np.array(colour) * body, 0.003, 0.85))
        value = np.array(colour) * self._tint * body
        grey = value.mean()
        value = grey + (value - grey) * self._vivid
        return _triple(np.clip(value, 0.003, 0.85))

    def _vessel(self, colour: Colour) -> Colour:
        """Most vessels are red, some scenes' bluish."""
        value = np.array(colour)
        if self._rng.random() < 0.3:
            value = value * np.array([0.6, 1.3, 2.4])
        return _triple(np.clip(value, 0.003, 0.85))


def recoloured(rng: np.random.Generator, material: Material) -> Material:
    """The same surface in the colours of a phantom or a test bench: grey, white or anything."""
    value = float(rng.uniform(0.03, 0.8))
    colourful = rng.random() < 0.5
    cool = (rng.uniform(0.75, 1.05), 1.0, rng.uniform(0.9, 1.25))
    tint = rng.uniform(0.3, 1.0, 3) if colourful else np.array(cool)
    first = np.clip(value * tint / tint.max(), 0.005, 0.9)
    second = np.clip(first * rng.uniform(0.6, 1.3, 3), 0.005, 0.9)
    return replace(
        material,
        colour=_triple(first),
        second_colour=_triple(second),
        vessels=material.vessels * float(rng.uniform(0, 1)),
        wetness=material.wetness * float(rng.uniform(0, 1)),
    )


def _triple(values: np.ndarray) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])
