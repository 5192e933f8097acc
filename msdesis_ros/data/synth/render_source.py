"""Rendered pairs: every frame its own scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from msdesis_ros.data.synth.distorted_pair import DistortedPair
from msdesis_ros.data.synth.effects.settings import CLEAN
from msdesis_ros.data.synth.photographer import Photographer, Shot
from msdesis_ros.data.synth.scene import assemble, sample_scene
from msdesis_ros.data.synth.stereo_frame import StereoFrame

# Keeps the generator of a frame's noise apart from those of its scene.
NOISE = 99


class RenderSource:
    """Pairs drawn by the renderer; see `FrameSource` and `LensSource`.

    seed: of all frames. image_size: (width, height) px. clean: no faults of lens, sensor or air,
    and no light that depends on the eye. Raises MissingExtraError where OpenGL is missing.
    """

    name = 'render'

    def __init__(self, seed: int, image_size: tuple[int, int], clean: bool = False) -> None:
        self._seed, self._image_size, self._clean = seed, image_size, clean
        self._photographer = Photographer(image_size)

    def frame(self, index: int) -> StereoFrame:
        return self._photographer.pair(self._shot(index))

    def frame_with_raw(
        self, index: int, *, lens_seed: Sequence[int]
    ) -> tuple[StereoFrame, DistortedPair]:
        return self._photographer.pair_with_raw(self._shot(index), lens_seed=lens_seed)

    def close(self) -> None:
        self._photographer.close()

    def _shot(self, index: int) -> Shot:
        scene = sample_scene((self._seed, index), self._image_size)
        return Shot(
            assemble(scene, 0.0),
            scene.rig,
            effects=CLEAN if self._clean else scene.effects,
            clean=self._clean,
            rng=np.random.default_rng([self._seed, index, NOISE]),
            description=scene.description,
        )
