"""Layered scenes as a source of stereo frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.effects.apply import apply_effects
from msdesis_ros.data.synth.effects.settings import CLEAN, sample_effects
from msdesis_ros.data.synth.layered.composition import View, compose, occlusion
from msdesis_ros.data.synth.layered.layer import Layer
from msdesis_ros.data.synth.layered.recipe import KINDS, Recipe, sample_recipe
from msdesis_ros.data.synth.layered.scenery import build_layers, truth_of_parts
from msdesis_ros.data.synth.rigs import EndoscopeRig, sample_rig
from msdesis_ros.data.synth.stereo_frame import StereoFrame, depth_mm_of

# Keeps the generator of a frame's effects apart from those of its scene.
EFFECTS = 99


@dataclass(frozen=True, eq=False)
class LayeredScene:
    """What the two eyes see before lens and sensor."""

    rig: EndoscopeRig
    recipe: Recipe
    layers: tuple[Layer, ...]
    left: View
    right: View


def build_scene(
    seed: tuple[int, int], image_size: tuple[int, int], *, clean: bool, kind: str | None = None
) -> LayeredScene:
    """Draw the rig and the recipe of a seed, make the layers and show them to both eyes.

    kind: as of `sample_recipe`.
    """
    rng = np.random.default_rng([*seed])
    rig = sample_rig(rng, image_size)
    recipe = sample_recipe(rng, image_size, kind=kind)
    layers = build_layers(recipe, rig, seed, clean=clean)
    left, right = compose(layers, image_size)
    return LayeredScene(rig, recipe, tuple(layers), left, right)


class LayeredSource:
    """Layers with relief in front of each other: cheap pairs of great variety; see `FrameSource`.

    seed: of all frames, >= 0. image_size: (width, height) px, 64 at least. clean: no highlights
    and no faults of lens, sensor or air. scenes: a key of `KINDS`, if all shall be of one kind.
    Raises UsageError for anything else.
    """

    name = 'layered'

    def __init__(
        self,
        seed: int,
        image_size: tuple[int, int] = (640, 512),
        clean: bool = False,
        *,
        scenes: str | None = None,
    ) -> None:
        if seed < 0:
            raise UsageError(f'the seed is {seed}; expected a number >= 0')
        if min(image_size) < 64:
            raise UsageError(f'the size is {image_size}; expected 64 px at least each way')
        if scenes is not None and scenes not in KINDS:
            raise UsageError(f'scenes is {scenes!r}; known: {", ".join(KINDS)}')
        self._seed, self._image_size, self._clean = seed, image_size, clean
        self._scenes = scenes

    def frame(self, index: int) -> StereoFrame:
        """Make the pair of a number; raises UsageError for a negative one."""
        if index < 0:
            raise UsageError(f'the number of a frame is {index}; expected one >= 0')
        seed = (self._seed, index)
        made = build_scene(seed, self._image_size, clean=self._clean, kind=self._scenes)
        rig, layers, left, right = made.rig, made.layers, made.left, made.right
        noise = np.random.default_rng([*seed, EFFECTS])
        effects = CLEAN if self._clean else sample_effects(noise)
        pictures = apply_effects(
            left.colour,
            right.colour,
            left_depth_mm=depth_mm_of(left.disparity_px, rig.geometry),
            right_depth_mm=depth_mm_of(right.disparity_px, rig.geometry),
            geometry=rig.geometry,
            settings=effects,
            rng=noise,
        )
        parts, types = truth_of_parts(layers, left.owner)
        hidden = occlusion([layer.shape for layer in layers], left, right)
        hidden |= unseen(left.disparity_px, pictures.visible_right)
        lost = ~pictures.visible_left
        disparity = left.disparity_px.copy()
        for truth, nothing in ((disparity, np.nan), (parts, 0), (types, 0), (hidden, False)):
            truth[lost] = nothing
        return StereoFrame(
            left=pictures.left,
            right=pictures.right,
            disparity_px=disparity,
            parts=parts,
            types=types,
            occluded=hidden,
            geometry=rig.geometry,
            scene={
                'source': self.name,
                'seed': self._seed,
                'index': index,
                'clean': self._clean,
                'rig': asdict(rig),
                'recipe': made.recipe.as_json(),
                'effects': asdict(effects),
            },
        )

    def close(self) -> None:
        """Nothing is held."""


def unseen(disparity_px: np.ndarray, visible_right: np.ndarray) -> np.ndarray:
    """H x W bool: the partner in the right picture is outside of its round field of view."""
    if visible_right.all():
        return np.zeros(disparity_px.shape, bool)
    width = disparity_px.shape[1]
    partner = np.rint(np.arange(width, dtype=np.float32) - disparity_px).astype(np.intp)
    return ~np.take_along_axis(visible_right, np.clip(partner, 0, width - 1), axis=1)
