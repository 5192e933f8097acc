"""The options that choose a model and what runs it, as several commands share them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from msdesis_ros.cli import rig_options
from msdesis_ros.core.errors import UsageError
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.cards import DEFAULT_MODEL
from msdesis_ros.runtime.factory import create_backend

ModelOption = Annotated[
    str | None,
    typer.Option('--model', help=f'Model card (msdesis models list); default {DEFAULT_MODEL}.'),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option('--checkpoint', help='Weights instead of a card: a .pt or .safetensors file.'),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        '--encoder', help='Of an msdesis checkpoint: light or resnet34; default: what it holds.'
    ),
]
NetworkSizeOption = Annotated[
    str | None,
    typer.Option(
        '--network-size',
        help='Of an msdesis_fast checkpoint: small, base or large; default: what it holds.',
    ),
]
MaxDisparityOption = Annotated[
    int | None,
    typer.Option('--max-disparity', help='Of the checkpoint, px; default: what it holds.'),
]
ModeOption = Annotated[
    str | None,
    typer.Option('--mode', help='Of the checkpoint: multitask, disparity or segmentation.'),
]
BackendOption = Annotated[str | None, typer.Option('--backend', help='Default: that of the card.')]
ModelsDirOption = Annotated[
    Path | None,
    typer.Option('--models-dir', help='Folder of model cards; default: those that ship.'),
]
ThreadsOption = Annotated[
    int | None, typer.Option('--threads', help='CPU threads of the backend.')
]


@dataclass(frozen=True, kw_only=True)
class ModelFields:
    """These options as they were given."""

    model: ModelOption = None
    checkpoint: CheckpointOption = None
    encoder: EncoderOption = None
    network_size: NetworkSizeOption = None
    max_disparity: MaxDisparityOption = None
    mode: ModeOption = None
    backend: BackendOption = None
    models_dir: ModelsDirOption = None
    threads: ThreadsOption = None


@dataclass(frozen=True, kw_only=True)
class ModelChoice(ModelFields):
    """What they say, a group for `option_groups`. UsageError for a contradiction."""

    def __post_init__(self) -> None:
        if self.model is not None and self.checkpoint is not None:
            raise UsageError('give either --model or --checkpoint, not both')
        if self.checkpoint is not None:
            rig_options.require_files(self.checkpoint)
            return
        for name in ('encoder', 'network_size', 'max_disparity', 'mode'):
            if getattr(self, name) is not None:
                option = f'--{name.replace("_", "-")}'
                raise UsageError(f'{option} describes a checkpoint; give --checkpoint FILE too')

    def open(self, image_size: tuple[int, int]) -> Backend:
        """The backend for pictures of (width, height); raises as `create_backend`."""
        if self.checkpoint is None:
            return create_backend(
                self.model or DEFAULT_MODEL,
                backend=self.backend,
                threads=self.threads,
                models_dir=self.models_dir,
            )
        from msdesis_ros.cli.checkpoint_backend import open_checkpoint

        return open_checkpoint(
            self.checkpoint,
            image_size=image_size,
            encoder=self.encoder,
            size=self.network_size,
            max_disparity=self.max_disparity,
            mode=self.mode or 'multitask',
            backend=self.backend or 'torch',
            threads=self.threads,
        )

    @contextlib.contextmanager
    def opened(self, image_size: tuple[int, int]) -> Iterator[Backend]:
        """The same, closed at the end."""
        backend = self.open(image_size)
        try:
            yield backend
        finally:
            backend.close()


# The default of a parameter that `option_groups` fills.
UNCHOSEN = ModelChoice()
