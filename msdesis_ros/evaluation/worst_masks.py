"""A sheet for people: the frames whose instrument masks went worst, and what was wrong in them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.data.overview import (
    BACKGROUND,
    CAPTION_PX,
    FAINT,
    FONT,
    MARGIN_PX,
    TEXT,
    TOOL_COLOUR,
)

WORST_FRAMES = 4
PANEL_PX = 480
TITLE_PX = 34
TRUTH_COLOUR, FALSE_ALARM, MISSED, HIT = (
    (60, 230, 90),
    (240, 120, 40),
    (70, 110, 255),
    (90, 90, 96),
)


@dataclass(frozen=True, eq=False)
class MaskCase:
    """One scored frame: left H x W x 3 uint8 RGB, prediction and truth H x W bool."""

    name: str
    iou: float
    left: np.ndarray
    prediction: np.ndarray
    truth: np.ndarray


class WorstMasks:
    """Keeps the frames with the lowest IoU of all that it is shown, the first of equal ones."""

    def __init__(self, count: int = WORST_FRAMES) -> None:
        self._count, self._seen = count, 0
        self._kept: list[tuple[float, int, MaskCase]] = []

    def wants(self, iou: float) -> bool:
        """Whether a frame with this IoU would be kept, so that its picture is worth reading."""
        return len(self._kept) < self._count or -iou > self._kept[0][0]

    def show(self, case: MaskCase) -> None:
        """Look at one frame; its pictures are kept only while it is among the worst."""
        entry = (-case.iou, -self._seen, case)
        self._seen += 1
        if len(self._kept) < self._count:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    @property
    def cases(self) -> list[MaskCase]:
        """The worst frame first."""
        return [case for *_, case in sorted(self._kept, reverse=True, key=lambda e: e[:2])]

    def sheet(self, title: str) -> np.ndarray:
        """Draw each frame: outlines on its picture, and what is right, false and missed.

        Returns H x W x 3 uint8 RGB. Needs at least one frame. title: ASCII.
        """
        rows = [_line(title, 0.6), *(_row(case) for case in self.cases)]
        return np.vstack(rows)


def _row(case: MaskCase) -> np.ndarray:
    shrinks = case.truth.shape[1] > PANEL_PX
    tiles = [
        _tile(
            'truth green, found cyan',
            _outlined(case),
            cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST,
        ),
        # Colours that stand for classes must not mix.
        _tile(
            'false alarm orange, missed blue, right grey', _differences(case), cv2.INTER_NEAREST
        ),
    ]
    return np.vstack([_line(f'{case.name}: IoU {case.iou:.3f}', 0.5), np.hstack(tiles)])


def _outlined(case: MaskCase) -> np.ndarray:
    picture = case.left.copy()
    thick = max(1, picture.shape[1] // 400)
    for mask, colour in ((case.truth, TRUTH_COLOUR), (case.prediction, TOOL_COLOUR)):
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, lines, -1, colour, thick)
    return picture


def _differences(case: MaskCase) -> np.ndarray:
    picture = np.zeros((*case.truth.shape, 3), np.uint8)
    picture[case.truth & case.prediction] = HIT
    picture[case.prediction & ~case.truth] = FALSE_ALARM
    picture[case.truth & ~case.prediction] = MISSED
    return picture


def _tile(caption: str, picture: np.ndarray, interpolation: int) -> np.ndarray:
    tall = max(1, round(PANEL_PX * picture.shape[0] / picture.shape[1]))
    shrunk = cv2.resize(picture, (PANEL_PX, tall), interpolation=interpolation)
    tile = np.full(
        (CAPTION_PX + tall + MARGIN_PX, PANEL_PX + 2 * MARGIN_PX, 3), BACKGROUND, np.uint8
    )
    tile[CAPTION_PX : CAPTION_PX + tall, MARGIN_PX : MARGIN_PX + PANEL_PX] = shrunk
    cv2.putText(tile, caption, (MARGIN_PX, CAPTION_PX - 10), FONT, 0.42, FAINT, 1, cv2.LINE_AA)
    return tile


def _line(text: str, size: float) -> np.ndarray:
    band = np.full((TITLE_PX, 2 * (PANEL_PX + 2 * MARGIN_PX), 3), BACKGROUND, np.uint8)
    cv2.putText(band, text, (MARGIN_PX, TITLE_PX - 10), FONT, size, TEXT, 1, cv2.LINE_AA)
    return band
