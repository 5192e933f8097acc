"""Synthetic frames to score on: a data set on disk, or a source that makes them now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msdesis_ros.core.errors import FileFormatError, UsageError, shown
from msdesis_ros.data.synth import shards
from msdesis_ros.data.synth.dataset_plan import MANIFEST, read_manifest
from msdesis_ros.data.synth.folder import read_frame, read_json
from msdesis_ros.data.synth.generate import FRAMES_LAYOUT
from msdesis_ros.data.synth.recipes import SourceRecipe
from msdesis_ros.data.synth.stereo_frame import StereoFrame


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class SyntheticSet:
    """A number of frames, each made or read when it is asked for.

    image_size: (width, height) px. about: what a report says of the set, JSON values. frame:
    gives the frame of a number from 0 to `frames` - 1. close: frees what the set holds.
    """

    frames: int
    image_size: tuple[int, int]
    about: dict[str, Any]
    frame: Callable[[int], StereoFrame]
    close: Callable[[], None] = field(default=_nothing)


def open_folder(folder: Path, frames: int | None = None) -> SyntheticSet:
    """A data set of `msdesis synth`, frames or shards; the first `frames` of it, None = all.

    Raises UsageError where it has fewer, FileFormatError where it is no whole data set.
    """
    layout = read_json(folder / MANIFEST).get('layout') if (folder / MANIFEST).exists() else None
    if layout == shards.LAYOUT:
        reader = shards.ShardReader(folder)
        manifest, count, size = reader.manifest, len(reader), reader.image_size
        read: Callable[[int], StereoFrame] = reader.frame
    else:
        manifest = read_manifest(folder, FRAMES_LAYOUT)
        count, size = _facts(manifest, folder)

        def read(number: int) -> StereoFrame:
            return read_frame(folder / f'{number:06d}')

    if frames is not None and frames > count:
        raise UsageError(f'{folder} holds {count} frames; --frames asks for {frames}')
    keys = ('source', 'seed', 'options', 'versions')
    about = {'data': str(folder), **{key: manifest.get(key) for key in keys}}
    return SyntheticSet(count if frames is None else frames, size, about, read)


def open_source(recipe: SourceRecipe, frames: int) -> SyntheticSet:
    """Frames that are made now; MissingExtraError where the source needs what is not installed."""
    source = recipe.open()
    about = {'source': recipe.kind, 'seed': recipe.seed, 'options': {'clean': recipe.clean}}
    return SyntheticSet(frames, recipe.image_size, about, source.frame, source.close)


def _facts(manifest: dict[str, Any], folder: Path) -> tuple[int, tuple[int, int]]:
    """The number of frames and their size, as a manifest has them."""
    frames, size = manifest.get('frames'), manifest.get('image_size')
    whole = (
        isinstance(frames, int)
        and isinstance(size, list)
        and len(size) == 2
        and all(isinstance(side, int) for side in size)
    )
    if not whole or frames < 1:
        raise FileFormatError(
            f'the manifest of {folder} has {shown(frames)} frames of {shown(size)} px; make the '
            'data set again, or copy it again'
        )
    return frames, (size[0], size[1])
