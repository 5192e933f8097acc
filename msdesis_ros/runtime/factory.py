"""From the names a user gives to a loaded backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdesis_ros.core.errors import ModelError, MsdesisError, UsageError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.cards import DEFAULT_MODEL, load_card
from msdesis_ros.runtime.model_card import InputRule, ModelCard
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.runtime.network_backend import NetworkBackend
from msdesis_ros.runtime.onnx_backend import PROVIDERS, OnnxRuntimeBackend
from msdesis_ros.runtime.openvino_backend import PRECISION_HINTS, OpenVinoBackend
from msdesis_ros.runtime.self_check import check_against_card
from msdesis_ros.runtime.sgbm import OpenCvSgbm
from msdesis_ros.runtime.sized_backend import SizedBackend
from msdesis_ros.runtime.tensorrt_backend import TensorRtBackend, require_an_engine
from msdesis_ros.runtime.tensorrt_backend import build_engine as compile_engine
from msdesis_ros.runtime.torch_backend import DEVICES, TorchBackend, require_device

if TYPE_CHECKING:
    from msdesis_ros.nets.checkpoints import LoadedCheckpoint

CardBuilder = Callable[[ModelCard, str, 'int | None'], Backend]
GraphKind = type[OnnxRuntimeBackend | OpenVinoBackend | TensorRtBackend]


def create_backend(
    model: str = DEFAULT_MODEL,
    *,
    backend: str | None = None,
    threads: int | None = None,
    models_dir: Path | None = None,
    build_engine: bool = False,
) -> Backend:
    """Load the model of the card `model` into the backend named, or into the card's default one.

    `threads` bounds the CPU threads of a run (with `opencv` and `torch` it is a setting for the
    whole process); None leaves the choice to the backend. `models_dir`: the folder of the cards,
    None = those that ship. A model whose card keeps samples is run once and compared with them.
    Of a card with several ONNX files, one for each picture size, all must be what the card says of
    them, but each is opened (and compared) when pictures of its size come; what is wrong with it
    then is a BackendError. build_engine: with `tensorrt`, compile what the cache lacks of the
    card's engines, which takes minutes; without it, and without any engine, that is an error.
    Raises ModelError for an unknown model or a file that is not the card's, UsageError for an
    unknown backend, one that cannot run this model, or a wrong number of threads,
    MissingExtraError where the package of the backend is not installed, BackendError where the
    backend cannot be used on this machine or fails the self-check.
    """
    _require_names(backend, threads)
    card = load_card(model, models_dir)
    name = _backend_of(card, backend)
    if build_engine and GRAPH_BACKENDS.get(name) is TensorRtBackend:
        _build_engines(card, name)
    return BUILDERS[name](card, name, threads)


def require_usable(card: ModelCard, backend: str | None = None) -> None:
    """Raise MissingExtraError unless the backend (None: the card's default one) can run here.

    Looks for its packages and its processor, and opens no file. Otherwise as `create_backend`.
    """
    _require_names(backend, None)
    name = _backend_of(card, backend)
    if name in GRAPH_BACKENDS:
        GRAPH_BACKENDS[name].require_usable(name)
    elif name in DEVICES:
        require_device(name)


def _backend_of(card: ModelCard, backend: str | None) -> str:
    """The backend asked for, or the card's default one."""
    if not card.backends:
        raise ModelError(f'the card of {card.name} lists no file that a backend can run')
    name = backend or card.backends[0]
    if name not in card.backends:
        raise UsageError(
            f'the backend {name} cannot run {card.name}; it runs with: {", ".join(card.backends)}'
        )
    return name


def create_from_checkpoint(
    path: str | Path,
    *,
    mode: str = 'multitask',
    backend: str = 'torch',
    threads: int | None = None,
    to_onnx: Callable[[LoadedCheckpoint], bytes] | None = None,
    **asked: Any,
) -> Backend:
    """Load a checkpoint file, the authors' `.pt` or an own `.safetensors`, without any card.

    `asked`: what the file must be (`encoder`, `size`, `max_disparity`, ..), None = what it is;
    `mode`: 'multitask', 'disparity' or 'segmentation'. `to_onnx` exports the network for a backend
    that runs ONNX files. `threads` as in `create_backend`. Raises ModelError for a file that is no
    such checkpoint, UsageError for a wrong name or number, and otherwise as `create_backend`.
    """
    _require_names(backend, threads)
    from msdesis_ros.nets.checkpoints import load_checkpoint
    from msdesis_ros.nets.registry import family_of

    if backend not in DEVICES and backend not in GRAPH_BACKENDS:
        raise UsageError(f'the backend {backend} cannot run a checkpoint; use torch')
    loaded = load_checkpoint(path, mode=mode, **asked)
    identity = ModelIdentity(name=Path(path).stem, sha256=loaded.sha256, backend=backend)
    config = loaded.network.config
    rule = InputRule(enlarged=family_of(loaded.network).enlarged(config))
    most = float(config.max_disparity)
    if backend in DEVICES:
        return TorchBackend(
            loaded.network,
            identity=identity,
            max_disparity_px=most,
            sizes=rule,
            threads=threads,
            mean=loaded.mean,
            std=loaded.std,
        )
    if to_onnx is None:
        raise UsageError(
            f'{backend} runs exported networks only: export {path} first, or use torch'
        )
    return open_graph(
        to_onnx(loaded), identity=identity, max_disparity_px=most, sizes=rule, threads=threads
    )


def open_graph(
    model: bytes,
    *,
    identity: ModelIdentity,
    max_disparity_px: float,
    sizes: InputRule | None = None,
    threads: int | None = None,
) -> NetworkBackend:
    """Load the bytes of an ONNX file into the backend `identity.backend`; raises as its class."""
    return GRAPH_BACKENDS[identity.backend](
        model, identity=identity, max_disparity_px=max_disparity_px, sizes=sizes, threads=threads
    )


def open_card_file(
    card: ModelCard, file: ModelFile, *, backend: str, threads: int | None = None
) -> NetworkBackend:
    """Load one of a card's ONNX files into `backend` and compare it with the card.

    Raises ModelError for a file that is not the card's, and otherwise as `create_backend`.
    """
    created = GRAPH_BACKENDS[backend](
        card.file_bytes(file),
        identity=ModelIdentity(name=card.name, sha256=file.sha256, backend=backend),
        min_disparity_px=card.min_disparity_px,
        max_disparity_px=card.max_disparity_px,
        sizes=card.input,
        threads=threads,
        precision=file.precision,
    )
    return _checked(created, card, file)


def _require_names(backend: str | None, threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise UsageError(f'threads is {threads}; expected 1 or more, or nothing for the default')
    if backend is not None and backend not in BUILDERS:
        raise UsageError(f'no backend is called {backend!r}; known: {", ".join(BUILDERS)}')


def _opencv(card: ModelCard, name: str, threads: int | None) -> Backend:
    # The card states the greatest disparity, and the search starts at 0.
    return OpenCvSgbm(
        num_disparities=round(card.max_disparity_px) + 1, threads=threads, name=card.name
    )


def _torch(card: ModelCard, name: str, threads: int | None) -> Backend:
    return _checked(TorchBackend.from_card(card, backend=name, threads=threads), card)


def _graph(kind: GraphKind, card: ModelCard, name: str, threads: int | None) -> Backend:
    """The one ONNX file of a card now, or several when their sizes are met."""
    open_file = partial(open_card_file, card, backend=name, threads=threads)
    files = card.onnx_files(*kind.precisions(name))
    if len(files) == 1:
        return open_file(files[0])
    kind.require_usable(name)
    contents = [(card.file_bytes(file), file.precision) for file in files]
    if kind is TensorRtBackend:
        require_an_engine(contents, name=card.name)
    return SizedBackend(card, files, backend=name, open_file=open_file)


def _build_engines(card: ModelCard, backend: str) -> None:
    """Of the files for one size each; TensorRT cannot run one for any."""
    for file in card.onnx_files(*TensorRtBackend.precisions(backend)):
        if file.image_size is not None:
            compile_engine(card.file_bytes(file), name=card.name, precision=file.precision)


def _checked(
    created: NetworkBackend, card: ModelCard, file: ModelFile | None = None
) -> NetworkBackend:
    """A backend that is what its card says of it; closed again where it is not."""
    try:
        if file is not None:
            created.require_promises(card, file)
        check_against_card(created, card)
    except MsdesisError:
        created.close()
        raise
    return created


# Backends that run the bytes of an ONNX file, by name.
GRAPH_BACKENDS: dict[str, GraphKind] = {
    **dict.fromkeys(PROVIDERS, OnnxRuntimeBackend),
    **dict.fromkeys(PRECISION_HINTS, OpenVinoBackend),
    'tensorrt': TensorRtBackend,
}
BUILDERS: dict[str, CardBuilder] = {
    'opencv': _opencv,
    **{name: partial(_graph, kind) for name, kind in GRAPH_BACKENDS.items()},
    **dict.fromkeys(DEVICES, _torch),
}
