"""Bars around a picture, as recorders and screens put them there."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from msdesis_ros.training.batch import UNKNOWN, Sample, Truth

# Most of the width and of the height that a bar takes on each side.
WIDEST = 0.25
# Levels of 255: how light bars are, and how far each channel goes from there.
LIGHTEST, TINT = 48.0, 2.0
# Most of the shorter side of the picture that is left that the radius of its corners takes.
ROUNDEST = 0.3


def letterboxed(sample: Sample, rng: np.random.Generator) -> Sample:
    """Cover the border of both views alike: bars are no instrument and have no disparity, and a
    pixel whose partner they cover is occluded. What nobody knew stays unknown.
    """
    covered = _bars(sample.left.shape[:2], rng)
    colour = rng.uniform(0, LIGHTEST) + rng.uniform(-TINT, TINT, 3)
    colour = np.clip(np.rint(colour), 0, 255).astype(np.uint8)
    left, right = (
        np.where(covered[..., None], colour, view) for view in (sample.left, sample.right)
    )
    right_truth = sample.right_truth
    return replace(
        sample,
        left=left,
        right=right,
        truth=_behind(sample.truth, covered, towards=-1),
        right_truth=None if right_truth is None else _behind(right_truth, covered, towards=1),
    )


def partner_covered(truth: Truth, covered: np.ndarray, *, towards: int = -1) -> np.ndarray:
    """H x W bool: pixels of one view whose partner, towards the left (-1) or the right (1), lies
    where the other view is covered.
    """
    width = covered.shape[1]
    known = np.isfinite(truth.disparity_px)
    partner = np.arange(width) + towards * np.where(known, truth.disparity_px, 0)
    column = np.clip(np.rint(partner), 0, width - 1).astype(np.int64)
    return known & np.take_along_axis(covered, column, axis=1)


def _bars(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """H x W bool, True in the bars, of which any side may have one, or none."""
    height, width = shape
    widths = rng.uniform(0, WIDEST, (2, 2)) * (rng.random((2, 2)) < 0.7)
    if rng.random() < 0.5:
        widths[:, 1] = widths[:, 0]
    left, right = (round(width * share) for share in widths[0])
    top, bottom = (round(height * share) for share in widths[1])
    inner = width - left - right, height - top - bottom
    picture = np.zeros(shape, np.uint8)
    radius = round(rng.uniform(0, ROUNDEST) * min(inner)) if rng.random() < 0.3 else 0
    # A rectangle, opened by a disc: round corners.
    picture[top : height - bottom, left : width - right] = 1
    if radius:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        core = np.zeros(shape, np.uint8)
        core[top + radius : height - bottom - radius, left + radius : width - right - radius] = 1
        picture = cv2.dilate(core, disc)
    return picture == 0


def _behind(truth: Truth, covered: np.ndarray, *, towards: int) -> Truth:
    """The truth of a view whose partners lie `towards` the left (-1) or the right (1)."""
    hidden = partner_covered(truth, covered, towards=towards)
    return Truth(
        np.where(covered, np.float32(np.nan), truth.disparity_px),
        truth.occluded | hidden,
        _none(truth.mask, covered),
        _none(truth.parts, covered),
    )


def _none(labels: np.ndarray, covered: np.ndarray) -> np.ndarray:
    return np.where(covered & (labels != UNKNOWN), 0, labels).astype(labels.dtype)
