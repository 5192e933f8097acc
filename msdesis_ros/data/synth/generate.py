"""Whole data sets of synthetic pairs: a plan, workers, files, and the manifest at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.synth import shards
from msdesis_ros.data.synth.dataset_plan import DatasetPlan
from msdesis_ros.data.synth.distorted_pair import DistortedPair, frame_with_raw
from msdesis_ros.data.synth.folder import frame_is_there, read_frame, write_frame
from msdesis_ros.data.synth.frame_record import encode_frame
from msdesis_ros.data.synth.recipes import SourceRecipe
from msdesis_ros.data.synth.sequence_files import write_sequence
from msdesis_ros.data.synth.sequence_truth import SequenceTruth, Sighting, sight
from msdesis_ros.data.synth.stereo_frame import FrameSource, StereoFrame
from msdesis_ros.data.synth.workers import in_order, in_workers

FRAMES_LAYOUT = 'frames'
_UNITS = {
    'calibration.json': 'mm',
    'depth.tiff': 'm',
    'disparity.tiff': 'px',
    'poses.json': 'mm',
    'points.npz': 'mm',
}


@dataclass(frozen=True)
class Made:
    """What a run did: `made` pairs, beside `kept` ones of an earlier run."""

    made: int
    kept: int


def generate_folder(
    out_dir: Path,
    recipe: SourceRecipe,
    *,
    frames: int,
    distorted: bool = False,
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> Made:
    """Write `out_dir`/000000 ... and manifest.json; `folder` says what a frame holds.

    The same recipe gives the same bytes, however many workers there are. A run that was ended is
    taken up where it stopped; a data set that is whole is kept.

    Args:
        progress: called with the number of frames that are there, whenever it grows.

    Raises:
        UsageError: an argument is out of range, or `out_dir` holds something else.
        MissingExtraError: the source needs what is not installed.
        MsdesisError: a frame cannot be made or written.
    """
    out_dir = Path(out_dir)
    plan = DatasetPlan(
        FRAMES_LAYOUT,
        recipe.kind,
        recipe.seed,
        frames,
        recipe.image_size,
        {**recipe.options, 'distorted': distorted, 'sequence': recipe.sequence},
        {'units': _UNITS},
    )
    if plan.begin(out_dir):
        return Made(made=0, kept=frames)
    with _writing(plan, out_dir):
        there = [
            index
            for index in range(frames)
            if frame_is_there(_frame_dir(out_dir, index), distorted=distorted)
        ]
        # Every frame of a sequence is looked at again, for where it sees the points.
        indices = range(frames) if recipe.sequence else sorted(set(range(frames)) - set(there))
        job = _FrameJob(out_dir, recipe.seed, distorted, recipe.sequence)
        seen: dict[int, tuple[Sighting, np.ndarray]] = {}
        done = frames - len(indices)
        with contextlib.closing(in_workers(job, recipe, indices, workers=workers)) as results:
            for index, found in results:
                done += 1
                progress(done)
                if found is not None:
                    seen[index] = found
        if recipe.sequence:
            sightings = [seen[index][0] for index in range(frames)]
            write_sequence(out_dir, SequenceTruth.of(seen[0][1], sightings))
        plan.finish(out_dir)
    return Made(made=frames - len(there), kept=len(there))


def generate_shards(
    out_dir: Path,
    recipe: SourceRecipe,
    *,
    frames: int,
    per_shard: int = shards.FRAMES_PER_SHARD,
    workers: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> Made:
    """Write training shards, for `shards.ShardReader`; otherwise as `generate_folder`.

    What is kept of a run that was ended is its whole shards.
    """
    if recipe.sequence:
        raise UsageError('shards hold single pairs; leave out the sequence, or the shards')
    if per_shard < 1:
        raise UsageError(f'{per_shard} frames a shard were asked for; expected at least 1')
    out_dir = Path(out_dir)
    plan = DatasetPlan(
        shards.LAYOUT,
        recipe.kind,
        recipe.seed,
        frames,
        recipe.image_size,
        recipe.options,
        shards.manifest_details(per_shard),
    )
    count = -(-frames // per_shard)
    if plan.begin(out_dir):
        return Made(made=0, kept=frames)
    with _writing(plan, out_dir):
        whole = next(
            (n for n in range(count) if not (out_dir / shards.shard_name(n)).is_file()), count
        )
        first = min(whole * per_shard, frames)
        indices = range(first, frames)
        with contextlib.closing(in_workers(_encoded, recipe, indices, workers=workers)) as results:
            records = in_order(_counted(results, first, progress), indices)
            shards.write_shards(out_dir, records, first=first, frames=frames, per_shard=per_shard)
        plan.finish(out_dir, shards=shards.manifest_of_shards(out_dir, count))
    return Made(made=frames - first, kept=first)


@dataclass(frozen=True)
class _FrameJob:
    """Make and write one frame, in a worker; of a sequence also where it sees the points."""

    out_dir: Path
    seed: int
    distorted: bool
    sequence: bool

    def __call__(self, source: FrameSource, index: int) -> tuple[Sighting, np.ndarray] | None:
        folder = _frame_dir(self.out_dir, index)
        if frame_is_there(folder, distorted=self.distorted):
            frame = read_frame(folder)
        else:
            frame, raw = self._made(source, index)
            write_frame(folder, frame, distorted=raw)
        if not self.sequence:
            return None
        return sight(source, index, frame), source.points_mm  # type: ignore[attr-defined, arg-type]

    def _made(self, source: FrameSource, index: int) -> tuple[StereoFrame, DistortedPair | None]:
        if not self.distorted:
            return source.frame(index), None
        # One endoscope films a whole sequence.
        seed = (self.seed,) if self.sequence else (self.seed, index)
        return frame_with_raw(source, index, lens_seed=seed)


def _frame_dir(out_dir: Path, index: int) -> Path:
    return out_dir / f'{index:06d}'


def _encoded(source: FrameSource, index: int) -> bytes:
    return encode_frame(source.frame(index))


def _counted(
    results: Iterator[tuple[int, bytes]], done: int, progress: Callable[[int], None]
) -> Iterator[tuple[int, bytes]]:
    for result in results:
        done += 1
        progress(done)
        yield result


@contextlib.contextmanager
def _writing(plan: DatasetPlan, out_dir: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        plan.withdraw(out_dir)
        if isinstance(error, OSError):
            raise MsdesisError(
                f'cannot write the data set to {out_dir}: {error.strerror or error}; choose a '
                'folder you may write to, with free space'
            ) from error
        raise
