"""One frame as a surface: what a cloud or a mesh of it is made from, whatever it came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.disparity import disparity_from_depth
from msdesis_ros.core.errors import ImageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface import TOOL_CYAN, SurfaceBuilder, tint, unpack


@dataclass(frozen=True, eq=False)
class OrganisedSurface:
    """points_m: H x W x 3 float32, NaN where invalid. colours: H x W x 3 uint8 RGB. labels:
    H x W uint8. uncertainty_px: H x W float32 or None. H and W count every `stride`-th pixel.
    """

    points_m: np.ndarray
    colours: np.ndarray
    labels: np.ndarray
    uncertainty_px: np.ndarray | None
    stride: int

    @property
    def known(self) -> np.ndarray:
        """H x W bool: the pixels that are points."""
        return np.isfinite(self.points_m[..., 2])


@dataclass(frozen=True, eq=False)
class SurfaceFrame:
    """Depth and colours of one rectified left picture.

    depth_m: H x W float32, NaN invalid. colours: H x W x 3 uint8 RGB, instruments tinted already.
    labels: H x W uint8 (0 tissue, 1 instrument). uncertainty_px: H x W float32, 1 sigma of the
    disparity, or None. model: what computed the depth, None = not known. warnings: sentences for
    the operator. Raises ImageError where the sizes differ from that of the geometry.
    """

    name: str
    depth_m: np.ndarray
    colours: np.ndarray
    labels: np.ndarray
    geometry: StereoGeometry
    uncertainty_px: np.ndarray | None = None
    model: ModelIdentity | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        width, height = self.geometry.image_size
        planes = {
            'depth': self.depth_m,
            'picture': self.colours[..., 0],
            'instrument mask': self.labels,
            'uncertainty': self.uncertainty_px,
        }
        for name, plane in planes.items():
            if plane is not None and plane.shape != (height, width):
                raise ImageError(
                    f'the {name} of {self.name} is {plane.shape[::-1]} px and its geometry is for '
                    f'{width}x{height} px; give what belongs to one frame'
                )

    @classmethod
    def of_mask(
        cls,
        name: str,
        *,
        depth_m: np.ndarray,
        picture: np.ndarray,
        instrument_mask: np.ndarray | None,
        geometry: StereoGeometry,
        uncertainty_px: np.ndarray | None = None,
        model: ModelIdentity | None = None,
        warnings: tuple[str, ...] = (),
    ) -> SurfaceFrame:
        """The instruments of the mask (H x W bool) are labelled and tinted in the tool's colour.

        picture: H x W x 3 uint8 RGB, as the camera took it.
        """
        labels = np.zeros(picture.shape[:2], np.uint8)
        if instrument_mask is not None:
            if instrument_mask.shape != labels.shape:
                raise ImageError(
                    f'the instrument mask of {name} is {instrument_mask.shape[::-1]} px, its '
                    f'picture {labels.shape[::-1]} px; both must have one size'
                )
            picture = tint(picture, instrument_mask, TOOL_CYAN)
            labels = instrument_mask.astype(np.uint8)
        return cls(name, depth_m, picture, labels, geometry, uncertainty_px, model, warnings)

    def uncertain(self, max_relative: float) -> np.ndarray:
        """H x W bool: depths whose 1 sigma is more than this share of the depth itself.

        sigma_Z / Z = sigma_d / d. Nowhere where the uncertainty is not known.
        """
        if self.uncertainty_px is None:
            return np.zeros(self.depth_m.shape, bool)
        disparity_px = disparity_from_depth(self.depth_m, self.geometry)
        return self.uncertainty_px > max_relative * disparity_px

    def organised(
        self, *, stride: int = 1, left_out: np.ndarray | None = None
    ) -> OrganisedSurface:
        """The surface's points; those of the pixels `left_out` (H x W bool) are NaN."""
        depth_m = self.depth_m
        if left_out is not None:
            depth_m = np.where(left_out, np.float32(np.nan), depth_m)
        packed = SurfaceBuilder(self.geometry, stride=stride).pack(depth_m, self.colours)
        points_m, colours, _ = unpack(packed)
        sigma = self.uncertainty_px
        return OrganisedSurface(
            points_m=points_m,
            colours=colours,
            labels=self.labels[::stride, ::stride],
            uncertainty_px=None if sigma is None else sigma[::stride, ::stride],
            stride=stride,
        )
