"""SCARED's sequences: every frame of a key frame's video with its depth and disparity.

The truth of a frame is what is published for it (`scene_points.tar.gz`), or the cloud of the key
frame moved by the frame's pose: denser, but not the published truth, hence for training only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.conversion.places import (
    CALIBRATION_FILE,
    Tell,
    Writer,
    place_calibration,
    refuse_source,
    say_scale,
    silent,
)
from msdesis_ros.data.conversion.records import (
    Faults,
    Outcome,
    Record,
    Settings,
    refuse_unknown,
)
from msdesis_ros.data.conversion.scared_tree import KeyFrame
from msdesis_ros.data.conversion.scared_truths import (
    Truth,
    key_frame_truth,
    moved_clouds,
    published_truths,
)
from msdesis_ros.data.conversion.scared_views import (
    PICTURES,
    TRUTHS,
    ScaredViews,
    read_scared_calibration,
)
from msdesis_ros.data.images import atomic_write, read_rgb
from msdesis_ros.data.video_pairs import VideoPairs

# The challenge scores frames whose truth covers a tenth of the picture.
MIN_COVERAGE = 0.10
VALID_FILE = 'valid.csv'
RECORDS = {False: 'conversion_sequence.json', True: 'conversion_poses.json'}
_SHOWN_FRAMES = 10


def convert_sequence(
    key: KeyFrame,
    out: Path,
    settings: Settings,
    *,
    from_poses: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    tell: Tell = silent,
) -> Outcome:
    """Convert all frames of one key frame into `out/dataset_N/keyframe_K/`.

    Written are `data/<product>/NNNNNN.png`, `stereo_calib.json`, `valid.csv` (the frames whose
    truth covers 10 % of the left picture) and the record of the settings; with `from_poses` the
    folders lie beside `data`, and there is no `valid.csv`. A key frame without a video is one
    frame. What an earlier run with these settings has finished is kept.

    A missing or broken piece is named in the outcome and left out; with `strict` it ends the run.

    Raises:
        UsageError: the results of other settings are there, or `out` is the published data.
        MissingExtraError: a video or a cloud needs a package that is not installed.
        FileFormatError, CalibrationError: a bad piece, where `strict`.
    """
    folder = out / key.name
    refuse_source(key.folder, folder)
    outcome = Outcome()
    faults = Faults(strict, outcome.problems)
    with faults.leaving_out(key.name):
        _Sequence(key, folder, settings, from_poses, overwrite, outcome, faults).run(tell)
    return outcome


class _Sequence:
    def __init__(
        self,
        key: KeyFrame,
        folder: Path,
        settings: Settings,
        from_poses: bool,
        overwrite: bool,
        outcome: Outcome,
        faults: Faults,
    ) -> None:
        self.key, self.folder, self.settings, self.from_poses = key, folder, settings, from_poses
        self.overwrite, self.outcome, self.faults = overwrite, outcome, faults
        self.video = VideoPairs(key.video, layout='top_bottom') if key.video.is_file() else None
        if self.video is None:
            self.outcome.notes.append(f'{key.name} has no video: its key frame is all')
            self.still = read_rgb(key.left_image), read_rgb(key.right_image)
            size = self.still[0].shape[1::-1]
        else:
            size = self.video.image_size
        self.image_size = (int(size[0]), int(size[1]))
        calibration = read_scared_calibration(
            key.calibration, image_size=self.image_size, alpha=settings.alpha
        )
        self.views = ScaredViews(calibration, settings.products)
        self.root = folder if from_poses else folder / 'data'

    def run(self, tell: Tell) -> None:
        if not self.overwrite:
            refuse_unknown(self.folder / RECORDS[self.from_poses], self.pictures_there())
        # Both kinds of truth share the calibration, so that one cannot change it alone.
        alone = not (self.folder / RECORDS[not self.from_poses]).is_file()
        place_calibration(
            self.folder / CALIBRATION_FILE,
            self.views.calibration,
            overwrite=self.overwrite and alone,
        )
        if self.overwrite:
            # Before the record is: an overwriting run that is ended must not leave a mixture.
            self.clear()
        record = Record(
            self.folder / RECORDS[self.from_poses],
            {
                'key_frame': self.key.name,
                'image_size': self.image_size,
                **self.settings.recorded,
            },
            overwrite=self.overwrite,
        )
        there = [n for n in record.frames if isinstance(n, int) and self.present(n)]
        if record.complete and there == record.frames and self.has_valid_file():
            self.outcome.kept += len(there)
            return
        before = self.numbers_there()
        coverage = self.write_truths(tell)
        self.write_pictures(coverage, tell)
        frames = self.whole_frames(coverage)
        for name in set(self.views.names) & set(TRUTHS):
            if frames:
                say_scale(self.root / name, name, self.settings.scale_factor)
        if frames and not self.from_poses:
            self.write_valid_file([n for n in frames if coverage[n] >= MIN_COVERAGE])
        problems = self.outcome.problems
        record.write(frames, complete=not problems, problems=problems)
        self.outcome.kept += len(before & set(frames))
        self.outcome.made += len(set(frames) - before)

    # --- truths, then pictures: the archive has an order of its own, the video another --------

    def write_truths(self, tell: Tell) -> dict[int, float]:
        """Write the truths of all frames; which fraction of the left picture each covers."""
        coverage: dict[int, float] = {}
        try:
            for truth in self.truths():
                tell(self.key.name, truth.number)
                writer = self.writer(truth.number)
                if writer.missing(tuple(name for name in self.views.names if name in TRUTHS)):
                    writer.write(self.views.truths(truth.points, depth_mm=truth.depth_mm))
                known = 0.0
                if truth.depth_mm is not None:
                    known = float(np.isfinite(truth.depth_mm).mean())
                coverage[truth.number] = known
        except FileFormatError as error:
            self.faults(error)
        return coverage

    def truths(self) -> Iterator[Truth]:
        if self.from_poses:
            one = self.video is None
            return moved_clouds(self.key, self.settings.cloud, one_frame=one, faults=self.faults)
        if self.video is None:
            return iter([key_frame_truth(self.key, self.image_size)])
        return published_truths(self.key, self.image_size, self.faults)

    def write_pictures(self, numbers: Iterable[int], tell: Tell) -> None:
        """Write the pictures of the frames, those that have a truth."""
        names = tuple(name for name in self.views.names if name in PICTURES)
        wanted = {number for number in numbers if self.writer(number).missing(names)}
        if self.video is None:
            if 0 in wanted:
                self.writer(0).write(self.views.pictures(*self.still))
            return
        pairs = enumerate(self.video) if wanted else iter(())
        try:
            for number, pair in pairs:
                if number in wanted and pair.damaged:
                    text = f'{self.key.video}: the decoder could not read all of picture {number}'
                    self.faults(FileFormatError(f'{text}; copy or download it again'))
                elif number in wanted:
                    tell(self.key.name, number)
                    self.writer(number).write(self.views.pictures(pair.left, pair.right))
                wanted.discard(number)
                if not wanted:
                    break
        except FileFormatError as error:
            self.faults(error)

    # --- what is there ------------------------------------------------------------------------

    def writer(self, number: int) -> Writer:
        return Writer(
            lambda name: self.root / name / f'{number:06d}.png',
            self.settings.scale_factor,
            self.outcome,
        )

    def present(self, number: int) -> bool:
        places = (self.root / name / f'{number:06d}.png' for name in self.views.names)
        return all(path.is_file() for path in places)

    def numbers_there(self) -> set[int]:
        stems = {path.stem for path in (self.root / self.views.names[0]).glob('[0-9]*.png')}
        return {int(stem) for stem in stems if stem.isdigit() and self.present(int(stem))}

    def pictures_there(self) -> Iterator[Path]:
        for name in (*PICTURES, *TRUTHS):
            yield from (self.root / name).glob('[0-9]*.png')

    def clear(self) -> None:
        """Remove what an earlier run wrote, whatever its products were."""
        for path in list(self.pictures_there()):
            path.unlink()
        if not self.from_poses:
            (self.folder / VALID_FILE).unlink(missing_ok=True)

    def whole_frames(self, coverage: dict[int, float]) -> list[int]:
        """The whole frames; what was written of the others is removed, and they are named."""
        frames = [number for number in sorted(coverage) if self.present(number)]
        lonely = sorted(set(coverage) - set(frames))
        for number in lonely:
            for name in self.views.names:
                (self.root / name / f'{number:06d}.png').unlink(missing_ok=True)
        if lonely:
            self.faults(
                FileFormatError(f'{self.key.video} has no picture for {_shown(lonely)}: left out')
            )
        count = self.video.count if self.video is not None else None
        if count is not None and coverage and count > len(coverage):
            self.outcome.notes.append(
                f'{self.key.name}: {count} pictures, points for {len(coverage)} of them: the '
                'others are left out'
            )
        return frames

    def has_valid_file(self) -> bool:
        return self.from_poses or (self.folder / VALID_FILE).is_file()

    def write_valid_file(self, numbers: list[int]) -> None:
        with atomic_write(self.folder / VALID_FILE) as temporary:
            temporary.write_text(''.join(f'{number}\n' for number in numbers), encoding='utf-8')


def _shown(numbers: list[int]) -> str:
    shown = ', '.join(str(number) for number in numbers[:_SHOWN_FRAMES])
    more = len(numbers) - _SHOWN_FRAMES
    return f'frame {shown}' + (f' and {more} more' if more > 0 else '')
