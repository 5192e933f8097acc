"""A backend for a checkpoint file, exporting it first where the backend runs ONNX files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdesis_ros import __version__
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.engine_cache import default_folder
from msdesis_ros.runtime.factory import create_from_checkpoint

if TYPE_CHECKING:
    from msdesis_ros.nets.checkpoints import LoadedCheckpoint


def open_checkpoint(
    path: Path,
    *,
    image_size: tuple[int, int],
    mode: str = 'multitask',
    backend: str = 'torch',
    threads: int | None = None,
    export_folder: Path | None = None,
    **asked: Any,
) -> Backend:
    """Load a checkpoint for pictures of (width, height); raises as `create_from_checkpoint`.

    `asked`: what the file must be, as there. `export_folder`: where an exported file is kept,
    None = the user's cache.
    """

    def exported(loaded: LoadedCheckpoint) -> bytes:
        return exported_onnx(loaded, path, image_size=image_size, folder=export_folder)

    return create_from_checkpoint(
        path, mode=mode, backend=backend, threads=threads, to_onnx=exported, **asked
    )


def exported_onnx(
    loaded: LoadedCheckpoint,
    weights: Path,
    *,
    image_size: tuple[int, int],
    folder: Path | None = None,
) -> bytes:
    """The ONNX file of a network, kept in `folder` (default: the user's cache) for the next time.

    Its name holds the hash of the weights file, mode, size and version of this package. A kept
    file whose bytes are not those that its report describes is exported again.
    """
    from msdesis_ros.export.onnx_export import Origin, export_onnx

    folder = default_folder().parent / 'onnx' if folder is None else folder
    digest = loaded.sha256
    width, height = image_size
    config = loaded.network.config
    stem = f'{digest[:32]}-{config.max_disparity}-{config.mode}-{width}x{height}-{__version__}'
    path = folder / f'{stem}.onnx'
    kept = _kept(path)
    if kept is None:
        origin = Origin(name=weights.stem, weights_sha256=digest, mean=loaded.mean, std=loaded.std)
        export_onnx(loaded.network, path, image_size=image_size, origin=origin)
        kept = path.read_bytes()
    return kept


def _kept(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        report = json.loads(path.with_suffix('.json').read_text(encoding='utf-8'))
        described = report['sha256']
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == described else None
