"""The one sentence for a machine without PyTorch."""

from __future__ import annotations

import importlib

from msdesis_ros.core.errors import MissingExtraError


def require_torch(*packages: str, what: str, extra: str = 'torch') -> None:
    """Raise MissingExtraError unless PyTorch, and each of `packages`, can be imported.

    `what`: what needs them, the subject of the message; `extra`: the extra that brings them.
    """
    for package in ('torch', *packages):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtraError(
                f'{what} needs the package {package}, which cannot be imported ({error}); '
                f"install it with: pip install 'msdesis_ros[{extra}]'"
            ) from error
