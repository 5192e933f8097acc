"""One row of a list: read the pair, run the pipeline of the node on it, write what was asked."""

from __future__ import annotations

import contextlib
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from msdesis_ros.core.errors import BackendError, MsdesisError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.images import read_rgb
from msdesis_ros.offline.journal import Entry, file_sha256, identity_of
from msdesis_ros.offline.pair_list import PairRow, calibration_files
from msdesis_ros.offline.rigs import RigRule
from msdesis_ros.offline.row_outputs import OutputSettings
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.pipeline import PerceptionPipeline

# A model made for one picture size is opened for each; every one holds its own memory.
MOST_OPEN = 4
# One pair may be too much for a model; so many after each other, of a size that it took before,
# mean that it does not run any more.
MOST_FAILURES = 5
# Rows that follow each other usually share a calibration.
MOST_RIGS = 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is done to every row; a value that another process can be given.

    open_backend: makes the backend for pictures of (width, height). one_size: it takes pictures of
    that size alone, so that each size needs one of its own. alpha: as in `PerceptionPipeline`.
    """

    open_backend: Callable[[tuple[int, int]], Backend]
    one_size: bool = False
    rigs: RigRule = field(default_factory=RigRule)
    outputs: OutputSettings = field(default_factory=OutputSettings)
    alpha: float = -1.0

    def further_inputs(self, row: PairRow) -> tuple[str, ...]:
        """The files beside those of the row that its results depend on."""
        return () if row.calibration else calibration_files(self.rigs.calibration)


@dataclass(frozen=True, eq=False)
class LoadedRow:
    """A row with its pictures, its rig (None: rectified, unknown geometry) and what was read."""

    row: PairRow
    pair: RawPair
    rig: StereoRig | None
    inputs: dict[str, list[int]]


@dataclass(frozen=True, eq=False)
class InferredRow:
    """A row with the planes to write, by kind, and what its entry in the journal tells."""

    row: PairRow
    planes: dict[str, np.ndarray]
    inputs: dict[str, list[int]]
    about: dict[str, object]


class ModelStoppedError(MsdesisError):
    """The model does not run any more: no further row has a chance."""


class RowWork:
    """The three steps of a row. `read` and `save` may run in any thread, `infer` in one at a time.

    The model is opened by the first call that needs it. Close it at the end.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._pipelines: OrderedDict[tuple[int, int] | None, PerceptionPipeline] = OrderedDict()
        self._rig = functools.lru_cache(MOST_RIGS)(recipe.rigs.rig)
        self._taken: set[tuple[int, int]] = set()
        self._failures = 0

    def heads(self, image_size: tuple[int, int]) -> frozenset[str]:
        """What the model for pictures of (width, height) gives; raises as `open_backend`."""
        return frozenset(self._pipeline(image_size).backend.heads)

    def read(self, row: PairRow) -> LoadedRow:
        """Raises MsdesisError, of any kind, for a row whose files cannot be used."""
        # Before they are read: a file that changes meanwhile is then made again.
        inputs = identity_of((*row.inputs(), *self._recipe.further_inputs(row)))
        pair = _read_pair(row)
        rig = self._rig(row.calibration, pair.image_size)
        return LoadedRow(row, pair, rig, inputs)

    def infer(self, loaded: LoadedRow) -> InferredRow:
        """Raises MsdesisError for a row that cannot be done, ModelStoppedError where none can."""
        size = loaded.pair.image_size
        try:
            pipeline = self._pipeline(size)
        except MsdesisError as error:
            if not self._pipelines:  # nothing was ever opened: the model is at fault, not the size
                raise ModelStoppedError(str(error)) from error
            raise
        try:
            result = pipeline.process(loaded.pair, loaded.rig)
        except BackendError as error:
            self._failures += size in self._taken
            if self._failures >= MOST_FAILURES:
                raise ModelStoppedError(
                    f'the model failed on {self._failures} pairs one after the other, of sizes '
                    f'that it took before: {error}'
                ) from error
            raise
        self._taken.add(size)
        self._failures = 0
        verdict = result.verdict
        about: dict[str, object] = {
            'verdict': verdict.state.value,
            'reasons': [reason.code for reason in verdict.reasons],
            'coverage': round(result.prediction.coverage, 6),
            'sha256': result.prediction.model.sha256,
        }
        planes = self._recipe.outputs.planes(result, loaded.row.outputs)
        return InferredRow(loaded.row, planes, loaded.inputs, about)

    def save(self, inferred: InferredRow) -> Entry:
        """Write every file of a row, each whole or not at all; MsdesisError where it cannot be."""
        outputs, too_large = {}, 0
        for kind, plane in inferred.planes.items():
            path = inferred.row.outputs[kind]
            too_large += self._recipe.outputs.write(path, kind, plane)
            outputs[kind] = file_sha256(path)
        return Entry(inferred.inputs, outputs, {**inferred.about, 'too_large': too_large})

    def close(self) -> None:
        """Release the model."""
        while self._pipelines:
            self._pipelines.popitem()[1].backend.close()

    def _pipeline(self, image_size: tuple[int, int]) -> PerceptionPipeline:
        key = image_size if self._recipe.one_size else None
        if key not in self._pipelines:
            while len(self._pipelines) >= MOST_OPEN:
                self._pipelines.popitem(last=False)[1].backend.close()
            backend = self._recipe.open_backend(image_size)
            self._pipelines[key] = PerceptionPipeline(backend, alpha=self._recipe.alpha)
        self._pipelines.move_to_end(key)
        return self._pipelines[key]


def first_pair(rows: Iterable[PairRow]) -> tuple[PairRow, RawPair] | None:
    """The first row whose pictures can be read, with them; None where there is none."""
    for row in rows:
        with contextlib.suppress(MsdesisError):
            return row, _read_pair(row)
    return None


def _read_pair(row: PairRow) -> RawPair:
    # Rows are no stream: with one stamp for all, equal pictures are not taken for a frozen camera.
    return RawPair(read_rgb(row.left), read_rgb(row.right), stamp_ns=0, right_stamp_ns=0)
