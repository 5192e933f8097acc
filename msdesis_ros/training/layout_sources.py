"""Samples of published data sets, and of a lab's own frames, as training takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.layouts import samples as layout_samples
from msdesis_ros.data.layouts.catalogue import survey
from msdesis_ros.data.layouts.survey import Survey
from msdesis_ros.training.batch import UNKNOWN, Sample, Truth
from msdesis_ros.training.config import SourceSettings

# Of one data set, in a message. A wrong folder costs a few lines, a cut copy one for each file.
MAX_PROBLEM_LINES = 200


class LayoutSource:
    """One split of a data set whose files were looked through."""

    def __init__(self, settings: SourceSettings, found: Survey) -> None:
        """Raises FileFormatError where no sample of the split is whole."""
        self._settings = settings
        self._samples = tuple(
            sample
            for sample in found.samples
            if settings.split is None or sample.split == settings.split
        )
        if not self._samples:
            raise FileFormatError(
                f'{settings.place} holds no whole sample; docs/datasets.md shows the layout'
                f'{_lines(found)}'
            )

    @property
    def name(self) -> str:
        return self._settings.place

    @property
    def kind(self) -> str:
        return 'samples'

    def __len__(self) -> int:
        return len(self._samples)

    def sample(self, number: int) -> Sample:
        return sample_of_layout(layout_samples.load(self._samples[number]))


def sample_of_layout(loaded: layout_samples.LoadedSample) -> Sample:
    """A loaded sample for training: planes that the data set has not are unknown.

    Which pixels the right view does not show is known of the border strip alone, where the truth
    points outside of the picture. A monocular picture is both views of a camera without a
    baseline; its disparity stays unknown, since it would teach that everything is far away.
    """
    shape = loaded.left.shape[:2]
    disparity_px = loaded.disparity_px
    if disparity_px is None:
        disparity_px = np.full(shape, np.nan, np.float32)
    mask = np.full(shape, UNKNOWN, np.uint8)
    if loaded.instrument_mask is not None:
        mask = loaded.instrument_mask.astype(np.uint8)
    # NaN compares False.
    outside = np.arange(shape[1], dtype=np.float32) < disparity_px
    truth = Truth(disparity_px, outside, mask, np.full(shape, UNKNOWN, np.uint8))
    if loaded.right is None:
        return Sample(loaded.left, loaded.left, truth, right_truth=truth)
    return Sample(loaded.left, loaded.right, truth)


def layout_sources(
    settings: Sequence[SourceSettings],
    *,
    when_broken: str,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[LayoutSource]:
    """Look through all data sets, each once, then make a source of each of the settings.

    when_broken: 'stop' raises one FileFormatError that names every problem of all data sets (at
    most 200 lines each), 'skip' says them and goes on with what is whole. Either way a data set
    without a whole sample of its split is a FileFormatError.
    """
    found: dict[tuple[str | None, Path], Survey] = {}
    complaints = []
    for one in settings:
        assert one.layout is not None and one.root is not None
        key = (one.layout, Path(one.root))
        if key in found:
            continue
        try:
            found[key] = survey(one.layout, one.root)
        except FileFormatError as error:  # no folder: the other data sets are still looked at
            found[key] = Survey(Path(one.root), (), ())
            complaints.append(str(error))
            continue
        if found[key].problems:
            complaints.append(_complaint(one.layout, found[key]))
    empty = any(not looked.samples for looked in found.values())
    if complaints and (when_broken == 'stop' or empty):
        remedy = 'docs/datasets.md shows the layouts: put these files right, or give another root'
        if not empty:
            remedy += ', or go on without them: --set data.when_broken=skip'
        raise FileFormatError('\n'.join([*complaints, remedy]))
    for complaint in complaints:
        say(f'{complaint}\nthese samples are left out')
    return [LayoutSource(one, found[one.layout, Path(one.root)]) for one in settings]


def _complaint(layout: str, looked: Survey) -> str:
    count = len(looked.problems)
    return (
        f'{looked.root} is not a whole {layout} data set: {count} '
        f'problem{"" if count == 1 else "s"}, {len(looked.samples)} samples are whole'
        f'{_lines(looked)}'
    )


def _lines(looked: Survey) -> str:
    report = looked.report(most=MAX_PROBLEM_LINES)
    return f'\n{report}' if report else ''
