"""The anatomy of one scene as numbers: bodies, their looks, and how they move.

Everything is a frozen dataclass of numbers, strings and tuples, so `dataclasses.asdict` gives
what JSON can hold. Places are in the world frame of `assembly.py`: x right, y down, z forward
from the left camera as the scene begins, mm.
"""

from __future__ import annotations

from dataclasses import dataclass

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.assembly import Colour, Material

Point = tuple[float, float, float]
Line = tuple[Point, ...]

FARTHEST_MM = 215.0


@dataclass(frozen=True)
class Wall:
    """What is behind everything: a surface over the directions x / z, y / z, so without holes.

    Depth is distance_mm * exp(sum of all terms). tilt: growth along x / z and y / z. bowl: how
    fast the borders come nearer. relief, folds: amplitudes; relief_scale, fold_scale: their
    length in units of the distance; fold_angle: radians. hollows: (x / z, y / z, radius, growth)
    of deep places. cliffs: (angle, offset, softness, growth) of a side that is nearer (growth
    < 0) beyond the line at this offset. slits: (x / z, y / z, angle, half length, half width,
    growth): a straight dark gap. cling: 0..1, how far it is drawn up to the bodies before it, as
    tissue that grows onto them.
    """

    distance_mm: float
    tilt: tuple[float, float] = (0.0, 0.0)
    bowl: float = 0.0
    relief: float = 0.05
    relief_scale: float = 0.5
    folds: float = 0.0
    fold_scale: float = 0.25
    fold_angle: float = 0.0
    hollows: tuple[tuple[float, float, float, float], ...] = ()
    cliffs: tuple[tuple[float, float, float, float], ...] = ()
    slits: tuple[tuple[float, float, float, float, float, float], ...] = ()
    cling: float = 0.0
    kind: str = 'wall'


@dataclass(frozen=True)
class Organ:
    """A blob: an ellipsoid with semi-axes size_mm, turned by a rotation vector, with lumps.

    lumps: their height as a share of the smallest semi-axis; lump_scale: their length as a share
    of it. puffy: 0 = waves, 1 = cushions with furrows between them. Its back, which the camera
    does not see, is open.
    """

    centre_mm: Point
    size_mm: Point
    rotation: Point = (0.0, 0.0, 0.0)
    lumps: float = 0.1
    lump_scale: float = 1.0
    puffy: float = 0.0
    kind: str = 'organ'


@dataclass(frozen=True)
class Lobe:
    """A flap that ends in an edge, such as a lobe of the liver.

    edge_mm: control points of the edge. inward_mm: from the edge to the far end of the flap.
    thickness_mm: half of it, at the far end. sharpness: 2 = round edge; nearer to 1 = sharper.
    bulge_mm: how far its middle stands out towards the camera. waviness_mm: of the edge.
    """

    edge_mm: Line
    inward_mm: Point
    thickness_mm: float
    sharpness: float = 1.6
    bulge_mm: float = 0.0
    waviness_mm: float = 1.0
    kind: str = 'lobe'


@dataclass(frozen=True)
class Tube:
    """Gallbladder, bowel, large vessels, drains: a closed tube along control points.

    profile: radius along the way, as shares of radius_mm. haustra: depth of the constrictions as
    a share of the radius, haustra_mm apart. lumps: irregularity, a share of the radius. flat:
    how much thinner it is towards the camera.
    """

    path_mm: Line
    radius_mm: float
    profile: tuple[float, ...] = (0.3, 0.9, 1.0, 0.9, 0.3)
    haustra: float = 0.0
    haustra_mm: float = 20.0
    lumps: float = 0.05
    flat: float = 0.0
    kind: str = 'tube'


@dataclass(frozen=True)
class Sheet:
    """A thin sheet between two edges (control points): mesentery, omentum, membrane, gauze.

    sag_mm: where its middle hangs. wrinkle_mm and wrinkle_scale_mm: height and length of its
    folds, which run between the edges. ragged: how irregular the second edge is, 0..1. held: the
    ends of both edges lie on the surface that is seen in their direction. loose: it lies over
    what it would cut through, and nothing is laid onto it.
    """

    first_edge_mm: Line
    second_edge_mm: Line
    sag_mm: Point = (0.0, 0.0, 0.0)
    wrinkle_mm: float = 2.0
    wrinkle_scale_mm: float = 15.0
    ragged: float = 0.0
    held: bool = False
    loose: bool = False
    kind: str = 'sheet'


@dataclass(frozen=True)
class Strands:
    """Thin structures along control points: vessels, bands, sutures, connective tissue.

    hold: 'free' = as given; 'ends' = both ends lie on the surface that is seen in their
    direction; 'draped' = every point does. radii_mm: one a line. taper: how much thinner the far
    end is, 0..1. flare: how much wider the attached ends are. flat: 0 round .. 0.9 a band.
    lift: how far a draped line's middle stands out of the surface, in radii.
    """

    lines_mm: tuple[Line, ...]
    radii_mm: tuple[float, ...]
    hold: str = 'ends'
    taper: float = 0.0
    flare: float = 1.0
    flat: float = 0.0
    lift: float = 0.2
    kind: str = 'strands'

    def __post_init__(self) -> None:
        if self.hold not in ('free', 'ends', 'draped'):
            raise UsageError(f'unknown hold {self.hold!r}; known are free, ends, draped')
        if len(self.lines_mm) != len(self.radii_mm):
            raise UsageError('each line of strands needs one radius')


@dataclass(frozen=True)
class Drops:
    """Drops and crumbs on the surface that is seen in their directions."""

    places_mm: Line
    radii_mm: tuple[float, ...]
    height: float = 0.5
    kind: str = 'drops'


@dataclass(frozen=True)
class Pool:
    """A fluid's level: a flat disc, seen where the ground is deeper.

    depth: how far it stands above the ground at its centre, a share of its radius.
    """

    centre_mm: Point
    radius_mm: float
    depth: float = 0.1
    tilt: tuple[float, float] = (0.0, 0.0)
    kind: str = 'pool'


Shape = Wall | Organ | Lobe | Tube | Sheet | Strands | Drops | Pool


@dataclass(frozen=True)
class Stains:
    """What lies on a body. Shares of its surface, 0..1; scale_mm: size of the patches.

    second: how much of the material's second colour everywhere. second_spread: how unevenly.
    """

    second: float = 0.2
    second_spread: float = 0.3
    blood: float = 0.0
    char: float = 0.0
    scale_mm: float = 20.0


@dataclass(frozen=True)
class AnatomyBody:
    """One body. name: what it stands for. seed: of its irregularities."""

    name: str
    shape: Shape
    material: Material
    stains: Stains
    seed: int


@dataclass(frozen=True)
class Motion:
    """How the tissue moves; every amplitude is that of a sine.

    breathing_mm: direction and amplitude. heartbeat_mm: amplitude towards the camera, about
    heart_mm, within heart_radius_mm. peristalsis: share of a tube's radius; wavelength in mm.
    """

    breathing_mm: Point = (0.0, 0.0, 0.0)
    breathing_hz: float = 0.25
    heartbeat_mm: float = 0.0
    heartbeat_hz: float = 1.2
    heart_mm: Point = (0.0, 0.0, 100.0)
    heart_radius_mm: float = 40.0
    peristalsis: float = 0.0
    peristalsis_hz: float = 0.1
    peristalsis_mm: float = 40.0
    phase: float = 0.0


@dataclass(frozen=True)
class AnatomyScene:
    """The anatomy of one scene.

    theme: its composition. distance_mm: of what it is about. nearest_mm: nothing comes nearer
    to the camera at rest or in motion. surroundings: the colour of light from all around, a
    hint for `Assembly.surroundings`.
    """

    theme: str
    distance_mm: float
    nearest_mm: float
    bodies: tuple[AnatomyBody, ...]
    motion: Motion
    surroundings: Colour
    seed: int

    def __post_init__(self) -> None:
        if not self.bodies or self.bodies[0].shape.kind != 'wall':
            raise UsageError('the first body of an anatomy must be a wall, which fills the view')
        if not 0 < self.nearest_mm < self.distance_mm <= FARTHEST_MM:
            raise UsageError(
                f'an anatomy at {self.distance_mm:g} mm with nothing nearer than '
                f'{self.nearest_mm:g} mm; expected 0 < nearest < distance <= {FARTHEST_MM:g}'
            )
