"""What the tests of commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Callable[..., tuple[Any, str, str]]]:
    """Give a function that runs one command of `msdesis` in this process.

    It returns exit code, standard output and standard error.
    """
    from msdesis_ros.cli import app

    def of_command(command: str) -> Callable[..., tuple[Any, str, str]]:
        def run(*arguments: object) -> tuple[Any, str, str]:
            monkeypatch.setattr(sys, 'argv', ['msdesis', command, *map(str, arguments)])
            with pytest.raises(SystemExit) as left:
                app.main()
            told = capsys.readouterr()
            return left.value.code or 0, told.out, told.err

        return run

    return of_command
