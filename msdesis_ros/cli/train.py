"""`msdesis train`: train a network as a configuration file says, and go on where it ended."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from msdesis_ros.cli.training_run import end_of, shown
from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.torch_extra import require_torch

train_app = typer.Typer(
    no_args_is_help=True, help='Train a network; the same command with --resume goes on.'
)
ConfigOption = Annotated[
    Path, typer.Option('--config', help='JSON file; examples are in config/train.')
]
ChangesOption = Annotated[
    list[str] | None, typer.Option('--set', help='key=value, e.g. optimiser.schedule.steps=1000.')
]
ResumeOption = Annotated[
    bool, typer.Option('--resume', help='Go on from the checkpoint in the folder.')
]
OutOption = Annotated[
    Path | None, typer.Option('--out', help='Folder; default: out/train/<name of the config>.')
]
MinutesOption = Annotated[
    float | None, typer.Option('--minutes', min=0.0, help='End after this time, to be resumed.')
]
# Task: what is trained, and a configuration for the example.
TASKS = {
    'disparity': ('the disparity half', 'fast_base.json --minutes 9'),
    'multitask': ('disparity and mask together', 'ph2_multitask.json'),
    'segmentation': ('the mask half', 'fast_mask.json --minutes 9'),
}


def _add_command(task: str) -> None:
    what, example = TASKS[task]

    def command(
        config: ConfigOption,
        changes: ChangesOption = None,
        resume: ResumeOption = False,
        out: OutOption = None,
        minutes: MinutesOption = None,
    ) -> None:
        _train(task, config, changes, resume=resume, out=out, minutes=minutes)

    said = f'Train {what}.\n\nExample: msdesis train {task} --config config/train/{example}'
    train_app.command(task, help=said)(command)


for _task in TASKS:
    _add_command(_task)


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
    from msdesis_ros.training.state_files import LAST, alone_in

    config = read_config(path, changes or [])
    if config.task != task:
        raise UsageError(f'{path} is for the task {config.task}: use msdesis train {config.task}')
    folder = out or Path('out/train') / config.name
    if (folder / LAST).exists() and not resume:
        raise UsageError(
            f'{folder} holds a training already; give --resume to go on with it, or another --out'
        )
    with (
        ranks_of_environment() as ranks,
        shown(ranks.first) as show,
        end_of(minutes) as end,
    ):
        training = Training(config, folder, ranks=ranks, resume=resume, say=_say, progress=show)
        begun = training.step
        with alone_in(folder, needed=ranks.first):
            result = training.run(end)
        if not ranks.first:
            return
        steps = training.config.optimiser.schedule.steps
        if result.step < steps:
            _say(
                f'{folder}: steps {begun} to {result.step} of {steps} are done '
                f'({result.reason}); the same command with --resume goes on'
            )
            raise typer.Exit(end.exit_code)
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
