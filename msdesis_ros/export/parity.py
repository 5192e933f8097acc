"""Does an exported graph answer as the network that it was made from?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from msdesis_ros.core.errors import ModelError

if TYPE_CHECKING:
    from msdesis_ros.nets.pictures import PictureNetwork

UNITS = {'disparity': 'px', 'mask_logits': 'logits', 'log_scale': 'log px'}


@dataclass(frozen=True)
class Tolerance:
    """How far two answers may lie apart, at any pixel and on average."""

    greatest: float
    mean: float


# float32: rounding alone. float16 rounds every feature to 11 bits; a pixel beside an edge may then
# fall to the other side of it, so that the mean says more than the greatest difference. int8:
# msdesis_fast differs by up to 6.5 px at one pixel, by 0.3 px and 1.4 logits on average.
TOLERANCES = {
    'fp32': Tolerance(greatest=1e-3, mean=1e-4),
    'fp16': Tolerance(greatest=2.0, mean=0.05),
    'int8': Tolerance(greatest=20.0, mean=2.0),
}
# Where msdesis_fast cannot decide between near and far, the last bits of its logits count for as
# many px as lie between them: 0.005 px at the worst of 82k pixels, with random weights that search
# 256 px. Its mean is held as tightly as that of the others.
FAST_FP32 = Tolerance(greatest=1e-2, mean=1e-4)


def tolerance_of(family: str, precision: str) -> Tolerance:
    """What an export of a network family may differ by in a precision."""
    return FAST_FP32 if (family, precision) == ('msdesis_fast', 'fp32') else TOLERANCES[precision]


@dataclass(frozen=True)
class ParityRow:
    """One output for one pair of pictures: graph against network."""

    pictures: str
    output: str
    unit: str
    greatest: float
    mean: float
    tolerance: Tolerance

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.greatest <= self.tolerance.greatest and self.mean <= self.tolerance.mean


def compare(
    model: bytes,
    network: PictureNetwork,
    *,
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    tolerance: Tolerance,
) -> tuple[ParityRow, ...]:
    """Run the ONNX file `model` in ONNX Runtime, and `network` in PyTorch, on the same pictures.

    `network` is the reference: float32, nothing folded. `pairs`: left and right picture
    (H x W x 3 uint8) by name. Raises ModelError for a graph that ONNX Runtime cannot run, or whose
    outputs have other names or shapes.
    """
    rows = []
    for pictures, pair in pairs.items():
        named = dict(zip(network.input_names, pair, strict=False))
        expected = _run_network(network, named)
        found = _run_graph(model, named, tuple(expected))
        for output, plane in expected.items():
            if found[output].shape != plane.shape or found[output].dtype != np.float32:
                raise ModelError(
                    f'the exported graph gives {output} as {found[output].dtype} of shape '
                    f'{found[output].shape}; expected float32 of {plane.shape}'
                )
            difference = np.abs(found[output].astype(np.float64) - plane)
            rows.append(
                ParityRow(
                    pictures,
                    output,
                    UNITS[output],
                    greatest=float(difference.max()),
                    mean=float(difference.mean()),
                    tolerance=tolerance,
                )
            )
    return tuple(rows)


def require_parity(rows: Sequence[ParityRow]) -> None:
    """Raise ModelError, naming the worst row, unless all hold."""
    wrong = [row for row in rows if not row.holds]
    if wrong:
        row = max(wrong, key=lambda row: np.nan_to_num(row.greatest, nan=np.inf))
        raise ModelError(
            f'the exported graph does not answer as the network: {row.output} differs by up to '
            f'{row.greatest:.3g} {row.unit} (allowed {row.tolerance.greatest:g}) and by '
            f'{row.mean:.3g} on average (allowed {row.tolerance.mean:g}) on the {row.pictures}; '
            'nothing was written'
        )


def parity_pairs(image_size: tuple[int, int]) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """Left and right picture (H x W x 3 uint8) by name: a shifted texture, and hard contrasts."""
    width, height = image_size
    shift = max(1, width // 40)
    rng = np.random.default_rng(0)
    texture = np.full((height, width + shift, 3), 128.0)
    for cell in (2, 9, 40):
        texture += 25.0 * _cells(rng.normal, cell, texture.shape)
    # Black and white, for what only large numbers show.
    contrast = 255.0 * _cells(lambda size: rng.integers(0, 2, size), 8, texture.shape)
    walls = {'texture': texture, 'contrast': contrast}
    pairs = {}
    for name, wall in walls.items():
        picture = np.clip(wall, 0, 255).astype(np.uint8)
        pairs[name] = (picture[:, :width].copy(), picture[:, shift:].copy())
    return pairs


def _cells(draw: Callable[..., np.ndarray], cell: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Squares of `cell` px, each with one drawn colour."""
    height, width, channels = shape
    colours = draw(size=(-(-height // cell), -(-width // cell), channels))
    return colours.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]


def _run_network(
    network: PictureNetwork, pictures: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    import torch

    with torch.inference_mode():
        planes = network(*(torch.from_numpy(picture)[None] for picture in pictures.values()))
    return {name: plane.numpy() for name, plane in zip(network.output_names, planes, strict=True)}


def _run_graph(
    model: bytes, pictures: Mapping[str, np.ndarray], outputs: tuple[str, ...]
) -> dict[str, np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised
    feeds = {name: picture[None] for name, picture in pictures.items()}
    try:
        session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
        return dict(zip(outputs, session.run(list(outputs), feeds), strict=True))
    except Exception as error:  # ONNX Runtime raises its own types, which share no base
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f'ONNX Runtime cannot run the exported graph: {reason}') from error
