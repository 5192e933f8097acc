"""What the tests of lists share: tiny pairs, and a model whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import BackendError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.offline.pair_list import PairRow
from msdesis_ros.runtime.backend import RawOutput

SIZE = (64, 48)


class FakeBackend:
    """Disparity in px is a sixteenth of the red of the left picture; a tool where red is odd."""

    min_disparity_px, max_disparity_px, disparity_step_px = 0.0, 255.0, 0.0

    def __init__(self, heads: tuple[str, ...] = ('disparity', 'instrument_mask')) -> None:
        self.identity = ModelIdentity(name='fake', sha256='0' * 64, backend='fake')
        self.heads = frozenset(heads)
        self.sizes: list[tuple[int, int]] = []
        self.broken = False
        self.closed = False

    def warm_up(self, image_size: tuple[int, int]) -> None:
        pass

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        self.sizes.append((left.shape[1], left.shape[0]))
        if self.broken:
            raise BackendError('the fake model is broken')
        red = left[..., 0].astype(np.float32)
        return RawOutput(
            disparity_px=red / np.float32(16) if 'disparity' in self.heads else None,
            mask_logits=np.where(red % 2 == 1, 1.0, -1.0).astype(np.float32)
            if 'instrument_mask' in self.heads
            else None,
            uncertainty_px=np.ones_like(red) if 'uncertainty' in self.heads else None,
        )

    def close(self) -> None:
        self.closed = True


def write_pair(folder: Path, name: str, *, number: int = 0, size: tuple[int, int] = SIZE) -> None:
    """left/NAME and right/NAME: a textured wall 8 px away in disparity."""
    rng = np.random.default_rng(number)
    wall = rng.integers(20, 230, (size[1], size[0] + 8, 3), dtype=np.uint8)
    for side, part in (('left', wall[:, :-8]), ('right', wall[:, 8:])):
        path = folder / side / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), part)


@pytest.fixture
def pair_rows(tmp_path: Path) -> Callable[..., list[PairRow]]:
    """Give rows over pairs in left/ and right/ of tmp_path, with results in out/KIND."""

    def rows(count: int, *kinds: str) -> list[PairRow]:
        made = []
        for number in range(count):
            name = f'{number:03d}.png'
            write_pair(tmp_path, name, number=number)
            outputs = {kind: tmp_path / 'out' / kind / name for kind in kinds or ('disparity',)}
            made.append(
                PairRow(number + 1, tmp_path / 'left' / name, tmp_path / 'right' / name, outputs)
            )
        return made

    return rows


@pytest.fixture
def fake_backend() -> FakeBackend:
    """Give a model whose answers are known."""
    return FakeBackend()


@pytest.fixture
def fake_backend_with() -> type[FakeBackend]:
    """Give the class of it, for other heads."""
    return FakeBackend
