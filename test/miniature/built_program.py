"""The command line, built once: Typer builds all commands anew for every call otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable

import typer

from msdesis_ros.cli.app import app


@functools.lru_cache(maxsize=1)
def built_program() -> Callable[[], object]:
    """What `msdesis_ros.cli.app.app` is, for tests that call it many times."""
    return typer.main.get_command(app)
