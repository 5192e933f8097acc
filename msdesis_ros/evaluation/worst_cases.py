"""A sheet for people: the frames that went worst, and in them the places that went worst."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.overview import (
    BACKGROUND,
    CAPTION_PX,
    FAINT,
    FONT,
    MARGIN_PX,
    RANGE_PERCENTILES,
    TEXT,
    TOOL_COLOUR,
    colour_disparity,
)
from msdesis_ros.evaluation.frame_score import FrameAnswer, FrameTruth, Score

WORST_FRAMES = 3
PANEL_PX = 360
TITLE_PX = 34
# Errors and uncertainties have one scale on every row, so that rows can be compared.
ERROR_RANGE_PX = 5.0
# An area's error counts up to here: one wild pixel does not make the worst area.
LARGEST_TROUBLE_PX = 10.0
TRUTH_COLOUR = (60, 230, 90)
_UNTRUSTED_LIGHT = 0.4  # how bright the pixels are drawn that are not valid

Area = tuple[int, int, int, int]  # left, top, width, height, px


@dataclass(frozen=True)
class Case:
    """One scored frame with everything that a row of the sheet shows."""

    name: str
    truth: FrameTruth
    answer: FrameAnswer
    score: Score

    @property
    def badness(self) -> float:
        """The share of pixels off by more than 3 px, or without a number; of wrong mask pixels
        for a model without a disparity.
        """
        everything = self.score.measures.get('all', {})
        bad = everything.get('dense_bad_3')
        if bad is not None:
            return bad
        mask = self.score.mask
        if mask is None:
            return 0.0
        wrong = mask.false_alarm + mask.missed
        return wrong / (wrong + mask.hit + mask.background)

    @property
    def error_px(self) -> np.ndarray:
        """H x W float64; NaN without a truth or a number."""
        if self.answer.disparity_px is None:
            return np.full(self.truth.disparity_px.shape, np.nan)
        return np.abs(self.answer.disparity_px.astype(np.float64) - self.truth.disparity_px)

    @property
    def trouble(self) -> np.ndarray:
        """H x W float64: what is wrong at each pixel; NaN where nothing can be said."""
        mask, true_mask = self.answer.instrument_mask, self.truth.instrument_mask
        if self.answer.disparity_px is not None:
            error = np.nan_to_num(self.error_px, nan=LARGEST_TROUBLE_PX)
            known = np.isfinite(self.truth.disparity_px)
            return np.where(known, np.minimum(error, LARGEST_TROUBLE_PX), np.nan)
        if mask is None or true_mask is None:
            return np.full(self.truth.disparity_px.shape, np.nan)
        return (mask != true_mask).astype(np.float64)


class WorstCases:
    """Keeps the worst frames of all that it is shown, and the first of equally bad ones."""

    def __init__(self, count: int = WORST_FRAMES) -> None:
        self._count = count
        self._seen = 0
        self._kept: list[tuple[float, int, Case]] = []

    def show(self, case: Case) -> None:
        """Look at one frame; its pictures are kept only while it is among the worst."""
        entry = (case.badness, -self._seen, case)
        self._seen += 1
        if len(self._kept) < self._count:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    @property
    def cases(self) -> list[Case]:
        """The worst frame first."""
        return [case for _, _, case in sorted(self._kept, reverse=True, key=lambda e: e[:2])]

    def sheet(self, title: str) -> np.ndarray:
        """Draw each frame with its worst area (three areas where there was one frame only).

        Returns H x W x 3 uint8 RGB. Needs at least one frame. title: ASCII.
        """
        areas_each = 3 if self._seen == 1 else 1
        rows = [_title(title)]
        for case in self.cases:
            areas = worst_areas(case.trouble, areas_each)
            rows.append(_row(case, None, areas))
            rows += [_row(case, area, []) for area in areas]
        return np.vstack(rows)


def worst_areas(trouble: np.ndarray, count: int) -> list[Area]:
    """The windows with the largest mean of `trouble`, worst first, that do not overlap.

    trouble: H x W, NaN = nothing known. A window measures a third of the shorter side; one that
    is known at less than half of what the best known one is, or has no trouble, is left out.
    """
    height, width = trouble.shape
    side = max(1, min(height, width) // 3)
    known = np.isfinite(trouble)
    pixels = _window_sums(known, side)
    sums = _window_sums(np.where(known, trouble, 0), side)
    usable = pixels >= max(1.0, pixels.max() / 2)
    mean = np.where(usable, sums / np.maximum(pixels, 1), 0)
    found: list[Area] = []
    while len(found) < count and mean.max() > 0:
        top, left = (int(i) for i in np.unravel_index(np.argmax(mean), mean.shape))
        found.append((left, top, side, side))
        mean[max(0, top - side + 1) : top + side, max(0, left - side + 1) : left + side] = 0
    return found


def _window_sums(plane: np.ndarray, side: int) -> np.ndarray:
    """The sum over each whole window of side x side, by its top left corner."""
    table = cv2.integral(plane.astype(np.float64), sdepth=cv2.CV_64F)
    return (
        table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    )


def _row(case: Case, area: Area | None, boxes: list[Area]) -> np.ndarray:
    """The five panels of a frame, or of one area of it."""
    height, width = case.truth.disparity_px.shape
    left, top, wide, high = area or (0, 0, width, height)
    tall = max(1, round(PANEL_PX * high / wide))
    tiles = []
    for caption, picture in _panels(case):
        cut = np.ascontiguousarray(picture[top : top + high, left : left + wide])
        shrinks = wide > PANEL_PX and caption.startswith('left')
        # Colours that stand for numbers must not mix.
        cut = cv2.resize(
            cut,
            (PANEL_PX, tall),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST,
        )
        for box in boxes:
            corner = (round(box[0] * PANEL_PX / width), round(box[1] * tall / height))
            end = tuple(c + round(box[2] * PANEL_PX / width) for c in corner)
            cv2.rectangle(cut, corner, end, (255, 255, 255), 1)
        tiles.append(_tile(caption, cut))
    body = np.hstack(tiles)
    head = np.full((TITLE_PX, body.shape[1], 3), BACKGROUND, np.uint8)
    text = _whole_text(case) if area is None else _area_text(case, area)
    _write(head, text, (MARGIN_PX, TITLE_PX - 10), 0.5, TEXT)
    return np.vstack([head, body])


def _panels(case: Case) -> Iterator[tuple[str, np.ndarray]]:
    truth, answer = case.truth, case.answer
    yield 'left (tool: truth green, found blue)', _outlined(case)
    known = np.isfinite(truth.disparity_px)
    low, high = 0.0, 1.0
    if known.any():
        low, high = (float(v) for v in np.percentile(truth.disparity_px[known], RANGE_PERCENTILES))
    yield (
        f'truth, {low:.1f} to {high:.1f} px',
        colour_disparity(truth.disparity_px, known, low, high),
    )
    nothing = np.full(known.shape, np.nan)
    predicted = nothing if answer.disparity_px is None else answer.disparity_px
    drawn = colour_disparity(predicted, np.isfinite(predicted), low, high)
    untrusted = ~answer.valid & np.isfinite(predicted)
    drawn[untrusted] = (drawn[untrusted] * _UNTRUSTED_LIGHT).astype(np.uint8)
    yield 'prediction (dark: not valid)', drawn
    error = case.error_px
    caption = f'error, 0 to {ERROR_RANGE_PX:g} px'
    yield caption, colour_disparity(error, np.isfinite(error), 0, ERROR_RANGE_PX)
    unsure = answer.uncertainty_px
    if unsure is None:
        yield 'the model gives no uncertainty', colour_disparity(nothing, known, 0, 1)
    else:
        caption = f'uncertainty, 0 to {ERROR_RANGE_PX:g} px'
        yield caption, colour_disparity(unsure, np.isfinite(unsure), 0, ERROR_RANGE_PX)


def _outlined(case: Case) -> np.ndarray:
    picture = case.truth.left.copy()
    thick = max(1, picture.shape[1] // 400)
    for mask, colour in (
        (case.truth.instrument_mask, TRUTH_COLOUR),
        (case.answer.instrument_mask, TOOL_COLOUR),
    ):
        if mask is not None:
            lines, _ = cv2.findContours(
                mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(picture, lines, -1, colour, thick)
    return picture


def _whole_text(case: Case) -> str:
    found = case.score.measures.get('all', {})
    parts = []
    for name, label, scale, unit in (
        ('dense_bad_3', 'off by > 3 px or no number', 100, '%'),
        ('coverage', 'coverage', 100, '%'),
        ('epe_px', 'EPE of valid pixels', 1, 'px'),
        ('dense_epe_px', 'EPE of all', 1, 'px'),
        ('mask_iou', 'mask IoU', 1, ''),
    ):
        value = found.get(name)
        if value is not None:
            parts.append(f'{label} {value * scale:.2f} {unit}'.rstrip())
    return f'{case.name}: {", ".join(parts) or "nothing to score"}'


def _area_text(case: Case, area: Area) -> str:
    left, top, wide, high = area
    place = f'{case.name}, {wide}x{high} px at ({left}, {top})'
    error = case.error_px[top : top + high, left : left + wide]
    error = error[np.isfinite(error)]
    return f'{place}: mean error {error.mean():.2f} px' if error.size else place


def _tile(caption: str, picture: np.ndarray) -> np.ndarray:
    height = CAPTION_PX + picture.shape[0] + MARGIN_PX
    tile = np.full((height, PANEL_PX + MARGIN_PX, 3), BACKGROUND, np.uint8)
    tile[CAPTION_PX:-MARGIN_PX, MARGIN_PX:] = picture
    _write(tile, caption, (MARGIN_PX, CAPTION_PX - 10), 0.42, FAINT)
    return tile


def _title(text: str) -> np.ndarray:
    band = np.full((TITLE_PX + 10, 5 * (PANEL_PX + MARGIN_PX), 3), BACKGROUND, np.uint8)
    _write(band, text, (MARGIN_PX, TITLE_PX - 6), 0.7, TEXT)
    return band


def _write(
    picture: np.ndarray, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> None:
    cv2.putText(picture, text, at, FONT, size, colour, 1, cv2.LINE_AA)
