"""The folder of one run over a video: pictures, frames.csv, the result video, report.json."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.video_frames import VideoFile
from msdesis_ros.data.video_writer import VideoWriter
from msdesis_ros.offline.row_outputs import OutputSettings

VIDEO, TABLE, REPORT = 'video.mp4', 'frames.csv', 'report.json'
# What is written of each pair, in folders of these names.
PICTURES = ('disparity', 'segmentation')
COLUMNS = ('frame', 'time_s', 'damaged', 'verdict', 'reasons', 'coverage', 'too_large')
_NUMBERED = re.compile(r'\d{6,}\.png')


class VideoFolder:
    """Writes the results of one run into `path`, each file whole or not at all.

    `prepare` removes what an earlier run left, so that a folder never mixes two. Inside of
    `filling` there are the video and the table; both get their names at its end, and neither does
    after an error. Raises MsdesisError where something cannot be written.
    """

    def __init__(self, path: Path, outputs: OutputSettings) -> None:
        self.path, self._outputs = path, outputs
        self._video: VideoWriter | None = None
        self._table: Any = None

    def require_apart_from(self, *inputs: Path) -> None:
        """Raise UsageError where a result would take the place of an input."""
        result = self.path / VIDEO
        for given in inputs:
            if result.exists() and result.samefile(given):
                raise UsageError(f'{given} would be replaced by the result; choose another folder')

    def prepare(self) -> None:
        """Make the folder and remove the files of an earlier run, and none but these."""
        with _refusals(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for name in (VIDEO, TABLE, REPORT):
                (self.path / name).unlink(missing_ok=True)
            for folder in (self.path / name for name in PICTURES):
                if not folder.is_dir():
                    continue
                for picture in folder.iterdir():
                    if _NUMBERED.fullmatch(picture.name):
                        picture.unlink()
                with contextlib.suppress(OSError):  # it holds something else
                    folder.rmdir()

    @contextlib.contextmanager
    def filling(self, *, size: tuple[int, int], like: VideoFile, codec: str) -> Iterator[None]:
        """Open the video (size: width, height px) and the table; close or discard them.

        like: the video whose rate and times it gets.
        """
        writer = VideoWriter(
            self.path / VIDEO,
            size=size,
            rate=like.rate,
            time_base=like.time_base,
            steady=like.steady,
            codec=codec,
        )
        with writer as self._video, self._open_table() as file:
            self._table = csv.writer(file, lineterminator='\n')
            self._table.writerow(COLUMNS)
            yield

    def add_view(self, picture: np.ndarray, time: Fraction, duration: Fraction) -> None:
        """Append one picture of the video; see `VideoWriter.write`."""
        assert self._video is not None, 'only inside of filling'
        self._video.write(picture, time, duration)

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Append one row of the table, by the names of COLUMNS."""
        self._table.writerow([row[name] for name in COLUMNS])

    def write_pictures(self, number: int, planes: Mapping[str, np.ndarray]) -> int:
        """Write the planes of pair `number` by kind; how many values were too large for 16 bits.

        Those are stored as the largest sample.
        """
        return sum(
            self._outputs.write(self.path / kind / f'{number:06d}.png', kind, plane)
            for kind, plane in planes.items()
        )

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Write report.json anew."""
        with atomic_write(self.path / REPORT) as path:
            path.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')

    @contextlib.contextmanager
    def _open_table(self) -> Iterator[TextIO]:
        with (
            atomic_write(self.path / TABLE) as path,
            path.open('w', encoding='utf-8', newline='') as file,
        ):
            yield file


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MsdesisError(
            f'cannot write to {path}: {error.strerror or error}; choose a folder you may write to'
        ) from error
