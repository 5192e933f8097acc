"""Helps a theme to compose its scene: places in units of the view, bodies collected in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msdesis_ros.data.synth.anatomy.description import (
    AnatomyBody,
    Line,
    Point,
    Shape,
    Stains,
    Strands,
)
from msdesis_ros.data.synth.anatomy.palettes import Palette

Place = tuple[float, float, float]


class Stage:
    """Collects the bodies of a scene.

    A place is (u, v, depth): direction x / z, y / z in a view that is turned and mirrored as a
    whole, and depth in units of the scene's distance. The picture shows about |u| < 0.63,
    |v| < 0.5.
    """

    def __init__(
        self, rng: np.random.Generator, distance_mm: float, *, turn: float, mirror: bool
    ) -> None:
        self.rng, self.distance_mm = rng, distance_mm
        self.palette = Palette(rng, distance_mm)
        cos, sin = np.cos(turn), np.sin(turn)
        self._view = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
        self.bodies: list[AnatomyBody] = []

    def at(self, u: float, v: float, depth: float) -> Point:
        """mm."""
        x, y = self._view @ (u, v)
        z = depth * self.distance_mm
        return float(x * z), float(y * z), float(z)

    def line(self, places: Sequence[Place]) -> Line:
        """mm."""
        return tuple(self.at(*place) for place in places)

    def along(self, x: float, y: float, z: float) -> Point:
        """A vector given in units of the distance, mm."""
        turned = self._view @ (x, y)
        scale = self.distance_mm
        return float(turned[0] * scale), float(turned[1] * scale), float(z * scale)

    def direction(self, u: float, v: float) -> tuple[float, float]:
        """x / z, y / z."""
        x, y = self._view @ (u, v)
        return float(x), float(y)

    def angle(self, angle: float) -> float:
        """Of a direction in the view, in x, y; radians."""
        x, y = self._view @ (np.cos(angle), np.sin(angle))
        return float(np.arctan2(y, x))

    def size(self, share: float) -> float:
        """mm."""
        return float(share * self.distance_mm)

    def near(self, value: float, spread: float) -> float:
        """A number about a value."""
        return float(value + self.rng.uniform(-spread, spread))

    def between(self, low: float, high: float) -> float:
        """A number."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Whether it happens."""
        return bool(self.rng.random() < share)

    def add(
        self,
        name: str,
        shape: Shape,
        look: str,
        *,
        second: float = 0.2,
        second_spread: float = 0.25,
        blood: float | None = None,
        char: float = 0.0,
        **material: object,
    ) -> None:
        """Add a body; some bodies are a little bloody unless `blood` says how much."""
        if blood is None:
            blood = self.between(0.02, 0.10) if self.chance(0.10) else 0.0
        stains = Stains(
            second=second,
            second_spread=second_spread,
            blood=blood,
            char=char,
            scale_mm=self.size(self.between(0.12, 0.3)),
        )
        seed = int(self.rng.integers(2**31))
        self.bodies.append(AnatomyBody(name, shape, self.palette(look, **material), stains, seed))

    def wander(
        self, start: tuple[float, float], heading: float, *, length: float, bend: float, steps: int
    ) -> list[tuple[float, float]]:
        """A winding line of directions (u, v)."""
        u, v = start
        line, turn = [(u, v)], 0.0
        for _ in range(steps):
            turn = 0.6 * turn + float(self.rng.normal(0, bend))
            heading += turn
            u += length / steps * float(np.cos(heading))
            v += length / steps * float(np.sin(heading))
            line.append((u, v))
        return line

    def tree(
        self,
        name: str,
        look: str,
        start: tuple[float, float],
        heading: float,
        *,
        length: float,
        radius: float,
        branches: int,
    ) -> None:
        """A vessel with branches, lying on what is there; radius in units of the distance."""
        lines, radii = [], []
        trunk = self.wander(start, heading, length=length, bend=0.28, steps=8)
        lines.append(trunk)
        radii.append(radius)
        for _ in range(branches):
            joint = int(self.rng.integers(1, 7))
            a, b = trunk[joint], trunk[joint + 1]
            onward = float(np.arctan2(b[1] - a[1], b[0] - a[0]))
            side = -1.0 if self.chance(0.5) else 1.0
            fork = onward + side * self.between(0.4, 0.9)
            reach = length * self.between(0.25, 0.55)
            lines.append(self.wander(a, fork, length=reach, bend=0.34, steps=6))
            radii.append(radius * (1 - 0.09 * joint) * self.between(0.45, 0.7))
        shape = Strands(
            tuple(self.line([(u, v, 1.0) for u, v in line]) for line in lines),
            tuple(self.size(value) for value in radii),
            hold='draped',
            taper=0.75,
            lift=self.between(-0.3, 0.3),
        )
        self.add(name, shape, look, blood=0.0)
