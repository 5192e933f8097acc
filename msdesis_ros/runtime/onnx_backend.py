"""Run a network's ONNX file with ONNX Runtime, on the CPU or with CUDA.

The graph takes `left` and `right`, uint8 [1, H, W, 3] RGB, and gives float32 planes [1, 1, H, W]:
`disparity` in px, and where it has them `mask_logits` and `log_scale` (the logarithm of the scale
b of a Laplace distribution in px, whose standard deviation is sqrt(2) * b). Normalising, padding
and cropping are inside the graph, so nothing but pictures and planes crosses this border. H and W
are numbers (one size) or symbols (any size the card allows).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import RawOutput, contiguous_pair
from msdesis_ros.runtime.model_card import InputRule, ModelCard

INPUTS = ('left', 'right')
OUTPUT_HEADS = {
    'disparity': 'disparity',
    'mask_logits': 'instrument_mask',
    'log_scale': 'uncertainty',
}
# The names of the backend and what ONNX Runtime calls what it runs on.
PROVIDERS = {'onnxruntime': 'CPUExecutionProvider', 'onnxruntime_cuda': 'CUDAExecutionProvider'}
# What fails is raised; nothing is printed beside it.
FATAL_ONLY = 4


class OnnxRuntimeBackend:
    """The `onnxruntime` and `onnxruntime_cuda` backends.

    `model`: the bytes of the ONNX file, of which `identity.sha256` is the hash; `identity.backend`
    says which of the two it is. `sizes` restricts what the graph itself would take. `threads`: CPU
    threads of one run, None = one per physical core. Raises ModelError for bytes that are no ONNX
    model or a graph that does not follow the contract above, MissingExtraError where ONNX Runtime
    or its CUDA part is not installed.
    """

    disparity_step_px = 0.0

    def __init__(
        self,
        model: bytes,
        *,
        identity: ModelIdentity,
        max_disparity_px: float,
        min_disparity_px: float = 0.0,
        sizes: InputRule | None = None,
        threads: int | None = None,
    ) -> None:
        self.identity = identity
        self.min_disparity_px = min_disparity_px
        self.max_disparity_px = max_disparity_px
        self._session: Any = _open_session(model, identity, threads)
        width, height = _check_graph(self._session, identity.name)
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.heads = frozenset(OUTPUT_HEADS[name] for name in self._outputs)
        self._static = (width, height)
        self._sizes = sizes or InputRule()

    @classmethod
    def from_card(
        cls, card: ModelCard, *, backend: str = 'onnxruntime', threads: int | None = None
    ) -> OnnxRuntimeBackend:
        """Load the ONNX file of a card; ModelError where hash or heads are not the card's."""
        file = next((file for file in card.files if file.format == 'onnx'), None)
        if file is None:
            raise ModelError(f'the card of {card.name} lists no ONNX file; export one first')
        created = cls(
            card.file_bytes(file),
            identity=ModelIdentity(name=card.name, sha256=file.sha256, backend=backend),
            min_disparity_px=card.min_disparity_px,
            max_disparity_px=card.max_disparity_px,
            sizes=card.input,
            threads=threads,
        )
        if created.heads != card.heads:
            raise ModelError(
                f'the card of {card.name} promises the heads {sorted(card.heads)}, but '
                f'{file.path} has {sorted(created.heads)}; correct the card or export again'
            )
        return created

    def warm_up(self, image_size: tuple[int, int]) -> None:
        """Run one grey pair, so that memory is there and kernels are chosen (see Backend)."""
        width, height = image_size
        self._require_size(image_size)
        grey = np.full((height, width, 3), 127, dtype=np.uint8)
        self.run(grey, grey)

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        """Run the graph on one pair (see Backend); NaN or infinity in an output is a BackendError.

        The planes are new memory at each run: ONNX Runtime allocates outputs that were not bound.
        """
        left, right = contiguous_pair(left, right)
        size = (left.shape[1], left.shape[0])
        self._require_size(size)
        if self._session is None:
            raise BackendError(f'{self.identity.name} is closed; create the backend again')
        try:
            arrays = self._session.run(self._outputs, {'left': left[None], 'right': right[None]})
        except Exception as error:  # ONNX Runtime raises its own types, which share no base
            raise BackendError(
                f'{self.identity.name} failed on a {size[0]}x{size[1]} pair: {_first_line(error)}'
            ) from error
        planes = {
            name: self._plane(name, array, left.shape[:2])
            for name, array in zip(self._outputs, arrays, strict=True)
        }
        log_scale = planes.get('log_scale')
        return RawOutput(
            disparity_px=planes['disparity'],
            mask_logits=planes.get('mask_logits'),
            uncertainty_px=None if log_scale is None else self._one_sigma_px(log_scale),
        )

    def close(self) -> None:
        """Drop the session and its memory; closing again does nothing."""
        self._session = None

    def _plane(self, name: str, array: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        if array.shape != (1, 1, *size):
            raise BackendError(
                f'{self.identity.name} gave {name} with shape {array.shape}; '
                f'expected {(1, 1, *size)}, the size of the pictures'
            )
        self._require_finite(name, array)
        return array[0, 0]

    def _one_sigma_px(self, log_scale: np.ndarray) -> np.ndarray:
        with np.errstate(over='ignore'):  # found and told in words on the next line
            sigma = np.exp(log_scale) * np.float32(math.sqrt(2.0))
        self._require_finite('exp(log_scale)', sigma)
        return sigma

    def _require_finite(self, name: str, array: np.ndarray) -> None:
        wrong = array.size - int(np.count_nonzero(np.isfinite(array)))
        if wrong:
            raise BackendError(
                f'{self.identity.name} gave NaN or infinity in {wrong} of {array.size} values of '
                f'{name}; this frame has no result'
            )

    def _require_size(self, image_size: tuple[int, int]) -> None:
        for have, take in zip(image_size, self._static, strict=True):
            if take is not None and have != take:
                width, height = ('any' if side is None else side for side in self._static)
                raise BackendError(
                    f'{self.identity.name} cannot take {image_size[0]}x{image_size[1]} pictures; '
                    f'its graph is made for {width}x{height}'
                )
        self._sizes.require(image_size, model=self.identity.name)


def _open_session(model: bytes, identity: ModelIdentity, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            f'{identity.name} needs ONNX Runtime, which cannot be imported ({error}); '
            "install it with: pip install 'onnxruntime>=1.16'"
        ) from error
    provider = PROVIDERS[identity.backend]
    cuda_help = (
        'install the GPU package with the CUDA version it names (pip uninstall onnxruntime; '
        'pip install onnxruntime-gpu), or use the backend onnxruntime'
    )
    if provider not in onnxruntime.get_available_providers():
        raise MissingExtraError(f'this ONNX Runtime has no {provider}; {cuda_help}')
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    # Spinning threads wait for work at full load. On two cores at 12 runs a second a 14-layer
    # convolution network took 53 ms either way, but 129 instead of 105 ms of processor time, which
    # the other processes of a robot need.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
    except Exception as error:  # ONNX Runtime raises its own types, which share no base
        raise ModelError(
            f'the file of {identity.name} is no ONNX model that ONNX Runtime '
            f'{onnxruntime.__version__} can load: {_first_line(error)}'
        ) from error
    if provider not in session.get_providers():
        raise BackendError(f'ONNX Runtime fell back from {provider} to the CPU; {cuda_help}')
    return session


def _check_graph(session: Any, name: str) -> tuple[int | None, int | None]:
    """Return the (width, height) the graph is made for, None where symbolic, or ModelError."""
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    if set(inputs) != set(INPUTS):
        raise ModelError(f'{name} takes the inputs {_listed(inputs)}; expected left, right')
    if 'disparity' not in outputs or not set(outputs) <= set(OUTPUT_HEADS):
        raise ModelError(
            f'{name} gives the outputs {_listed(outputs)}; expected disparity, and optionally '
            'mask_logits, log_scale'
        )
    height: int | None = None
    width: int | None = None
    for node in (*inputs.values(), *outputs.values()):
        is_input = node.name in inputs
        kind = 'tensor(uint8)' if is_input else 'tensor(float)'
        layout = (1, 'H', 'W', 3) if is_input else (1, 1, 'H', 'W')
        shape, wanted = _numbers(node.shape), _numbers(layout)
        if node.type != kind or len(shape) != 4 or not _agree(shape, wanted):
            raise ModelError(
                f'{name}: {node.name} is {node.type} {node.shape}; '
                f'expected {kind} [{", ".join(map(str, layout))}]'
            )
        rows, columns = (shape[1], shape[2]) if is_input else (shape[2], shape[3])
        if not _agree((rows, columns), (height, width)):
            raise ModelError(
                f'{name}: {node.name} is {columns} wide and {rows} high where another input or '
                f'output is {width} x {height}; all must have the size of the pictures'
            )
        if is_input:  # an output may be declared loosely; its real shape is checked at each run
            height, width = height or rows, width or columns
    return width, height


def _numbers(shape: Sequence[Any]) -> tuple[int | None, ...]:
    """A shape with None in the place of its symbols, which may turn out to be any number."""
    return tuple(side if isinstance(side, int) else None for side in shape)


def _agree(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether two shapes can be the same one; None stands for any number."""
    return all(a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True))


def _listed(nodes: dict[str, Any]) -> str:
    return ', '.join(sorted(nodes)) or 'none'


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
