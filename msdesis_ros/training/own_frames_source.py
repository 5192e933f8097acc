"""A lab's own stereo frames without truth as a source of training pairs, rectified on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from msdesis_ros.core.alignment import measure_vertical_offset
from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.layouts.catalogue import OnBroken, scan
from msdesis_ros.data.layouts.samples import Sample as FrameFiles
from msdesis_ros.data.layouts.samples import load
from msdesis_ros.data.layouts.survey import Check
from msdesis_ros.nets.fast.config import COARSEST_STRIDE
from msdesis_ros.training.batch import UNKNOWN, Sample, Truth

if TYPE_CHECKING:
    from msdesis_ros.training.self_supervised import SelfSupervised
    from msdesis_ros.training.sources import PairSource

LEAST_PAIRS = 4
# Rectified pairs agree on rows; the pipeline warns beyond this too (core.quality).
ROW_TOLERANCE_PX = 1.0
_LOOKED_AT = 8


@dataclass(frozen=True)
class OwnFrames:
    """Where own frames lie. folder: in the layout own_frames of docs/datasets.md. calibration: as
    `read_calibration` takes it, for frames that are not rectified; null = they are. unit: of its
    T. held_out: which share of the pairs, the last ones by name, is for comparison alone.
    """

    folder: str
    calibration: str | None = None
    unit: str | None = None
    held_out: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.held_out <= 0.5:
            raise UsageError(f'held_out is {self.held_out}; expected a share up to 0.5')


class OwnFramesSource:
    """Pairs of a folder, rectified, without truth.

    part: 'train', or 'held_out': the last pairs by name, since neighbours in a video are nearly
    the same picture. These come in an order of which every beginning is spread over all of them,
    since a comparison may take no more than the first few. check: 'content' reads every file once.
    when_broken: 'stop' raises FileFormatError, naming every file, for broken, missing and misnamed
    pictures; 'skip' logs them and goes on with the others. Raises UsageError for fewer than four
    pairs.
    """

    def __init__(
        self,
        frames: OwnFrames,
        part: str,
        *,
        check: Check = 'headers',
        when_broken: OnBroken = 'stop',
    ) -> None:
        self._folder, self._part = Path(frames.folder), part
        # What is left out must not depend on how closely it was looked at.
        check = 'content' if when_broken == 'skip' else check
        samples = scan('own_frames', self._folder, on_broken=when_broken, check=check)
        if len(samples) < LEAST_PAIRS:
            raise UsageError(
                f'{self._folder} holds {len(samples)} pairs; expected at least {LEAST_PAIRS}, '
                'better 50 or more'
            )
        _require_large_enough(samples)
        self._rectifier = _rectifier(frames, samples)
        held_out = max(2, math.ceil(frames.held_out * len(samples)))
        self._samples = samples[:-held_out]
        if part == 'held_out':
            self._samples = [samples[len(samples) - held_out + n] for n in spread(held_out)]

    @property
    def name(self) -> str:
        return f'{self._folder} ({self._part})'

    @property
    def kind(self) -> str:
        return 'own pairs without truth'

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) px of the first pair."""
        return self._samples[0].image_size

    def __len__(self) -> int:
        return len(self._samples)

    def sample(self, number: int) -> Sample:
        loaded = load(self._samples[number])
        assert loaded.right is not None
        left, right = loaded.left, loaded.right
        if self._rectifier is not None:
            left, right = self._rectifier.rectify(left, right)
        return unlabelled(left, right)


def spread(count: int) -> list[int]:
    """0 to count - 1, so that the first few lie evenly over the range (van der Corput 1935)."""
    bits = max(count - 1, 1).bit_length()
    halved = (int(f'{n:0{bits}b}'[::-1], 2) for n in range(2**bits))
    return list(dict.fromkeys(number * count >> bits for number in halved))


def unlabelled(left: np.ndarray, right: np.ndarray) -> Sample:
    """A pair, H x W x 3 uint8 RGB each, of which nothing else is known."""
    shape = left.shape[:2]
    unknown = np.full(shape, UNKNOWN, np.uint8)
    nothing = Truth(np.full(shape, np.nan, np.float32), np.zeros(shape, bool), unknown, unknown)
    return Sample(left, right, nothing)


def with_own_frames(
    sources: Sequence[PairSource],
    weights: Sequence[float | None],
    settings: SelfSupervised,
    part: str,
    *,
    when_broken: OnBroken = 'stop',
) -> tuple[list[PairSource], list[float | None]]:
    """Put own pairs before pairs with truth, which share `rehearsal_share` by their weights.

    Returns all sources and their weights.
    """
    own = OwnFramesSource(settings.frames, part, when_broken=when_broken)
    given = [len(s) if w is None else w for s, w in zip(sources, weights, strict=True)]
    share, total = settings.rehearsal_share if sources else 0.0, sum(given) or 1.0
    rehearsed: list[float | None] = [share * weight / total for weight in given]
    return [own, *sources], [1 - share, *rehearsed]


def look_at_rows(source: OwnFramesSource, say: Callable[[str], None]) -> None:
    """Say so where the views of some pairs disagree on rows: they are not rectified, or badly."""
    numbers = np.unique(np.linspace(0, len(source) - 1, _LOOKED_AT).astype(int))
    samples = (source.sample(int(number)) for number in numbers)
    found = [measure_vertical_offset(sample.left, sample.right) for sample in samples]
    offsets = [abs(offset.median_px) for offset in found if offset is not None]
    if offsets and np.median(offsets) > ROW_TOLERANCE_PX:
        say(
            f'warning: the views of {source.name} are {np.median(offsets):.1f} px apart in '
            'height; are they rectified? Give --calibration if they are not'
        )


def _require_large_enough(samples: list[FrameFiles]) -> None:
    small = [sample for sample in samples if min(sample.image_size) < 2 * COARSEST_STRIDE]
    if small:
        width, height = small[0].image_size
        raise FileFormatError(
            f'{small[0].left} is {width}x{height} px; expected {2 * COARSEST_STRIDE} px or more '
            'each way'
        )


def _rectifier(frames: OwnFrames, samples: list[FrameFiles]) -> Rectifier | None:
    if frames.calibration is None:
        return None
    sizes = {sample.image_size for sample in samples}
    if len(sizes) > 1:
        first = samples[0]
        other = next(sample for sample in samples if sample.image_size != first.image_size)
        raise FileFormatError(
            f'{other.left} is {"{}x{}".format(*other.image_size)} px, {first.left} '
            f'{"{}x{}".format(*first.image_size)} px; one calibration is for one size: put '
            'other sizes into another folder'
        )
    left, right = read_calibration(
        frames.calibration,
        image_size=samples[0].image_size,
        unit=frames.unit,  # type: ignore[arg-type]
    )
    rig = StereoRig.from_cameras(left, right, rectified=False)
    rig.require_image_size(samples[0].image_size)
    return Rectifier(rig)
