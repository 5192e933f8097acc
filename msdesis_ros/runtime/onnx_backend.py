"""Run a network's ONNX file with ONNX Runtime, on the CPU or with CUDA.

What the graph takes and gives is said in `graph_contract`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.graph_contract import GraphNode, read_interface
from msdesis_ros.runtime.model_card import InputRule
from msdesis_ros.runtime.network_backend import NetworkBackend, first_line

# The names of the backend and what ONNX Runtime calls what it runs on.
PROVIDERS = {'onnxruntime': 'CPUExecutionProvider', 'onnxruntime_cuda': 'CUDAExecutionProvider'}
CUDA_HELP = (
    'install the GPU package with the CUDA version it names (pip uninstall onnxruntime; '
    'pip install onnxruntime-gpu), or use the backend onnxruntime'
)
# What fails is raised; nothing is printed beside it.
FATAL_ONLY = 4


class OnnxRuntimeBackend(NetworkBackend):
    """The `onnxruntime` and `onnxruntime_cuda` backends.

    `model`: the bytes of the ONNX file, of which `identity.sha256` is the hash; `identity.backend`
    says which of the two it is. `sizes` restricts what the graph itself would take. `threads`: CPU
    threads of one run, None = one per physical core. `precision`: of the graph. Raises ModelError
    for bytes that are no ONNX model or a graph that does not follow the contract,
    MissingExtraError where ONNX Runtime or its CUDA part is not installed.
    """

    def __init__(
        self,
        model: bytes,
        *,
        identity: ModelIdentity,
        max_disparity_px: float,
        min_disparity_px: float = 0.0,
        sizes: InputRule | None = None,
        threads: int | None = None,
        precision: str = 'fp32',
    ) -> None:
        session = _open_session(model, identity, threads)
        if identity.backend == 'onnxruntime_cuda' and precision == 'fp32':
            precision = 'tf32'  # what ONNX Runtime takes for float32 convolutions on a GPU
        super().__init__(
            identity=identity,
            interface=read_interface(
                _nodes(session.get_inputs()), _nodes(session.get_outputs()), model=identity.name
            ),
            min_disparity_px=min_disparity_px,
            max_disparity_px=max_disparity_px,
            sizes=sizes,
            precision=precision,
        )
        self._session: Any = session

    @staticmethod
    def precisions(backend: str) -> tuple[str, ...]:
        """Which files of a card the backend takes, the best ones first."""
        first = ('fp16', 'fp32') if backend == 'onnxruntime_cuda' else ('fp32', 'fp16')
        return (*first, 'int8')

    @staticmethod
    def require_usable(backend: str) -> None:
        """Raise MissingExtraError where ONNX Runtime or its CUDA part is not installed."""
        _import_onnxruntime(backend, needed_by=f'the backend {backend}')

    def _infer(self, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        # New memory at each run: ONNX Runtime allocates outputs that were not bound.
        feeds = {name: pictures[name][None] for name in self.interface.inputs}
        arrays = self._session.run(self.interface.outputs, feeds)
        return dict(zip(self.interface.outputs, arrays, strict=True))

    def _release(self) -> None:
        self._session = None


def _import_onnxruntime(backend: str, *, needed_by: str) -> Any:
    """The package; MissingExtraError where it, or what the backend runs on, is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            f'{needed_by} needs ONNX Runtime, which cannot be imported ({error}); '
            "install it with: pip install 'onnxruntime>=1.16'"
        ) from error
    if PROVIDERS[backend] not in onnxruntime.get_available_providers():
        raise MissingExtraError(f'this ONNX Runtime has no {PROVIDERS[backend]}; {CUDA_HELP}')
    return onnxruntime


def _open_session(model: bytes, identity: ModelIdentity, threads: int | None) -> Any:
    onnxruntime = _import_onnxruntime(identity.backend, needed_by=identity.name)
    provider = PROVIDERS[identity.backend]
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
            f'{onnxruntime.__version__} can load: {first_line(error)}'
        ) from error
    if provider not in session.get_providers():
        raise BackendError(f'ONNX Runtime fell back from {provider} to the CPU; {CUDA_HELP}')
    return session


def _nodes(described: list[Any]) -> list[GraphNode]:
    return [GraphNode(node.name, node.type, node.shape) for node in described]
