"""`msdesis doctor`: what is installed, what is missing, and whether the parts work here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from msdesis_ros import __version__
from msdesis_ros.cli import doctor_backends, doctor_checks, doctor_ros, doctor_transport
from msdesis_ros.cli.findings import Finding, State, one_line, worst
from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.ros.installation import find_installation, try_imports
from msdesis_ros.ros.peers import find_peers
from msdesis_ros.ros.transport import prepare_process
from msdesis_ros.ros.transport_probe import probe_transport

COLOURS = {State.OK: 'green', State.WARN: 'yellow', State.FAIL: 'bold red'}


def doctor(
    json_file: Path | None = typer.Option(None, '--json', help='Write the findings here too.'),
    compare: bool = typer.Option(
        False, '--compare', help='Measure the transport without our settings as well.'
    ),
) -> None:
    """Say what is installed, what is missing and how to add it, and test transport and backends.

    Exit code 0 where nothing fails; warnings do not count. Takes about ten seconds.

    Example: msdesis doctor --json out/doctor.json
    """
    findings = report(examine(compare=compare))
    if json_file is not None:
        write_json(findings, json_file)
    if worst(findings) is State.FAIL:
        raise typer.Exit(1)


def examine(*, compare: bool = False, seconds: float = 3.0) -> Iterator[Finding]:
    """Look at everything, the quick things first; `seconds` of images in the transport test."""
    environment = dict(os.environ)
    settings = prepare_process()
    yield from doctor_checks.system_findings()
    yield from doctor_checks.requirement_findings()
    yield doctor_checks.torch_finding()
    installation = find_installation()
    imports = try_imports() if installation.rclpy_path else None
    yield from doctor_ros.ros_findings(installation, imports)
    shared_memory = doctor_transport.shared_memory_finding(settings)
    yield shared_memory
    yield from doctor_transport.settings_findings(settings, environment)
    yield from doctor_transport.discovery_findings(environment)
    yield doctor_transport.peers_finding(find_peers())
    yield doctor_backends.card_finding()
    yield from doctor_backends.backend_findings()
    if imports is None or imports.failed:
        cause = 'not installed' if imports is None else 'not complete'
        yield Finding('transport', State.WARN, f'not tested: ROS is {cause}, see above')
        return
    try:
        probe = probe_transport(seconds=seconds)
        yield doctor_transport.transport_finding(
            probe, settings, shared_memory_ok=shared_memory.state is State.OK
        )
        if compare:
            plain = probe_transport(seconds=seconds, prepared=False)
            yield doctor_transport.unprepared_finding(plain)
    except MsdesisError as error:
        sentence = f'the self-test could not be made: {one_line(error)}'
        yield Finding('transport', State.FAIL, sentence, 'msdesis doctor   # again')


def report(findings: Iterable[Finding], console: Console | None = None) -> list[Finding]:
    """Show findings: a table on a terminal, else one line each as they come; returns them."""
    console = console or Console()
    working = (
        console.status('looking; this takes about ten seconds ...')
        if console.is_terminal
        else nullcontext()
    )
    shown = []
    with working:
        for finding in findings:
            shown.append(finding)
            if not console.is_terminal:
                _print_plainly(console, finding)
    if console.is_terminal:
        _print_table(console, shown)
    counts = {state: sum(each.state is state for each in shown) for state in State}
    typer.echo(
        f'{counts[State.OK]} ok, {counts[State.WARN]} warnings, {counts[State.FAIL]} failures',
        file=console.file,
    )
    return shown


def write_json(findings: list[Finding], path: Path) -> None:
    """Write what was found as JSON: the version, the worst state, every finding."""
    content = {
        'version': __version__,
        'state': worst(findings).value,
        'findings': [finding.as_dict() for finding in findings],
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def _print_plainly(console: Console, finding: Finding) -> None:
    typer.echo(f'{finding.state.value:<5} {finding.check}: {finding.sentence}', file=console.file)
    if finding.fix:
        typer.echo(f'      fix: {finding.fix}', file=console.file)


def _print_table(console: Console, findings: list[Finding]) -> None:
    table = Table(box=None, padding=(0, 1), show_header=False)
    for finding in findings:
        state = Text(finding.state.value, style=COLOURS[finding.state])
        # As Text: a sentence may hold what rich takes for markup, like msdesis_ros[ros].
        table.add_row(state, Text(finding.check, style='bold'), Text(finding.sentence))
    console.print(table)
    for finding in findings:
        if finding.fix:
            # Below the table and unwrapped, so that the command can be copied.
            console.print(
                Text(f'fix {finding.check}: ', style='bold') + Text(finding.fix), soft_wrap=True
            )
