"""Detail textures of tissue and of the cloth that lies on it.

They are made for a tile of about 100 mm: one pixel is 0.1 mm. What is smooth is made at a lower
resolution, so that a tile costs a fraction of a second once.
"""

from __future__ import annotations

import cv2
import numpy as np

from msdesis_ros.data.synth.anatomy.vessel_trees import draw_vessels
from msdesis_ros.data.synth.details import SIDE_PX, Detail, Maker
from msdesis_ros.data.synth.noise import cells, spectral_noise


def smooth_tissue(rng: np.random.Generator) -> Detail:
    """Wet, poor in texture, faintly lobular: organs without a look of their own."""
    return Detail(
        mottle=_noise(rng, 256, exponent=1.9),
        grain=0.5 + 0.35 * (_noise(rng, 512, exponent=0.9, low=6) - 0.5),
        vessels=_nothing(),
        height=_ripples(rng, 0.5),
    )


def liver(rng: np.random.Generator) -> Detail:
    """Lobules of about a millimetre, hardly visible, on a wet skin; a few fine vessels."""
    nearest, second, owner = cells(rng, 256, 44 * 44)
    tone = rng.uniform(0, 1, 44 * 44).astype(np.float32)[owner]
    # So fine that nobody sees it four times on a tile.
    lobules = _enlarged(
        np.tile(0.6 * np.clip(second - nearest, 0, 0.6) / 0.6 + 0.4 * tone, (2, 2))
    )
    patchy = _noise(rng, 256, exponent=1.4, low=2)
    grain = 0.5 + (lobules - 0.4) * (0.15 + 0.75 * patchy**2)
    faint = draw_vessels(rng, SIDE_PX, roots=5, width_px=3.2, spread=0.7)
    return Detail(
        mottle=_noise(rng, 256, exponent=1.8),
        grain=_clipped(grain + 0.12 * (_noise(rng, 512, exponent=0.6, low=20) - 0.5)),
        vessels=0.6 * faint * _noise(rng, 128, exponent=2.0),
        height=_clipped(_ripples(rng, 0.75) + 0.012 * (lobules - 0.5)),
    )


def fat(rng: np.random.Generator) -> Detail:
    """Yellow globules of a few millimetres, parted by thin reddish seams, with fine vessels."""
    coarse, beyond, owner = cells(rng, 256, 22 * 22)
    tone = rng.uniform(0, 1, 22 * 22).astype(np.float32)[owner]
    fine, fine_beyond, _ = cells(rng, 256, 28 * 28)
    bulge = np.clip(beyond - coarse, 0, 0.7) / 0.7
    small = _enlarged(np.tile(np.clip(fine_beyond - fine, 0, 0.7) / 0.7, (2, 2)))
    bend = _enlarged(_blurred(_round(bulge), 1.0))
    height = 0.55 * bend + 0.12 * _round(small)
    seam = _enlarged(np.exp(-((bulge / 0.12) ** 2)))
    vessels = draw_vessels(rng, SIDE_PX, roots=9, width_px=6.0, spread=0.9)
    soft = _noise(rng, 256, exponent=1.7)
    return Detail(
        mottle=_clipped(0.55 * soft + 0.2 * _enlarged(tone) + 0.22 * seam),
        grain=_clipped(0.40 + 0.14 * bend + 0.12 * small - 0.10 * soft),
        vessels=vessels * _clipped(0.3 + 1.1 * _noise(rng, 128, exponent=2.0)),
        height=_clipped(0.6 * height + 0.4 * _ripples(rng, 0.6)),
    )


def serosa(rng: np.random.Generator) -> Detail:
    """The skin of the bowel: fine vessels side by side in arcs, across the bowel (along y)."""
    arcs = draw_vessels(
        rng, SIDE_PX, roots=26, width_px=4.0, spread=0.45, heading=np.pi / 2, straightness=0.93
    )
    muscle = _noise(rng, 512, exponent=1.0, low=8, stretch=(1.0, 7.0))
    return Detail(
        mottle=_noise(rng, 256, exponent=1.7),
        grain=_clipped(0.5 + 0.14 * (muscle - 0.5)),
        vessels=arcs * _clipped(0.35 + 0.9 * _noise(rng, 128, exponent=1.8)),
        height=_clipped(_ripples(rng, 0.7) + 0.02 * (muscle - 0.5)),
    )


def peritoneum(rng: np.random.Generator) -> Detail:
    """A thin shiny skin over pink and orange tissue, with branching vessels of many sizes."""
    large = draw_vessels(rng, SIDE_PX, roots=7, width_px=9.0, spread=0.8)
    small = draw_vessels(rng, SIDE_PX, roots=36, width_px=3.4, spread=1.0)
    seen = _clipped(0.15 + 1.1 * _noise(rng, 128, exponent=1.8))
    haze = _blurred(large, 9.0)
    return Detail(
        mottle=_noise(rng, 256, exponent=1.7),
        grain=_clipped(0.52 + 0.25 * (_noise(rng, 512, exponent=1.0, low=5) - 0.5) - 0.1 * haze),
        vessels=_clipped(np.maximum(large * 0.9, small * seen)),
        height=_clipped(_ripples(rng, 0.7) + 0.02 * large),
    )


def gallbladder(rng: np.random.Generator) -> Detail:
    """A stretched pale skin with long thin winding vessels and bluish shades below."""
    long = draw_vessels(
        rng, SIDE_PX, roots=18, width_px=8.5, spread=0.8, heading=0.0, straightness=0.8
    )
    seen = _clipped(0.2 + _noise(rng, 128, exponent=1.8))
    return Detail(
        mottle=_noise(rng, 256, exponent=2.0),
        grain=0.5 + 0.2 * (_noise(rng, 256, exponent=1.3, low=3) - 0.5),
        vessels=long * seen,
        height=_clipped(_ripples(rng, 0.4) + 0.012 * long),
    )


def muscle(rng: np.random.Generator) -> Detail:
    """Bundles of fibres along x with pale gaps between them."""
    across, down = _bends(rng)
    bundles = _bent(spectral_noise(rng, 512, exponent=1.2, low=6, stretch=(9, 1)), across, down)
    fibres = _bent(spectral_noise(rng, 512, exponent=0.5, low=24, stretch=(10, 1)), across, down)
    gaps = np.clip((bundles - 0.72) / 0.28, 0, 1)
    return Detail(
        mottle=_clipped(0.5 * _noise(rng, 256, exponent=1.8) + 0.22 * gaps + 0.14),
        grain=_clipped(0.5 + 0.4 * (fibres - 0.5) + 0.2 * (bundles - 0.5)),
        vessels=0.8 * draw_vessels(rng, SIDE_PX, roots=4, width_px=4.0, spread=0.7),
        height=_clipped(0.25 * bundles + 0.06 * fibres + 0.6 * _ripples(rng, 0.8)),
    )


def mucosa(rng: np.random.Generator) -> Detail:
    """Soft parallel folds that wander and merge, with pits between them."""
    y, x = _axes(512)
    bend = _noise_small(rng, 512, exponent=2.0, high=8) - 0.5
    more = _noise_small(rng, 512, exponent=2.0, high=12) - 0.5
    phase = 2 * np.pi * (11 * y + 2.4 * bend) + 3 * more
    fold = np.abs(np.sin(phase + 0.8 * np.sin(2 * np.pi * 2 * x))) ** 0.7
    return Detail(
        mottle=_clipped(0.5 * _noise(rng, 256, exponent=1.6) + 0.3 * (1 - _enlarged(fold))),
        grain=_clipped(0.36 + 0.18 * _enlarged(fold)),
        vessels=0.8 * draw_vessels(rng, SIDE_PX, roots=10, width_px=3.0, spread=1.0),
        height=_clipped(0.45 * _enlarged(fold) + 0.3 * _ripples(rng, 0.7)),
    )


def capsule(rng: np.random.Generator) -> Detail:
    """The skin of the kidney: smooth, with small stars of veins."""
    stars = draw_vessels(rng, SIDE_PX, roots=26, width_px=3.2, spread=1.3, straightness=0.6)
    return Detail(
        mottle=_noise(rng, 256, exponent=1.7),
        grain=0.5 + 0.3 * (_noise(rng, 512, exponent=0.9, low=8) - 0.5),
        vessels=stars * _clipped(_noise(rng, 128, exponent=1.8) * 1.3),
        height=_ripples(rng, 0.6),
    )


def membrane(rng: np.random.Generator) -> Detail:
    """A glossy sheet of connective tissue: a web of pale fibres, few vessels."""
    web = _noise(rng, 512, exponent=1.3, low=5)
    ridges = 1 - np.abs(2 * web - 1)
    crossing = 1 - np.abs(2 * _noise(rng, 512, exponent=1.1, low=9, stretch=(3.0, 1.0)) - 1)
    fibres = np.maximum(ridges, crossing) ** 8
    return Detail(
        mottle=_clipped(0.25 + 0.5 * (_noise(rng, 256, exponent=1.8) - 0.5) + 0.25 * fibres),
        grain=_clipped(0.47 + 0.12 * fibres),
        vessels=0.8 * draw_vessels(rng, SIDE_PX, roots=7, width_px=4.5, spread=0.8),
        height=_clipped(0.035 * fibres + 0.8 * _ripples(rng, 0.8)),
    )


def ligament(rng: np.random.Generator) -> Detail:
    """White fibres along x, some bundles more pink."""
    across, down = _bends(rng)
    fine = _bent(spectral_noise(rng, 512, exponent=0.5, low=18, stretch=(18, 1)), across, down)
    broad = _bent(spectral_noise(rng, 512, exponent=1.3, low=3, stretch=(8, 1)), across, down)
    return Detail(
        mottle=broad,
        grain=_clipped(0.5 + 0.4 * (fine - 0.5) + 0.2 * (broad - 0.5)),
        vessels=0.6 * draw_vessels(
            rng, SIDE_PX, roots=5, width_px=3.0, spread=0.5, heading=0.0, straightness=0.95
        ),
        height=_clipped(0.3 * fine + 0.4 * broad),
    )  # fmt: skip


def gauze(rng: np.random.Generator) -> Detail:
    """Woven cotton: crossed threads with gaps between them, soaked in places."""
    threads = 104
    y, x = _axes(SIDE_PX)
    wander = [0.02 * (_noise(rng, 128, exponent=1.3) - 0.5) for _ in range(2)]
    across, down = (x + wander[0]) * threads, (y + wander[1]) * threads
    over = np.cos(np.pi * across) * np.cos(np.pi * down)
    warp = np.abs(np.cos(np.pi * across)) ** 1.2 * (1 + 0.35 * over)
    weft = np.abs(np.sin(np.pi * down)) ** 1.2 * (1 - 0.35 * over)
    thread = np.clip(np.maximum(warp, weft) - 0.25, 0, 1)
    fuzz = rng.random((SIDE_PX, SIDE_PX), np.float32)
    return Detail(
        mottle=_clipped(0.35 + 0.3 * (1 - thread) + 0.4 * (_noise(rng, 256, exponent=1.8) - 0.5)),
        grain=_clipped(0.28 + 0.34 * thread + 0.16 * (fuzz - 0.5)),
        vessels=_nothing(),
        height=_clipped(0.3 * thread + 0.5 * _noise(rng, 256, exponent=1.8)),
    )


def clot(rng: np.random.Generator) -> Detail:
    """Lumps of jelly, almost black, with wet dimples."""
    nearest, second, _ = cells(rng, 256, 17 * 17)
    lumps = _blurred(_round(np.clip(second - nearest, 0, 0.8) / 0.8), 2.0)
    return Detail(
        mottle=_noise(rng, 256, exponent=1.5),
        grain=_clipped(0.2 + 0.4 * _enlarged(lumps) + 0.3 * (_noise(rng, 512, low=8) - 0.5)),
        vessels=_nothing(),
        height=_clipped(0.4 * _enlarged(lumps) + 0.5 * _ripples(rng, 0.9)),
    )


def _ripples(rng: np.random.Generator, strength: float) -> np.ndarray:
    """Relief that breaks a highlight into a cluster: smooth dimples of one to five mm."""
    broad = _noise(rng, 256, exponent=2.0, low=2)
    fine = _noise(rng, 512, exponent=1.5, low=14, high=70)
    return (0.5 + 0.45 * (broad - 0.5) + 0.34 * strength * (fine - 0.5)).astype(np.float32)


def _noise(rng: np.random.Generator, side: int, **options: object) -> np.ndarray:
    return _enlarged(spectral_noise(rng, side, **options))  # type: ignore[arg-type]


def _noise_small(rng: np.random.Generator, side: int, **options: object) -> np.ndarray:
    return spectral_noise(rng, side, **options)  # type: ignore[arg-type]


def _enlarged(field: np.ndarray) -> np.ndarray:
    """A tile at SIDE_PX, still continuous across its edges; float32 in 0..1."""
    factor = SIDE_PX // field.shape[0]
    if factor == 1:
        return field.astype(np.float32)
    framed = np.pad(field.astype(np.float32), 4, mode='wrap')
    large = cv2.resize(framed, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    edge = 4 * factor
    return np.clip(large[edge:-edge, edge:-edge], 0, 1)


def _bends(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """By how many pixels to shift the points of a 512 tile, so that straight fibres curve."""
    shifts = [spectral_noise(rng, 128, exponent=2.6, high=6) - 0.5 for _ in range(2)]
    wide = [np.pad(shift, 4, mode='wrap') for shift in shifts]
    across, down = (cv2.resize(shift, None, fx=4, fy=4)[16:-16, 16:-16] for shift in wide)
    return 24 * across, 60 * down


def _bent(field: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """A 512 tile with its points shifted, at SIDE_PX."""
    y, x = np.mgrid[0:512, 0:512].astype(np.float32)
    shifted = cv2.remap(field, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return _enlarged(shifted)


def _blurred(field: np.ndarray, sigma_px: float) -> np.ndarray:
    """The same, blurred around the tile's edges."""
    edge = int(4 * sigma_px) + 1
    framed = np.pad(field.astype(np.float32), edge, mode='wrap')
    return cv2.GaussianBlur(framed, (0, 0), sigma_px)[edge:-edge, edge:-edge]


def _round(share: np.ndarray) -> np.ndarray:
    """From the seam (0) to the middle (1) of a globule: its height."""
    return np.sqrt(np.clip(1 - (1 - share) ** 2, 0, 1))


def _axes(side: int) -> tuple[np.ndarray, np.ndarray]:
    """y (side x 1) and x (1 x side), 0..1."""
    step = np.arange(side, dtype=np.float32) / side
    return step[:, None], step[None, :]


def _nothing() -> np.ndarray:
    return np.zeros((SIDE_PX, SIDE_PX), np.float32)


def _clipped(field: np.ndarray) -> np.ndarray:
    return np.clip(field, 0, 1).astype(np.float32)


TISSUE_DETAILS: dict[str, Maker] = {
    'smooth': smooth_tissue,
    'liver': liver,
    'fat': fat,
    'serosa': serosa,
    'peritoneum': peritoneum,
    'gallbladder': gallbladder,
    'muscle': muscle,
    'mucosa': mucosa,
    'capsule': capsule,
    'membrane': membrane,
    'ligament': ligament,
    'gauze': gauze,
    'clot': clot,
}
