"""`msdesis finetune`: from own frames without truth to a network that deploys."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.cli.training_run import end_of, shown
from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.resources import resource
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.synth.workers import usable_cores
from msdesis_ros.nets.torch_extra import require_torch
from msdesis_ros.runtime.cards import DEFAULT_MODEL

if TYPE_CHECKING:
    from msdesis_ros.training.config import TrainConfig
    from msdesis_ros.training.fine_tune_files import Beginning
    from msdesis_ros.training.fine_tuning import Comparison
    from msdesis_ros.training.loop import Training

CONFIG_FILE = 'finetune.json'
REFUSED = 1


def finetune(
    frames: Path = typer.Argument(..., help='Folder of own pairs; docs/finetuning.md shows it.'),
    out: Path = typer.Option(..., '--out', help='Folder for the checkpoints and the result.'),
    model: model_options.ModelOption = None,
    checkpoint: model_options.CheckpointOption = None,
    models_dir: model_options.ModelsDirOption = None,
    calibration: rig_options.CalibrationOption = None,
    unit: rig_options.UnitOption = None,
    minutes: float = typer.Option(
        15.0, '--minutes', min=0.0, help='Time for all of it but the export.'
    ),
    resume: bool = typer.Option(
        False, '--resume', help='Go on in the folder, for --minutes more.'
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
    network is compared with the one before on pairs that it did not learn from; where it is no
    better nothing is written and the exit code is 1.

    Example: msdesis finetune frames --out out/finetuned --minutes 15
    """
    require_torch('safetensors', what='fine-tuning')
    require_torch('onnx', 'onnxscript', what='an export to ONNX', extra='export')
    from msdesis_ros.training.loop import Training
    from msdesis_ros.training.own_frames_source import OwnFramesSource, look_at_rows
    from msdesis_ros.training.state_files import LAST

    if unit is not None and calibration is None:
        raise UsageError('--unit is that of a calibration; give --calibration too')
    if (out / LAST).exists() and not resume:
        raise UsageError(
            f'{out} holds a fine-tuning already; give --resume to go on with it, or another --out'
        )
    image_sizes = [parse_size(text) for text in size]
    with end_of(minutes) as end:
        beginning = _beginning(out, model, checkpoint, models_dir, resume=resume)
        own = {'folder': str(frames), 'calibration': calibration, 'unit': unit}
        config = _config(beginning, own, name, changes or [])
        assert config.self_supervised is not None
        settings = config.self_supervised.frames
        broken = config.data.when_broken
        source = OwnFramesSource(settings, 'train', check='content', when_broken=broken)
        held_out = len(OwnFramesSource(settings, 'held_out', when_broken=broken))
        width, height = source.image_size
        _say(
            f'{frames}: {len(source)} pairs of {width}x{height} px to learn from, {held_out} to '
            'compare'
        )
        look_at_rows(source, _say)
        config = _with_rehearsal(config, out, rehearsal)
        if not resume:
            _keep(beginning, config, out)
        with shown(True) as show:
            training = Training(config, out, resume=resume, say=_say, progress=show)
            result = training.run(end)
    if end.asked:
        _say(f'{out}: {result.step} steps are done ({end.asked}); --resume goes on')
        return
    if result.reason:
        result = training.conclude()
    _finish(
        training,
        beginning,
        best=result.best,
        image_sizes=image_sizes or [source.image_size],
        held_out=held_out,
    )


def _beginning(
    out: Path,
    model: str | None,
    checkpoint: Path | None,
    models_dir: Path | None,
    *,
    resume: bool,
) -> Beginning:
    """What the options name; where it goes on, what lies in the folder, which must be the same."""
    from msdesis_ros.nets.checkpoints import load_checkpoint
    from msdesis_ros.training.fine_tune_files import INITIAL_FILE, Beginning, beginning_of

    if model is not None and checkpoint is not None:
        raise UsageError('give either --model or --checkpoint, not both')
    if resume and model is None and checkpoint is None:
        loaded = load_checkpoint(out / INITIAL_FILE)
        return Beginning(loaded, loaded.metadata.get('began_with', INITIAL_FILE))
    if model is None and checkpoint is None:
        model = DEFAULT_MODEL
    beginning = beginning_of(model=model, checkpoint=checkpoint, models_dir=models_dir)
    if resume:
        kept = load_checkpoint(out / INITIAL_FILE).metadata.get('began_with_sha256')
        if kept != beginning.loaded.sha256:
            raise UsageError(
                f'{out} began with other weights than {beginning.name}; leave out --model and '
                '--checkpoint to go on with it, or give another --out'
            )
    return beginning


def _config(
    beginning: Beginning, own: dict[str, Any], name: str | None, changes: list[str]
) -> TrainConfig:
    from msdesis_ros.training.config import read_config
    from msdesis_ros.training.fine_tune_files import network_options

    loaded = beginning.loaded
    stem = ''.join(c if c.isalnum() or c in '_-' else '_' for c in Path(beginning.name).stem)
    filled = {
        'name': name or f'{stem}_finetuned',
        'network': network_options(loaded.network),
        'mean': list(loaded.mean),
        'std': list(loaded.std),
        **{f'self_supervised.frames.{key}': value for key, value in own.items()},
    }
    settings = [f'{key}={json.dumps(value)}' for key, value in filled.items()]
    return read_config(resource('config', 'train', 'finetune.json'), [*settings, *changes])


def _with_rehearsal(config: TrainConfig, out: Path, given: Path | None) -> TrainConfig:
    """The pairs with truth: those of --set, of --rehearsal, or made here, for both parts."""
    from msdesis_ros.training.config import DataSettings, build
    from msdesis_ros.training.fine_tune_files import INITIAL_FILE, make_rehearsal

    content = asdict(config.data)
    with Console(stderr=True).status('making pairs with truth') as status:
        made = make_rehearsal(
            out / 'rehearsal',
            parts=('validation',) if given or config.data.train else ('train', 'validation'),
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
    from msdesis_ros.training.fine_tune_files import write_deployment
    from msdesis_ros.training.fine_tuning import comparison_of
    from msdesis_ros.training.finish import commit_of_source

    out, config = training.folder, training.config
    if best is None:
        now = training.compare()
        _show(now, 'the last weights')
        _say(
            f'{out}: {training.step} steps made it no better ({"; ".join(now.reasons)}), so that '
            'nothing was written; go on with --resume, or give more varied frames'
        )
        raise typer.Exit(REFUSED)
    comparison = comparison_of(best)
    _show(comparison, f'the best weights, step {int(best["step"])} of {training.step}')
    training.use_best()
    with Console(stderr=True).status('exporting') as status:
        card = write_deployment(
            training.network,
            config,
            comparison,
            out,
            beginning=beginning,
            image_sizes=image_sizes,
            data=f'{training.data}; {held_out} more pairs held out',
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


def _show(comparison: Comparison, title: str) -> None:
    table = Table(title=title, title_justify='left')
    for heading in ('on pairs that it did not learn from', 'before', 'after'):
        table.add_column(heading)
    rows = (
        ('unlikeness of the views', 'unlikeness', 'unlikeness_before', '.4f', ''),
        ('eyes disagree', 'inconsistent_percent', 'inconsistent_before_percent', '.2f', ' %'),
        ('error, synthetic pairs', 'general_epe_px', 'general_epe_before_px', '.3f', ' px'),
    )
    for label, after, before, digits, unit in rows:
        values = (getattr(comparison, name) for name in (before, after))
        table.add_row(label, *(f'{value:{digits}}{unit}' for value in values))
    Console().print(table)


def _say(sentence: str) -> None:
    typer.echo(sentence)
