"""The `msdesis` command: sub-commands are thin, one file each; errors become one sentence."""

from __future__ import annotations

import sys

import typer

from msdesis_ros import __version__
from msdesis_ros.cli.benchmark import benchmark_app
from msdesis_ros.cli.calibrate import calibrate
from msdesis_ros.cli.calibration import calibration_app
from msdesis_ros.cli.convert import convert_app
from msdesis_ros.cli.convert_depth import depth as convert_depth
from msdesis_ros.cli.convert_ris2017 import ris2017, ris2017_statistics
from msdesis_ros.cli.create_io_csv import create_io_csv
from msdesis_ros.cli.demo import demo
from msdesis_ros.cli.doctor import doctor
from msdesis_ros.cli.evaluate import evaluate_app
from msdesis_ros.cli.evaluate_ris import ris as evaluate_ris
from msdesis_ros.cli.evaluate_scared import scared as evaluate_scared
from msdesis_ros.cli.export import export
from msdesis_ros.cli.finetune import finetune
from msdesis_ros.cli.infer import infer_app
from msdesis_ros.cli.infer_csv import infer_csv
from msdesis_ros.cli.infer_folder import infer_folder
from msdesis_ros.cli.infer_video import infer_video
from msdesis_ros.cli.models import models_app
from msdesis_ros.cli.reconstruct import reconstruct
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
convert_app.command('depth')(convert_depth)
evaluate_app.command('scared')(evaluate_scared)
convert_app.command('ris2017')(ris2017)
convert_app.command('ris2017-statistics')(ris2017_statistics)
evaluate_app.command('ris')(evaluate_ris)
infer_app.command('csv')(infer_csv)
infer_app.command('folder')(infer_folder)
infer_app.command('video')(infer_video)
app.command('create-io-csv')(create_io_csv)
app.command()(calibrate)
app.command()(demo)
app.command()(doctor)
app.command()(export)
app.command()(finetune)
app.command()(reconstruct)
app.command()(replay)
app.command()(synth)
app.add_typer(infer_app, name='infer')
app.add_typer(evaluate_app, name='evaluate')
app.add_typer(convert_app, name='convert')
app.add_typer(calibration_app, name='calibration')
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
