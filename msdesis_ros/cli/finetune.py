"""`msdesis finetune`: from own frames without truth to a network that deploys."""

from __future__ import annotations

import json
import math
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.cli.finetune_options import CONFIG_FILE, FineTuneOptions
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.cli.training_run import end_of, shown
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.synth.workers import usable_cores
from msdesis_ros.nets.torch_extra import require_torch

if TYPE_CHECKING:
    from msdesis_ros.training.comparison import Comparison
    from msdesis_ros.training.config import TrainConfig
    from msdesis_ros.training.fine_tune_files import Beginning
    from msdesis_ros.training.loop import Training

REFUSED = 1


def finetune(
    frames: Path = typer.Argument(..., help='Folder of own pairs; docs/finetuning.md shows it.'),
    out: Path = typer.Option(..., '--out', help='Folder for the checkpoints and the result.'),
    model: model_options.ModelOption = None,
    checkpoint: model_options.CheckpointOption = None,
    mode: model_options.ModeOption = None,
    models_dir: model_options.ModelsDirOption = None,
    calibration: rig_options.CalibrationOption = None,
    unit: rig_options.UnitOption = None,
    minutes: float = typer.Option(
        15.0,
        '--minutes',
        min=0.0,
        help='Time to make ready and to learn; the last comparison and the export come on top.',
    ),
    resume: bool = typer.Option(
        False, '--resume', help='Go on in the folder, set as it is, for --minutes more.'
    ),
    name: str | None = typer.Option(None, '--name', help='Of the new model card.'),
    size: list[str] = typer.Option(
        [], '--size', help='Of the ONNX file, width x height; default: that of the frames.'
    ),
    rehearsal: Path | None = typer.Option(
        None, '--rehearsal', help='Shards with truth against forgetting; default: makes some.'
    ),
    changes: list[str] | None = typer.Option(
        None, '--set', help='key=value of config/train/finetune.json, e.g. optimiser.batch_size=2.'
    ),
) -> None:
    """Fine-tune the network on own rectified pairs without truth; ends in ONNX and a model card.

    Frames that are not rectified are rectified on the way with --calibration. At the end the new
    network is compared with the one before on pairs that it did not learn from, at most 12 of
    them unless data.validation_frames says otherwise; where it is no better nothing is written
    and the exit code is 1.

    Example: msdesis finetune frames --out out/finetuned --minutes 15
    """
    require_torch('safetensors', what='fine-tuning')
    require_torch('onnx', 'onnxscript', what='an export to ONNX', extra='export')
    from msdesis_ros.training.fine_tune_files import require_sizes
    from msdesis_ros.training.loop import Training
    from msdesis_ros.training.own_frames_source import OwnFramesSource, look_at_rows
    from msdesis_ros.training.state_files import LAST, alone_in

    if (out / LAST).exists() and not resume:
        raise UsageError(
            f'{out} holds a fine-tuning already; give --resume to go on with it, or another --out'
        )
    image_sizes = [parse_size(text) for text in size]
    require_sizes(image_sizes)
    options = FineTuneOptions(
        frames=frames,
        model=model,
        checkpoint=checkpoint,
        mode=mode,
        models_dir=models_dir,
        calibration=calibration,
        unit=unit,
        name=name,
        rehearsal=rehearsal,
        changes=tuple(changes or ()),
    )
    # Held until the last file is written.
    with ExitStack() as held:
        with end_of(minutes) as end:
            beginning, config = options.go_on(out) if resume else options.begin()
            assert config.self_supervised is not None
            settings = config.self_supervised.frames
            broken = config.data.when_broken
            source = OwnFramesSource(settings, 'train', check='content', when_broken=broken)
            held_out = len(OwnFramesSource(settings, 'held_out', when_broken=broken))
            width, height = source.image_size
            image_sizes = image_sizes or [source.image_size]
            require_sizes(image_sizes)
            _say(
                f'{settings.folder}: {len(source)} pairs of {width}x{height} px to learn from, '
                f'{held_out} held out to compare on'
            )
            look_at_rows(source, _say)
            held.enter_context(alone_in(out))
            if not resume:
                config = options.at_deployed_size(config, source.image_size)
                config = _with_rehearsal(config, out, rehearsal, seconds=60 * minutes)
                _keep(beginning, config, out)
            with shown(True) as show:
                training = Training(config, out, resume=resume, say=_say, progress=show)
                result = training.run(end, should_fall=end.falls)
        if end.asked:
            _say(f'{out}: {result.step} steps are done ({end.asked}); --resume goes on')
            raise typer.Exit(end.exit_code)
        result = training.conclude()
        _finish(
            training,
            beginning,
            best=result.best,
            image_sizes=image_sizes,
            held_out=held_out,
        )


def _with_rehearsal(
    config: TrainConfig, out: Path, given: Path | None, *, seconds: float
) -> TrainConfig:
    """The pairs with truth: those of --set, of --rehearsal, or made here, for both parts."""
    from msdesis_ros.training.config import DataSettings, build
    from msdesis_ros.training.fine_tune_files import INITIAL_FILE
    from msdesis_ros.training.rehearsal import make_rehearsal

    if given is not None and config.data.train:  # before minutes of work
        raise UsageError(f'--rehearsal {given} and --set data.train=... say the same; give one')
    content = asdict(config.data)
    with Console(stderr=True).status('making pairs with truth') as status:
        made = make_rehearsal(
            out / 'rehearsal',
            parts=('validation',) if given or config.data.train else ('train', 'validation'),
            seconds=seconds,
            workers=usable_cores(),
            progress=lambda part, done: status.update(f'making pairs with truth: {part} {done}'),
        )
    if given is not None:
        made['train'] = [{'shards': str(given)}]
    for part, sources in made.items():
        content[part] = content[part] or sources
    # Through JSON, whose lists the builder takes for tuples.
    data = build(DataSettings, json.loads(json.dumps(content)), where='data')
    return replace(config, data=data, init=str(out / INITIAL_FILE))


def _keep(beginning: Beginning, config: TrainConfig, out: Path) -> None:
    """Write what the fine-tuning begins with, and how it is set."""
    from msdesis_ros.training.fine_tune_files import keep_beginning

    keep_beginning(beginning, out)
    with atomic_write(out / CONFIG_FILE) as path:
        path.write_text(json.dumps(asdict(config), indent=2) + '\n', encoding='utf-8')


def _finish(
    training: Training,
    beginning: Beginning,
    *,
    best: dict[str, float] | None,
    image_sizes: list[tuple[int, int]],
    held_out: int,
) -> None:
    """Tell the comparison; write the network, or refuse to."""
    from msdesis_ros.training.comparison import comparison_of
    from msdesis_ros.training.fine_tune_files import write_deployment
    from msdesis_ros.training.finish import commit_of_source

    out, config = training.folder, training.config
    if best is None:
        now = training.compare()
        _show(now, 'the last weights', held_out)
        _say(
            f'{out}: {training.step} steps made it no better ({"; ".join(now.reasons)}), so that '
            'nothing was written; go on with --resume, or give more varied frames'
        )
        raise typer.Exit(REFUSED)
    comparison = comparison_of(best)
    title = f'the best weights, step {int(best["step"])} of {training.step}'
    if (part := best.get('part', 1.0)) < 1:
        title += f', {100 * part:.0f} % of the way there'
    _show(comparison, title, held_out)
    training.use_best()
    with Console(stderr=True).status('exporting') as status:
        card = write_deployment(
            training.network,
            config,
            comparison,
            out,
            beginning=beginning,
            image_sizes=image_sizes,
            data=training.data,
            held_out=held_out,
            command=['msdesis', *sys.argv[1:]],
            commit=commit_of_source(),
            progress=lambda step: status.update(f'exporting: {step}'),
        )
    _say(f"{card}: complete what it says is 'not stated'")
    _say(f'try it:   msdesis infer pair LEFT RIGHT --model {card.stem} --models-dir {out} ...')
    _say(
        'in a node: ros2 launch msdesis_ros stereo_endoscope.launch.py '
        f'model:={card.stem} models_dir:={out.resolve()}'
    )


def _show(comparison: Comparison, title: str, held_out: int) -> None:
    table = Table(title=title, title_justify='left')
    compared = f'on {comparison.own_pairs} of {held_out} held-out pairs'
    for heading in (compared, 'before', 'after'):
        table.add_column(heading)
    general = f'error on {comparison.general_pairs} pairs with truth'
    in_look = 'the same in the look of own pairs'
    growths = {general: comparison.general_growth, in_look: comparison.look_growth}
    rows = (
        ('unlikeness of the views', 'unlikeness', 'unlikeness_before', '.4f', ''),
        ('eyes disagree', 'inconsistent_percent', 'inconsistent_before_percent', '.2f', ' %'),
        (general, 'general_epe_px', 'general_epe_before_px', '.3f', ' px'),
        (in_look, 'look_epe_px', 'look_epe_before_px', '.3f', ' px'),
    )
    for label, after, before, digits, unit in rows:
        values = [getattr(comparison, name) for name in (before, after)]
        if math.isnan(values[0]):
            continue
        table.add_row(label, *(f'{value:{digits}}{unit}' for value in values))
        if label in growths:
            growth = f'{growths[label] - 1:+.1%}'
            table.add_row('of a pair, in the geometric mean', '', growth)
    Console().print(table)


def _say(sentence: str) -> None:
    typer.echo(sentence)
