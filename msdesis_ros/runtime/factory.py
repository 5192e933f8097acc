"""From the names a user gives to a loaded backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msdesis_ros.core.errors import ModelError, UsageError
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.model_card import ModelCard
from msdesis_ros.runtime.onnx_backend import PROVIDERS, OnnxRuntimeBackend
from msdesis_ros.runtime.sgbm import OpenCvSgbm


def create_backend(
    model: str = 'opencv_sgbm',
    *,
    backend: str | None = None,
    threads: int | None = None,
    models_dir: Path | None = None,
) -> Backend:
    """Load the model of the card `model` into the backend named, or into the card's default one.

    `threads` bounds the CPU threads of a run (with `opencv` it is OpenCV's setting for the whole
    process); None leaves the choice to the backend. `models_dir`: the folder of the cards, None =
    those that ship. Raises ModelError for an unknown model or a file that is not the card's,
    UsageError for an unknown backend, one that cannot run this model, or a wrong number of
    threads, MissingExtraError where the package of the backend is not installed.
    """
    if threads is not None and threads < 1:
        raise UsageError(f'threads is {threads}; expected 1 or more, or nothing for the default')
    if backend is not None and backend not in BUILDERS:
        raise UsageError(f'no backend is called {backend!r}; known: {", ".join(BUILDERS)}')
    card = load_card(model, models_dir)
    if not card.backends:
        raise ModelError(f'the card of {card.name} lists no file that a backend can run')
    name = backend or card.backends[0]
    if name not in card.backends:
        raise UsageError(
            f'the backend {name} cannot run {card.name}; it runs with: {", ".join(card.backends)}'
        )
    return BUILDERS[name](card, name, threads)


def _opencv(card: ModelCard, name: str, threads: int | None) -> Backend:
    # The card states the greatest disparity, and the search starts at 0.
    return OpenCvSgbm(
        num_disparities=round(card.max_disparity_px) + 1, threads=threads, name=card.name
    )


def _onnxruntime(card: ModelCard, name: str, threads: int | None) -> Backend:
    return OnnxRuntimeBackend.from_card(card, backend=name, threads=threads)


BUILDERS: dict[str, Callable[[ModelCard, str, int | None], Backend]] = {
    'opencv': _opencv,
    **dict.fromkeys(PROVIDERS, _onnxruntime),
}
