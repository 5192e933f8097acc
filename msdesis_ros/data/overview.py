"""One sheet for people: the picture, its disparity, its depth and what to make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from msdesis_ros.core.errors import ImageError

PANEL_WIDTH_PX = 640
MARGIN_PX, CAPTION_PX, BAR_PX, BAR_LABEL_PX = 16, 30, 18, 58
BACKGROUND, TEXT, FAINT = (24, 26, 30), (232, 234, 238), (150, 155, 165)
HATCH_DARK, HATCH_LIGHT = (44, 46, 52), (64, 67, 75)
TOOL_COLOUR = (0, 200, 220)
FONT = cv2.FONT_HERSHEY_SIMPLEX
# Colours span what 98 of 100 valid pixels have, so that a few wrong ones do not flatten the rest.
RANGE_PERCENTILES = (1.0, 99.0)
# A few wrong matches near infinity must not take the colours away from everything in reach.
LARGEST_OF_MEDIAN = 3.0


@dataclass(frozen=True)
class _Panel:
    caption: str
    note: str
    picture: np.ndarray
    bar: tuple[float, float, str] | None = None  # lowest value, highest value, unit


def overview_picture(
    left_rect: np.ndarray,
    disparity_px: np.ndarray,
    valid: np.ndarray,
    *,
    depth_m: np.ndarray | None = None,
    instrument_mask: np.ndarray | None = None,
    title_lines: Sequence[str] = (),
) -> np.ndarray:
    """Lay out a result as a sheet of 2 x 2 panels under a title.

    Rectified left image; disparity with a colour bar in px; depth with a colour bar in mm, or a
    note that there is no calibration; the instruments tinted, or without a mask the valid pixels.
    Invalid pixels are hatched grey, a colour that no value has.

    Args:
        left_rect: H x W x 3 uint8, RGB.
        disparity_px: H x W float, NaN where there is none.
        valid: H x W bool.
        depth_m: H x W float, metres, NaN where there is none.
        instrument_mask: H x W bool.
        title_lines: the first is the title, the others stand below it, smaller; ASCII.

    Returns:
        The sheet, uint8, RGB; 1464 px wide whatever the size of the pictures.

    Raises:
        ImageError: the arrays differ in size.
    """
    _require_one_size(left_rect, disparity_px, valid, depth_m, instrument_mask)
    panels = [
        _Panel(
            'Rectified left image', f'{left_rect.shape[1]} x {left_rect.shape[0]} px', left_rect
        ),
        _disparity_panel(disparity_px, valid),
        _depth_panel(depth_m, valid),
        _valid_panel(left_rect, valid)
        if instrument_mask is None
        else _mask_panel(left_rect, instrument_mask),
    ]
    height = max(1, round(PANEL_WIDTH_PX * left_rect.shape[0] / left_rect.shape[1]))
    tiles = [_tile(panel, height) for panel in panels]
    sheet = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    return np.vstack([_title(title_lines, sheet.shape[1]), sheet])


def colour_disparity(
    disparity_px: np.ndarray, valid: np.ndarray, vmin: float, vmax: float
) -> np.ndarray:
    """Disparity as colours: turbo from blue (vmin, far) to red (vmax, near), invalid hatched.

    Args:
        disparity_px: H x W float; NaN counts as invalid.
        valid: H x W bool.
        vmin, vmax: the values of the two ends, px; beyond them the end's colour is used.

    Returns:
        H x W x 3 uint8, RGB.
    """
    drawn = valid & np.isfinite(disparity_px)
    span = max(vmax - vmin, 1e-12)
    level = np.clip((np.where(drawn, disparity_px, vmin) - vmin) / span, 0, 1)
    colours = cv2.applyColorMap(np.rint(255 * level).astype(np.uint8), cv2.COLORMAP_TURBO)
    return np.where(
        drawn[..., None], cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), _hatch(valid.shape)
    )


def _disparity_panel(disparity_px: np.ndarray, valid: np.ndarray) -> _Panel:
    low, high = _range(disparity_px, valid)
    return _Panel(
        'Disparity',
        _coverage(valid & np.isfinite(disparity_px)),
        colour_disparity(disparity_px, valid, low, high),
        (low, high, 'px'),
    )


def _depth_panel(depth_m: np.ndarray | None, valid: np.ndarray) -> _Panel:
    if depth_m is None:
        return _Panel('Depth', 'no calibration, so no depth', _hatch(valid.shape))
    depth_mm = depth_m * 1000.0
    low, high = _range(depth_mm, valid)
    middle = depth_mm[valid & np.isfinite(depth_mm)]
    note = f'median {np.median(middle):.1f} mm' if middle.size else 'no valid pixel'
    # Near is red here too: the same surface has the same colour in both panels.
    return _Panel(
        'Depth', note, colour_disparity(-depth_mm, valid, -high, -low), (high, low, 'mm')
    )


def _mask_panel(left_rect: np.ndarray, instrument_mask: np.ndarray) -> _Panel:
    tinted = left_rect.astype(np.float32)
    tinted[instrument_mask] = 0.45 * tinted[instrument_mask] + 0.55 * np.array(TOOL_COLOUR)
    outlines, _ = cv2.findContours(
        instrument_mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    tinted = tinted.astype(np.uint8)
    cv2.drawContours(tinted, outlines, -1, (255, 255, 255), max(1, left_rect.shape[1] // 640))
    return _Panel('Instruments', f'{100 * instrument_mask.mean():.1f} % of the picture', tinted)


def _valid_panel(left_rect: np.ndarray, valid: np.ndarray) -> _Panel:
    shown = np.where(valid[..., None], left_rect, _hatch(valid.shape))
    return _Panel('Valid pixels', _coverage(valid), shown)


def _tile(panel: _Panel, height: int) -> np.ndarray:
    """A panel with its caption above and its colour bar (or nothing) beside it."""
    width = PANEL_WIDTH_PX
    side = BAR_PX + BAR_LABEL_PX
    tile = np.full(
        (CAPTION_PX + height + MARGIN_PX, MARGIN_PX + width + side, 3), BACKGROUND, np.uint8
    )
    # Enlarged colours must not mix: a mixed colour would stand for a value that is not there.
    enlarge = cv2.INTER_CUBIC if panel.bar is None else cv2.INTER_NEAREST
    picture = cv2.resize(
        np.ascontiguousarray(panel.picture),
        (width, height),
        interpolation=cv2.INTER_AREA if panel.picture.shape[1] > width else enlarge,
    )
    tile[CAPTION_PX : CAPTION_PX + height, MARGIN_PX : MARGIN_PX + width] = picture
    after = _write(tile, panel.caption, (MARGIN_PX, CAPTION_PX - 10), 0.55, TEXT)
    _write(tile, panel.note, (after + 12, CAPTION_PX - 10), 0.45, FAINT)
    if panel.bar:
        _draw_bar(tile, panel.bar, top=CAPTION_PX, height=height, x=MARGIN_PX + width + 8)
    return tile


def _draw_bar(
    tile: np.ndarray, bar: tuple[float, float, str], *, top: int, height: int, x: int
) -> None:
    """A vertical colour bar, its highest value on top, with five labels and the unit."""
    low, high, unit = bar
    ramp = np.linspace(1, 0, height)[:, None].repeat(BAR_PX, axis=1)
    tile[top : top + height, x : x + BAR_PX] = colour_disparity(
        ramp, np.full(ramp.shape, True), 0, 1
    )
    decimals = 0 if abs(high - low) >= 20 else 1 if abs(high - low) >= 2 else 2
    for part in np.linspace(0, 1, 5):
        row = top + round((1 - part) * (height - 1))
        cv2.line(tile, (x + BAR_PX, row), (x + BAR_PX + 4, row), FAINT, 1)
        baseline = min(max(row + 4, top + 9), top + height - 1)
        label = f'{low + part * (high - low):.{decimals}f}'
        _write(tile, label, (x + BAR_PX + 7, baseline), 0.38, TEXT)
    _write(tile, unit, (x, top - 10), 0.45, FAINT)


def _title(lines: Sequence[str], width: int) -> np.ndarray:
    band = np.full(
        (MARGIN_PX + (30 + 20 * (len(lines) - 1) if lines else 0), width, 3), BACKGROUND, np.uint8
    )
    for number, line in enumerate(lines):
        size, colour = (0.75, TEXT) if number == 0 else (0.45, FAINT)
        _write(band, line, (MARGIN_PX, MARGIN_PX + 16 + 22 * number), size, colour)
    return band


def _write(
    picture: np.ndarray, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> int:
    """Write text with its baseline's left end at (x, y); returns where it ends in x."""
    cv2.putText(picture, text, at, FONT, size, colour, 1, cv2.LINE_AA)
    return at[0] + cv2.getTextSize(text, FONT, size, 1)[0][0]


def _range(values: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    chosen = values[valid & np.isfinite(values)]
    if not chosen.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(chosen, RANGE_PERCENTILES))
    high = min(high, LARGEST_OF_MEDIAN * max(float(np.median(chosen)), low))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _coverage(valid: np.ndarray) -> str:
    return f'{100 * valid.mean():.1f} % valid'


def _hatch(shape: tuple[int, ...]) -> np.ndarray:
    """Diagonal grey stripes, H x W x 3 uint8, of one width on the sheet at every picture size."""
    period = max(4, round(12 * shape[1] / PANEL_WIDTH_PX))
    rows, columns = np.indices(shape[:2], sparse=True)
    stripe = ((rows + columns) % period) * 2 < period
    return np.where(stripe[..., None], HATCH_LIGHT, HATCH_DARK).astype(np.uint8)


def _require_one_size(left_rect: np.ndarray, *maps: np.ndarray | None) -> None:
    if left_rect.ndim != 3 or left_rect.shape[2] != 3 or left_rect.dtype != np.uint8:
        raise ImageError(
            f'the left image is {left_rect.dtype} of shape {left_rect.shape}; expected uint8 of '
            'H x W x 3, RGB'
        )
    for values in maps:
        if values is not None and values.shape != left_rect.shape[:2]:
            raise ImageError(
                f'a result of shape {values.shape} does not belong to a left image of shape '
                f'{left_rect.shape[:2]}; give the results of this image at its own size'
            )
