"""Palettes of tissue as ramps, and the way from display values to linear light."""

from __future__ import annotations

import numpy as np

# Display RGB from the darkest to the palest of each tissue, chosen by eye.
TISSUES: dict[str, tuple[tuple[int, int, int], ...]] = {
    'liver': ((46, 12, 16), (88, 30, 34), (120, 48, 48), (158, 82, 74)),
    'gallbladder': ((150, 112, 66), (196, 160, 100), (224, 194, 140), (240, 220, 180)),
    'fat': ((132, 62, 22), (196, 130, 48), (224, 176, 92), (242, 214, 150)),
    'peritoneum': ((120, 36, 34), (176, 76, 68), (208, 118, 104), (232, 164, 148)),
    'bowel': ((140, 56, 54), (196, 104, 92), (222, 142, 124), (242, 186, 168)),
    'muscle': ((84, 14, 14), (136, 32, 28), (172, 58, 46), (200, 96, 78)),
    'serosa': ((120, 74, 76), (168, 116, 112), (200, 152, 146), (228, 196, 190)),
    'ligament': ((150, 112, 100), (196, 168, 154), (222, 204, 192), (242, 232, 224)),
    'blood': ((30, 0, 2), (72, 4, 6), (112, 10, 10), (150, 28, 22)),
    'char': ((16, 10, 8), (44, 28, 20), (78, 50, 34), (120, 86, 58)),
    'gauze': ((140, 128, 118), (190, 182, 172), (222, 218, 210), (246, 244, 240)),
}
VESSELS = ((86, 8, 14), (60, 10, 24), (74, 36, 62), (110, 20, 24), (50, 30, 60))
VESSEL_LEVEL, LOWEST_LEVEL = 12, 56  # of the ramp: vessels below, tissue from here on


def display_to_linear(display: np.ndarray) -> np.ndarray:
    """sRGB values of 0..255 as linear light of 0..1, float32 (IEC 61966-2-1)."""
    value = np.asarray(display, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


def tissue_ramp(rng: np.random.Generator, tissue: str) -> np.ndarray:
    """1 x 256 x 3 float32 linear RGB: vessel colour, then the tissue from dark to pale.

    The palette is shifted as a whole (camera, patient) and in its contrast.
    """
    stops = np.array(TISSUES[tissue], np.float64)
    middle = stops.mean(0)
    stops = middle + (stops - middle) * rng.uniform(0.6, 1.15)
    stops *= rng.uniform(0.78, 1.15) * np.exp(rng.normal(0, 0.06, 3))
    vessel = np.array(VESSELS[rng.integers(len(VESSELS))]) * rng.uniform(0.7, 1.3)
    levels = [0, VESSEL_LEVEL + 8, LOWEST_LEVEL, *np.linspace(LOWEST_LEVEL, 255, 5)[1:]]
    colours = np.concatenate([[vessel, vessel], [stops[0]], stops])
    level = np.arange(256)
    ramp = np.stack([np.interp(level, levels, colours[:, c]) for c in range(3)], -1)
    return display_to_linear(np.clip(ramp, 0, 255))[None]


DISPLAY_TO_LINEAR = display_to_linear(np.arange(256))[None]
