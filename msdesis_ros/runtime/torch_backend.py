"""Run a checkpoint with PyTorch: on the CPU in float32, on an NVIDIA GPU in float16.

Normalising, padding and cropping are those of the exported graphs, because it is the same module
that is exported. PyTorch is imported when a backend is created.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from msdesis_ros.core.errors import BackendError, MissingExtraError, ModelError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.nets.msdesis.config import SCARED_MEAN, SCARED_STD
from msdesis_ros.nets.registry import FAMILIES
from msdesis_ros.nets.torch_extra import require_torch
from msdesis_ros.runtime.graph_contract import GraphInterface
from msdesis_ros.runtime.model_card import InputRule, ModelCard
from msdesis_ros.runtime.network_backend import NetworkBackend

if TYPE_CHECKING:
    from torch import nn

    from msdesis_ros.nets.checkpoints import LoadedCheckpoint

# The names of the backend and what PyTorch calls what it runs on.
DEVICES = {'torch': 'cpu', 'torch_cuda': 'cuda'}
# Each picture size has its own CUDA graph with its own memory; a node sees one size.
MOST_CUDA_GRAPHS = 4
# cuDNN chooses its kernels in the first runs, and a capture must not meet a choice being made.
RUNS_BEFORE_CAPTURE = 3


class TorchBackend(NetworkBackend):
    """The `torch` and `torch_cuda` backends.

    `network`: in eval mode on the CPU, with the weights of which `identity.sha256` is the hash;
    it is copied and left alone. `threads`: PyTorch's setting for the whole process, None leaves
    it. `plain`: run the network as it was trained, with none of what makes it faster; the measure
    of comparisons. `mean`, `std`: as in PictureNetwork. Raises MissingExtraError where PyTorch or
    a GPU that it can use is missing.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        identity: ModelIdentity,
        max_disparity_px: float,
        min_disparity_px: float = 0.0,
        sizes: InputRule | None = None,
        threads: int | None = None,
        plain: bool = False,
        mean: tuple[float, ...] = SCARED_MEAN,
        std: tuple[float, ...] = SCARED_STD,
    ) -> None:
        require_device(identity.backend)
        import torch

        from msdesis_ros.nets.pictures import PictureNetwork
        from msdesis_ros.nets.registry import family_of

        on_gpu = DEVICES[identity.backend] == 'cuda'
        if threads is not None:
            torch.set_num_threads(threads)
        family = family_of(network)
        network = copy.deepcopy(network) if plain else family.simplified(network)
        network = family.with_half_features(network) if on_gpu else network
        module = PictureNetwork(network, mean=mean, std=std).eval()
        super().__init__(
            identity=identity,
            interface=GraphInterface(module.input_names, module.output_names, None, None),
            min_disparity_px=min_disparity_px,
            max_disparity_px=max_disparity_px,
            sizes=sizes,
            precision='fp16' if on_gpu else 'fp32',
        )
        if not plain:
            # Channels last is how the convolutions of both processors compute; with the other
            # order they turn the memory around at every layer.
            for weights in module.parameters():
                if weights.ndim == 4:
                    weights.data = weights.data.contiguous(memory_format=torch.channels_last)
        module = module.to(DEVICES[identity.backend])
        self._runner: Any = _GpuRunner(module) if on_gpu else _CpuRunner(module)

    @classmethod
    def from_card(
        cls, card: ModelCard, *, backend: str = 'torch', threads: int | None = None
    ) -> TorchBackend:
        """Load the weights of a card; ModelError where hash or heads are not the card's."""
        weights = weights_of_card(card)
        return cls(
            weights.network,
            identity=ModelIdentity(name=card.name, sha256=weights.sha256, backend=backend),
            min_disparity_px=card.min_disparity_px,
            max_disparity_px=card.max_disparity_px,
            sizes=card.input,
            threads=threads,
            mean=weights.mean,
            std=weights.std,
        )

    def _infer(self, pictures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        planes = self._runner([pictures[name] for name in self.interface.inputs])
        return dict(zip(self.interface.outputs, planes, strict=True))

    def _release(self) -> None:
        self._runner = None


def weights_of_card(card: ModelCard, *, mode: str | None = None, **asked: Any) -> LoadedCheckpoint:
    """The network of a card with its weights, and their normalisation.

    `mode`: None = that which gives the heads of the card; `asked`: options of the network, other
    than the card's input says. Raises ModelError where file, family or
    heads are not those of the card.
    """
    from msdesis_ros.nets.checkpoints import parse_checkpoint
    from msdesis_ros.nets.registry import family_of

    file = card.weights_file()
    family = FAMILIES.get(card.family)
    if family is None:
        raise ModelError(
            f'the card of {card.name} is of the family {card.family}, which PyTorch has not; '
            f'known: {", ".join(FAMILIES)}'
        )
    mode = mode or family.mode_of(card.heads)
    if mode is None:
        raise ModelError(
            f'the card of {card.name} promises the heads {sorted(card.heads)}, which no mode '
            f'of the family {card.family} has; correct the card'
        )
    options = family.of_input(card.input.enlarged) | asked
    loaded = parse_checkpoint(card.file_bytes(file), source=file.path, mode=mode, **options)
    if family_of(loaded.network) is not family:
        raise ModelError(
            f'the card of {card.name} is of the family {card.family}, but {file.path} is of '
            f'{family_of(loaded.network).name}; correct the card'
        )
    if card.input.mean is None or card.input.std is None:
        return loaded
    return replace(loaded, mean=card.input.mean, std=card.input.std)


def require_device(backend: str) -> str:
    """Name the processor that `torch` or `torch_cuda` computes on.

    Raises MissingExtraError where PyTorch or a GPU that it can use is missing.
    """
    require_torch(what=f'the backend {backend}')
    import torch

    if DEVICES[backend] == 'cpu':
        return f'the CPU with {torch.get_num_threads()} threads'
    if not torch.cuda.is_available():
        raise MissingExtraError(
            f'PyTorch {torch.__version__} finds no NVIDIA GPU that it can use; install a '
            'driver and the PyTorch build for its CUDA version, or use the backend torch'
        )
    return str(torch.cuda.get_device_name())


class _CpuRunner:
    """Pictures to planes in the caller's thread and those of PyTorch."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __call__(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        import torch

        # PyTorch warns of memory that it must not write to, though nothing here writes.
        writeable = (p if p.flags.writeable else p.copy() for p in pictures)
        with torch.inference_mode():
            planes = self._module(*(torch.from_numpy(picture)[None] for picture in writeable))
            return [plane.contiguous().numpy() for plane in planes]


class _GpuRunner:
    """Pictures to planes on a GPU, one CUDA graph for each size, on a stream of its own."""

    def __init__(self, module: Any) -> None:
        import torch

        self._module = module
        self._stream = torch.cuda.Stream()
        self._graphs: OrderedDict[tuple[int, ...], _CapturedSize] = OrderedDict()

    def __call__(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        import torch

        shape = (len(pictures), 1, *pictures[0].shape)
        try:
            if shape not in self._graphs:
                while len(self._graphs) >= MOST_CUDA_GRAPHS:
                    self._graphs.popitem(last=False)
                self._graphs[shape] = _CapturedSize(self._module, shape, self._stream)
            self._graphs.move_to_end(shape)
            return self._graphs[shape].run(pictures)
        except torch.cuda.OutOfMemoryError as error:
            self._graphs.clear()
            raise BackendError(
                f'the GPU has too little free memory for {shape[3]}x{shape[2]} pictures; close '
                'other programs that use it, or use smaller pictures'
            ) from error


class _CapturedSize:
    """The module for pictures of one shape: fixed memory, and a graph of everything it launches.

    Host memory is pinned, so that copies run beside the CPU; one event ends a frame.
    """

    def __init__(self, module: Any, shape: tuple[int, ...], stream: Any) -> None:
        import torch

        self._stream = stream
        self._host_in = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._device_in = torch.zeros(shape, dtype=torch.uint8, device='cuda')
        self._done = torch.cuda.Event()
        # What filled the zeros ran on another stream.
        stream.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(stream):
            for _ in range(RUNS_BEFORE_CAPTURE):
                module(*self._device_in.unbind())
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream):
                # Cropped planes are views with gaps; the copy to the host wants none.
                self._device_out = [
                    plane.contiguous() for plane in module(*self._device_in.unbind())
                ]
        self._host_out = [
            torch.empty(plane.shape, dtype=plane.dtype, pin_memory=True)
            for plane in self._device_out
        ]

    def run(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        import torch

        staged = self._host_in.numpy()
        for index, picture in enumerate(pictures):
            staged[index, 0] = picture
        with torch.cuda.stream(self._stream):
            self._device_in.copy_(self._host_in, non_blocking=True)
            self._graph.replay()
            for host, device in zip(self._host_out, self._device_out, strict=True):
                host.copy_(device, non_blocking=True)
            self._done.record(self._stream)
        self._done.synchronize()
        # The pinned memory is written again by the next frame.
        return [plane.numpy().copy() for plane in self._host_out]
