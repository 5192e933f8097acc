"""RIS 2017 as it is published, to the clean pictures that trainings and evaluations read.

Out of each set:

{set}/left_frame/frameNNN.png               the picture in the frame, one field, resized
{set}/right_frame/frameNNN.png              of the stereo form, rectified as the left one
{set}/ground_truth/{label}/frameNNN.png     numbers of parts, at the pixels of the left picture
{set}/ground_truth/binary/frameNNN.png      255 where any label is above 0
{set}/stereo_calib.json                     of the stereo form
{set}/mappings.json

and `conversion.json`, with what options. Each file appears whole, under its name, or not at all; a
second run makes what is missing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from msdesis_ros.core.errors import CalibrationError, FileFormatError, UsageError
from msdesis_ros.data.conversion.records import Outcome
from msdesis_ros.data.conversion.ris2017_set import RisOptions, SetConversion
from msdesis_ros.data.conversion.ris2017_tree import RawFrame, list_raw
from msdesis_ros.data.images import atomic_write

SETTINGS = 'conversion.json'


class RisConversion:
    """A published tree and the folder for its converted form.

    Raises FileFormatError where the source has no sets, UsageError where the destination is the
    source or was made with other options.
    """

    def __init__(self, source: Path, destination: Path, options: RisOptions) -> None:
        if destination.resolve() == source.resolve():
            raise UsageError(f'{destination} is the source too; choose a new folder')
        self.destination, self.options = destination, options
        self._sets, self._problems = list_raw(source, stereo=options.stereo)
        _claim(destination, options)

    @property
    def frames(self) -> int:
        """How many frames have all their files."""
        return sum(len(each.frames) for each in self._sets)

    def run(self, *, jobs: int = 1, each: Callable[[], None] = lambda: None) -> Outcome:
        """Convert what is not there yet, calling `each` behind every frame.

        What cannot be read is among the problems, and the rest goes on. Raises MsdesisError where
        a file cannot be written.
        """
        outcome = Outcome(problems=[f'{p.path}: {p.what}' for p in self._problems])
        for raw in self._sets:
            try:
                work = SetConversion(raw, self.destination / raw.name, self.options)
            except (FileFormatError, CalibrationError) as error:
                outcome.problems.append(f'{raw.name} is left out: {error}')
                for _ in raw.frames:
                    each()
                continue
            outcome.notes += work.notes
            _run_set(work, raw.frames, outcome, jobs, each)
        return outcome


def _run_set(
    work: SetConversion,
    frames: tuple[RawFrame, ...],
    outcome: Outcome,
    jobs: int,
    each: Callable[[], None],
) -> None:
    stopped = threading.Event()

    def one(frame: RawFrame) -> bool | str:
        if stopped.is_set():
            return False
        try:
            return work.convert(frame)
        except FileFormatError as error:
            return str(error)
        except BaseException:
            # Where writing failed, it would fail for the frames that wait as well.
            stopped.set()
            raise

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for result in pool.map(one, frames):
                if isinstance(result, str):
                    outcome.problems.append(result)
                elif result:
                    outcome.made += 1
                else:
                    outcome.kept += 1
                each()
        finally:
            stopped.set()


def _claim(destination: Path, options: RisOptions) -> None:
    """Write with which options the folder is made; UsageError where it was made with others."""
    settings = {'data_set': 'ris2017', **asdict(options), 'size': list(options.size)}
    if not options.stereo:
        del settings['alpha'], settings['intrinsics']
    path = destination / SETTINGS
    text = json.dumps(settings, indent=2) + '\n'
    if not path.exists():
        if destination.is_dir() and any(destination.glob('instrument_dataset_*')):
            raise UsageError(
                f'{destination} holds sets without a {SETTINGS}: with which options they were '
                'made is not known; choose a new folder'
            )
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding='utf-8')
    elif path.read_text(encoding='utf-8') != text:
        raise UsageError(
            f'{destination} was made with other options: {path} says which; give these, or choose '
            'a new folder'
        )
