"""The verdict on one pair: may a controller use the depth of this stamp, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np

from msdesis_ros.core.alignment import VerticalOffset
from msdesis_ros.core.prediction import RawPair

# Statistics are taken on pictures reduced to about this width: below 2 ms a pair.
STATISTICS_WIDTH = 320
# What rounding to 8 bits alone adds to the energy of the finest details (mean of |u|, u in +-0.5).
ROUNDING = 0.25


class State(str, Enum):
    """OK: use it. DEGRADED: computed, but read the reasons. INVALID: depth is withheld (NaN)."""

    OK = 'OK'
    DEGRADED = 'DEGRADED'
    INVALID = 'INVALID'


SEVERITY = {State.OK: 0, State.DEGRADED: 1, State.INVALID: 2}


@dataclass(frozen=True)
class Reason:
    """One finding against a pair: a stable `code`, the figure, the limit it broke, a sentence."""

    code: str
    state: State
    value: float
    limit: float
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The worst of its reasons; OK without any."""

    reasons: tuple[Reason, ...] = ()

    @property
    def state(self) -> State:
        return max((r.state for r in self.reasons), key=SEVERITY.__getitem__, default=State.OK)

    @property
    def depth_usable(self) -> bool:
        """False where depth must be withheld."""
        return self.state is not State.INVALID

    def also(self, *reasons: Reason) -> Verdict:
        """This verdict with further reasons."""
        return Verdict((*self.reasons, *reasons))


@dataclass(frozen=True)
class QualityLimits:
    """Where a picture stops being good enough. Grey values are 0-255.

    The limits on blur and haze separate the sharp public laparoscopy frames they were chosen on
    (sharpness 0.4 and more, haze 11 and less) from the same frames blurred with a sigma of 1 % of
    the width (below 0.1) and with half their light replaced by white (more than 127).
    """

    black_p99: float = 16.0
    white_share: float = 0.7
    sharpness: float = 0.18
    haze_p10: float = 110.0
    coverage: float = 0.2
    vertical_offset_px: float = 1.5
    vertical_spread_px: float = 4.0
    frozen_timeout_s: float = 2.0


class QualityMonitor:
    """Judges the pairs of one stream, in order; it remembers the last pair to notice a freeze.

    Not thread-safe: one thread judges. Another one may measure the vertical offset and hand it in
    with the number that `stream` had when its pictures came; it stays in force until it is
    measured again or forgotten.
    """

    def __init__(self, limits: QualityLimits | None = None) -> None:
        self.limits = limits or QualityLimits()
        self.vertical_offset: VerticalOffset | None = None
        self.stream = 0
        self._last: dict[str, tuple[np.ndarray, int]] = {}
        self._frozen_since_ns: dict[str, int] = {}

    def judge_pair(self, pair: RawPair) -> Verdict:
        """What can be said from the pictures alone, before any matching."""
        pictures = {'left': pair.left, 'right': pair.right}
        reasons = self._judge_pictures(pictures, pair.stamp_ns)
        reasons += alignment_reasons(self.vertical_offset, self.limits)
        return Verdict(tuple(reasons))

    def judge_left(self, left: np.ndarray, stamp_ns: int) -> Verdict:
        """What can be said from the left picture alone, for what needs one eye only."""
        return Verdict(tuple(self._judge_pictures({'left': left}, stamp_ns)))

    def judge_coverage(self, coverage: float) -> Verdict:
        """What the matching itself says: `coverage` is the share of answered pixels, 0 to 1."""
        if coverage >= self.limits.coverage:
            return Verdict()
        return Verdict(
            (
                Reason(
                    'low_coverage',
                    State.DEGRADED,
                    coverage,
                    self.limits.coverage,
                    f'only {coverage:.0%} of the pixels have a disparity',
                ),
            )
        )

    def reset(self) -> None:
        """Forget the stream (time went backwards, the camera was restarted)."""
        self.stream += 1
        self._last.clear()
        self._frozen_since_ns.clear()
        self.vertical_offset = None

    def set_vertical_offset(self, offset: VerticalOffset | None, *, stream: int) -> None:
        """Take a measurement, unless it is of a stream that was forgotten since."""
        if stream == self.stream:
            self.vertical_offset = offset

    def _judge_pictures(self, pictures: dict[str, np.ndarray], stamp_ns: int) -> list[Reason]:
        reasons: list[Reason] = []
        for name, picture in pictures.items():
            reasons += judge_picture(picture, name=name, limits=self.limits)
            reasons += self._judge_freeze(name, picture, stamp_ns)
            self._last[name] = (picture, stamp_ns)
        return reasons

    def _judge_freeze(self, name: str, picture: np.ndarray, stamp_ns: int) -> list[Reason]:
        last, last_ns = self._last.get(name, (None, stamp_ns))
        if last is None or stamp_ns == last_ns or not _same_picture(picture, last):
            self._frozen_since_ns.pop(name, None)
            return []
        since_ns = self._frozen_since_ns.setdefault(name, last_ns)
        age_s = (stamp_ns - since_ns) / 1e9
        limit = self.limits.frozen_timeout_s
        state = State.INVALID if 0 < limit <= age_s else State.DEGRADED
        sentence = f'the {name} picture has not changed for {age_s:.2f} s while its stamps advance'
        return [Reason(f'frozen_{name}', state, age_s, limit, sentence)]


def alignment_reasons(offset: VerticalOffset | None, limits: QualityLimits) -> list[Reason]:
    """What a measured vertical offset says against a pair; nothing where it is not known."""
    if offset is None:
        return []
    cause = f'({offset.matches} matches): the calibration does not fit these pictures'
    if abs(offset.median_px) > limits.vertical_offset_px:
        value, limit = offset.median_px, limits.vertical_offset_px
        sentence = f'the rectified views are {value:+.1f} px apart vertically {cause}'
        return [Reason('vertical_offset', State.DEGRADED, value, limit, sentence)]
    if offset.p95_abs_px > limits.vertical_spread_px:
        # A rotation leaves the median alone and moves the two sides of the picture apart.
        value, limit = offset.p95_abs_px, limits.vertical_spread_px
        sentence = f'one match in twenty is {value:.1f} px or more off its row {cause}'
        return [Reason('vertical_spread', State.DEGRADED, value, limit, sentence)]
    return []


def judge_picture(picture: np.ndarray, *, name: str, limits: QualityLimits) -> list[Reason]:
    """Black, white, blurred or veiled: what one H x W x 3 uint8 RGB picture says of itself."""
    factor = max(1, round(picture.shape[1] / STATISTICS_WIDTH))
    size = (max(1, picture.shape[1] // factor), max(1, picture.shape[0] // factor))
    # Every other row is enough for statistics, and half the work.
    small = cv2.resize(picture[:: min(2, factor)], size, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    p99 = _percentile(grey, 0.99)
    if p99 < limits.black_p99:
        sentence = f'the {name} picture is black (99 % of it is darker than {p99:.0f} of 255)'
        return [Reason(f'black_{name}', State.INVALID, p99, limits.black_p99, sentence)]
    white = float(np.count_nonzero(grey >= 250)) / grey.size
    if white > limits.white_share:
        sentence = f'{white:.0%} of the {name} picture is saturated'
        return [Reason(f'white_{name}', State.INVALID, white, limits.white_share, sentence)]
    reasons = []
    sharpness = _sharpness(grey)
    if sharpness < limits.sharpness:
        sentence = f'the {name} picture is heavily blurred (sharpness {sharpness:.2f})'
        reasons.append(
            Reason(f'blur_{name}', State.DEGRADED, sharpness, limits.sharpness, sentence)
        )
    red, green, blue = cv2.split(small)
    haze = _percentile(cv2.min(cv2.min(red, green), blue), 0.10)
    if haze > limits.haze_p10:
        sentence = f'the {name} picture is veiled by smoke or fog (dark channel {haze:.0f} of 255)'
        reasons.append(Reason(f'haze_{name}', State.DEGRADED, haze, limits.haze_p10, sentence))
    return reasons


def _percentile(grey: np.ndarray, share: float) -> float:
    """The grey value that `share` of the pixels do not exceed; a tenth of np.percentile's time."""
    cumulated = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().cumsum()
    return float(np.searchsorted(cumulated, share * grey.size))


def _sharpness(grey: np.ndarray) -> float:
    """Energy of the finest details against that of the next octaves; small when blurred.

    A ratio, so that it depends on neither light nor contrast.
    """
    values = grey.astype(np.float32)
    fine = cv2.GaussianBlur(values, (0, 0), 1.0)
    coarse = cv2.GaussianBlur(values, (0, 0), 4.0)
    middle = float(cv2.absdiff(fine, coarse).mean())
    # A picture without any structure tells nothing about blur.
    if middle <= 0.5:
        return 1.0
    return max(0.0, float(cv2.absdiff(values, fine).mean()) - ROUNDING) / middle


def _same_picture(a: np.ndarray, b: np.ndarray) -> bool:
    # A sparse look first: live pictures differ in noise everywhere, so the full one is rare.
    return a.shape == b.shape and bool(
        np.array_equal(a[::61, ::67], b[::61, ::67]) and np.array_equal(a, b)
    )
