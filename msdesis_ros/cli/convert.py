"""`msdesis convert`: published data sets into the layouts that training and evaluation read."""

from __future__ import annotations

import typer

from msdesis_ros.cli.convert_scared import keyframes, scared, scared_flow

convert_app = typer.Typer(
    no_args_is_help=True, help='Convert published data sets into the layouts used here.'
)
convert_app.command('scared')(scared)
convert_app.command('keyframes')(keyframes)
convert_app.command('scared-flow')(scared_flow)


@convert_app.callback()
def convert() -> None:
    """Convert published data sets into the layouts used here."""
