"""One rendered scene that moves, with camera poses and sparse points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msdesis_ros.data.synth.assembly import Assembly
from msdesis_ros.data.synth.distorted_pair import DistortedPair
from msdesis_ros.data.synth.effects.settings import CLEAN, at_time
from msdesis_ros.data.synth.photographer import Photographer, Shot
from msdesis_ros.data.synth.render_source import NOISE
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.scene import assemble, sample_scene
from msdesis_ros.data.synth.stereo_frame import StereoFrame

FRAME_RATE_HZ = 25.0
POINTS = 400
# Points may lie outside of the first picture by this share of its sides.
MARGIN = 0.15
FIRST_STAMP_NS = 1_000_000_000


class RenderSequence:
    """The frames of one moving scene, FRAME_RATE_HZ apart; see `SequenceSource`.

    Tissue breathes, instruments move and the camera looks around. Points are vertices of the
    anatomy, where it is at the first frame.
    """

    name = 'render'

    def __init__(self, seed: int, image_size: tuple[int, int], clean: bool = False) -> None:
        self._seed, self._clean = seed, clean
        self._scene = sample_scene((seed,), image_size)
        self._photographer = Photographer(image_size)
        self.points_mm = _sparse_points(
            assemble(self._scene, 0.0), self._scene.rig, np.random.default_rng([seed, NOISE])
        )

    def frame(self, index: int) -> StereoFrame:
        return self._photographer.pair(self._shot(index))

    def frame_with_raw(
        self, index: int, *, lens_seed: Sequence[int]
    ) -> tuple[StereoFrame, DistortedPair]:
        return self._photographer.pair_with_raw(self._shot(index), lens_seed=lens_seed)

    def world_from_left(self, index: int) -> np.ndarray:
        return self._scene.path.world_from_left(index / FRAME_RATE_HZ)

    def stamp_ns(self, index: int) -> int:
        return FIRST_STAMP_NS + round(index * 1e9 / FRAME_RATE_HZ)

    def close(self) -> None:
        self._photographer.close()

    def _shot(self, index: int) -> Shot:
        time_s = index / FRAME_RATE_HZ
        rng = np.random.default_rng([self._seed, index, NOISE])
        return Shot(
            assemble(self._scene, time_s),
            self._scene.rig,
            effects=CLEAN if self._clean else at_time(self._scene.effects, time_s, rng=rng),
            clean=self._clean,
            rng=rng,
            description=self._scene.description | {'time_s': time_s},
        )


def _sparse_points(assembly: Assembly, rig: EndoscopeRig, rng: np.random.Generator) -> np.ndarray:
    """POINTS x 3 float64: vertices of the anatomy in and around the first picture, mm."""
    places = np.concatenate(
        [
            body.mesh.transformed(body.pose).positions
            for body in assembly.bodies
            if not body.instrument
        ]
    ).astype(np.float64)
    places = places[places[:, 2] > 1.0]
    from_centre = np.abs(places[:, :2] / places[:, 2:]) * rig.focal_px / rig.image_size
    near = places[(from_centre < 0.5 + MARGIN).all(axis=1)]
    return rng.choice(near, min(POINTS, len(near)), replace=False)
