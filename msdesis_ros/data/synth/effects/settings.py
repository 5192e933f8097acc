"""All effects of a stereo pair in one printable, JSON-able value, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from msdesis_ros.core.errors import UsageError, shown
from msdesis_ros.data.synth.effects.codec import CodecSettings, sample_codec
from msdesis_ros.data.synth.effects.exposure import ExposureSettings, sample_exposure
from msdesis_ros.data.synth.effects.field_of_view import (
    FieldOfViewSettings,
    sample_field_of_view,
)
from msdesis_ros.data.synth.effects.lens import OpticsSettings, sample_optics
from msdesis_ros.data.synth.effects.lens_dirt import LensDirtSettings, sample_lens_dirt
from msdesis_ros.data.synth.effects.motion import (
    InterlaceSettings,
    MotionBlurSettings,
    sample_interlace,
    sample_motion_blur,
)
from msdesis_ros.data.synth.effects.sensor import SensorSettings, sample_sensors
from msdesis_ros.data.synth.effects.smoke import SmokeSettings, sample_smoke

# Beta distributions of the severity. default: mean 0.19, above 0.5 in 4 % of the draws.
STRENGTHS = {'mild': (1.2, 7.0), 'default': (1.2, 5.0), 'heavy': (3.0, 1.6)}
# How fast smoke moves, picture widths a second: a cloud crosses the view in a few seconds.
SMOKE_SPEED = 0.15


@dataclass(frozen=True)
class EffectSettings:
    """Everything between the light and the files of one stereo pair.

    `dataclasses.asdict` of it is JSON-able. Lengths are shares of the picture, so that settings
    suit any size, unless their name ends in `_px`.
    """

    exposure: ExposureSettings = ExposureSettings()
    optics: OpticsSettings = OpticsSettings()
    smoke: SmokeSettings = SmokeSettings()
    motion_blur: MotionBlurSettings = MotionBlurSettings()
    interlace: InterlaceSettings = InterlaceSettings()
    codec: CodecSettings = CodecSettings()
    left_view: FieldOfViewSettings = FieldOfViewSettings()
    right_view: FieldOfViewSettings = FieldOfViewSettings()
    left_dirt: LensDirtSettings = LensDirtSettings()
    right_dirt: LensDirtSettings = LensDirtSettings()
    left_sensor: SensorSettings = SensorSettings()
    right_sensor: SensorSettings = SensorSettings()


CLEAN = EffectSettings()
"""Nothing but exposure and tone curve."""


def sample_effects(rng: np.random.Generator, *, strength: str = 'default') -> EffectSettings:
    """Draw the effects of one pair, or of one sequence.

    Each group draws its own severity s in 0..1 from a beta distribution: `default` (1.2, 5.0) has
    a mean of 0.19 and exceeds 0.5 in 4 % of the draws, so most frames are mildly affected and few
    heavily; `mild` has a mean of 0.15, `heavy` of 0.65. What a severity means stands with each
    group (`sample_smoke` and so on). Which effects occur at all does not depend on the strength.

    Raises UsageError for another strength.
    """
    if strength not in STRENGTHS:
        raise UsageError(
            f'the strength {shown(strength)} of the effects is unknown; known are '
            + ', '.join(STRENGTHS)
        )
    severities = iter(rng.beta(*STRENGTHS[strength], 9).tolist())
    left_view, right_view = sample_field_of_view(rng, next(severities))
    left_dirt, right_dirt = sample_lens_dirt(rng, next(severities))
    left_sensor, right_sensor = sample_sensors(rng, next(severities))
    return EffectSettings(
        exposure=sample_exposure(rng, next(severities)),
        optics=sample_optics(rng, next(severities)),
        smoke=sample_smoke(rng, next(severities)),
        motion_blur=sample_motion_blur(rng, next(severities)),
        interlace=sample_interlace(rng, next(severities)),
        codec=sample_codec(rng, next(severities)),
        left_view=left_view,
        right_view=right_view,
        left_dirt=left_dirt,
        right_dirt=right_dirt,
        left_sensor=left_sensor,
        right_sensor=right_sensor,
    )


def at_time(
    settings: EffectSettings, time_s: float, *, rng: np.random.Generator
) -> EffectSettings:
    """The effects of one frame of a sequence: what changes from frame to frame, and no more.

    Smoke drifts; flicker, the phase of bands and the motion blur are drawn anew about their size.
    Dirt on the lens, the sensors and the optics stay. `rng`: of this frame.
    """
    exposure, blur, smoke = settings.exposure, settings.motion_blur, settings.smoke
    heading = 2 * np.pi * np.random.default_rng(smoke.seed).random()
    way = SMOKE_SPEED * time_s
    return replace(
        settings,
        exposure=replace(
            exposure,
            flicker=exposure.flicker * float(rng.normal()),
            band_phase=float(rng.random()),
        ),
        motion_blur=replace(
            blur,
            length=blur.length * float(rng.uniform(0, 2)),
            angle_deg=blur.angle_deg + float(rng.normal(0, 15)),
        ),
        smoke=replace(
            smoke,
            drift=(
                float(smoke.drift[0] + way * np.cos(heading)),
                float(smoke.drift[1] + way * np.sin(heading)),
            ),
        ),
    )
