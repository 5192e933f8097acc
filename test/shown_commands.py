"""The commands that a document shows, so that tests can run them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from msdesis_ros.cli.app import app

ROOT = Path(__file__).parents[1]
PROGRAM = re.compile(r'^(?:\.venv/bin/)?msdesis\s')


def shown_commands(document: Path) -> list[list[str]]:
    """The arguments of every `msdesis ...` in the bash blocks of a document, in its order."""
    commands = []
    for block in re.findall(
        r'^```bash\n(.*?)^```', document.read_text(), re.MULTILINE | re.DOTALL
    ):
        joined = re.sub(r'\\\n\s*', ' ', block)
        for line in joined.splitlines():
            if PROGRAM.match(line.strip()):
                commands.append(shlex.split(line, comments=True)[1:])
    return commands


def run_shown(arguments: list[str]) -> str:
    """Run one of them in the current folder; what it printed. AssertionError where it fails."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, f'msdesis {shlex.join(arguments)}: {done.output}{done.exception!r}'
    return done.output
