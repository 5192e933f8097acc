"""Run a network's engine with TensorRT on an NVIDIA GPU.

PyTorch holds the memory and the stream; TensorRT computes. Nothing is compiled while a camera
waits: an engine comes from the cache, or from `msdesis export --engine`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msdesis_ros.core.errors import BackendError, MissingExtraError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.nets.torch_extra import require_torch
from msdesis_ros.runtime.engine_cache import EngineCache, EngineFingerprint
from msdesis_ros.runtime.model_card import InputRule
from msdesis_ros.runtime.network_backend import NetworkBackend
from msdesis_ros.runtime.tensorrt_builder import (
    build_plan,
    engine_nodes,
    import_tensorrt,
    interface_of,
    make_logger,
)

DRIVER = Path('/proc/driver/nvidia/version')


class TensorRtBackend(NetworkBackend):
    """The `tensorrt` backend; arguments as those of OnnxRuntimeBackend, `threads` means nothing.

    `precision`: of the graph. `build_engine`: compile an engine where the cache has none, which
    takes up to minutes; otherwise that is a BackendError. Raises ModelError for a graph that
    TensorRT does not accept, MissingExtraError where TensorRT, PyTorch or a GPU is missing.
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
        build_engine: bool = False,
        cache: EngineCache | None = None,
    ) -> None:
        trt = import_tensorrt()
        engine, nodes = open_engine(
            trt,
            model,
            identity.name,
            precision=precision,
            build=build_engine,
            cache=cache or EngineCache(),
        )
        super().__init__(
            identity=ModelIdentity(
                name=identity.name,
                sha256=identity.sha256,
                backend=identity.backend,
                engine=f'{trt.__name__} {trt.__version__}',
            ),
            interface=interface_of(nodes, identity.name),
            min_disparity_px=min_disparity_px,
            max_disparity_px=max_disparity_px,
            sizes=sizes,
            # TensorRT takes tf32 for float32 convolutions.
            precision='tf32' if precision == 'fp32' else precision,
        )
        self._runner: Any = _EngineRunner(engine, nodes)

    @staticmethod
    def precisions(backend: str) -> tuple[str, ...]:
        """Which files of a card the backend takes, the best ones first."""
        return ('fp16', 'fp32', 'int8')

    @staticmethod
    def require_usable(backend: str) -> None:
        """Raise MissingExtraError where TensorRT, PyTorch or a GPU is missing."""
        machine_fingerprint(import_tensorrt(), b'', 'fp32')

    def _infer(self, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._runner({name: pictures[name] for name in self.interface.inputs})

    def _release(self) -> None:
        self._runner = None


def build_engine(
    model: bytes, *, name: str, precision: str = 'fp32', cache: EngineCache | None = None
) -> Path:
    """Compile the bytes of an ONNX file for this machine's GPU and keep the engine; its path.

    An engine that is there and can be used is kept. Raises as TensorRtBackend does.
    """
    trt, cache = import_tensorrt(), cache or EngineCache()
    open_engine(trt, model, name, precision=precision, build=True, cache=cache)
    return cache.paths(machine_fingerprint(trt, model, precision))[0]


def require_an_engine(
    models: Sequence[tuple[bytes, str]], *, name: str, cache: EngineCache | None = None
) -> None:
    """Raise BackendError unless the cache has an engine of one of (bytes, precision)."""
    trt, cache = import_tensorrt(), cache or EngineCache()
    fingerprints = [machine_fingerprint(trt, model, precision) for model, precision in models]
    if not any(map(cache.holds, fingerprints)):
        raise BackendError(_no_engine(name, fingerprints[0], cache))


def _no_engine(name: str, fingerprint: EngineFingerprint, cache: EngineCache) -> str:
    return (
        f'there is no engine of {name} for {fingerprint.gpu} in {cache.folder}; make one with: '
        f'msdesis export --model {name} --engine'
    )


def open_engine(
    trt: Any, model: bytes, name: str, *, precision: str, build: bool, cache: EngineCache
) -> tuple[Any, list[Any]]:
    """The engine of a model and its interface, from the cache or compiled where `build` allows."""
    fingerprint = machine_fingerprint(trt, model, precision)

    def opened(plan: bytes, interface: list[Any]) -> tuple[Any, list[Any]]:
        logger = make_logger(trt)
        engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
        if engine is None:
            raise BackendError(f'{trt.__name__} cannot open it ({" ".join(logger.errors[-1:])})')
        nodes = engine_nodes(trt, engine)
        if sorted(nodes, key=str) != sorted(interface, key=str):
            raise BackendError('its inputs and outputs are not those of its note')
        return engine, nodes

    if build:
        return cache.load_or_build(
            fingerprint, opened, lambda: build_plan(model, name=name, flavour=trt.__name__)
        )
    found = cache.load(fingerprint, opened)
    if found is None:
        raise BackendError(_no_engine(name, fingerprint, cache))
    return found


def machine_fingerprint(trt: Any, model: bytes, precision: str) -> EngineFingerprint:
    """What an engine of this model depends on, here; MissingExtraError without a usable GPU."""
    require_torch(what='the backend tensorrt')
    import torch

    if not torch.cuda.is_available():
        raise MissingExtraError(
            f'the backend tensorrt needs an NVIDIA GPU, and PyTorch {torch.__version__} finds '
            'none that it can use; install a driver and the PyTorch build for its CUDA version'
        )
    try:
        driver = DRIVER.read_text(encoding='utf-8', errors='replace')
    except OSError:
        driver = ''
    found = re.search(r'\s(\d+)\.\d', driver)
    return EngineFingerprint(
        model_sha256=hashlib.sha256(model).hexdigest(),
        flavour=trt.__name__,
        version=trt.__version__,
        gpu=torch.cuda.get_device_name(),
        compute_capability='.'.join(map(str, torch.cuda.get_device_capability())),
        cuda=str(torch.version.cuda).split('.')[0],
        driver=found.group(1) if found else 'unknown',
        recipe=f'strongly typed {precision}',
    )


class _EngineRunner:
    """Fixed memory on both sides, a stream of its own, and one event that ends a frame."""

    def __init__(self, engine: Any, nodes: list[Any]) -> None:
        import torch

        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise BackendError('the GPU has too little free memory for the engine')
        self._stream = torch.cuda.Stream()
        self._done = torch.cuda.Event()
        kinds = {'UINT8': torch.uint8, 'FLOAT': torch.float32}
        # Host and device memory of each picture and plane.
        self._inputs: dict[str, tuple[Any, Any]] = {}
        self._outputs: dict[str, tuple[Any, Any]] = {}
        for is_input, name, kind, shape in nodes:
            host = torch.empty(shape, dtype=kinds[kind], pin_memory=True)
            device = torch.empty(shape, dtype=kinds[kind], device='cuda')
            (self._inputs if is_input else self._outputs)[name] = (host, device)
            self._context.set_tensor_address(name, device.data_ptr())
        torch.cuda.synchronize()

    def __call__(self, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        for name, picture in pictures.items():
            self._inputs[name][0].numpy()[0] = picture
        with torch.cuda.stream(self._stream):
            for host, device in self._inputs.values():
                device.copy_(host, non_blocking=True)
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise BackendError('TensorRT could not start the engine')
            for host, device in self._outputs.values():
                host.copy_(device, non_blocking=True)
            self._done.record(self._stream)
        self._done.synchronize()
        # The pinned memory is written again by the next frame.
        return {name: host.numpy().copy() for name, (host, _) in self._outputs.items()}
