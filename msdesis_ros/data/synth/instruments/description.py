"""What an instrument in a scene is, in plain numbers that all that is drawn follows from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.instruments.catalogue import entry
from msdesis_ros.data.synth.instruments.materials import Surface
from msdesis_ros.data.synth.stereo_frame import ToolType

Vector = tuple[float, float, float]
LOADS = ('nothing', 'needle', 'clip')
LYING = {'needle': ToolType.NEEDLE, 'clip': ToolType.CLIP}


@dataclass(frozen=True)
class Wave:
    """A smooth change in time: mean + amplitude * (a sine + a slower, weaker one)."""

    mean: float = 0.0
    amplitude: float = 0.0
    period_s: float = 4.0
    phase_rad: float = 0.0

    def __post_init__(self) -> None:
        if not self.period_s > 0:
            raise UsageError(f'the period {self.period_s} s of a motion must be positive')

    def at(self, time_s: float) -> float:
        """The value at a time."""
        turn = 2 * np.pi * time_s / self.period_s
        swing = np.sin(turn + self.phase_rad) + 0.4 * np.sin(0.43 * turn + 2.0 * self.phase_rad)
        return float(self.mean + self.amplitude * swing / 1.4)


@dataclass(frozen=True)
class InstrumentScene:
    """One instrument, or a needle or clip that lies on tissue, over the whole scene.

    name: of the catalogue, or 'needle' or 'clip'. type, family: as the catalogue says.
    trocar_mm: the point in the world that the shaft passes through; tip_mm: where the tip is on
    average; tip_motion_mm: how it moves along x, y and z (mean 0). roll_rad: about the shaft;
    pitch_rad, yaw_rad: of the wrist; opening_rad: between the jaws (of a clip: unused).
    contact: 'touch', 'hover' or 'lie'. load: what the jaws hold. bloodiness: 0..1.
    marks_at_mm: where laser marks begin, from the shaft's end backwards, or None.
    normal: of the tissue under a lying thing. size_mm: length of a clip, radius of a needle.
    """

    name: str
    type: ToolType
    family: str
    shaft_radius_mm: float
    trocar_mm: Vector
    tip_mm: Vector
    tip_motion_mm: tuple[Wave, Wave, Wave] = (Wave(), Wave(), Wave())
    roll_rad: Wave = field(default_factory=Wave)
    pitch_rad: Wave = field(default_factory=Wave)
    yaw_rad: Wave = field(default_factory=Wave)
    opening_rad: Wave = field(default_factory=Wave)
    contact: str = 'hover'
    load: str = 'nothing'
    bloodiness: float = 0.0
    marks_at_mm: float | None = None
    surface: Surface = field(default_factory=Surface)
    normal: Vector = (0.0, 0.0, -1.0)
    size_mm: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name in LYING:
            expected = (LYING[self.name], 'lying')
        else:
            known = entry(self.name)
            expected = (known.tool_type, known.family)
        if (self.type, self.family) != expected:
            raise UsageError(
                f'{self.name} is of the type and family {expected}, not {(self.type, self.family)}'
            )
        if self.load not in LOADS:
            raise UsageError(f'unknown load {self.load!r}; known are {", ".join(LOADS)}')
        if not 0 <= self.bloodiness <= 1:
            raise UsageError(f'bloodiness {self.bloodiness} must be within 0..1')
        numbers = (*self.trocar_mm, *self.tip_mm, *self.normal, self.size_mm)
        if not np.isfinite(numbers).all():
            raise UsageError(f'the places of {self.name} must be finite; got {numbers}')

    @property
    def has_shaft(self) -> bool:
        """Whether it comes in from outside, in contrast to what lies on tissue."""
        return self.name not in LYING

    def tip_at(self, time_s: float) -> np.ndarray:
        """Where the tip is at a time, mm in the world."""
        moved = [wave.at(time_s) for wave in self.tip_motion_mm]
        return np.array(self.tip_mm) + np.array(moved)

    def as_json(self) -> dict[str, object]:
        """Plain numbers, texts, lists and dictionaries."""
        return {**asdict(self), 'type': self.type.name}
