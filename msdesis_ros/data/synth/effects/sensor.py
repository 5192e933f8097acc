"""One eye's camera: noise, colour processing, tone, sharpening, and the right one's tilt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from msdesis_ros.data.synth.effects.exposure import developed
from msdesis_ros.data.synth.effects.pixels import LUMA, normal_noise

# Light beyond this multiple of white changes nothing but the ringing of interpolation.
SATURATION = 2.0


@dataclass(frozen=True)
class SensorSettings:
    """Of one eye; light is 1 at white.

    gain: factor against the common exposure. red_gain, blue_gain: white balance. saturation: 0
    grey, 1 as it is. gamma: exponent on display values. black: display level added, 0..1.
    shot_noise: standard deviation at white (it goes with the root of the light). read_noise: at
    black. grain_px: standard deviation of the noise's own blur (denoising, demosaicing).
    row_noise: standard deviation of each row's offset. fixed_pattern: of each pixel's and column's
    gain; pattern_seed: which sensor. sharpen: unsharp masking, 0..2; sharpen_px: its radius.
    tilt_shift_px, tilt_deg: how far the rows are off those of the other eye: down at the middle,
    and by a slope.
    """

    gain: float = 1.0
    red_gain: float = 1.0
    blue_gain: float = 1.0
    saturation: float = 1.0
    gamma: float = 1.0
    black: float = 0.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    grain_px: float = 0.0
    row_noise: float = 0.0
    fixed_pattern: float = 0.0
    pattern_seed: int = 0
    sharpen: float = 0.0
    sharpen_px: float = 1.2
    tilt_shift_px: float = 0.0
    tilt_deg: float = 0.0


def sample_sensors(
    rng: np.random.Generator, severity: float
) -> tuple[SensorSettings, SensorSettings]:
    """Draw both eyes: one make of camera, two of its kind.

    Common: shot noise 0.004..0.038 and read noise up to 0.003 by severity, grain 0..0.9 px,
    sharpening 0..1.4 with 0.8..2 px, white balance 6 %, saturation 0.75..1.3, gamma 8 %, black
    normal, -0.01 +- 0.01 (cameras cut what is almost black). Each eye: gain 4 %, white balance
    1.5 %, gamma 1.5 %, saturation 2 %. The right one's rows: normal, 0.25 px, at most 1 px at the
    middle, and 0.02 degrees (0.1 px at 320 px from it), at most 0.06.
    """
    common = SensorSettings(
        red_gain=_about_one(rng, 0.06),
        blue_gain=_about_one(rng, 0.06),
        saturation=float(rng.uniform(0.75, 1.3)),
        gamma=_about_one(rng, 0.08),
        black=float(rng.normal(-0.01, 0.01)),
        shot_noise=float(0.004 + severity * rng.uniform(0.008, 0.034)),
        read_noise=float(0.0003 + severity * rng.uniform(0.0, 0.003)),
        grain_px=float(rng.uniform(0.0, 0.9)),
        row_noise=float(severity * rng.uniform(0.0, 0.002)) * bool(rng.random() < 0.3),
        fixed_pattern=float(severity * rng.uniform(0.0, 0.012)) * bool(rng.random() < 0.4),
        sharpen=float(rng.uniform(0.0, 1.4)),
        sharpen_px=float(rng.uniform(0.8, 2.0)),
    )
    left, right = (
        replace(
            common,
            gain=_about_one(rng, 0.04),
            red_gain=common.red_gain * _about_one(rng, 0.015),
            blue_gain=common.blue_gain * _about_one(rng, 0.015),
            saturation=common.saturation * _about_one(rng, 0.02),
            gamma=common.gamma * _about_one(rng, 0.015),
            black=common.black + float(rng.normal(0, 0.003)),
            pattern_seed=int(rng.integers(2**31)),
        )
        for _ in range(2)
    )
    tilt_px, tilt_deg = rng.normal(0, 0.25), rng.normal(0, 0.02)
    right = replace(
        right,
        tilt_shift_px=float(np.clip(tilt_px, -1.0, 1.0)),
        tilt_deg=float(np.clip(tilt_deg, -0.06, 0.06)),
    )
    return left, right


def _about_one(rng: np.random.Generator, deviation: float) -> float:
    return float(np.exp(np.clip(rng.normal(0, deviation), -3 * deviation, 3 * deviation)))


def take_picture(
    linear: np.ndarray, settings: SensorSettings, *, knee: float, rng: np.random.Generator
) -> np.ndarray:
    """Linear light (H x W x 3 float32, 1 = white) to display values 0..1, float32."""
    linear = tilted(linear, settings)
    linear = noisy(linear, settings, rng)
    linear = recoloured(linear, settings)
    display = developed(linear, knee=knee, gamma=settings.gamma, black=settings.black)
    return sharpened(display, settings)


def tilted(linear: np.ndarray, settings: SensorSettings) -> np.ndarray:
    """Move the rows by a shift and a slope, subpixel.

    It is the vertical part of a small rotation only: the horizontal one would change disparities.
    """
    if settings.tilt_shift_px == 0 and settings.tilt_deg == 0:
        return linear
    height, width = linear.shape[:2]
    slope = np.tan(np.deg2rad(settings.tilt_deg))
    down = settings.tilt_shift_px - slope * (width - 1) / 2
    moved = cv2.warpAffine(
        np.minimum(linear, SATURATION),
        np.array([[1.0, 0, 0], [slope, 1.0, down]]),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.maximum(moved, 0.0)


def noisy(linear: np.ndarray, settings: SensorSettings, rng: np.random.Generator) -> np.ndarray:
    """Add fixed pattern, shot and read noise (variance: shot^2 light + read^2), row noise."""
    height, width = linear.shape[:2]
    if settings.fixed_pattern > 0:
        linear = linear * _fixed_pattern((height, width), settings)
    if settings.shot_noise > 0 or settings.read_noise > 0:
        grain = normal_noise(rng, linear.shape)
        if settings.grain_px > 0:
            grain = cv2.GaussianBlur(grain, (0, 0), max(settings.grain_px, 0.1))
            grain /= np.float32(_kept_deviation(settings.grain_px))
        variance = np.clip(linear, 0.0, SATURATION) * np.float32(settings.shot_noise**2)
        variance += np.float32(settings.read_noise**2)
        linear = linear + grain * np.sqrt(variance)
    if settings.row_noise > 0:
        linear = linear + normal_noise(rng, (height, 1, 1)) * np.float32(settings.row_noise)
    return linear


def _kept_deviation(sigma_px: float) -> float:
    """The standard deviation that a Gaussian blur leaves of white noise of deviation 1."""
    kernel = cv2.getGaussianKernel(
        2 * int(np.ceil(4 * max(sigma_px, 0.1))) + 1, max(sigma_px, 0.1)
    )
    return float((kernel**2).sum())


def _fixed_pattern(shape: tuple[int, int], settings: SensorSettings) -> np.ndarray:
    rng = np.random.default_rng(settings.pattern_seed)
    pattern = normal_noise(rng, shape)
    pattern += normal_noise(rng, (1, shape[1]))
    return cv2.merge([1.0 + np.float32(settings.fixed_pattern * 0.7) * pattern] * 3)


def recoloured(linear: np.ndarray, settings: SensorSettings) -> np.ndarray:
    """Gain, white balance and saturation as one matrix."""
    balance = np.diag([settings.red_gain, 1.0, settings.blue_gain]) * settings.gain
    grey = np.broadcast_to(LUMA.astype(np.float64), (3, 3))
    colours = settings.saturation * np.eye(3) + (1 - settings.saturation) * grey
    matrix = (colours @ balance).astype(np.float32)
    if (matrix == np.eye(3)).all():
        return linear
    return cv2.transform(linear, matrix)


def sharpened(display: np.ndarray, settings: SensorSettings) -> np.ndarray:
    """Unsharp masking of the brightness: the bright and dark halos of an endoscope's camera."""
    if settings.sharpen == 0:
        return display
    brightness = cv2.transform(display, LUMA[None])
    detail = brightness - cv2.GaussianBlur(brightness, (0, 0), settings.sharpen_px)
    detail *= np.float32(settings.sharpen)
    # Cameras limit the halo, lest every highlight gets a black ring.
    detail = np.clip(detail, -0.12, 0.12)
    return display + cv2.merge([detail] * 3)
