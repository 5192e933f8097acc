"""A synthetic scene as numbers, drawn from a seed: printable, comparable, JSON-able.

Nothing is built here; `assemble` makes the meshes of one moment.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from msdesis_ros.data.synth.anatomy import (
    AnatomyScene,
    build_anatomy,
    sample_anatomy,
    surface_of,
)
from msdesis_ros.data.synth.assembly import Assembly
from msdesis_ros.data.synth.camera_path import CameraPath, sample_camera_path
from msdesis_ros.data.synth.effects.settings import EffectSettings, sample_effects
from msdesis_ros.data.synth.instruments import (
    InstrumentScene,
    build_instruments,
    sample_instruments,
)
from msdesis_ros.data.synth.lighting import Lighting, sample_lighting
from msdesis_ros.data.synth.rigs import WORKING_DISTANCE_RANGE_MM, EndoscopeRig, sample_rig

# Of the logarithm of the working distance; most surgery happens at 50 to 130 mm.
MEDIAN_DISTANCE_MM, DISTANCE_SPREAD = 85.0, 0.42


@dataclass(frozen=True)
class Scene:
    """One scene with its endoscope, movement and the picture's faults."""

    seed: tuple[int, ...]
    rig: EndoscopeRig
    distance_mm: float
    anatomy: AnatomyScene
    instruments: tuple[InstrumentScene, ...]
    lighting: Lighting
    path: CameraPath
    effects: EffectSettings

    def __str__(self) -> str:
        return '\n'.join(f'{name}: {value}' for name, value in self.description.items())

    @cached_property
    def description(self) -> dict[str, object]:
        """Every number of the scene, as `json` writes it."""
        return asdict(self)


def sample_scene(seed: tuple[int, ...], image_size: tuple[int, int]) -> Scene:
    """Draw a scene; every group has a generator of its own, so that one does not move another."""
    rngs = [np.random.default_rng([*seed, number]) for number in range(6)]
    rig = sample_rig(rngs[0], image_size)
    distance_mm = _sample_distance(rngs[1], rig)
    anatomy = sample_anatomy(rngs[2], rig, distance_mm)
    return Scene(
        seed=tuple(seed),
        rig=rig,
        distance_mm=distance_mm,
        anatomy=anatomy,
        instruments=sample_instruments(rngs[3], rig=rig, surface_mm=surface_of(anatomy, 0.0)),
        lighting=sample_lighting(rngs[4], rig),
        path=sample_camera_path(rngs[1], distance_mm),
        effects=sample_effects(rngs[5]),
    )


def assemble(scene: Scene, time_s: float, *, still: bool = False) -> Assembly:
    """The scene's meshes, lights and camera at a time; `still` keeps everything but the camera."""
    moment_s = 0.0 if still else time_s
    # The renderer draws in this order; what is in front first saves it work.
    bodies = [
        *build_instruments(scene.instruments, moment_s),
        *build_anatomy(scene.anatomy, moment_s),
    ]
    return Assembly(
        bodies=tuple(bodies),
        lights=scene.lighting.lights,
        left_camera=scene.path.world_from_left(time_s),
        ambient=scene.lighting.ambient,
        surroundings=scene.anatomy.surroundings,
        surroundings_seed=scene.lighting.surroundings_seed,
    )


def _sample_distance(rng: np.random.Generator, rig: EndoscopeRig) -> float:
    drawn = float(np.exp(rng.normal(np.log(MEDIAN_DISTANCE_MM), DISTANCE_SPREAD)))
    low, high = WORKING_DISTANCE_RANGE_MM
    return float(np.clip(drawn, max(low, 1.3 * rig.nearest_mm), high * 0.8))
