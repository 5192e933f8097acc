"""What the tests that draw share: one renderer a size, or a skip with the reason."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

import numpy as np
import pytest

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.data.synth import renderer as drawing
from msdesis_ros.data.synth.noise import spectral_noise
from msdesis_ros.data.synth.renderer import Renderer


@pytest.fixture(scope='session', autouse=True)
def _details_made_once() -> Iterator[None]:
    """Textures depend on kind and seed alone (test_details), and are most of what a frame costs.

    Each renderer makes its own; here there are many renderers.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, 'detail_maps', functools.cache(drawing.detail_maps))
        yield


@pytest.fixture(scope='session')
def noise_s() -> float:
    """What a field of noise of 1024 x 1024 costs here, s: a measure for what else takes time."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        spectral_noise(np.random.default_rng(0), 1024)
        spent.append(time.process_time() - start)
    return min(spent)


@pytest.fixture(scope='session')
def renderer() -> Iterator[Renderer]:
    """For pictures of 160 x 128; skips where OpenGL or its Python binding is missing."""
    try:
        made = Renderer((160, 128))
    except MissingExtraError as error:
        pytest.skip(str(error))
    yield made
    made.close()
