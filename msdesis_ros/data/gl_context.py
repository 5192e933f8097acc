"""OpenGL without a window or a graphics card, where the system has EGL."""

from __future__ import annotations

from typing import Any

from msdesis_ros.core.errors import MissingExtraError


def open_context(missing: str) -> Any:
    """A moderngl context of OpenGL 3.3; without one MissingExtraError, which says `missing`."""
    try:
        import moderngl
    except ImportError as error:
        raise MissingExtraError(missing) from error
    try:
        return moderngl.create_context(standalone=True, backend='egl', require=330)
    except Exception as error:  # glcontext raises bare exceptions for a missing library
        raise MissingExtraError(f'{missing} ({error})') from error
