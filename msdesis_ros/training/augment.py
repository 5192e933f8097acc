"""From a stored pair to a training crop: geometry that keeps the truth true.

Pixel centres are at whole numbers. Everything comes from the generator that the caller gives, in a
fixed order, so that the same generator makes the same crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from msdesis_ros.core.errors import UsageError
from msdesis_ros.training.batch import Sample, Truth
from msdesis_ros.training.letterbox import letterboxed, partner_covered
from msdesis_ros.training.photometric import PhotometricSettings, jittered

# Within this range, over 3 x 3 px, truth is one surface and may be interpolated.
_ONE_SURFACE_PX = 1.5
_FAR = np.float32(-1e4)
_SHARES = ('vertical_flip', 'swap', 'erase', 'erase_share', 'one_eye', 'mirror', 'letterbox')


@dataclass(frozen=True)
class AugmentSettings:
    """What happens to a pair; the defaults do nothing.

    scale: lowest and highest factor, log-uniform. stretch: highest factor by which the width alone
    is changed further, either way. vertical_flip, swap: probabilities; a swap exchanges and
    mirrors the views, where the right view's truth is known. misalignment_px: highest vertical
    shift of the right view. erase: probability of hiding rectangles of the right view, up to
    erase_share of its width and height. one_eye: probability of giving the left view as the right
    one too, with the disparity unknown, as the node does while an eye is lost. mirror: probability
    of exchanging left and right in each picture, for masks: the disparity is then unknown.
    letterbox: probability of bars around both pictures, up to a quarter of them on each side.
    photometric: changes of the colours. Raises UsageError for values that cannot be.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    stretch: float = 1.0
    vertical_flip: float = 0.0
    swap: float = 0.0
    misalignment_px: float = 0.0
    erase: float = 0.0
    erase_share: float = 0.25
    one_eye: float = 0.0
    mirror: float = 0.0
    letterbox: float = 0.0
    photometric: PhotometricSettings = field(default_factory=PhotometricSettings)

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high <= 16:
            raise UsageError(f'scale is {self.scale}; expected two factors above 0, in this order')
        if not 1 <= self.stretch <= 4:
            raise UsageError(f'stretch is {self.stretch}; expected 1 to 4')
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f'{name} is {getattr(self, name)}; expected 0 to 1')
        if not 0 <= self.misalignment_px <= 16:
            raise UsageError(f'misalignment_px is {self.misalignment_px}; expected 0 to 16')


def augmented(
    sample: Sample,
    settings: AugmentSettings,
    *,
    size: tuple[int, int],
    rng: np.random.Generator,
    dress: Callable[[Sample], Sample] = lambda sample: sample,
) -> Sample:
    """Crop, scale and change a sample to `size` = (width, height), px.

    A picture that is smaller than the crop at the drawn scale is enlarged until it fills it.
    dress: what gives the crop the look of a camera, before it is scaled: blur and noise of a
    camera are scaled with its pictures.
    """
    width, height = size
    full_height, full_width = sample.left.shape[:2]
    scale = np.exp(rng.uniform(*np.log(settings.scale)))
    stretch = np.exp(rng.uniform(-1, 1) * np.log(settings.stretch))
    scale_x = max(scale * stretch, width / full_width)
    scale_y = max(scale, height / full_height)
    window = (
        min(max(round(width / scale_x), 1), full_width),
        min(max(round(height / scale_y), 1), full_height),
    )
    left = int(rng.integers(full_width - window[0], endpoint=True))
    top = int(rng.integers(full_height - window[1], endpoint=True))
    flip, swap, erase = rng.random(3) < (settings.vertical_flip, settings.swap, settings.erase)
    offset_px = rng.uniform(-1, 1) * settings.misalignment_px
    sample = resized(dress(cropped(sample, left=left, top=top, size=window)), size)
    if flip:
        sample = flipped(sample)
    if swap and sample.right_truth is not None:
        sample = swapped(sample)
    if offset_px:
        sample = replace(sample, right=_shifted_down(sample.right, offset_px))
    if erase:
        sample = erased(sample, share=settings.erase_share, rng=rng)
    left_view, right_view = jittered(sample.left, sample.right, settings.photometric, rng=rng)
    sample = replace(sample, left=left_view, right=right_view)
    # Drawn last and only where asked for, so that other settings keep their samples.
    if settings.one_eye and rng.random() < settings.one_eye:
        sample = one_eyed(sample)
    if settings.mirror and rng.random() < settings.mirror:
        sample = mirrored(sample)
    if settings.letterbox and rng.random() < settings.letterbox:
        sample = letterboxed(sample, rng)
    return sample


def cropped(sample: Sample, *, left: int, top: int, size: tuple[int, int]) -> Sample:
    """The same columns and rows of both views; what has lost its partner is occluded."""
    window = np.s_[top : top + size[1], left : left + size[0]]

    def cut(truth: Truth | None, *, of_right: bool) -> Truth | None:
        if truth is None:
            return None
        disparity_px = truth.disparity_px[window]
        x = np.arange(size[0], dtype=np.float32)
        room = size[0] - 1 - x if of_right else x
        # NaN compares False: nobody knows the partner of what has no disparity.
        outside = room < disparity_px
        return Truth(
            disparity_px, truth.occluded[window] | outside, truth.mask[window], truth.parts[window]
        )

    return replace(
        sample,
        left=sample.left[window],
        right=sample.right[window],
        truth=cut(sample.truth, of_right=False),
        right_truth=cut(sample.right_truth, of_right=True),
    )


def resized(sample: Sample, size: tuple[int, int]) -> Sample:
    """Both views at another size, disparities in its px. Truth is interpolated within one surface
    and never between two; labels are those of the nearest pixel.
    """
    height, width = sample.left.shape[:2]
    if (width, height) == tuple(size):
        return sample
    smaller = size[0] * size[1] < width * height
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    factor = np.float32(size[0] / width)

    def truth_at(truth: Truth | None) -> Truth | None:
        if truth is None:
            return None
        return Truth(
            _resized_disparity(truth.disparity_px, size) * factor,
            _nearest(truth.occluded.astype(np.uint8), size).astype(bool),
            _nearest(truth.mask, size),
            _nearest(truth.parts, size),
        )

    return replace(
        sample,
        left=cv2.resize(sample.left, size, interpolation=how),
        right=cv2.resize(sample.right, size, interpolation=how),
        truth=truth_at(sample.truth),
        right_truth=truth_at(sample.right_truth),
    )


def flipped(sample: Sample) -> Sample:
    """Upside down; disparities stay as they are."""

    def turned(truth: Truth | None) -> Truth | None:
        return None if truth is None else _each(truth, np.flipud)

    return replace(
        sample,
        left=np.flipud(sample.left),
        right=np.flipud(sample.right),
        truth=turned(sample.truth),
        right_truth=turned(sample.right_truth),
    )


def swapped(sample: Sample) -> Sample:
    """Seen in a mirror: the right view, mirrored, is a left one. Needs `right_truth`."""
    assert sample.right_truth is not None
    return replace(
        sample,
        left=np.fliplr(sample.right),
        right=np.fliplr(sample.left),
        truth=_each(sample.right_truth, np.fliplr),
        right_truth=_each(sample.truth, np.fliplr),
    )


def erased(sample: Sample, *, share: float, rng: np.random.Generator) -> Sample:
    """Hide one to three rectangles of the right view behind its mean colour and noise; left pixels
    whose partner is hidden are occluded. The right view's truth is gone.
    """
    height, width = sample.left.shape[:2]
    right, hidden = sample.right.copy(), np.zeros((height, width), bool)
    for _ in range(rng.integers(1, 4)):
        w, h = (
            max(int(side * rng.uniform(0.02, max(share, 0.02))), 1) for side in (width, height)
        )
        x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
        colour = right.reshape(-1, 3).mean(axis=0) + rng.normal(0, 20, (h, w, 3))
        right[y : y + h, x : x + w] = np.clip(colour, 0, 255)
        hidden[y : y + h, x : x + w] = True
    behind = partner_covered(sample.truth, hidden)
    truth = replace(sample.truth, occluded=sample.truth.occluded | behind)
    return replace(sample, right=right, truth=truth, right_truth=None)


def one_eyed(sample: Sample) -> Sample:
    """The left view twice. The mask stays; nobody knows a disparity."""
    return replace(
        sample, right=sample.left, truth=_without_disparity(sample.truth), right_truth=None
    )


def mirrored(sample: Sample) -> Sample:
    """Each view in a mirror. The mask stays; a disparity would be negative, and is unknown."""
    truth = _each(_without_disparity(sample.truth), np.fliplr)
    left, right = (np.fliplr(view) for view in (sample.left, sample.right))
    return replace(sample, left=left, right=right, truth=truth, right_truth=None)


def _without_disparity(truth: Truth) -> Truth:
    return replace(
        truth,
        disparity_px=np.full_like(truth.disparity_px, np.nan),
        occluded=np.zeros_like(truth.occluded),
    )


def _shifted_down(picture: np.ndarray, offset_px: float) -> np.ndarray:
    move = np.array([[1, 0, 0], [0, 1, offset_px]], np.float64)
    size = picture.shape[1], picture.shape[0]
    border = cv2.BORDER_REPLICATE
    return cv2.warpAffine(picture, move, size, flags=cv2.INTER_LINEAR, borderMode=border)


def _resized_disparity(disparity_px: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    known = np.where(np.isfinite(disparity_px), disparity_px, _FAR)
    kernel = np.ones((3, 3), np.uint8)
    nearest_px, farthest_px = cv2.dilate(known, kernel), cv2.erode(known, kernel)
    smooth = (nearest_px - farthest_px <= _ONE_SURFACE_PX) & (farthest_px > _FAR)
    one_surface = _nearest(smooth, size)
    between = cv2.resize(known, size, interpolation=cv2.INTER_LINEAR)
    return np.where(one_surface, between, _nearest(disparity_px, size)).astype(np.float32)


def _nearest(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By pixel centres, which OpenCV's plain nearest neighbour ignores."""
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for old, new in zip(plane.shape, size[::-1], strict=True)
    )
    return plane[rows[:, None], columns]


def _each(truth: Truth, change) -> Truth:
    return Truth(
        *(change(plane) for plane in (truth.disparity_px, truth.occluded, truth.mask, truth.parts))
    )
