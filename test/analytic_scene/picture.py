"""Pictures of the procedural scene: raw cameras with lens distortion, texture, light and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from analytic_scene.scene import Moment

from msdesis_ros.data.synth.effects.raw_cameras import undistort_plumb_bob

TEXTURE_PX, TEXTURE_MM = 2048, 176.0
GRAIN_PX = 512
LIGHT_MM = np.array([2.2, -3.0, -1.0])  # in the endoscope's tip, between and above the lenses
# Every eighth pixel is searched from nothing; between them the search starts close to its end.
COARSE_STRIDE_PX = 8


@dataclass(frozen=True, eq=False)
class RawCamera:
    """A camera as it delivers pictures: pinhole, plumb_bob distortion and a pose.

    image_size: (width, height) px. camera_matrix: 3 x 3. distortion: k1 k2 p1 p2 k3.
    rotation, translation_mm: world to camera, X_camera = rotation @ X_world + translation.
    """

    image_size: tuple[int, int]
    camera_matrix: np.ndarray
    distortion: np.ndarray
    rotation: np.ndarray
    translation_mm: np.ndarray

    @property
    def centre_mm(self) -> np.ndarray:
        """The optical centre in the world frame."""
        return -self.rotation.T @ self.translation_mm

    @cached_property
    def directions(self) -> np.ndarray:
        """The ray of every raw pixel, in the world frame, H x W x 3 float64."""
        width, height = self.image_size
        k = self.camera_matrix
        x, y = np.meshgrid((np.arange(width) - k[0, 2]) / k[0, 0], np.arange(height, dtype=float))
        x, y = undistort_plumb_bob(x, (y - k[1, 2]) / k[1, 1], self.distortion)
        return np.stack([x, y, np.ones_like(x)], axis=-1) @ self.rotation


def analytic_cameras(size: tuple[int, int] = (640, 512)) -> tuple[RawCamera, RawCamera]:
    """The left and right raw camera: unlike lenses, 1.4 degrees, 4.5 mm."""
    width, height = size
    scale = np.diag([width / 640, height / 512, 1.0])
    rotation, _ = cv2.Rodrigues(np.array([0.009, -0.017, 0.014]))
    left = RawCamera(
        image_size=size,
        camera_matrix=scale @ [[522.0, 0, 325.0], [0, 520.0, 250.0], [0, 0, 1]],
        distortion=np.array([-0.17, 0.04, 0.0008, -0.0006, 0.0]),
        rotation=np.eye(3),
        translation_mm=np.zeros(3),
    )
    right = RawCamera(
        image_size=size,
        camera_matrix=scale @ [[516.0, 0, 312.0], [0, 514.0, 262.0], [0, 0, 1]],
        distortion=np.array([-0.15, 0.03, -0.0005, 0.0009, 0.0]),
        rotation=rotation,
        translation_mm=np.array([-4.5, 0.06, 0.1]),
    )
    return left, right


class Painter:
    """Colours surfaces: the texture is fixed to the tissue, the highlights belong to the view."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        self._albedo, self._bumps = _tissue_texture(rng)
        self._grain = np.exp(0.16 * _noise(rng, GRAIN_PX, (6, 20, 60, 150)))

    def render(self, moment: Moment, camera: RawCamera) -> np.ndarray:
        """Linear radiance at every raw pixel, H x W x 3 float32, 1 = the sensor's white."""
        directions, centre_mm = camera.directions, camera.centre_mm
        distance, surface = moment.trace(centre_mm, directions, _start(moment, camera))
        points = centre_mm + distance[..., None] * directions
        albedo, normals, gloss = self._tissue(moment, points)
        for number, part in enumerate(moment.parts, start=1):
            rows, columns = np.nonzero(surface == number)
            if len(rows):
                on_part = points[rows, columns]
                normals[rows, columns] = part.normals(on_part)
                gloss[rows, columns] = part.gloss
                along = (on_part - part.b) @ (part.b - part.a) / np.linalg.norm(part.b - part.a)
                grain = _look_up(self._grain, along * 12 % GRAIN_PX, on_part[:, 1] * 12 % GRAIN_PX)
                albedo[rows, columns] = np.outer(grain, part.colour)
        return _shade(points.astype(np.float32), albedo, normals, gloss, centre_mm)

    def _tissue(self, moment: Moment, points: np.ndarray) -> tuple[np.ndarray, ...]:
        """Albedo (H x W x 3), unit normals (H x W x 3) and gloss (H x W) of tissue, float32."""
        x, y = (points[..., axis].astype(np.float32) for axis in (0, 1))
        _, hx, hy, out_of_fold = moment.tissue.heights(x, y, moment.time_s)
        drift = moment.tissue.drift_mm(moment.time_s)
        scale = TEXTURE_PX / TEXTURE_MM
        u, v = (x - drift[0]) * scale + TEXTURE_PX / 2, (y - drift[1]) * scale + TEXTURE_PX / 2
        albedo = _look_up(self._albedo, u, v)
        albedo *= (0.35 + 0.65 * out_of_fold)[..., None]
        bumps = _look_up(self._bumps, u, v)
        normals = np.stack([hx + bumps[..., 0], hy + bumps[..., 1], np.full_like(hx, -1)], axis=-1)
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        return albedo, normals, np.full(x.shape, 0.35, np.float32)


def photograph(radiance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the sensor makes of linear radiance: blur, vignette, tone curve, noise; RGB uint8."""
    height, width = radiance.shape[:2]
    blurred = cv2.GaussianBlur(radiance, (0, 0), 0.6 * width / 640)
    x, y = (
        np.linspace(-1, 1, width, dtype=np.float32),
        np.linspace(-1, 1, height, dtype=np.float32),
    )
    blurred *= (1 - 0.22 * (x[None, :] ** 2 + y[:, None] ** 2))[..., None]
    # Shot noise grows with the square root of the light; a little read noise is always there.
    deviation = np.sqrt(2e-5 + 1.5e-4 * blurred)
    blurred += deviation * rng.standard_normal(radiance.shape, np.float32)
    toned = 1 - np.exp(-2.0 * np.maximum(blurred, 0))
    return np.rint(255 * np.power(toned, 1 / 2.2)).astype(np.uint8)


def _start(moment: Moment, camera: RawCamera) -> np.ndarray:
    """A guess of every pixel's distance to the tissue, interpolated from a coarse search."""
    width, height = camera.image_size
    rows, columns = (
        np.unique(np.append(np.arange(0, n, COARSE_STRIDE_PX), n - 1)) for n in (height, width)
    )
    coarse = moment.tissue.intersect(
        camera.centre_mm, camera.directions[np.ix_(rows, columns)].reshape(-1, 3), moment.time_s
    ).reshape(len(rows), len(columns))
    x, y = (
        np.interp(np.arange(n), at, np.arange(len(at)))
        for n, at in ((width, columns), (height, rows))
    )
    x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return cv2.remap(
        coarse.astype(np.float32), x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def _shade(
    points: np.ndarray, albedo: np.ndarray, normals: np.ndarray, gloss: np.ndarray, eye: np.ndarray
) -> np.ndarray:
    """Light from the endoscope's tip: inverse-square falloff, wrapped diffuse, sharp highlight."""
    to_light = LIGHT_MM.astype(np.float32) - points
    range2 = np.einsum('...i,...i', to_light, to_light)
    to_light /= np.sqrt(range2)[..., None]
    to_eye = eye.astype(np.float32) - points
    to_eye /= np.linalg.norm(to_eye, axis=-1, keepdims=True)
    halfway = to_light + to_eye
    halfway /= np.linalg.norm(halfway, axis=-1, keepdims=True)
    irradiance = 6500.0 / range2 * to_light[..., 2] ** 2
    # Light that enters wet tissue leaves it beside the point of entry: the terminator is soft.
    diffuse = np.maximum((np.einsum('...i,...i', normals, to_light) + 0.15) / 1.15, 0)
    mirror = np.maximum(np.einsum('...i,...i', normals, halfway), 0)
    highlight = gloss * mirror**220 + 0.12 * gloss * mirror**30
    return irradiance[..., None] * (albedo * diffuse[..., None] + highlight[..., None])


def _tissue_texture(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Albedo (3 channels) and bump slopes (2 channels) of the tissue, float32."""
    blotches, yellow = _noise(rng, TEXTURE_PX, (4, 9, 20)), _noise(rng, TEXTURE_PX, (5, 12, 30))
    fine = _noise(rng, TEXTURE_PX, (60, 140, 330, 700))
    base = np.array([0.50, 0.13, 0.10], np.float32)
    pink = np.array([0.62, 0.28, 0.22], np.float32)
    fat = np.array([0.85, 0.60, 0.34], np.float32)
    albedo = base + (pink - base) * _step(blotches, -0.6, 1.0)[..., None]
    albedo += (fat - albedo) * (0.7 * _step(yellow, 0.9, 1.7))[..., None]
    albedo += (np.array([0.22, 0.02, 0.03], np.float32) - albedo) * _vessels(rng)[..., None]
    albedo *= np.exp(0.16 * fine + 0.12 * _noise(rng, TEXTURE_PX, (25, 50)))[..., None]
    relief = 0.10 * _noise(rng, TEXTURE_PX, (40, 90)) + 0.03 * _noise(rng, TEXTURE_PX, (200,))
    scale = TEXTURE_PX / TEXTURE_MM
    bumps = np.stack([np.roll(relief, -1, axis) - relief for axis in (1, 0)], axis=-1) * scale
    return albedo.astype(np.float32), bumps.astype(np.float32)


def _vessels(rng: np.random.Generator) -> np.ndarray:
    """How much of a blood vessel is at each texel, 0 to 1: branching random walks."""
    canvas = np.zeros((TEXTURE_PX, TEXTURE_PX), np.uint8)
    stems = [(*rng.uniform(0, TEXTURE_PX, 2), rng.uniform(0, 6.3), 9.0) for _ in range(26)]
    while stems:
        x, y, heading, width = stems.pop()
        for _ in range(int(rng.integers(25, 60))):
            heading += rng.normal(0, 0.22)
            step = 9 + width
            end = x + step * np.cos(heading), y + step * np.sin(heading)
            cv2.line(
                canvas,
                (round(x * 16), round(y * 16)),
                (round(end[0] * 16), round(end[1] * 16)),
                int(90 + 12 * width),
                max(1, round(width)),
                cv2.LINE_AA,
                shift=4,
            )
            x, y = end
            width *= 0.985
            if width > 2 and rng.random() < 0.07:
                stems.append((x, y, heading + rng.choice([-1, 1]) * 0.7, width * 0.65))
    return cv2.GaussianBlur(canvas, (0, 0), 1.6).astype(np.float32) / 255


def _noise(rng: np.random.Generator, size: int, cells: tuple[int, ...]) -> np.ndarray:
    """Smooth noise of about unit deviation: the mean of one layer for each number of cells."""
    total = np.zeros((size, size), np.float32)
    for count in cells:
        layer = rng.standard_normal((count, count), np.float32)
        total += cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC)
    return total * (1.3 / math.sqrt(len(cells)))


def _step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _look_up(texture: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bicubic samples at texel coordinates, which lie inside the texture; float32."""
    u, v = u.astype(np.float32), v.astype(np.float32)
    if u.ndim == 2:
        return cv2.remap(texture, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    # OpenCV takes no list longer than 32767: fold it into rows, repeating points to fill the last.
    folded = (-(-u.size // 1024), 1024)
    return _look_up(texture, np.resize(u, folded), np.resize(v, folded)).ravel()[: u.size]
