"""One model with an ONNX file for each picture size: opened when pictures of that size come."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from msdesis_ros.core.errors import BackendError, MsdesisError, PictureSizeError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput, contiguous_pair
from msdesis_ros.runtime.model_card import ModelCard
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.runtime.network_backend import NetworkBackend

# A node sees one size; each open file holds its own memory.
MOST_OPEN = 4


class SizedBackend:
    """Picks, by the size of the pictures, the file that runs them; it satisfies `Backend`.

    `files`: of `card`, the one to prefer first. `open_file` loads one and compares it with the
    card. What it raises becomes a BackendError of `warm_up` or `run`, and that file is not tried
    again: only a new backend does. `identity` is that of the file in use; before the first one its
    `sha256` is None.
    """

    disparity_step_px = 0.0

    def __init__(
        self,
        card: ModelCard,
        files: Sequence[ModelFile],
        *,
        backend: str,
        open_file: Callable[[ModelFile], NetworkBackend],
    ) -> None:
        self.identity = ModelIdentity(name=card.name, sha256=None, backend=backend)
        self.heads = card.heads
        self.min_disparity_px = card.min_disparity_px
        self.max_disparity_px = card.max_disparity_px
        self._rule = card.input
        self._files = tuple(files)
        self._open_file = open_file
        self._open: OrderedDict[ModelFile, NetworkBackend] = OrderedDict()
        self._refusals: dict[ModelFile, str] = {}
        self._closed = False

    def warm_up(self, image_size: tuple[int, int]) -> None:
        """Open the file for pictures of (width, height) and run one pair (see Backend)."""
        self._opened(image_size).warm_up(image_size)

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        """Infer one pair (see Backend); pictures of a new size wait until its file is open."""
        left, right = contiguous_pair(left, right)
        return self._opened((left.shape[1], left.shape[0])).run(left, right)

    def close(self) -> None:
        """Release every open file; closing again does nothing."""
        self._closed = True
        while self._open:
            self._open.popitem()[1].close()

    def _opened(self, image_size: tuple[int, int]) -> NetworkBackend:
        if self._closed:
            raise BackendError(f'{self.identity.name} is closed; create the backend again')
        file = self._file_for(image_size)
        if file in self._refusals:
            raise BackendError(self._refusals[file])
        if file not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            try:
                self._open[file] = self._open_file(file)
            except MsdesisError as error:
                self._refusals[file] = str(error)
                raise BackendError(str(error)) from error
        self._open.move_to_end(file)
        self.identity = self._open[file].identity
        return self._open[file]

    def _file_for(self, image_size: tuple[int, int]) -> ModelFile:
        self._rule.require(image_size, model=self.identity.name)
        for file in self._files:
            if file.image_size in (None, tuple(image_size)):
                return file
        sizes = sorted(file.image_size for file in self._files if file.image_size is not None)
        raise PictureSizeError(
            f'{self.identity.name} cannot take {image_size[0]}x{image_size[1]} pictures; it has '
            f'files for {", ".join(f"{width}x{height}" for width, height in sizes)}: export one '
            'for this size, or use pictures of one of these'
        )
