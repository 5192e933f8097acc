"""What is known about one model: the values of a model card, and its files with their hashes."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from msdesis_ros.core.errors import ModelError, PictureSizeError, shown
from msdesis_ros.nets.registry import FAMILIES
from msdesis_ros.runtime.backend import HEADS
from msdesis_ros.runtime.check_samples import SelfCheck
from msdesis_ros.runtime.model_file import ModelFile

SGBM_FAMILY = 'opencv_sgbm'
# Families of which `nets` has the network, so that PyTorch can run their weights.
TORCH_FAMILIES = tuple(FAMILIES)
# Networks that enlarge small pictures pad them to multiples of this first.
PADDED_TO = 32


@dataclass(frozen=True)
class InputRule:
    """Which pictures a model takes.

    Width and height are multiples of `multiple_of` and at least `smallest` (width, height); where
    `sizes` is not empty only those (width, height) are taken. `mean` and `std` (RGB, of values
    from 0 to 1): how weights were trained; None = as the authors of MSDESIS. The torch backends
    and the export put them into the network; an ONNX file has them inside already.
    `enlarged`: rows of (numerator, denominator, most pixels): the network itself enlarges
    pictures, padded to multiples of 32, by the quotient (to multiples of 32 again, upwards) where
    they then have no more pixels than that, and searches in them that much less of its
    disparities. The first row that fits counts; none = it takes them as they are.
    """

    multiple_of: int = 1
    smallest: tuple[int, int] = (1, 1)
    sizes: tuple[tuple[int, int], ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    enlarged: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        sides = (side for size in (self.smallest, *self.sizes) for side in size)
        if min(self.multiple_of, *sides, *(number for row in self.enlarged for number in row)) < 1:
            raise ModelError('multiple_of, smallest, sizes and enlarged are whole numbers from 1')
        if any(numerator <= denominator for numerator, denominator, _ in self.enlarged):
            raise ModelError(
                f'enlarged is {self.enlarged}; expected rows of numerator, denominator and most '
                'pixels, the first number larger than the second'
            )
        for name, values in (('mean', self.mean), ('std', self.std)):
            if values is not None and len(values) != 3:
                raise ModelError(f'{name} has {len(values)} numbers; expected 3, for R, G, B')
        if (self.mean is None) != (self.std is None):
            raise ModelError('mean and std go together; give both or none')
        if self.std is not None and min(self.std) <= 0:
            raise ModelError(f'std is {self.std}; expected numbers above 0')

    @property
    def accepted(self) -> str:
        """The rule in words, e.g. 'any size from 5x5'."""
        if self.sizes:
            return ', '.join(f'{width}x{height}' for width, height in self.sizes)
        rule = f'any size from {self.smallest[0]}x{self.smallest[1]}'
        if self.multiple_of > 1:
            rule += f' whose width and height are multiples of {self.multiple_of}'
        return rule

    def searched_px(self, image_size: tuple[int, int], most_px: float) -> float:
        """The largest disparity searched in (width, height) pictures; most_px: in large ones."""
        width, height = (-(-side // PADDED_TO) * PADDED_TO for side in image_size)
        for numerator, denominator, limit in self.enlarged:
            if numerator**2 * width * height <= denominator**2 * limit:
                step = denominator * PADDED_TO
                return most_px * width / (-(-numerator * width // step) * PADDED_TO)
        return most_px

    def require(self, image_size: tuple[int, int], *, model: str) -> None:
        """Raise PictureSizeError, naming the accepted sizes, unless (width, height) is one."""
        fits = all(
            pixels >= least and pixels % self.multiple_of == 0
            for pixels, least in zip(image_size, self.smallest, strict=True)
        )
        if not fits or (self.sizes and tuple(image_size) not in self.sizes):
            raise PictureSizeError(
                f'{model} cannot take {image_size[0]}x{image_size[1]} pictures; '
                f'it takes {self.accepted}'
            )


@dataclass(frozen=True)
class OutputPlane:
    """One output as the model gives it: its name, shape in words, unit and meaning."""

    name: str
    shape: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Training:
    """Where the weights come from; None where it is not known (weights of other authors)."""

    data: str
    seed: int | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One measured figure, what it was measured on, and the command that measures it again."""

    figure: str
    value: float
    unit: str
    data: str
    machine: str
    command: str


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything the product knows about one model; raises ModelError where it contradicts itself.

    `heads` is a subset of HEADS. Disparities lie within `min_disparity_px` and `max_disparity_px`.
    `folder` is where the card was read from.
    """

    name: str
    family: str
    summary: str
    heads: frozenset[str]
    licence: str
    min_disparity_px: float
    max_disparity_px: float
    intended_use: str
    known_failures: tuple[str, ...]
    input: InputRule
    outputs: tuple[OutputPlane, ...]
    measured: tuple[Measurement, ...]
    files: tuple[ModelFile, ...] = ()
    training: Training | None = None
    self_check: tuple[SelfCheck, ...] = ()
    folder: Path

    def __post_init__(self) -> None:
        unknown = sorted(self.heads - set(HEADS))
        if unknown or not self.heads:
            raise ModelError(
                f'heads {shown(sorted(self.heads))} hold none or unknown; known: {HEADS}'
            )
        if not 0 <= self.min_disparity_px < self.max_disparity_px:
            raise ModelError(
                f'min_disparity_px {self.min_disparity_px} and max_disparity_px '
                f'{self.max_disparity_px} must be 0 or more and in this order'
            )
        if self.family != SGBM_FAMILY and not (self.files and self.training):
            raise ModelError(
                f'family {shown(self.family)} has weights, so the card needs [[files]] and '
                f'[training]; only {SGBM_FAMILY!r} has none'
            )
        alike = Counter((f.precision, f.image_size) for f in self.files if f.format == 'onnx')
        for (precision, size), count in alike.items():
            if count > 1:
                made_for = 'any size' if size is None else f'{size[0]}x{size[1]}'
                raise ModelError(
                    f'{count} ONNX files are {precision} for {made_for}, and nobody can choose; '
                    'give each its own image_size'
                )

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that can run this model, the default one first."""
        if self.family == SGBM_FAMILY:
            return ('opencv',)
        formats = {file.format for file in self.files}
        names: tuple[str, ...] = ()
        if 'onnx' in formats:
            names += ('onnxruntime', 'onnxruntime_cuda', 'openvino', 'openvino_bf16', 'tensorrt')
        if self.family in TORCH_FAMILIES and formats & {'safetensors', 'torch'}:
            names += ('torch', 'torch_cuda')
        return names

    def onnx_files(self, *precisions: str) -> tuple[ModelFile, ...]:
        """The ONNX files to use, the one to prefer first; ModelError without any.

        Earlier precisions come first, and before a file for any size those for one. A file is left
        out where an earlier one takes all of its pictures.
        """
        chosen: list[ModelFile] = []
        for precision in precisions:
            alike = [f for f in self.files if (f.format, f.precision) == ('onnx', precision)]
            for file in sorted(alike, key=lambda file: file.image_size is None):
                if not any(f.image_size in (None, file.image_size) for f in chosen):
                    chosen.append(file)
        if not chosen:
            raise ModelError(
                f'the card of {self.name} lists no ONNX file of {" or ".join(precisions)}; '
                'export one first'
            )
        return tuple(chosen)

    def weights_file(self) -> ModelFile:
        """The weights, `safetensors` before `torch`; ModelError where the card lists none."""
        for format in ('safetensors', 'torch'):
            for file in self.files:
                if file.format == format:
                    return file
        raise ModelError(f'the card of {self.name} lists no weights, only exported files')

    def file_bytes(self, file: ModelFile) -> bytes:
        """Return the content of one of `files`; ModelError where it is missing or has changed.

        The bytes that were hashed are the bytes returned: nobody can exchange the file in between.
        """
        try:
            content = (self.folder / file.path).read_bytes()
        except OSError as error:
            raise ModelError(self._problem(file, _reason(error))) from error
        if file.size_bytes not in (None, len(content)):
            raise ModelError(self._problem(file, f'has {len(content)} bytes'))
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise ModelError(self._problem(file, f'has SHA-256 {found}'))
        return content

    def verify(self) -> list[str]:
        """Hash every file again; one sentence for each that differs, none if all is well."""
        findings = []
        for file in self.files:
            try:
                found = _sha256(self.folder / file.path)
            except OSError as error:
                findings.append(self._problem(file, _reason(error)))
                continue
            size = (self.folder / file.path).stat().st_size
            if file.size_bytes not in (None, size):
                findings.append(self._problem(file, f'has {size} bytes'))
            elif found != file.sha256:
                findings.append(self._problem(file, f'has SHA-256 {found}'))
        return findings

    def _problem(self, file: ModelFile, what: str) -> str:
        size = '' if file.size_bytes is None else f' in {file.size_bytes} bytes'
        return (
            f'{self.folder / file.path} {what}; the card of {self.name} expects '
            f'{file.sha256}{size}: restore the file that came with the card'
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _reason(error: OSError) -> str:
    return 'is missing' if isinstance(error, FileNotFoundError) else f'is unreadable ({error})'
