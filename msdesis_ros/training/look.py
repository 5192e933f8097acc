"""How own pictures look, and pairs with truth that are made to look like them.

A network that has never seen a camera errs where its colours, its sharpness and its noise are new.
Own pairs have no truth to teach it, but pairs with truth can wear what can be measured without
one: of each eye by itself, since two eyes that differ are part of the look. Colours after Pitie
and Kokaram, The linear Monge-Kantorovitch linear colour mapping (CVMP 2007); noise after
Immerkaer, Fast noise variance estimation (CVIU 1996), with the median, which edges do not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from msdesis_ros.training.batch import Sample

# Darker than this in all channels is the black around a round field of view (levels of 255).
DARK = 8
# Share of the dressed pairs that are dressed as in a mirror.
MIRRORED = 0.3
# By how much colours may be spread or drawn together.
_STRETCH = (0.25, 3.0)
# Spectra are of squares of this side, in so many bands from 0 to half a cycle a pixel.
_SQUARE, _BANDS = 64, 16
_KERNEL = 17
# Power of a signal that is none, levels squared; and how many bands say how blurred it is.
_LEAST_POWER, _LEAST_BANDS = 0.02, 3
# What colours are of, at least: so many of every eleventh.
_LEAST_PIXELS = 32
# Where the distributions of levels are laid on each other, shares of the pixels.
_SHARES = np.array([0.5, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99.5]) / 100
# Every eleventh pixel is enough to tell.
_SAMPLED = 11
_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# Standard deviation of what `_LAPLACIANS` makes of white noise of deviation 1, over the median.
_DEVIATION = 1 / (6 * 0.6745)
# What red, green and blue add to the brightness.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Colours:
    """Of some views, levels of 255. mean: 3. covariance: 3 x 3, that of noise included."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, eq=False)
class Look:
    """How pairs look.

    plain: colours of the other pairs, both views together; colours: of the left and of the right
    views that were measured. curves: 2 x 3 x 2 x k, of each view and channel the levels that the
    colours alone lead to, and what becomes of them. kernels: what blurs the left and the right
    view of other pairs as these are, k x k each, with the sum 1. noise: 2 x 3, the standard
    deviation that other pairs lack, levels of 255.
    """

    plain: Colours
    colours: tuple[Colours, Colours]
    curves: np.ndarray
    kernels: tuple[np.ndarray, np.ndarray]
    noise: np.ndarray

    @property
    def of_the_other_eye(self) -> Look:
        """How the pairs look in a mirror, where each view takes the place of the other."""
        return Look(
            self.plain,
            self.colours[::-1],
            self.curves[::-1],
            self.kernels[::-1],
            self.noise[::-1],
        )

    def worn_by(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with the colours of those pairs, their sharpness and their noise."""
        coloured = _coloured_as(sample, self.plain, self.colours)
        views = _sharp_as(_toned(coloured, self.curves), self.kernels)
        noisy = [
            view + rng.standard_normal(view.shape, dtype=np.float32) * deviation
            for view, deviation in zip(views, self.noise.astype(np.float32), strict=True)
        ]
        left, right = (np.clip(np.rint(view), 0, 255).astype(np.uint8) for view in noisy)
        return replace(sample, left=left, right=right)


@dataclass(frozen=True, eq=False)
class Dressing:
    """Gives a share of the pairs with truth a look; leaves the others, and pairs without.

    Some get it as in a mirror, since own pairs are looked at both ways.
    """

    look: Look
    share: float

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if not np.isfinite(sample.truth.disparity_px).any() or rng.random() >= self.share:
            return sample
        look = self.look.of_the_other_eye if rng.random() < MIRRORED else self.look
        return look.worn_by(sample, rng)


def look_of(own: Sequence[Sample], others: Sequence[Sample]) -> Look | None:
    """Measure how own pairs look beside other ones; None where either are all black."""
    ours = [[getattr(s, side) for s in own] for side in ('left', 'right')]
    left, right = (colours_of(*views) for views in ours)
    plain = colours_of(*(view for s in others for view in (s.left, s.right)))
    if left is None or right is None or plain is None:
        return None
    dressed = [_coloured_as(s, plain, (left, right)) for s in others]
    curves = np.stack(
        [_curves_between(*both) for both in zip(ours, zip(*dressed, strict=True), strict=True)]
    )
    dressed = [_toned(pair, curves) for pair in dressed]
    theirs = [list(views) for views in zip(*dressed, strict=True)]
    kernels = tuple(_blur_between(*both) for both in zip(ours, theirs, strict=True))
    blurred = [_sharp_as(pair, kernels) for pair in dressed]
    lacking = []
    for side, views in enumerate(ours):
        there = np.median([noise_of(view) for view in views], axis=0)
        had = np.median([noise_of(pair[side]) for pair in blurred], axis=0)
        lacking.append(np.sqrt(np.maximum(there**2 - had**2, 0)))
    return Look(plain, (left, right), curves, kernels, np.array(lacking))


def colours_of(*views: np.ndarray) -> Colours | None:
    """Of views, H x W x 3 each, without what is black; None where hardly anything is left."""
    count, total, squares = 0, np.zeros(3), np.zeros((3, 3))
    for view in views:
        pixels = _some_lit(view).astype(np.float64)
        count += len(pixels)
        total += pixels.sum(axis=0)
        squares += pixels.T @ pixels
    if count < _LEAST_PIXELS:
        return None
    mean = total / count
    return Colours(mean, squares / count - np.outer(mean, mean))


def noise_of(view: np.ndarray) -> np.ndarray:
    """Standard deviation of the white noise in H x W x 3, of each channel."""
    answer = cv2.filter2D(view.astype(np.float32), cv2.CV_32F, _LAPLACIANS)
    inside = np.abs(_some_lit(view[1:-1, 1:-1], answer[1:-1, 1:-1]))
    return np.median(inside, axis=0) * _DEVIATION if len(inside) else np.zeros(3)


def _lit(view: np.ndarray) -> np.ndarray:
    """... x 3 -> ... bool: not black. Much faster than a maximum over an axis of 3."""
    red, green, blue = (view[..., channel] >= DARK for channel in range(3))
    return red | green | blue


def _some_lit(view: np.ndarray, plane: np.ndarray | None = None) -> np.ndarray:
    """N x 3: of every eleventh pixel of the view that is not black its colour, or what `plane`,
    H x W x 3, has there.
    """
    plane = view if plane is None else plane
    sampled, there = (each.reshape(-1, 3)[::_SAMPLED] for each in (plane, view))
    return sampled[_lit(there)]


def spectrum_of(view: np.ndarray) -> np.ndarray | None:
    """Mean power of the brightness by radial frequency, _BANDS values; None without a square of
    the picture that is free of black.
    """
    brightness = view.astype(np.float32) @ np.float32(LUMA)
    lit = _lit(view)
    window = np.outer(np.hanning(_SQUARE), np.hanning(_SQUARE)).astype(np.float32)
    frequency = np.fft.fftfreq(_SQUARE)
    radius = np.hypot(frequency[:, None], frequency[: _SQUARE // 2 + 1])
    band = np.minimum((radius * 2 * _BANDS).astype(int), _BANDS - 1)
    powers = []
    for top in range(0, view.shape[0] - _SQUARE + 1, _SQUARE):
        for left in range(0, view.shape[1] - _SQUARE + 1, _SQUARE):
            place = np.s_[top : top + _SQUARE, left : left + _SQUARE]
            if lit[place].mean() > 0.99:
                square = (brightness[place] - brightness[place].mean()) * window
                powers.append(np.abs(np.fft.rfft2(square)) ** 2)
    if not powers:
        return None
    power = np.mean(powers, axis=0) / (window**2).sum()
    return np.bincount(band.ravel(), power.ravel(), _BANDS) / np.bincount(
        band.ravel(), minlength=_BANDS
    )


def _coloured_as(
    sample: Sample, plain: Colours, colours: tuple[Colours, Colours]
) -> list[np.ndarray]:
    """Both views as float32 with other colours. Where the views of a scene or of an eye are darker
    or duller than others, they still are: that is not the camera's.
    """
    found = []
    for view, wanted in zip((sample.left, sample.right), colours, strict=True):
        matrix = _between(plain.covariance, wanted.covariance)
        shift = wanted.mean - matrix @ plain.mean
        found.append(cv2.transform(view.astype(np.float32), np.column_stack((matrix, shift))))
    return found


def _between(have: np.ndarray, want: np.ndarray) -> np.ndarray:
    """The symmetric matrix that makes one covariance of the other, within `_STRETCH`."""
    root = _power(have, 0.5)
    back = _power(have, -0.5)
    matrix = back @ _power(root @ want @ root, 0.5) @ back
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.clip(values, *_STRETCH)) @ vectors.T


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.maximum(values, 1.0) ** exponent) @ vectors.T


def _curves_between(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> np.ndarray:
    """3 x 2 x k: the levels of `theirs`, and those of `ours` with as many pixels below; not
    steeper, nor flatter, than colours may be stretched.
    """
    levels = [np.concatenate([_some_lit(view) for view in views]) for views in (ours, theirs)]
    if not all(map(len, levels)):
        return np.broadcast_to(np.float64([0, 255]), (3, 2, 2))
    wanted, had = (np.quantile(pixels, _SHARES, axis=0) for pixels in levels)
    middle = len(_SHARES) // 2
    steps = np.maximum(np.diff(had, axis=0), 0.5)
    rises = np.clip(np.diff(wanted, axis=0), _STRETCH[0] * steps, _STRETCH[1] * steps)
    levels, values = (
        np.concatenate((np.zeros((1, 3)), np.cumsum(steps, axis=0))) for steps in (steps, rises)
    )
    levels += had[middle] - levels[middle]
    values += wanted[middle] - values[middle]
    return np.stack((levels.T, values.T), axis=1)


def _toned(views: Sequence[np.ndarray], curves: np.ndarray) -> list[np.ndarray]:
    """Each channel along its curve, straight on beyond both ends."""
    found = []
    for view, of_view in zip(views, curves, strict=True):
        channels = []
        for channel, (levels, values) in enumerate(of_view):
            plane = view[..., channel]
            moved = np.interp(plane, levels, values)
            moved += np.minimum(plane - levels[0], 0) + np.maximum(plane - levels[-1], 0)
            channels.append(moved)
        found.append(np.stack(channels, axis=-1).astype(np.float32))
    return found


def _blur_between(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> np.ndarray:
    """The Gaussian that makes the spectra of `theirs` those of `ours`, k x k; never a sharpening.

    Only bands count in which both have more signal than noise: beyond, a spectrum tells nothing of
    what was there before the noise.
    """
    signals, trusted = [], np.ones(_BANDS, bool)
    for views in (ours, theirs):
        powers = [power for power in map(spectrum_of, views) if power is not None]
        if not powers:
            return _gaussian(0.0)
        noise = np.median([(noise_of(view) ** 2) @ np.square(LUMA) for view in views])
        signal = np.mean(powers, axis=0) - noise
        trusted &= signal > max(noise, _LEAST_POWER)
        signals.append(signal)
    if trusted.sum() < _LEAST_BANDS:
        return _gaussian(0.0)
    frequency = (np.arange(_BANDS)[trusted] + 0.5) / (2 * _BANDS)
    log_gain = np.log(signals[0][trusted] / signals[1][trusted]) / 2
    # A ring of the spectrum holds the more frequencies the larger it is.
    slope, _ = np.polyfit(frequency**2, log_gain, 1, w=np.sqrt(frequency))
    return _gaussian(np.sqrt(max(-slope, 0.0) / 2) / np.pi)


def _gaussian(deviation_px: float) -> np.ndarray:
    """_KERNEL x _KERNEL, sum 1; wider ones than fit are cut off."""
    deviation_px = min(max(deviation_px, 1e-3), _KERNEL / 4)
    line = cv2.getGaussianKernel(_KERNEL, deviation_px, cv2.CV_32F)
    return line @ line.T


def _sharp_as(views: Sequence[np.ndarray], kernels: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        cv2.filter2D(view, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        for view, kernel in zip(views, kernels, strict=True)
    ]
