"""The weights that `msdesis benchmark model` runs, in any backend."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from msdesis_ros import __version__
from msdesis_ros.cli.checkpoint_backend import open_checkpoint
from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.data.images import atomic_write
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.factory import create_backend
from msdesis_ros.runtime.torch_backend import TorchBackend, weights_of_card

if TYPE_CHECKING:
    from msdesis_ros.nets.checkpoints import LoadedCheckpoint

# PyTorch as it was trained: the measure of the others.
PLAIN = 'torch_plain'
# Of random weights: corrections are some px, sums of two branches no larger than either, and the
# answers of msdesis_fast in the range of trained ones.
GAINS = {
    'estimation.5.weight': 0.3,
    'coarse.weight': 0.7,
    'fine.weight': 0.7,
    'classify.weight': 0.5,
    'residual.weight': 0.07,
    'weigh.weight': 0.2,
    'scale.weight': 0.15,
    'mask.weight': 0.2,
}
VECTOR_UNITS = ('avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8')
PACKAGES = ('torch', 'onnxruntime', 'openvino', 'tensorrt', 'tensorrt_rtx', 'numpy')


@dataclass(frozen=True)
class BenchmarkModel:
    """One of a card, a checkpoint, and random weights of a `seed` (`msdesis benchmark model`)."""

    card: str | None
    checkpoint: Path | None
    seed: int | None
    encoder: str | None
    mode: str
    threads: int | None
    network_size: str | None = None
    models_dir: Path | None = None
    # Random weights go through a file like any others.
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix='msdesis-benchmark-')
    )

    def __post_init__(self) -> None:
        if self.encoder is not None and self.network_size is not None:
            raise UsageError('--encoder is of msdesis, --network-size of msdesis_fast; give one')
        kind = self.encoder or self.network_size
        if self.seed is not None and kind is None:
            raise UsageError('--random needs --encoder (msdesis) or --network-size (msdesis_fast)')
        if self.card is not None and kind is not None:
            raise UsageError(
                'what network a card has is known; leave --encoder and --network-size out'
            )

    @property
    def description(self) -> dict[str, Any]:
        """What the report says of the weights."""
        return {
            'card': self.card,
            'checkpoint': self.checkpoint.name if self.checkpoint is not None else None,
            'random_seed': self.seed,
            'encoder': self.encoder,
            'network_size': self.network_size,
            'mode': self.mode,
        }

    def open(self, backend: str, image_size: tuple[int, int]) -> Backend:
        """Load the weights into a backend; raises as `create_backend`."""
        if self.card is not None:
            if backend == PLAIN:
                return self._plain(weights_of_card(load_card(self.card, self.models_dir)))
            return create_backend(
                self.card, backend=backend, threads=self.threads, models_dir=self.models_dir
            )
        path = self.checkpoint if self.checkpoint is not None else self._random_checkpoint()
        if backend == PLAIN:
            from msdesis_ros.nets.checkpoints import load_checkpoint

            return self._plain(
                load_checkpoint(path, encoder=self.encoder, size=self.network_size, mode=self.mode)
            )
        return open_checkpoint(
            path,
            image_size=image_size,
            encoder=self.encoder,
            size=self.network_size,
            mode=self.mode,
            backend=backend,
            threads=self.threads,
            # Nobody wants to keep random weights.
            export_folder=path.parent if self.seed is not None else None,
        )

    def _plain(self, weights: LoadedCheckpoint) -> Backend:
        return TorchBackend(
            weights.network,
            identity=ModelIdentity(name=PLAIN, sha256=None, backend='torch'),
            max_disparity_px=float(weights.network.config.max_disparity),
            threads=self.threads,
            plain=True,
            mean=weights.mean,
            std=weights.std,
        )

    def _random_checkpoint(self) -> Path:
        from msdesis_ros.nets.checkpoints import checkpoint_bytes
        from msdesis_ros.nets.registry import create_network

        kind = self.encoder or self.network_size
        path = Path(self._folder.name) / f'random-{kind}-{self.seed}.safetensors'
        if not path.exists():
            if self.encoder is not None:
                network = create_network('msdesis', encoder=self.encoder)
            else:
                network = create_network('msdesis_fast', size=self.network_size)
            fill_with_random_weights(network, self.seed or 0)
            with atomic_write(path) as temporary:
                temporary.write_bytes(checkpoint_bytes(network))
        return path


def fill_with_random_weights(network: Any, seed: int) -> None:
    """Give a network fixed weights under which its signals keep everyday sizes.

    Fresh weights let the signal fade from layer to layer, and then backends agree too easily.
    """
    random = np.random.default_rng(seed)
    for name, tensor in network.state_dict().items():
        values = tensor.numpy()  # the network's own memory
        if values.ndim == 4:
            transposed = values.shape[2] == 4
            terms = values[:, 0].size / 4 if transposed else values[0].size
            gain = next((g for end, g in GAINS.items() if name.endswith(end)), 1.0)
            values[:] = random.normal(0.0, gain * (2.0 / terms) ** 0.5, values.shape)
            if name.startswith('disparity_head.upsample'):
                values[:] = 2.0 / 9.0  # the px of the finer level
        elif name.endswith('running_var') or (name.endswith('weight') and values.ndim == 1):
            # The branch that a residual block adds stays below what it is added to.
            high = 0.3 if name.endswith(('bn2.weight', 'second.1.weight')) else 1.3
            values[:] = random.uniform(0.7 * high / 1.3, high, values.shape)
        elif values.ndim == 1:
            values[:] = random.normal(0.0, 0.1, values.shape)


def machine_description() -> dict[str, Any]:
    """Processor and versions, without the name of the machine."""
    return {
        'processor': _processor(),
        'python': platform.python_version(),
        'msdesis_ros': __version__,
        **{package: found for package in PACKAGES if (found := _version(package)) is not None},
    }


def _processor() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    flags = next((line.split() for line in lines if line.startswith('flags')), [])
    units = [unit for unit in VECTOR_UNITS if unit in flags]
    name = names[0] if names else platform.machine()
    return f'{name}, {os.cpu_count()} cores, {", ".join(units) or "no vector units known"}'


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
