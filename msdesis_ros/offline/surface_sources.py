"""Where surfaces come from: pairs that the pipeline matches, or depth that is on disk already."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.rig import StereoGeometry, StereoRig
from msdesis_ros.core.surface_frame import SurfaceFrame
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.layouts.own_frames import list_own_frames
from msdesis_ros.data.picture_pairs import SUFFIXES, natural_order
from msdesis_ros.data.surface_folders import read_mask, read_surface_folder
from msdesis_ros.offline.pair_folders import pair_by_name
from msdesis_ros.offline.pair_list import PairRow
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.pipeline import PerceptionPipeline

# From a calibration (None = that of the run) and the (width, height) of the pictures to the rig.
RigOf = Callable[[str | None, tuple[int, int]], StereoRig | None]
OpenBackend = Callable[[tuple[int, int]], AbstractContextManager[Backend]]


class SurfaceSource(Protocol):
    """Frames by number, each read or computed when it is asked for."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the frames, each once."""

    def frame(self, number: int) -> SurfaceFrame:
        """The frame; MsdesisError where it has no surface, and others may have one."""


@dataclass(frozen=True)
class NamedPair:
    """A pair of picture files; calibration None = that of the run."""

    name: str
    left: Path
    right: Path
    calibration: str | None = None


@dataclass(frozen=True)
class MaskFiles:
    """Instrument masks of the rectified left pictures: one file, or a folder by frame name."""

    path: Path

    def of(self, name: str) -> np.ndarray:
        """H x W bool; FileFormatError where there is none of that name."""
        if not self.path.is_dir():
            return read_mask(self.path)
        for suffix in SUFFIXES:
            path = self.path / f'{name}{suffix}'
            if path.is_file():
                return read_mask(path)
        raise FileFormatError(f'{self.path} holds no mask of the name {name}')


class PairSource:
    """Pairs that go through the pipeline, in order; the backend is opened for the first of them.

    Use it as a context manager. `frame` raises what the pipeline raises, and MsdesisError with the
    verdict's reasons for a pair whose depth is withheld.
    """

    def __init__(
        self,
        pairs: Sequence[NamedPair],
        *,
        open_backend: OpenBackend,
        rig_of: RigOf,
        alpha: float = -1.0,
        masks: MaskFiles | None = None,
    ) -> None:
        self.names = [pair.name for pair in pairs]
        self._pairs, self._open, self._rig_of = pairs, open_backend, rig_of
        self._alpha, self._masks = alpha, masks
        self._held = contextlib.ExitStack()
        self._pipeline: PerceptionPipeline | None = None

    def __enter__(self) -> PairSource:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def frame(self, number: int) -> SurfaceFrame:
        files = self._pairs[number]
        # Files have no stamps; equal ones tell the monitor that no time went by between them.
        pair = RawPair(read_rgb(files.left), read_rgb(files.right), stamp_ns=0, right_stamp_ns=0)
        rig = self._rig_of(files.calibration, pair.image_size)
        if rig is None:
            raise UsageError(
                'a surface needs metres: give --calibration, or --rectified with --focal-px and '
                '--baseline-mm'
            )
        if self._pipeline is None:
            backend = self._held.enter_context(self._open(pair.image_size))
            self._pipeline = PerceptionPipeline(backend, alpha=self._alpha)
        result = self._pipeline.process(pair, rig)
        prediction, verdict = result.prediction, result.verdict
        sentences = tuple(reason.sentence for reason in verdict.reasons)
        if prediction.depth_m is None or not verdict.depth_usable:
            reasons = '; '.join(sentences) or f'{prediction.model.name} gives no disparity'
            raise MsdesisError(f'{files.name} has no depth: {reasons}')
        assert isinstance(prediction.geometry, StereoGeometry)
        mask = prediction.instrument_mask
        return SurfaceFrame.of_mask(
            files.name,
            depth_m=prediction.depth_m,
            picture=prediction.left_rect,
            instrument_mask=mask if self._masks is None else self._masks.of(files.name),
            geometry=prediction.geometry,
            uncertainty_px=prediction.uncertainty_px,
            model=prediction.model,
            warnings=(*rig.warnings, *sentences),
        )


class FolderSource:
    """Folders with depth, each as `data.surface_folders.read_surface_folder` reads it."""

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        rig_of: RigOf,
        picture: Path | None = None,
        calibration: str | None = None,
        alpha: float = -1.0,
        masks: MaskFiles | None = None,
    ) -> None:
        # Several are entries of one folder; links among them may lead to folders of one name.
        alone = len(folders) == 1
        self.names = [folder.resolve().name if alone else folder.name for folder in folders]
        self._folders, self._rig_of = folders, rig_of
        self._picture, self._calibration = picture, calibration
        self._alpha, self._masks = alpha, masks

    def frame(self, number: int) -> SurfaceFrame:
        name = self.names[number]
        return read_surface_folder(
            self._folders[number],
            rig_of=self._metric_rig,
            name=name,
            picture=self._picture,
            calibration=self._calibration,
            alpha=self._alpha,
            instrument_mask=None if self._masks is None else self._masks.of(name),
        )

    def _metric_rig(self, calibration: str, image_size: tuple[int, int]) -> StereoRig:
        rig = self._rig_of(calibration, image_size)
        assert rig is not None  # a calibration always makes one
        return rig


def pairs_of_rows(rows: Sequence[PairRow]) -> list[NamedPair]:
    """The pairs of a list, named after their left pictures; where several have one name, with
    that of its folder (000012/left.png is 000012_left), or else with the line before it.
    """
    names = [row.left.stem for row in rows]
    for more in ([row.left.parent.name for row in rows], [f'{row.line:06d}' for row in rows]):
        counts = Counter(names)
        names = [
            name if counts[name] == 1 else f'{first}_{name}'
            for first, name in zip(more, names, strict=True)
        ]
    return [
        NamedPair(name, row.left, row.right, row.calibration)
        for name, row in zip(names, rows, strict=True)
    ]


def pairs_of_folders(left: Path, right: Path) -> list[NamedPair]:
    """The pictures of two folders that have one name; raises as `pair_by_name`."""
    return pairs_of_rows(pair_by_name(left, right, {}))


def pairs_below(root: Path) -> list[NamedPair]:
    """The pairs of one folder: of left/ and right/ in it, or by the words left and right in names.

    Raises FileFormatError where there is none, or a picture's name says neither side.
    """
    if (root / 'left').is_dir() and (root / 'right').is_dir():
        return pairs_of_folders(root / 'left', root / 'right')
    listing = list_own_frames(root)
    if listing.problems or not listing.files:
        problem = listing.problems[0] if listing.problems else None
        what = f'{problem.path}: {problem.what}' if problem else 'no pictures'
        raise FileFormatError(
            f'{root} holds neither depth nor pairs ({what}); expected depth.tiff, folders with '
            'depth.tiff, or pictures whose paths differ in the words left and right alone'
        )
    files = sorted(listing.files, key=lambda each: natural_order(each.name))
    names = [each.name.replace('/', '_') for each in files]
    if len(set(names)) < len(names):  # a/b_c and a_b/c
        names = [f'{number:06d}_{name}' for number, name in enumerate(names)]
    return [
        NamedPair(name, each.left, each.right) for name, each in zip(names, files, strict=True)
    ]
