"""Unrectified pictures: a rectified view as a lens shows it that distorts and is turned."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np

from msdesis_ros.core.errors import CalibrationError, ImageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.effects.raw_cameras import EyeLens, StereoLens
from msdesis_ros.data.synth.rigs import REFERENCE_WIDTH_PX, EndoscopeRig

MAX_SHRINKING = 30
BORDER_SAMPLES = 65
NODES = 33
# Coordinates this far outside of a view are read from its border: OpenCV rounds them to 1/32 px.
TOLERANCE_PX = 1 / 32


def sample_lens(rng: np.random.Generator, rig: EndoscopeRig) -> StereoLens:
    """Draw two raw cameras for a rectified geometry.

    Distortion: half of the lenses like a da Vinci Xi's (EndoVis 2018: k1 -0.003..0, k2 up to
    0.014; SCARED alike), half barrels with k1 in -0.4..-0.02 (dVRK calibrations have -0.01 to
    -0.41), a quarter to a half of k1 squared as k2, tangential terms of 0.001. Between the eyes
    k1 differs by 5 %. A barrel too strong for the picture's corners is weakened. Focal lengths:
    within 1 % of the rectified one, the eyes by 0.1 %. Principal points: half of the lenses have
    theirs 90..100 px apart at 1280 (EndoVis 2018, whose sensors are shifted against each other),
    the others within 10 px of the rectified one's. Rotation: a common one of 0.5 degrees about
    each axis and 0.1 degrees an eye.
    """
    scale = rig.image_size[0] / REFERENCE_WIDTH_PX
    if rng.random() < 0.5:
        k1, k2 = -rng.uniform(0.0, 0.003), rng.uniform(0.0, 0.014)
    else:
        k1 = -rng.uniform(0.02, 0.4)
        k2 = rng.uniform(0.25, 0.5) * k1 * k1
    apart = rng.uniform(90, 100) if rng.random() < 0.5 else 0.0
    focal = rig.focal_px * rng.normal(1.0, 0.01)
    middle = np.array([rig.cx_px, rig.cy_px]) + rng.normal(0, 5, 2) * scale
    turn = rng.normal(0, 0.5, 3)
    eyes = []
    for side in (-1, 1):
        eye_k1 = k1 * rng.normal(1.0, 0.05)
        tangential = rng.normal(0, 0.001, 2)
        eye_focal = focal * rng.normal(1.0, 0.001)
        cx, cy = middle + (side * apart / 2 * scale, 0) + rng.normal(0, 2, 2) * scale
        rotation = turn + rng.normal(0, 0.1, 3)
        lens = EyeLens(
            focal_x_px=float(eye_focal),
            focal_y_px=float(eye_focal * rng.normal(1.0, 0.0005)),
            cx_px=float(cx),
            cy_px=float(cy),
            distortion=(float(eye_k1), float(k2), float(tangential[0]), float(tangential[1]), 0.0),
            rotation_deg=(float(rotation[0]), float(rotation[1]), float(rotation[2])),
        )
        eyes.append(_invertible(lens, rig))
    return StereoLens(left=eyes[0], right=eyes[1], geometry=rig.geometry)


def margin_px(lens: StereoLens) -> tuple[int, int, int, int]:
    """How much wider the rectified views must be rendered for raw pictures without black borders.

    Returns (left, top, right, bottom) px, each >= 0, enough for both eyes; see `with_margin`.
    """
    width, height = lens.geometry.image_size
    border = _border(width, height)
    points = np.concatenate(
        [eye.rectified_points(border, lens.geometry) for eye in (lens.left, lens.right)]
    )
    low, high = points.min(axis=0), points.max(axis=0)
    sides = (-low[0], -low[1], high[0] - (width - 1), high[1] - (height - 1))
    left, top, right, bottom = (max(0, math.ceil(side - TOLERANCE_PX)) for side in sides)
    return left, top, right, bottom


def with_margin(geometry: StereoGeometry, margin: tuple[int, int, int, int]) -> StereoGeometry:
    """The geometry of a view that shows (left, top, right, bottom) px more."""
    left, top, right, bottom = margin
    width, height = geometry.image_size
    return replace(
        geometry,
        image_size=(width + left + right, height + top + bottom),
        cx_px=geometry.cx_px + left,
        cy_px=geometry.cy_px + top,
    )


class Distorter:
    """Maps of one eye, made once: from a rectified view to the raw picture.

    view_geometry: of the rectified view that is given, with or without a margin. image_size:
    (width, height) px of the raw picture. `inside`: H x W bool, False where the view does not
    show what the raw picture would; those pixels become black.

    Raises CalibrationError where the distortion cannot be inverted over the raw picture.
    """

    def __init__(
        self, lens: EyeLens, *, view_geometry: StereoGeometry, image_size: tuple[int, int]
    ) -> None:
        self.view_geometry = view_geometry
        x, y = _view_maps(lens, view_geometry, image_size)
        view_width, view_height = view_geometry.image_size
        self.inside = (
            (x >= -TOLERANCE_PX)
            & (y >= -TOLERANCE_PX)
            & (x <= view_width - 1 + TOLERANCE_PX)
            & (y <= view_height - 1 + TOLERANCE_PX)
        )
        self._map_x, self._map_y = x.astype(np.float32), y.astype(np.float32)

    def distort(self, view: np.ndarray, *, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
        """The raw picture of a rectified view (H x W or H x W x 3, uint8 or float32).

        Black (0) where not `inside`. Use cv2.INTER_NEAREST for masks, labels and depth, and
        cv2.INTER_LINEAR for linear light, whose highlights make cubic interpolation ring. Raises
        ImageError for a view of another size.
        """
        size = (view.shape[1], view.shape[0])
        if size != self.view_geometry.image_size:
            raise ImageError(
                f'the view has {size[0]}x{size[1]} px; its geometry says '
                f'{self.view_geometry.image_size[0]}x{self.view_geometry.image_size[1]} px'
            )
        # Replicated first, then blackened: the border's pixels are not mixed with black.
        raw = cv2.remap(
            view, self._map_x, self._map_y, interpolation, borderMode=cv2.BORDER_REPLICATE
        )
        raw[~self.inside] = 0
        return raw


def _view_maps(
    lens: EyeLens, view_geometry: StereoGeometry, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Where every raw pixel lies in the view, x and y, H x W float64.

    The map is analytic, so polynomials through a few Chebyshev nodes give it to 1e-6 px, in a
    tenth of the time that inverting the distortion at each pixel takes.
    """
    (nodes_x, spread_x), (nodes_y, spread_y) = (_chebyshev(size) for size in image_size)
    nodes = np.stack(np.meshgrid(nodes_x, nodes_y), axis=-1).reshape(-1, 2)
    at_nodes = lens.rectified_points(nodes, view_geometry).reshape(NODES, NODES, 2)
    # einsum adds in one order whatever the number of threads, which BLAS does not promise.
    rows = np.einsum('ij,jkc->ikc', spread_y, at_nodes)
    x, y = (np.einsum('ik,jk->ij', rows[..., axis], spread_x) for axis in (0, 1))
    return x, y


def _chebyshev(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes within 0..size - 1, and the size x NODES matrix from values there to every pixel."""
    order = np.arange(NODES)
    t = np.cos(np.pi * (order + 0.5) / NODES)
    half = (size - 1) / 2
    polynomials = np.cos(order * np.arccos(np.linspace(-1, 1, size))[:, None])
    at_nodes = np.cos(order * np.arccos(t)[:, None])
    # Discrete orthogonality of the Chebyshev polynomials gives the coefficients.
    coefficients = at_nodes.T * np.where(order == 0, 1.0, 2.0)[:, None] / NODES
    return half * (t + 1), np.einsum('ik,kj->ij', polynomials, coefficients)


def _invertible(lens: EyeLens, rig: EndoscopeRig) -> EyeLens:
    """Weaken a distortion until it has an inverse beyond the picture's corners, with room."""
    width, height = rig.image_size
    corner = np.hypot(
        max(lens.cx_px, width - 1 - lens.cx_px) / lens.focal_x_px,
        max(lens.cy_px, height - 1 - lens.cy_px) / lens.focal_y_px,
    )
    for _ in range(MAX_SHRINKING):
        k1, k2, p1, p2, k3 = lens.distortion
        r = np.linspace(0, 3.0 * corner, 300)
        r2 = r * r
        distorted = r * (1 + r2 * (k1 + r2 * (k2 + r2 * k3)))
        slope = 1 + r2 * (3 * k1 + r2 * (5 * k2 + r2 * 7 * k3))
        # Up to the ray that is seen a little beyond the corner; 0.35: it is squeezed threefold.
        reached = distorted >= 1.05 * corner
        if reached.any() and slope[: int(np.argmax(reached)) + 1].min() > 0.35:
            return lens
        lens = replace(lens, distortion=(k1 * 0.85, k2 * 0.72, p1, p2, k3))
    raise CalibrationError(f'the distortion {lens.distortion} cannot be inverted over the picture')


def _border(width: int, height: int) -> np.ndarray:
    x = np.linspace(0, width - 1, BORDER_SAMPLES)
    y = np.linspace(0, height - 1, BORDER_SAMPLES)
    return np.concatenate(
        [
            np.stack(np.broadcast_arrays(*side), axis=1)
            for side in ((x, 0.0), (x, height - 1.0), (0.0, y), (width - 1.0, y))
        ]
    ).astype(np.float64)
