"""Write the ONNX file of a network, after it has answered as the network does."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from msdesis_ros import __version__
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.export.graph import OPSET, describe, trace
from msdesis_ros.export.int8 import pairs_for, with_int8_convolutions
from msdesis_ros.export.parity import (
    TOLERANCES,
    ParityRow,
    Tolerance,
    compare,
    parity_pairs,
    require_parity,
    tolerance_of,
)
from msdesis_ros.nets.msdesis.config import SCARED_MEAN, SCARED_STD
from msdesis_ros.nets.torch_extra import require_torch

if TYPE_CHECKING:
    from torch import nn

    from msdesis_ros.nets.pictures import PictureNetwork

PRECISIONS = tuple(TOLERANCES)
# Left and right picture, H x W x 3 uint8.
Pair = tuple[np.ndarray, np.ndarray]
LARGEST_SIDE = 8192
# On which a graph for any size is compared: with and without padding, on either side.
ANY_SIZES = ((320, 256), (165, 128), (96, 77))


@dataclass(frozen=True)
class Origin:
    """Whose weights are exported.

    `name`: of the model; `weights_sha256`: of its weights file; `training_commit`: None where it
    is not known; `mean`, `std`: with which pictures were normalised in training.
    """

    name: str
    weights_sha256: str
    training_commit: str | None = None
    mean: tuple[float, ...] = SCARED_MEAN
    std: tuple[float, ...] = SCARED_STD


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how it compares with the network.

    `sha256`: of the ONNX file. `image_size`: (width, height), None = any. `nodes`: how many of
    each operator.
    """

    path: Path
    sha256: str
    size_bytes: int
    image_size: tuple[int, int] | None
    precision: str
    metadata: dict[str, str]
    nodes: dict[str, int]
    parity: tuple[ParityRow, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The report as the file beside the ONNX file holds it."""
        return {
            'file': self.path.name,
            'sha256': self.sha256,
            'size_bytes': self.size_bytes,
            'image_size': list(self.image_size) if self.image_size else 'any',
            'precision': self.precision,
            'opset': OPSET,
            'metadata': self.metadata,
            'nodes': self.nodes,
            'parity': [asdict(row) | {'holds': row.holds} for row in self.parity],
        }


def export_onnx(
    network: nn.Module,
    path: str | os.PathLike[str],
    *,
    image_size: tuple[int, int] | None,
    origin: Origin,
    precision: str = 'fp32',
    pairs: Sequence[Pair] | None = None,
    tolerance: Tolerance | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> ExportReport:
    """Export `network` for pictures of (width, height): `path` (.onnx), and .json beside it.

    `image_size` None: for any size, which every backend but `tensorrt` runs. The graph takes uint8
    pictures and gives planes in the contract of `runtime.graph_contract`; normalising, padding and
    cropping are inside. `precision`: 'fp32'; 'fp16' with float32 disparities and geometry; or
    'int8' convolutions with ranges measured on `pairs` (rectified, left and right, H x W x 3
    uint8; None = made-up ones). At the end ONNX Runtime and PyTorch (float32, nothing folded)
    answer the same pictures; beyond `tolerance` (default: that of the family and precision)
    nothing is written. `progress` is told each step in words. The same weights and pairs give the
    same bytes.

    Raises UsageError for a wrong path, size or precision, ModelError where the graph does not
    answer as the network, MissingExtraError where a package of the extra `export` is missing.
    """
    path = _require_usable(path, image_size, precision)
    require_torch('onnx', 'onnxscript', what='an export to ONNX', extra='export')
    from msdesis_ros.nets.pictures import PictureNetwork
    from msdesis_ros.nets.registry import family_of

    progress('simplifying the network')
    family = family_of(network)
    smaller = family.simplified(network)
    if precision == 'fp16':
        smaller = family.with_half_features(smaller)
    progress('tracing the graph')
    reference, deployed = (
        PictureNetwork(each, mean=origin.mean, std=origin.std).eval()
        for each in (network, smaller)
    )
    model = trace(deployed, image_size=image_size)
    if precision == 'int8':
        progress('measuring ranges')
        model = with_int8_convolutions(
            model,
            pairs_for(image_size, pairs),
            inputs=reference.input_names,
            in_float=family.float_weights,
        )
    metadata = _metadata(reference, origin, image_size, precision)
    describe(model, metadata)
    content = model.SerializeToString(deterministic=True)
    progress('comparing with the network')
    rows = compare(
        content,
        reference,
        pairs=_made_for(image_size),
        tolerance=tolerance or tolerance_of(family.name, precision),
    )
    require_parity(rows)
    report = ExportReport(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        image_size=image_size,
        precision=precision,
        metadata=metadata,
        nodes=dict(sorted(Counter(node.op_type for node in model.graph.node).items())),
        parity=rows,
    )
    _write(report, content)
    return report


def _made_for(image_size: tuple[int, int] | None) -> dict[str, Pair]:
    """Pairs of the one size, or of a few where the graph takes any."""
    if image_size is not None:
        return dict(parity_pairs(image_size))
    return {
        f'{name} {size[0]}x{size[1]}': pair
        for size in ANY_SIZES
        for name, pair in parity_pairs(size).items()
    }


def export_sizes(
    network: nn.Module,
    path: str | os.PathLike[str],
    *,
    image_sizes: Sequence[tuple[int, int] | None],
    **options: Any,
) -> list[ExportReport]:
    """Export one file for each (width, height), None = any; `options` as in `export_onnx`.

    One size is written to `path` itself, X.onnx; of several each goes to X_<width>x<height>.onnx,
    but that for any size to X.onnx.
    """
    path = Path(path)
    if not image_sizes or len(set(image_sizes)) != len(image_sizes):
        raise UsageError('give one picture size or several different ones to export for')
    alone = len(image_sizes) == 1
    named = {
        size: path
        if size is None or alone
        else path.with_name(f'{path.stem}_{size[0]}x{size[1]}.onnx')
        for size in image_sizes
    }
    for size in named:
        _require_usable(path, size, options.get('precision', 'fp32'))
    return [export_onnx(network, file, image_size=size, **options) for size, file in named.items()]


def _require_usable(
    path: str | os.PathLike[str], image_size: tuple[int, int] | None, precision: str
) -> Path:
    if Path(path).suffix != '.onnx':
        raise UsageError(f'{path} must end in .onnx; the report goes beside it, with .json')
    if precision not in PRECISIONS:
        raise UsageError(f'precision is {precision!r}; known: {", ".join(PRECISIONS)}')
    if image_size is not None and not all(1 <= side <= LARGEST_SIDE for side in image_size):
        raise UsageError(
            f'cannot export for {image_size[0]}x{image_size[1]} pictures; width and height are '
            f'from 1 to {LARGEST_SIDE}'
        )
    return Path(path)


def _metadata(
    pictures: PictureNetwork, origin: Origin, image_size: tuple[int, int] | None, precision: str
) -> dict[str, str]:
    """What the file says about itself, by name; every value is text."""
    import torch

    from msdesis_ros.nets.checkpoints import options_text

    options = options_text(pictures.network)
    options['max_disparity_px'] = options.pop('max_disparity')
    input_rule = {
        'pictures': list(pictures.input_names),
        'layout': '1 x height x width x 3, uint8, RGB',
        'size': list(image_size) if image_size else 'any',
        'inside': 'normalised, then padded right and bottom with 0 to multiples of '
        f'{pictures.family.stride}; cropped',
        'mean': list(origin.mean),
        'std': list(origin.std),
    }
    return {
        'model': origin.name,
        'weights_sha256': origin.weights_sha256,
        'training_commit': origin.training_commit or 'unknown',
        **options,
        'mode': pictures.network.config.mode,
        'precision': precision,
        'input_rule': json.dumps(input_rule),
        'exported_by': f'msdesis_ros {__version__}, PyTorch {torch.__version__}, opset {OPSET}',
    }


def _write(report: ExportReport, content: bytes) -> None:
    """The report goes last: where there is one, it belongs to the ONNX file beside it."""
    beside = report.path.with_suffix('.json')
    beside.unlink(missing_ok=True)
    with atomic_write(report.path) as temporary:
        temporary.write_bytes(content)
    with atomic_write(beside) as temporary:
        temporary.write_text(json.dumps(report.as_json(), indent=2) + '\n', encoding='utf-8')
