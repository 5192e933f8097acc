"""From the assembly of one moment to its pair, and to the raw pictures that two lenses take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.assembly import Assembly
from msdesis_ros.data.synth.distorted_pair import (
    DistortedPair,
    distort,
    distorters,
    draw_lens,
)
from msdesis_ros.data.synth.effects.apply import apply_effects
from msdesis_ros.data.synth.effects.distortion import StereoLens, margin_px, with_margin
from msdesis_ros.data.synth.effects.settings import EffectSettings
from msdesis_ros.data.synth.effects.smoke import SmokeSettings, add_smoke
from msdesis_ros.data.synth.renderer import Renderer, View
from msdesis_ros.data.synth.rigs import EndoscopeRig
from msdesis_ros.data.synth.stereo_frame import StereoFrame
from msdesis_ros.data.synth.truth import disparity_from_depth, occlusion


@dataclass(frozen=True, eq=False)
class Shot:
    """One moment in front of the endoscope. rng: of the pictures' noise, fresh for every shot."""

    assembly: Assembly
    rig: EndoscopeRig
    effects: EffectSettings
    clean: bool
    rng: np.random.Generator
    description: dict[str, object]


class Photographer:
    """Takes shots with a renderer; raises MissingExtraError where OpenGL is missing."""

    def __init__(self, image_size: tuple[int, int]) -> None:
        self._renderer = Renderer(image_size)

    def pair(self, shot: Shot) -> StereoFrame:
        """Draw both views, find the truth, and put the endoscope's faults on the pictures."""
        return _photographed(shot, *self._views(shot, shot.rig))

    def pair_with_raw(
        self, shot: Shot, *, lens_seed: Sequence[int]
    ) -> tuple[StereoFrame, DistortedPair]:
        """The pair, and what the lenses of a seed would have taken of it.

        The views are drawn so wide that the raw pictures have no black border; the pair is their
        middle. Its truth is that of the raw pictures once they are rectified: both are of the
        same surfaces. A round field of view is the rectified picture's, so raw pictures with one
        are resampled from the pair (`distort`), black where it does not reach.
        """
        geometry = shot.rig.geometry
        lens = draw_lens(lens_seed, geometry)
        margin = margin_px(lens)
        wide = with_margin(geometry, margin)
        views = self._views(shot, _rig_of(wide))
        frame = _photographed(shot, *(_middle(view, margin, geometry) for view in views))
        if shot.effects.left_view.radius > 0:
            return frame, distort(frame, seed=lens_seed)
        return frame, _raw_pictures(shot, lens, wide, *views)

    def close(self) -> None:
        self._renderer.close()

    def _views(self, shot: Shot, rig: EndoscopeRig) -> tuple[View, View]:
        if self._renderer.image_size != rig.image_size:
            # One at a time: a second GL context would take the place of the first.
            self._renderer.close()
            self._renderer = Renderer(rig.image_size)
        return self._renderer.render(shot.assembly, rig, clean=shot.clean)


def _photographed(shot: Shot, left: View, right: View) -> StereoFrame:
    pictures = apply_effects(
        left.radiance,
        right.radiance,
        left_depth_mm=left.depth_mm,
        right_depth_mm=right.depth_mm,
        geometry=shot.rig.geometry,
        settings=shot.effects,
        rng=shot.rng,
    )
    disparity = _shown_disparity(left, shot.rig, pictures.visible_left)
    shown = np.isfinite(disparity)
    return StereoFrame(
        left=pictures.left,
        right=pictures.right,
        disparity_px=disparity,
        parts=np.where(shown, left.parts, 0).astype(np.uint8),
        types=np.where(shown, left.types, 0).astype(np.uint8),
        occluded=occlusion(disparity, _shown_disparity(right, shot.rig, pictures.visible_right)),
        geometry=shot.rig.geometry,
        scene=shot.description,
    )


def _shown_disparity(view: View, rig: EndoscopeRig, visible: np.ndarray) -> np.ndarray:
    disparity = disparity_from_depth(view.depth_mm, rig.geometry)
    disparity[~visible] = np.nan
    return disparity


def _raw_pictures(
    shot: Shot, lens: StereoLens, wide: StereoGeometry, left: View, right: View
) -> DistortedPair:
    # Smoke hangs in space and has a disparity, so it comes before the lenses; lens dirt, vignette
    # and noise belong to the raw picture.
    hazy = add_smoke(
        left.radiance,
        right.radiance,
        left_depth_mm=left.depth_mm,
        right_depth_mm=right.depth_mm,
        geometry=wide,
        settings=shot.effects.smoke,
    )
    eyes = distorters(lens, wide)
    radiance = [
        eye.distort(view, interpolation=cv2.INTER_LINEAR)
        for eye, view in zip(eyes, hazy, strict=True)
    ]
    depth_mm = [
        eye.distort(view.depth_mm, interpolation=cv2.INTER_NEAREST)
        for eye, view in zip(eyes, (left, right), strict=True)
    ]
    pictures = apply_effects(
        *radiance,
        left_depth_mm=depth_mm[0],
        right_depth_mm=depth_mm[1],
        geometry=shot.rig.geometry,
        settings=replace(shot.effects, smoke=SmokeSettings()),
        rng=shot.rng,
    )
    return DistortedPair(pictures.left, pictures.right, lens)


def _middle(view: View, margin: tuple[int, int, int, int], geometry: StereoGeometry) -> View:
    """The part of a wide view that a rectified picture shows."""
    (x, y, *_), (width, height) = margin, geometry.image_size
    window = np.s_[y : y + height, x : x + width]
    return View(
        *(
            np.ascontiguousarray(plane[window])
            for plane in (
                view.radiance,
                view.depth_mm,
                view.parts,
                view.types,
                view.instruments,
                view.bodies,
            )
        )
    )


def _rig_of(geometry: StereoGeometry) -> EndoscopeRig:
    return EndoscopeRig(
        image_size=geometry.image_size,
        focal_px=geometry.focal_px,
        cx_px=geometry.cx_px,
        cy_px=geometry.cy_px,
        baseline_mm=geometry.baseline_m * 1e3,
    )
