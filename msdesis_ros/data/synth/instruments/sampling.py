"""Which instruments a scene has, how they look and move: all drawn from one random generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from msdesis_ros.data.synth.instruments.catalogue import ENTRIES, Entry
from msdesis_ros.data.synth.instruments.clearance import (
    CHECKED_TIMES,
    SurfaceMm,
    apart,
    axis_points,
    clear_of_tissue,
    fits_the_view,
    jaw_tips,
    tips_near_surface,
)
from msdesis_ros.data.synth.instruments.description import InstrumentScene, Wave
from msdesis_ros.data.synth.instruments.looks import sample_surface
from msdesis_ros.data.synth.instruments.places import sample_lying, tissue_in_view, vector
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.stereo_frame import ToolType

COUNT_SHARES = (0.06, 0.36, 0.38, 0.15, 0.05)
DA_VINCI_SHARE = 0.6
TOUCH_SHARE = 0.4
TRIES = 60
MAX_SPEED_MM_S = 60.0
# How often each type is taken, where the family has it.
TYPE_WEIGHTS = {
    ToolType.NEEDLE_DRIVER: 1.2,
    ToolType.FORCEPS: 1.8,
    ToolType.SCISSORS: 1.0,
    ToolType.HOOK: 1.0,
    ToolType.GRASPER: 1.8,
    ToolType.CLIP_APPLIER: 0.6,
    ToolType.SUCTION_TUBE: 0.7,
}


def sample_instruments(
    rng: np.random.Generator,
    *,
    rig: EndoscopeRig,
    surface_mm: SurfaceMm,
    count: int | None = None,
    duration_s: float = 4.0,
) -> tuple[InstrumentScene, ...]:
    """Draw 0 to 4 instruments that come in from the border, and what lies on the tissue.

    surface_mm: (x, y) in mm, arrays of one shape, to the z of the tissue in the world, NaN where
    there is none. count: of instruments with a shaft, drawn by default; an instrument that finds
    no place in TRIES attempts is left out. Within duration_s no axis of an instrument goes into
    the tissue (the last millimetres of a touching one may, by 1 mm) or through another one, and
    nothing in view is nearer than `rig.nearest_mm`.
    """
    if count is None:
        count = int(rng.choice(len(COUNT_SHARES), p=COUNT_SHARES))
    family = 'da_vinci' if rng.random() < DA_VINCI_SHARE else 'laparoscopic'
    placed: list[InstrumentScene] = []
    axes: list[np.ndarray] = []
    for _ in range(count):
        found = _placed(rng, family, rig, surface_mm, placed, axes, duration_s)
        if found is not None:
            placed.append(found[0])
            axes.append(found[1])
    lying = sample_lying(rng, rig, surface_mm)
    return (*placed, *lying)


def _placed(
    rng: np.random.Generator,
    family: str,
    rig: EndoscopeRig,
    surface_mm: SurfaceMm,
    others: Sequence[InstrumentScene],
    axes: Sequence[np.ndarray],
    duration_s: float,
) -> tuple[InstrumentScene, np.ndarray] | None:
    known = _sample_entry(rng, family)
    look = _sample_look(rng, known)
    times = np.linspace(0.0, duration_s, CHECKED_TIMES)
    for attempt in range(TRIES):
        # Tight places ask for a straight and calm instrument at last.
        calm = 1.0 - attempt / TRIES
        scene = _sample_place(rng, look, rig, surface_mm, others, calm)
        if scene is None:
            continue
        points = np.stack([axis_points(scene, float(time)) for time in times])
        if (
            fits_the_view(points, scene.shaft_radius_mm, rig)
            and clear_of_tissue(points, scene, surface_mm)
            and tips_near_surface(
                np.stack([jaw_tips(scene, float(time)) for time in times]), scene, surface_mm
            )
            and all(
                apart(points, other, scene.shaft_radius_mm + entry.shaft_radius_mm + 2.0)
                for other, entry in zip(axes, others, strict=True)
            )
        ):
            return scene, points
    return None


def _sample_entry(rng: np.random.Generator, family: str) -> Entry:
    """Mostly of the scene's family: an assistant's instrument may come in beside the robot's."""
    if rng.random() < 0.1:
        family = 'laparoscopic'
    known = [each for each in ENTRIES.values() if each.family == family]
    kinds = [each.tool_type for each in known]
    weights = np.array([TYPE_WEIGHTS[kind] / kinds.count(kind) for kind in kinds])
    return known[int(rng.choice(len(known), p=weights / weights.sum()))]


def _sample_look(rng: np.random.Generator, known: Entry) -> InstrumentScene:
    """Everything but its place and motion."""
    load = 'nothing'
    if known.tool_type == ToolType.NEEDLE_DRIVER and rng.random() < 0.55:
        load = 'needle'
    if known.tool_type == ToolType.CLIP_APPLIER and rng.random() < 0.7:
        load = 'clip'
    widest = np.radians(known.opening_deg)
    if load == 'needle':
        opening = Wave(float(rng.uniform(0.05, 0.09)))
    elif load == 'clip':
        opening = Wave(float(rng.uniform(0.4, 0.8) * widest))
    else:
        mean = float(rng.uniform(0.0, 0.6) * widest)
        opening = _wave(rng, mean, float(rng.uniform(0, 0.95)) * min(mean, widest - mean))
    bent = 1.0 if known.family == 'da_vinci' else 0.0
    marks = (None, -34.0, -48.0)[int(rng.choice(3, p=(0.35, 0.4, 0.25)))]
    return InstrumentScene(
        name=known.name,
        type=known.tool_type,
        family=known.family,
        shaft_radius_mm=known.shaft_radius_mm,
        trocar_mm=(0.0, 0.0, 0.0),
        tip_mm=(0.0, 0.0, 1.0),
        roll_rad=_wave(rng, float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 0.5))),
        pitch_rad=_wave(
            rng, bent * float(np.clip(rng.normal(0, 0.4), -1, 1)), bent * rng.uniform(0, 0.3)
        ),
        yaw_rad=_wave(
            rng, bent * float(np.clip(rng.normal(0, 0.35), -0.9, 0.9)), bent * rng.uniform(0, 0.3)
        ),
        opening_rad=opening,
        contact='touch' if rng.random() < TOUCH_SHARE else 'hover',
        load=load,
        bloodiness=float(np.clip(rng.beta(0.8, 2.2), 0, 1)) if rng.random() < 0.75 else 0.0,
        marks_at_mm=marks,
        surface=sample_surface(rng, known),
        size_mm=float(rng.uniform(6.5, 11.0)),
        seed=int(rng.integers(2**31)),
    )


def _sample_place(
    rng: np.random.Generator,
    look: InstrumentScene,
    rig: EndoscopeRig,
    surface_mm: SurfaceMm,
    others: Sequence[InstrumentScene],
    calm: float,
) -> InstrumentScene | None:
    below = tissue_in_view(rng, rig, surface_mm)
    if below is None:
        return None
    lift = 0.0 if look.contact == 'touch' else float(rng.uniform(0.04, 0.35)) * below[2]
    tip = below * (1 - lift / below[2]) - np.array([0, 0, 0.3])
    if any(np.linalg.norm(tip - other.tip_mm) < 12.0 for other in others):
        return None
    # Most come from the sides and from below; the second one from where the first does not.
    side = -1.0 if rng.random() < 0.5 else 1.0
    if others and rng.random() < 0.75:
        side = -float(np.sign(others[0].trocar_mm[0]) or 1.0)
    angle = float(rng.normal(0.35, 0.5)) if rng.random() < 0.85 else float(rng.uniform(-3, 3))
    away = float(rng.uniform(35.0, 150.0))
    trocar = (
        side * away * np.cos(angle),
        away * np.sin(angle),
        float(rng.uniform(-70.0, 0.45 * tip[2])),
    )
    motion = _sample_motion(rng, look.contact, calm)
    straight = 0.3 + 0.7 * calm
    return replace(
        look,
        trocar_mm=vector(trocar),
        tip_mm=vector(tip),
        tip_motion_mm=motion,
        pitch_rad=_weaker(look.pitch_rad, straight),
        yaw_rad=_weaker(look.yaw_rad, straight),
    )


def _sample_motion(rng: np.random.Generator, contact: str, calm: float) -> tuple[Wave, Wave, Wave]:
    """Speeds of 0 to 60 mm/s, mostly slow; what touches tissue moves little."""
    speed = MAX_SPEED_MM_S * float(rng.beta(1.0, 2.0)) * calm
    if contact == 'touch':
        speed *= 0.3
    direction = rng.normal(size=3) * (1.0, 1.0, 0.5)
    direction /= np.linalg.norm(direction)
    waves = []
    for part in direction:
        period = float(rng.uniform(1.5, 6.0))
        # The steepest slope of a Wave is below 0.84 * 2 pi / period of its amplitude.
        reach = abs(part) * speed * period / (0.84 * 2 * np.pi)
        waves.append(Wave(0.0, min(reach, 14.0), period, float(rng.uniform(0, 2 * np.pi))))
    if contact == 'touch':
        waves[2] = replace(waves[2], amplitude=min(waves[2].amplitude, 0.4))
    return waves[0], waves[1], waves[2]


def _wave(rng: np.random.Generator, mean: float, amplitude: float) -> Wave:
    return Wave(
        mean, float(amplitude), float(rng.uniform(2.0, 7.0)), float(rng.uniform(0, 2 * np.pi))
    )


def _weaker(wave: Wave, factor: float) -> Wave:
    return replace(wave, mean=wave.mean * factor, amplitude=wave.amplitude * factor)
