"""What the tests of commands share."""

from __future__ import annotations

import subprocess
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


@pytest.fixture
def msdesis(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs `msdesis ARGUMENTS` in this process, which saves the start of one.

    What it returns holds what native code said, too.
    """
    from msdesis_ros.cli import app

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = ['msdesis', *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', command)
        with pytest.raises(SystemExit) as left:
            app.main()
        told = capfd.readouterr()
        return subprocess.CompletedProcess(command, left.value.code or 0, told.out, told.err)

    return run
