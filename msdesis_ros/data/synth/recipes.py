"""How a process makes its own source of frames: numbers that can be sent, and `open`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.stereo_frame import FrameSource

# Module and class by kind; imported only when one is opened (the renderer needs an extra).
_PLACE = 'msdesis_ros.data.synth'
SOURCES = {
    'render': (f'{_PLACE}.render_source', 'RenderSource'),
    'layered': (f'{_PLACE}.layered', 'LayeredSource'),
}
SEQUENCE_SOURCES = {'render': (f'{_PLACE}.render_sequence', 'RenderSequence')}


@dataclass(frozen=True)
class SourceRecipe:
    """A source of frames as numbers, so that every worker opens the same one.

    kind: a key of SOURCES. image_size: (width, height) px. clean: no noise, blur, smoke, vignette
    and view-dependent light. sequence: one moving scene; a key of SEQUENCE_SOURCES then.
    """

    kind: str
    seed: int
    image_size: tuple[int, int]
    clean: bool = False
    sequence: bool = False

    def __post_init__(self) -> None:
        if self.kind not in SOURCES:
            raise UsageError(f'source is {self.kind!r}; known: {", ".join(SOURCES)}')
        if self.sequence and self.kind not in SEQUENCE_SOURCES:
            raise UsageError(
                f'the source {self.kind} makes no sequences; use {", ".join(SEQUENCE_SOURCES)}'
            )

    def open(self) -> FrameSource:
        """Make the source; a `SequenceSource` where `sequence` is set.

        Raises MissingExtraError where the kind needs something that is not installed.
        """
        module, name = (SEQUENCE_SOURCES if self.sequence else SOURCES)[self.kind]
        make = getattr(importlib.import_module(module), name)
        return make(self.seed, self.image_size, self.clean)
