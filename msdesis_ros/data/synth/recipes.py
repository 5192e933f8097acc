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
SOURCES_WITH_SCENES = ('layered',)  # of which one kind of scene can be asked for


@dataclass(frozen=True)
class SourceRecipe:
    """A source of frames as numbers, so that every worker opens the same one.

    kind: a key of SOURCES. image_size: (width, height) px. clean: no noise, blur, smoke, vignette
    and view-dependent light. sequence: one moving scene; a key of SEQUENCE_SOURCES then. scenes:
    all of this kind, one that the source knows; of SOURCES_WITH_SCENES then.
    """

    kind: str
    seed: int
    image_size: tuple[int, int]
    clean: bool = False
    sequence: bool = False
    scenes: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in SOURCES:
            raise UsageError(f'source is {self.kind!r}; known: {", ".join(SOURCES)}')
        if self.scenes is not None and self.kind not in SOURCES_WITH_SCENES:
            raise UsageError(
                f'the source {self.kind} has one kind of scene; leave scenes out, or use '
                f'{", ".join(SOURCES_WITH_SCENES)}'
            )
        if self.sequence and self.kind not in SEQUENCE_SOURCES:
            raise UsageError(
                f'the source {self.kind} makes no sequences; use {", ".join(SEQUENCE_SOURCES)}'
            )

    @property
    def options(self) -> dict[str, bool | str]:
        """What a data set's manifest says of it beside the seed and the size."""
        return {'clean': self.clean, **self._only}

    @property
    def _only(self) -> dict[str, str]:
        return {} if self.scenes is None else {'scenes': self.scenes}

    def open(self) -> FrameSource:
        """Make the source; a `SequenceSource` where `sequence` is set.

        Raises MissingExtraError where the kind needs something that is not installed.
        """
        module, name = (SEQUENCE_SOURCES if self.sequence else SOURCES)[self.kind]
        make = getattr(importlib.import_module(module), name)
        return make(self.seed, self.image_size, self.clean, **self._only)
