"""What the renderer draws: bodies with materials, and the lights, all in one frame at one time.

World frame of an assembly: the left camera's optical frame when the scene begins (x right,
y down, z forward), millimetres. `Assembly.left_camera` says where the camera stands now.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from msdesis_ros.data.synth.mesh import Mesh
from msdesis_ros.data.synth.stereo_frame import Part, ToolType

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """How a surface looks. Colours are linear RGB reflectances, 0..1.

    colour, second_colour: mixed by `paint[0]` and by the detail texture. vessel_colour: of the
    vessels drawn in the detail texture. detail: name of the detail texture (`details.py`), whose
    tile measures `tile_mm`. mottle, vessels, bump: how strongly its channels show (0 = not);
    bump is the height in mm between its 0 and 1. metallic: 0 for tissue, plastic, cloth; 1 for
    metal. roughness: 0.05 mirror .. 1 matt, of the body; anisotropy: 0..1, brushed across the
    tangents. wetness: 0..1, a film of water with mirror-like highlights. translucency: 0..1, how
    far light spreads below the surface.
    """

    colour: Colour
    second_colour: Colour = (0.5, 0.4, 0.2)
    vessel_colour: Colour = (0.25, 0.02, 0.03)
    detail: str = 'plain'
    detail_seed: int = 0
    tile_mm: float = 40.0
    mottle: float = 0.0
    vessels: float = 0.0
    bump_mm: float = 0.0
    metallic: float = 0.0
    roughness: float = 0.5
    anisotropy: float = 0.0
    wetness: float = 0.0
    translucency: float = 0.0


@dataclass(frozen=True, eq=False)
class Body:
    """One mesh with one material, at its place in the world.

    part and tool_type are BACKGROUND for anatomy; `instrument` counts the instruments from 1.
    """

    mesh: Mesh
    material: Material
    part: Part = Part.BACKGROUND
    tool_type: ToolType = ToolType.BACKGROUND
    instrument: int = 0
    pose: np.ndarray = field(default_factory=lambda: np.eye(4))


@dataclass(frozen=True)
class Light:
    """A fibre end at the endoscope's tip; moves with the camera.

    position_mm: in the left camera's frame. power: any unit; exposure is set afterwards.
    cone: exponent of the cosine falloff about the optical axis.
    """

    position_mm: tuple[float, float, float]
    power: float = 1.0
    colour: Colour = (1.0, 1.0, 1.0)
    cone: float = 2.0


@dataclass(frozen=True, eq=False)
class Assembly:
    """Everything at one time.

    left_camera: 4 x 4, from the left camera's frame to the world. ambient: how much light comes
    from all around (interreflection), as a share of the direct light; surroundings: its colour;
    surroundings_seed: which picture of the surroundings metal mirrors.
    """

    bodies: tuple[Body, ...]
    lights: tuple[Light, ...]
    left_camera: np.ndarray = field(default_factory=lambda: np.eye(4))
    ambient: float = 0.15
    surroundings: Colour = (0.5, 0.2, 0.15)
    surroundings_seed: int = 0
