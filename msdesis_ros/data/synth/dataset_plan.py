"""What a data set is made with, and how far it is: planned, unfinished, or whole.

unfinished.json   the plan, from the first frame on; a run with the same plan goes on from there
manifest.json     the same, written last: where it is, the data set is whole
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from msdesis_ros import __version__
from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.synth.folder import PARTIAL, read_json

GENERATOR = 'msdesis_ros synth'
MANIFEST, UNFINISHED = 'manifest.json', 'unfinished.json'


@dataclass(frozen=True)
class DatasetPlan:
    """Everything that decides the bytes of a data set on one machine.

    layout: `frames` or `shards`. details: what the layout adds. Raises UsageError for arguments
    out of range.
    """

    layout: str
    source: str
    seed: int
    frames: int
    image_size: tuple[int, int]
    options: dict[str, bool | str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise UsageError(f'{self.frames} frames were asked for; expected at least 1')
        if self.seed < 0:
            raise UsageError(f'the seed is {self.seed}; expected 0 or more')

    @property
    def manifest(self) -> dict[str, Any]:
        """As the files have it; a program of other versions may make other bytes."""
        return {
            'generator': GENERATOR,
            'layout': self.layout,
            'source': self.source,
            'seed': self.seed,
            'frames': self.frames,
            'image_size': list(self.image_size),
            'options': self.options,
            **self.details,
            'versions': {
                'msdesis_ros': __version__,
                'numpy': np.__version__,
                'opencv': cv2.__version__,
            },
        }

    def begin(self, folder: Path) -> bool:
        """Claim a folder; True where the whole data set of this plan is there already.

        What an earlier run with the same plan has finished stays. Raises UsageError, and changes
        nothing, where the folder holds anything else.
        """
        if (folder / MANIFEST).exists():
            self._require_same(folder, MANIFEST)
            return True
        if (folder / UNFINISHED).exists():
            self._require_same(folder, UNFINISHED)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f'{folder} exists and holds no data set of this program; choose another folder, '
                'or remove it first'
            )
        remove_partial(folder)
        _write_json(folder / UNFINISHED, self.manifest)
        return False

    def finish(self, folder: Path, **added: Any) -> None:
        """Declare the folder whole; `added` goes into the manifest too."""
        remove_partial(folder)
        _write_json(folder / MANIFEST, {**self.manifest, **added})
        (folder / UNFINISHED).unlink(missing_ok=True)

    def withdraw(self, folder: Path) -> None:
        """Give a folder back after an error, if not a single frame was finished."""
        remove_partial(folder)
        with contextlib.suppress(OSError):
            if os.listdir(folder) == [UNFINISHED]:
                (folder / UNFINISHED).unlink()
                folder.rmdir()

    def _require_same(self, folder: Path, name: str) -> None:
        try:
            found = read_json(folder / name)
        except FileFormatError:
            found = {}
        if found.get('generator') != GENERATOR:
            raise UsageError(
                f'{folder} holds a {name} that is not of this program; choose another folder'
            )
        other = [key for key, value in self.manifest.items() if found.get(key) != value]
        if other:
            have = ', '.join(f'{key} {found.get(key)}' for key in other)
            want = ', '.join(f'{key} {self.manifest[key]}' for key in other)
            raise UsageError(
                f'{folder} holds another data set ({have}; asked for {want}); choose another '
                'folder, or remove it first'
            )


def remove_partial(folder: Path) -> None:
    """Remove what a run that was killed had begun to write."""
    for path in folder.glob(f'.*{PARTIAL}'):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob('.shard-*.zip'):
        path.unlink(missing_ok=True)


def read_manifest(folder: str | os.PathLike[str], layout: str) -> dict[str, Any]:
    """The manifest of a whole data set of a layout; FileFormatError for anything else."""
    folder = Path(folder)
    if not (folder / MANIFEST).exists():
        unfinished = (folder / UNFINISHED).exists()
        raise FileFormatError(
            f'{folder} holds an unfinished data set; run the same msdesis synth again to finish it'
            if unfinished
            else f'{folder} holds no {MANIFEST}; give the folder of a data set of msdesis synth'
        )
    manifest = read_json(folder / MANIFEST)
    if manifest.get('generator') != GENERATOR or manifest.get('layout') != layout:
        raise FileFormatError(
            f'{folder / MANIFEST} is of layout {manifest.get("layout")!r} by '
            f'{manifest.get("generator")!r}; expected {layout!r} by {GENERATOR!r}'
        )
    return manifest


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
