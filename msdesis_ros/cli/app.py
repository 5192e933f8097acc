"""The `msdesis` command: sub-commands are thin, one file each; errors become one sentence."""

from __future__ import annotations

import sys

import typer

from msdesis_ros import __version__
from msdesis_ros.cli.benchmark import benchmark_app
from msdesis_ros.cli.demo import demo
from msdesis_ros.cli.doctor import doctor
from msdesis_ros.cli.evaluate import evaluate_app
from msdesis_ros.cli.export import export
from msdesis_ros.cli.finetune import finetune
from msdesis_ros.cli.infer import infer_app
from msdesis_ros.cli.models import models_app
from msdesis_ros.cli.replay import replay
from msdesis_ros.cli.synth import synth
from msdesis_ros.cli.train import train_app
from msdesis_ros.core.errors import MsdesisError, UsageError

EXIT_FAILURE, EXIT_WRONG_USE = 1, 2

app = typer.Typer(
    name='msdesis',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help='Real-time stereo perception for surgical robots: disparity, metric depth, surface.',
)
app.command()(demo)
app.command()(doctor)
app.command()(export)
app.command()(finetune)
app.command()(replay)
app.command()(synth)
app.add_typer(infer_app, name='infer')
app.add_typer(evaluate_app, name='evaluate')
app.add_typer(models_app, name='models')
app.add_typer(benchmark_app, name='benchmark')
app.add_typer(train_app, name='train')


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f'msdesis_ros {__version__}')
        raise typer.Exit


@app.callback()
def options(
    debug: bool = typer.Option(False, '--debug', help='Show the traceback of an error.'),
    version: bool = typer.Option(
        False, '--version', callback=_print_version, is_eager=True, help='Print the version.'
    ),
) -> None:
    """Real-time stereo perception for surgical robots: disparity, metric depth, surface."""


def main() -> None:
    """Run the command line; exit code 0 on success, 2 on wrong use, 1 on failure."""
    try:
        app()
    except MsdesisError as error:
        _fail(error, EXIT_WRONG_USE if isinstance(error, UsageError) else EXIT_FAILURE)
    except OSError as error:  # a full disk, a folder that may not be written
        _fail(error, EXIT_FAILURE)
    except KeyboardInterrupt:
        typer.echo('interrupted', err=True)
        sys.exit(130)


def _fail(error: Exception, code: int) -> None:
    if '--debug' in sys.argv:
        raise error
    typer.echo(f'msdesis: {error}', err=True)
    sys.exit(code)


if __name__ == '__main__':
    main()
