"""Does this engine, on this machine, say what the model said when its card was written?

A wrong engine rarely fails: it answers wrongly. So a card keeps some of the model's answers to a
made-up pair of pictures, and a backend is used only after it gave the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from msdesis_ros.core.errors import BackendError, ModelError
from msdesis_ros.runtime.backend import Backend, RawOutput
from msdesis_ros.runtime.check_samples import SelfCheck, Tolerance
from msdesis_ros.runtime.model_card import ModelCard
from msdesis_ros.runtime.network_backend import NetworkBackend

SAMPLES = 256
# How far the right picture of the made-up pair is shifted.
SHIFT_PX = 12
# A rounding error can grow where two surfaces are equally likely, so a few samples may be off. A
# wrong engine is off at most of them.
WITHIN_TOLERANCE = 0.95
PLANES = ('disparity_px', 'mask_logits', 'uncertainty_px')


def check_pictures(*, seed: int, image_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Make the pair of a self-check: two H x W x 3 uint8 pictures, `image_size` (width, height).

    Integers only, from a generator whose numbers NumPy guarantees, so the bytes are the same on
    every machine: cells of 1, 4 and 16 px with random colours, and the same shifted by 12 px.
    """
    width, height = image_size
    random = np.random.RandomState(seed)
    wall = np.full((height, width + SHIFT_PX, 3), 28, dtype=np.int64)
    for cell in (1, 4, 16):
        rows, columns = -(-height // cell), -(-(width + SHIFT_PX) // cell)
        coarse = random.randint(0, 68, size=(rows, columns, 3))
        fine = coarse.repeat(cell, axis=0).repeat(cell, axis=1)
        wall += fine[:height, : width + SHIFT_PX]
    bytes_ = wall.astype(np.uint8)
    left, right = bytes_[:, :width], bytes_[:, SHIFT_PX:]
    return np.ascontiguousarray(left), np.ascontiguousarray(right)


def make_self_check(
    backend: Backend,
    *,
    image_size: tuple[int, int],
    tolerances: tuple[Tolerance, ...],
    seed: int = 1,
) -> SelfCheck:
    """Let a trusted backend answer the made-up pair, and keep samples for the card."""
    output = backend.run(*check_pictures(seed=seed, image_size=image_size))
    width, height = image_size
    places = np.random.RandomState(seed).choice(
        width * height, size=min(SAMPLES, width * height), replace=False
    )
    places.sort()
    rows, columns = np.divmod(places, width)
    planes = {
        name: tuple(_short(value) for value in plane[rows, columns])
        for name, plane in _planes(output).items()
    }
    return SelfCheck(
        seed=seed,
        image_size=image_size,
        columns=tuple(int(column) for column in columns),
        rows=tuple(int(row) for row in rows),
        tolerances=tolerances,
        **planes,
    )


def run_self_check(backend: NetworkBackend, check: SelfCheck) -> None:
    """Raise BackendError, with figures, unless the backend gives the answers of the card."""
    tolerance = check.tolerance(backend.precision)
    output = backend.run(*check_pictures(seed=check.seed, image_size=check.image_size))
    found = _planes(output)
    rows, columns = np.array(check.rows), np.array(check.columns)
    for name in PLANES:
        expected = getattr(check, name)
        if not expected:
            continue
        if name not in found:
            raise BackendError(
                f'the self-check of {backend.identity.name} wants {name}: not given'
            )
        error = np.abs(found[name][rows, columns] - np.array(expected, dtype=np.float32))
        allowed = tolerance[name]
        within = float(np.mean(error <= allowed))  # NaN is not within
        if not within >= WITHIN_TOLERANCE:
            raise BackendError(
                f'{backend.identity.name} with the backend {backend.identity.backend} fails its '
                f'self-check: only {within:.0%} of {len(expected)} samples of {name} are within '
                f'{allowed:g} of the card (median error {np.median(error):.3g}, largest '
                f'{np.max(error):.3g}); use another backend, or make its files again'
            )


def check_against_card(backend: NetworkBackend, card: ModelCard) -> None:
    """Run the smallest self-check of the card whose pictures the backend takes; see above.

    Raises ModelError where the card has some, but none that the backend takes: nothing is known
    of such an engine. A card without any is believed.
    """
    refusals = []
    for check in sorted(card.self_check, key=lambda check: math.prod(check.image_size)):
        try:
            backend.require_size(check.image_size)
        except BackendError as error:
            refusals.append(str(error))
            continue
        run_self_check(backend, check)
        return
    if refusals:
        raise ModelError(
            f'no self-check of {card.name} fits this engine ({refusals[0]}); add one for its size '
            'to the card'
        )


def _planes(output: RawOutput) -> Mapping[str, np.ndarray]:
    planes = {name: getattr(output, name) for name in PLANES}
    return {name: plane for name, plane in planes.items() if plane is not None}


def _short(value: np.float32) -> float:
    """A float32 with six digits: more than any tolerance asks for, and half of the card's size."""
    return float(f'{float(value):.6g}')
