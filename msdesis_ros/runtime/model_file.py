"""One file of a model, as its card describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from msdesis_ros.core.errors import ModelError, shown

FILE_FORMATS = ('onnx', 'safetensors', 'torch')
FILE_PRECISIONS = ('fp32', 'fp16', 'int8')


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: `path` below the folder of the cards, its format, its SHA-256 (hex).

    `format`: `onnx`, `safetensors` (weights), or `torch` (a pickled state_dict, as other authors
    give them away). `size_bytes`: None where the card does not say. `precision`: what its numbers
    are, one of FILE_PRECISIONS. `image_size`: the one picture size (width, height) that an ONNX
    file is made for; None where it takes any, or is the only one of its precision.
    """

    path: str
    format: str
    sha256: str
    size_bytes: int | None = None
    precision: str = 'fp32'
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path)
        if parts.is_absolute() or '..' in parts.parts or not parts.name:
            raise ModelError(f'path {shown(self.path)} must lie below the folder of the cards')
        if self.format not in FILE_FORMATS:
            known = ', '.join(FILE_FORMATS)
            raise ModelError(f'format {shown(self.format)} is unknown; known: {known}')
        if not re.fullmatch('[0-9a-f]{64}', self.sha256):
            raise ModelError(
                f'sha256 {shown(self.sha256, limit=80)} is not 64 lower-case hexadecimal digits'
            )
        if self.size_bytes is not None and self.size_bytes < 1:
            raise ModelError(f'size_bytes is {self.size_bytes}; expected 1 or more')
        if self.precision not in FILE_PRECISIONS:
            known = ', '.join(FILE_PRECISIONS)
            raise ModelError(f'precision {shown(self.precision)} is unknown; known: {known}')
        if self.image_size is not None and (self.format != 'onnx' or min(self.image_size) < 1):
            raise ModelError('image_size is width and height, from 1, of an ONNX file')
