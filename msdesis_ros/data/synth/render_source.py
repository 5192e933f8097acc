"""Rendered pairs: every frame its own scene."""

from __future__ import annotations

import numpy as np

from msdesis_ros.data.synth.assembly import Assembly
from msdesis_ros.data.synth.effects.apply import apply_effects
from msdesis_ros.data.synth.effects.settings import CLEAN, EffectSettings
from msdesis_ros.data.synth.renderer import Renderer, View
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.scene import assemble, sample_scene
from msdesis_ros.data.synth.stereo_frame import StereoFrame
from msdesis_ros.data.synth.truth import disparity_from_depth, occlusion

# Keeps the generator of a frame's noise apart from those of its scene.
NOISE = 99


class RenderSource:
    """Pairs drawn by the renderer; see `FrameSource`.

    seed: of all frames. image_size: (width, height) px. clean: no faults of lens, sensor or air,
    and no light that depends on the eye. Raises MissingExtraError where OpenGL is missing.
    """

    name = 'render'

    def __init__(self, seed: int, image_size: tuple[int, int], clean: bool = False) -> None:
        self._seed, self._image_size, self._clean = seed, image_size, clean
        self._renderer = Renderer(image_size)

    def frame(self, index: int) -> StereoFrame:
        scene = sample_scene((self._seed, index), self._image_size)
        return photograph(
            self._renderer,
            assemble(scene, 0.0),
            scene.rig,
            effects=CLEAN if self._clean else scene.effects,
            clean=self._clean,
            rng=np.random.default_rng([self._seed, index, NOISE]),
            description=scene.description,
        )

    def close(self) -> None:
        self._renderer.close()


def photograph(
    renderer: Renderer,
    assembly: Assembly,
    rig: EndoscopeRig,
    *,
    effects: EffectSettings,
    clean: bool,
    rng: np.random.Generator,
    description: dict[str, object],
) -> StereoFrame:
    """Draw both views, find the truth, and put the faults of the endoscope on the pictures."""
    left, right = renderer.render(assembly, rig, clean=clean)
    pictures = apply_effects(
        left.radiance,
        right.radiance,
        left_depth_mm=left.depth_mm,
        right_depth_mm=right.depth_mm,
        geometry=rig.geometry,
        settings=effects,
        rng=rng,
    )
    disparity = _shown_disparity(left, rig, pictures.visible_left)
    shown = np.isfinite(disparity)
    return StereoFrame(
        left=pictures.left,
        right=pictures.right,
        disparity_px=disparity,
        parts=np.where(shown, left.parts, 0).astype(np.uint8),
        types=np.where(shown, left.types, 0).astype(np.uint8),
        occluded=occlusion(disparity, _shown_disparity(right, rig, pictures.visible_right)),
        geometry=rig.geometry,
        scene=description,
    )


def _shown_disparity(view: View, rig: EndoscopeRig, visible: np.ndarray) -> np.ndarray:
    disparity = disparity_from_depth(view.depth_mm, rig.geometry)
    disparity[~visible] = np.nan
    return disparity
