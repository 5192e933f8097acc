"""Detail textures of instruments.

x runs along the first texture coordinate. The `vessels` channel carries what is laid over the
surface in one colour: scratches through a coating, laser marks.
"""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.data.synth.details import SIDE_PX, Detail, Maker
from msdesis_ros.data.synth.noise import spectral_noise


def brushed(rng: np.random.Generator) -> Detail:
    """Metal turned or ground: lines across x, so that highlights spread along x."""
    lines = spectral_noise(rng, SIDE_PX, exponent=0.3, low=8, stretch=(1.0, 40.0))
    coarse = spectral_noise(rng, SIDE_PX, exponent=1.2)
    return Detail(
        mottle=coarse,
        grain=0.75 * lines + 0.25 * coarse,
        vessels=_scratches(rng, count=60, width_px=1),
        height=lines,
    )


def satin(rng: np.random.Generator) -> Detail:
    """Metal blasted or tumbled: fine grain without a direction, and a few dents."""
    fine = spectral_noise(rng, SIDE_PX, exponent=0.5, low=30)
    coarse = spectral_noise(rng, SIDE_PX, exponent=1.5)
    scratches = _scratches(rng, count=120, width_px=1)
    return Detail(
        mottle=coarse,
        grain=np.clip(0.6 * fine + 0.4 * coarse + 0.3 * scratches, 0, 1),
        vessels=scratches,
        height=np.clip(0.35 * fine + 0.65 * coarse - 0.2 * scratches, 0, 1),
    )


def scratched(rng: np.random.Generator) -> Detail:
    """A dark coating with wear: scratches mostly along x, rubbed places, dried film."""
    rubbed = spectral_noise(rng, SIDE_PX, exponent=1.7, stretch=(0.5, 1.0))
    film = spectral_noise(rng, SIDE_PX, exponent=1.0)
    # The same noise elsewhere stands for another: making it is what takes time.
    other = np.roll(film, (SIDE_PX // 3, SIDE_PX // 2), axis=(0, 1))
    long = _scratches(rng, count=150, width_px=1, spread=0.25)
    chips = (other > 0.965) * (rubbed > 0.6)
    return Detail(
        mottle=0.6 * rubbed + 0.4 * film,
        grain=0.5 * film + 0.5 * other,
        vessels=np.clip(0.7 * long + 0.8 * chips, 0, 1).astype(np.float32),
        height=np.clip(0.8 * film + 0.2 * rubbed - 0.15 * long, 0, 1).astype(np.float32),
    )


def crosshatch(rng: np.random.Generator) -> Detail:
    """Diamond teeth of a needle driver's jaw: 20 a tile along each diagonal."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32) / SIDE_PX
    grooves = np.minimum(_ridges(20 * (x + y)), _ridges(20 * (x - y)))
    worn = spectral_noise(rng, SIDE_PX, exponent=1.2)
    height = np.clip(grooves * (0.75 + 0.25 * worn), 0, 1)
    return Detail(
        mottle=worn,
        grain=(0.15 + 0.7 * height).astype(np.float32),
        vessels=(np.clip(0.35 - height, 0, 0.35) / 0.35).astype(np.float32),
        height=height.astype(np.float32),
    )


def knurled(rng: np.random.Generator) -> Detail:
    """Parallel teeth across x: 24 a tile."""
    x = np.arange(SIDE_PX, dtype=np.float32) / SIDE_PX
    teeth = np.broadcast_to(_ridges(24 * x), (SIDE_PX, SIDE_PX))
    worn = spectral_noise(rng, SIDE_PX, exponent=1.2)
    height = np.clip(teeth * (0.75 + 0.25 * worn), 0, 1)
    return Detail(
        mottle=worn,
        grain=0.2 + 0.6 * height,
        vessels=np.clip(0.3 - height, 0, 0.3) / 0.3,
        height=height,
    )


def stranded(rng: np.random.Generator) -> Detail:
    """Wire rope: strands that run at an angle; dirt between them."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float32) / SIDE_PX
    strands = _ridges(16 * x + 8 * y) ** 0.6
    dirt = spectral_noise(rng, SIDE_PX, exponent=1.2)
    return Detail(
        mottle=dirt,
        grain=(0.1 + 0.8 * strands).astype(np.float32),
        vessels=np.clip(0.4 - strands, 0, 0.4) / 0.4,
        height=strands.astype(np.float32),
    )


def markings(rng: np.random.Generator) -> Detail:
    """Laser marks on a shaft over one tile: rings, depth lines, lines of type, dots.

    They lie where the tile's rows and columns are, so a band one tile long carries them once.
    """
    marks = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    at = int(rng.uniform(0.04, 0.1) * SIDE_PX)
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.choice([6, 10, 26, 40]))
        marks[:, at : at + width] = 1
        at += width + int(rng.uniform(0.02, 0.06) * SIDE_PX)
    for row in (0.12, 0.62):
        _type_line(marks, rng, at + 30, int((row + rng.uniform(0, 0.2)) * SIDE_PX))
    if rng.random() < 0.5:
        top = int(rng.uniform(0.4, 0.5) * SIDE_PX)
        marks[top : top + 14, at : int(0.95 * SIDE_PX)] = 1
    base = scratched(rng)
    kept = marks * np.clip(1.5 - 1.0 * base.grain, 0.25, 1)
    return Detail(
        mottle=base.mottle,
        grain=base.grain,
        vessels=np.maximum(kept, 0.6 * base.vessels).astype(np.float32),
        height=base.height,
    )


def _type_line(marks: np.ndarray, rng: np.random.Generator, x: int, y: int) -> None:
    """Draw invented letters and figures: no font is needed at this size."""
    size = int(rng.integers(40, 80))
    stroke = max(4, size // 8)
    for _ in range(int(rng.integers(5, 11))):
        if x + size > 0.96 * SIDE_PX or y + size >= SIDE_PX:
            return
        width = int(size * rng.uniform(0.45, 0.65))
        corners = [(x, y), (x + width, y), (x, y + size // 2), (x + width, y + size // 2),
                   (x, y + size), (x + width, y + size)]  # fmt: skip
        if rng.random() > 0.12:
            pairs = [(0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (3, 5), (4, 5), (0, 3), (2, 5)]
            for pick in rng.choice(len(pairs), size=int(rng.integers(3, 6)), replace=False):
                first, second = pairs[pick]
                cv2.line(marks, corners[first], corners[second], 1.0, stroke, cv2.LINE_AA)
        x += width + size // 4


def _ridges(phase: np.ndarray) -> np.ndarray:
    """0..1, a triangle wave with period 1."""
    return np.abs(2 * (phase - np.floor(phase)) - 1).astype(np.float32)


def _scratches(
    rng: np.random.Generator, *, count: int, width_px: int, spread: float = 1.0
) -> np.ndarray:
    """Fine bright lines of random length; `spread` 1 = all directions, 0 = along x."""
    picture = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    for _ in range(count):
        start = rng.uniform(0, SIDE_PX, 2)
        angle = rng.uniform(-0.5, 0.5) * np.pi * spread * rng.random() * 2
        length = rng.exponential(0.06) * SIDE_PX
        bend = start + 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
        angle += rng.normal(0, 0.08)
        end = bend + 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
        level = float(rng.uniform(0.2, 1.0) ** 2)
        # Drawn on all nine neighbours, a line that leaves a side comes in at the other.
        for across in (-SIDE_PX, 0, SIDE_PX):
            for down in (-SIDE_PX, 0, SIDE_PX):
                line = np.stack([start, bend, end]) + (across, down)
                if (line.max(0) < 0).any() or (line.min(0) > SIDE_PX).any():
                    continue
                points = np.round(line * 16).astype(np.int32)
                cv2.polylines(picture, [points], False, level, width_px, cv2.LINE_AA, 4)
    return picture


TOOL_DETAILS: dict[str, Maker] = {
    'brushed': brushed,
    'satin': satin,
    'scratched': scratched,
    'crosshatch': crosshatch,
    'knurled': knurled,
    'stranded': stranded,
    'markings': markings,
}
