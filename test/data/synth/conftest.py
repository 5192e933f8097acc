"""What the tests that draw share: one renderer a size, or a skip with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.data.synth.renderer import Renderer


@pytest.fixture(scope='session')
def renderer() -> Iterator[Renderer]:
    """For pictures of 160 x 128; skips where OpenGL or its Python binding is missing."""
    try:
        made = Renderer((160, 128))
    except MissingExtraError as error:
        pytest.skip(str(error))
    yield made
    made.close()
