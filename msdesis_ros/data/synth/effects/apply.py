"""From the light of two views to the pictures of a stereo endoscope, in the order of its way."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.effects.codec import coded
from msdesis_ros.data.synth.effects.exposure import exposure_gain, lit
from msdesis_ros.data.synth.effects.field_of_view import (
    FieldOfViewSettings,
    limit_field_of_view,
    visible_area,
)
from msdesis_ros.data.synth.effects.lens import OpticsSettings, bloom, defocus, shift_colours
from msdesis_ros.data.synth.effects.lens_dirt import LensDirtSettings, dirty_lens
from msdesis_ros.data.synth.effects.motion import blur_motion, interlace
from msdesis_ros.data.synth.effects.sensor import SensorSettings, take_picture
from msdesis_ros.data.synth.effects.settings import EffectSettings
from msdesis_ros.data.synth.effects.smoke import add_smoke


@dataclass(frozen=True, eq=False)
class PicturePair:
    """left, right: H x W x 3 uint8 RGB. visible_left, visible_right: H x W bool, False outside of
    a round field of view and nowhere else.
    """

    left: np.ndarray
    right: np.ndarray
    visible_left: np.ndarray
    visible_right: np.ndarray


def apply_effects(
    left: np.ndarray,
    right: np.ndarray,
    *,
    left_depth_mm: np.ndarray,
    right_depth_mm: np.ndarray,
    geometry: StereoGeometry,
    settings: EffectSettings,
    rng: np.random.Generator,
) -> PicturePair:
    """Make 8-bit pictures of linear radiance; what is true of the views stays true.

    Args:
        left, right: H x W x 3 float32, linear radiance of any scale, finite. They stay unchanged.
        left_depth_mm, right_depth_mm: H x W float, NaN where there is no surface.
        geometry: of the rectified views; its focal length and baseline count.
        settings: `CLEAN` or drawn by `sample_effects`.
        rng: for the noise; the same state gives the same bytes.

    Raises:
        ImageError: shapes or types are not those above.
    """
    _require_pictures(left, right, left_depth_mm, right_depth_mm)
    left, right = add_smoke(
        left,
        right,
        left_depth_mm=left_depth_mm,
        right_depth_mm=right_depth_mm,
        geometry=geometry,
        settings=settings.smoke,
    )
    left, right = (blur_motion(picture, settings.motion_blur) for picture in (left, right))
    left = _through_lens(
        left, left_depth_mm, geometry, settings.optics, settings.left_dirt, settings.left_view
    )
    right = _through_lens(
        right, right_depth_mm, geometry, settings.optics, settings.right_dirt, settings.right_view
    )
    shape = left.shape[:2]
    visible_left = visible_area(shape, settings.left_view)
    visible_right = visible_area(shape, settings.right_view)
    # One exposure for both eyes, metered on the left one.
    gain = exposure_gain(left, visible_left, left_depth_mm, settings.exposure.target)
    return PicturePair(
        left=_recorded(left, gain, settings.left_sensor, settings, rng),
        right=_recorded(right, gain, settings.right_sensor, settings, rng),
        visible_left=visible_left,
        visible_right=visible_right,
    )


def _through_lens(
    picture: np.ndarray,
    depth_mm: np.ndarray,
    geometry: StereoGeometry,
    optics: OpticsSettings,
    dirt: LensDirtSettings,
    view: FieldOfViewSettings,
) -> np.ndarray:
    picture = defocus(picture, depth_mm, focal_px=geometry.focal_px, settings=optics)
    picture = bloom(dirty_lens(picture, dirt), optics)
    return shift_colours(limit_field_of_view(picture, view), optics)


def _recorded(
    linear: np.ndarray,
    gain: float,
    sensor: SensorSettings,
    settings: EffectSettings,
    rng: np.random.Generator,
) -> np.ndarray:
    exposed = lit(linear, gain, settings.exposure)
    display = take_picture(exposed, sensor, knee=settings.exposure.knee, rng=rng)
    display = interlace(display, settings.interlace)
    # convertScaleAbs rounds and saturates in one pass, but would mirror what is negative.
    picture = cv2.convertScaleAbs(np.maximum(display, 0.0), alpha=255.0)
    return coded(picture, settings.codec)


def _require_pictures(
    left: np.ndarray, right: np.ndarray, left_depth_mm: np.ndarray, right_depth_mm: np.ndarray
) -> None:
    for name, picture in (('left', left), ('right', right)):
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.float32:
            raise ImageError(
                f'the {name} radiance is {picture.dtype} of the shape {picture.shape}; expected '
                'H x W x 3 float32'
            )
        if picture.shape != left.shape:
            raise ImageError(f'the views differ in shape: {left.shape} and {picture.shape}')
        # A single value that is not finite would spread through blurs and the exposure.
        if not np.isfinite(cv2.norm(picture, cv2.NORM_L1)):
            raise ImageError(f'the {name} radiance has values that are not finite')
    for name, depth_mm in (('left', left_depth_mm), ('right', right_depth_mm)):
        if depth_mm.shape != left.shape[:2]:
            raise ImageError(
                f'the {name} depth has the shape {depth_mm.shape}; expected {left.shape[:2]}'
            )
