"""`msdesis train`: train a network as a configuration file says, and go on where it ended."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from msdesis_ros.cli.training_run import end_of, shown
from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.torch_extra import require_torch

train_app = typer.Typer(
    no_args_is_help=True, help='Train a network; the same command with --resume goes on.'
)
CONFIG = typer.Option(..., '--config', help='JSON file; examples are in config/train.')
CHANGES = typer.Option(None, '--set', help='key=value, e.g. optimiser.schedule.steps=1000.')
RESUME = typer.Option(False, '--resume', help='Go on from the checkpoint in the folder.')
OUT = typer.Option(None, '--out', help='Folder; default: out/train/<name of the config>.')
MINUTES = typer.Option(None, '--minutes', min=0.0, help='End after this time, to be resumed.')


@train_app.command()
def disparity(
    config: Path = CONFIG,
    changes: list[str] | None = CHANGES,
    resume: bool = RESUME,
    out: Path | None = OUT,
    minutes: float | None = MINUTES,
) -> None:
    """Train the disparity half.

    Example: msdesis train disparity --config config/train/ph1_disparity_light.json --set
    data.train.0.shards=out/shards
    """
    _train('disparity', config, changes, resume=resume, out=out, minutes=minutes)


@train_app.command()
def multitask(
    config: Path = CONFIG,
    changes: list[str] | None = CHANGES,
    resume: bool = RESUME,
    out: Path | None = OUT,
    minutes: float | None = MINUTES,
) -> None:
    """Train disparity and mask together.

    Example: msdesis train multitask --config config/train/fast_base.json --minutes 9
    """
    _train('multitask', config, changes, resume=resume, out=out, minutes=minutes)


@train_app.command()
def segmentation(
    config: Path = CONFIG,
    changes: list[str] | None = CHANGES,
    resume: bool = RESUME,
    out: Path | None = OUT,
    minutes: float | None = MINUTES,
) -> None:
    """Train the mask half.

    Example: msdesis train segmentation --config config/train/ph2_segmentation_light.json
    """
    _train('segmentation', config, changes, resume=resume, out=out, minutes=minutes)


def _train(
    task: str,
    path: Path,
    changes: list[str] | None,
    *,
    resume: bool,
    out: Path | None,
    minutes: float | None,
) -> None:
    require_torch('safetensors', what='training')
    from msdesis_ros.training.config import read_config
    from msdesis_ros.training.finish import commit_of_source, write_result
    from msdesis_ros.training.loop import Training
    from msdesis_ros.training.ranks import ranks_of_environment
    from msdesis_ros.training.state_files import LAST

    config = read_config(path, changes or [])
    if config.task != task:
        raise UsageError(f'{path} is for the task {config.task}: use msdesis train {config.task}')
    folder = out or Path('out/train') / config.name
    if (folder / LAST).exists() and not resume:
        raise UsageError(
            f'{folder} holds a training already; give --resume to go on with it, or another --out'
        )
    with ranks_of_environment() as ranks, shown(ranks.first) as show, end_of(minutes) as end:
        training = Training(config, folder, ranks=ranks, resume=resume, say=_say, progress=show)
        begun = training.step
        result = training.run(end)
        if not ranks.first:
            return
        if result.reason:
            steps = training.config.optimiser.schedule.steps
            _say(
                f'{folder}: steps {begun} to {result.step} of {steps} are done '
                f'({result.reason}); the same command with --resume goes on'
            )
            return
        training.use_best()
        card = write_result(
            training.network,
            config,
            result,
            folder,
            data=training.data,
            command=['msdesis', *sys.argv[1:]],
            commit=commit_of_source(),
        )
        best = '' if result.best is None else f', best at step {int(result.best["step"])}'
        _say(f'{card}: {result.step} steps are done{best}')


def _say(sentence: str) -> None:
    typer.echo(sentence)
