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
_LAPLACIANS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# Standard deviation of what `_LAPLACIANS` makes of white noise of deviation 1, over the median.
_DEVIATION = 1 / (6 * 0.6745)
# What red, green and blue add to the brightness.
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, eq=False)
class Colours:
    """Of one view, levels of 255. mean: 3. covariance: 3 x 3, that of noise included."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, eq=False)
class Look:
    """How pairs look. colours: of the left and the right view of each pair that was measured.
    kernels: what blurs the left and the right view of other pairs as these are, k x k each, with
    the sum 1. noise: 2 x 3, the standard deviation that other pairs lack, levels of 255.
    """

    colours: tuple[tuple[Colours, Colours], ...]
    kernels: tuple[np.ndarray, np.ndarray]
    noise: np.ndarray

    @property
    def of_the_other_eye(self) -> Look:
        """How the pairs look in a mirror, where each view takes the place of the other."""
        turned = tuple((right, left) for left, right in self.colours)
        return Look(turned, self.kernels[::-1], self.noise[::-1])

    def worn_by(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample with the colours of one of the pairs, their sharpness and their noise."""
        colours = self.colours[int(rng.integers(len(self.colours)))]
        views = _sharp_as(_coloured_as(sample, colours), self.kernels)
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


def look_of(
    own: Sequence[Sample], others: Sequence[Sample], rng: np.random.Generator
) -> Look | None:
    """Measure how own pairs look beside other ones; None where all of them are black."""
    seen = [(colours_of(s.left), colours_of(s.right)) for s in own]
    colours = tuple(
        (left, right) for left, right in seen if left is not None and right is not None
    )
    if not colours or not others:
        return None
    dressed = [_coloured_as(s, colours[int(rng.integers(len(colours)))]) for s in others]
    ours = [[getattr(s, side) for s in own] for side in ('left', 'right')]
    theirs = [list(views) for views in zip(*dressed, strict=True)]
    kernels = tuple(_blur_between(*both) for both in zip(ours, theirs, strict=True))
    blurred = [_sharp_as(pair, kernels) for pair in dressed]
    lacking = []
    for side, views in enumerate(ours):
        there = np.median([noise_of(view) for view in views], axis=0)
        had = np.median([noise_of(pair[side]) for pair in blurred], axis=0)
        lacking.append(np.sqrt(np.maximum(there**2 - had**2, 0)))
    return Look(colours, kernels, np.array(lacking))


def colours_of(view: np.ndarray) -> Colours | None:
    """Of H x W x 3, without what is black; None where hardly anything is left."""
    pixels = view[view.max(axis=2) >= DARK].astype(np.float64)
    if len(pixels) < 256:
        return None
    return Colours(pixels.mean(axis=0), np.cov(pixels, rowvar=False))


def noise_of(view: np.ndarray) -> np.ndarray:
    """Standard deviation of the white noise in H x W x 3, of each channel."""
    answer = np.abs(cv2.filter2D(view.astype(np.float32), cv2.CV_32F, _LAPLACIANS))
    inside = answer[1:-1, 1:-1][view[1:-1, 1:-1].max(axis=2) >= DARK]
    return np.median(inside, axis=0) * _DEVIATION if len(inside) else np.zeros(3)


def spectrum_of(view: np.ndarray) -> np.ndarray | None:
    """Mean power of the brightness by radial frequency, _BANDS values; None without a square of
    the picture that is free of black.
    """
    brightness = view.astype(np.float32) @ np.float32(LUMA)
    lit = view.max(axis=2) >= DARK
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


def _coloured_as(sample: Sample, colours: tuple[Colours, Colours]) -> list[np.ndarray]:
    """Both views as float32 with other colours. They count as one picture, so that what sets the
    eyes of `colours` apart is what sets these apart.
    """
    both = colours_of(np.concatenate((sample.left, sample.right)))
    views = [sample.left.astype(np.float32), sample.right.astype(np.float32)]
    if both is None:
        return views
    found = []
    for view, wanted in zip(views, colours, strict=True):
        matrix = _between(both.covariance, wanted.covariance).astype(np.float32)
        moved = (view - both.mean.astype(np.float32)) @ matrix.T + wanted.mean.astype(np.float32)
        found.append(moved)
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


def _blur_between(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> np.ndarray:
    """The kernel that makes the spectra of `theirs` those of `ours`, as far as it is a blur."""
    spectra = []
    for views in (ours, theirs):
        powers = [power for power in map(spectrum_of, views) if power is not None]
        noise = np.median(
            [(noise_of(view) ** 2) @ np.float32(LUMA).astype(np.float64) ** 2 for view in views]
        )
        spectra.append(np.mean(powers, axis=0) - noise if powers else np.ones(_BANDS))
    wanted, had = (np.maximum(power, 1e-3) for power in spectra)
    gain = np.minimum.accumulate(np.minimum(np.sqrt(wanted / had), 1.0))
    frequency = np.fft.fftfreq(_KERNEL)
    radius = np.hypot(frequency[:, None], frequency)
    middle = (np.arange(_BANDS) + 0.5) / (2 * _BANDS)
    kernel = np.fft.fftshift(np.fft.ifft2(np.interp(radius, middle, gain / gain[0])).real)
    return (kernel / kernel.sum()).astype(np.float32)


def _sharp_as(views: Sequence[np.ndarray], kernels: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        cv2.filter2D(view, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        for view, kernel in zip(views, kernels, strict=True)
    ]
