"""A sheet for people: the frames of SCARED that went worst, as picture, truth, answer, error."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.overview import (
    BACKGROUND,
    CAPTION_PX,
    FAINT,
    FONT,
    MARGIN_PX,
    RANGE_PERCENTILES,
    TEXT,
    colour_disparity,
)
from msdesis_ros.evaluation.scared_protocols import Protocol
from msdesis_ros.evaluation.scared_tree import LEFT, ORIGINAL_LEFT, Frame

WORST_FRAMES = 3
PANEL_PX = 360
TITLE_PX = 34
# Errors have one scale on every row, so that rows can be compared.
ERROR_RANGES = {'px': 5.0, 'mm': 10.0}


@dataclass(frozen=True)
class _Case:
    frame: Frame
    truth: np.ndarray
    predicted: np.ndarray
    error: float


class ScaredSheet:
    """Keeps the frames with the largest mean error; planes are H x W, NaN = unknown."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._kept: list[tuple[float, int, _Case]] = []
        self._seen = 0

    def show(self, frame: Frame, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Look at one counted frame; it is kept only while it is among the worst."""
        known = np.isfinite(truth)
        error = float(np.abs(np.nan_to_num(predicted[known]) - truth[known]).mean())
        entry = (error, -self._seen, _Case(frame, truth, predicted, error))
        self._seen += 1
        if len(self._kept) < WORST_FRAMES:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    def picture(self, title: str) -> np.ndarray:
        """Draw what was kept, the worst first: H x W x 3 uint8 RGB. title: ASCII."""
        head = np.full((TITLE_PX, 4 * (PANEL_PX + MARGIN_PX), 3), BACKGROUND, np.uint8)
        _write(head, title, 0.55, TEXT)
        worst = sorted(self._kept, key=lambda entry: entry[:2], reverse=True)
        return np.vstack([head, *(self._row(case) for _, _, case in worst)])

    def _row(self, case: _Case) -> np.ndarray:
        unit = self._protocol.unit
        known = np.isfinite(case.truth)
        low, high = (float(v) for v in np.percentile(case.truth[known], RANGE_PERCENTILES))
        # Near is red in both: small depths, large disparities.
        sign, ends = (1, (low, high)) if unit == 'px' else (-1, (-high, -low))

        def drawn(plane: np.ndarray) -> np.ndarray:
            return colour_disparity(sign * plane, np.isfinite(plane), *ends)

        error = np.abs(case.predicted - case.truth)
        shown = np.isfinite(error)
        panels = {
            'left picture': self._left(case),
            f'truth, {low:.1f} to {high:.1f} {unit}': drawn(case.truth),
            'prediction': drawn(case.predicted),
            f'error, 0 to {ERROR_RANGES[unit]:g} {unit}': colour_disparity(
                error, shown, 0, ERROR_RANGES[unit]
            ),
        }
        body = np.hstack([_tile(caption, picture) for caption, picture in panels.items()])
        head = np.full((TITLE_PX, body.shape[1], 3), BACKGROUND, np.uint8)
        _write(head, f'{case.frame.full_name}: mean error {case.error:.2f} {unit}', 0.5, TEXT)
        return np.vstack([head, body])

    def _left(self, case: _Case) -> np.ndarray:
        side = LEFT if self._protocol.domain == 'disparity' else ORIGINAL_LEFT
        try:
            return read_rgb(case.frame.files[side])
        except (KeyError, FileFormatError):  # a sheet without the picture is still of use
            return np.full((*case.truth.shape, 3), BACKGROUND, np.uint8)


def _tile(caption: str, picture: np.ndarray) -> np.ndarray:
    tall = max(1, round(PANEL_PX * picture.shape[0] / picture.shape[1]))
    tile = np.full((CAPTION_PX + tall + MARGIN_PX, PANEL_PX + MARGIN_PX, 3), BACKGROUND, np.uint8)
    # Colours that stand for numbers must not mix.
    small = cv2.resize(
        np.ascontiguousarray(picture), (PANEL_PX, tall), interpolation=cv2.INTER_NEAREST
    )
    tile[CAPTION_PX:-MARGIN_PX, MARGIN_PX:] = small
    _write(tile[:CAPTION_PX], caption, 0.42, FAINT)
    return tile


def _write(band: np.ndarray, text: str, size: float, colour: tuple[int, int, int]) -> None:
    at = (MARGIN_PX, band.shape[0] - 10)
    cv2.putText(band, text, at, FONT, size, colour, 1, cv2.LINE_AA)
