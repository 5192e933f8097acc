"""`msdesis replay`: the node's work on a recording, offline and the same every time."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import typer
from rich.progress import Progress

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.core.errors import MissingExtraError, UsageError
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.runtime.cards import DEFAULT_MODEL


def replay(
    recording: Path = typer.Argument(..., help='MCAP file or rosbag2 folder with the pictures.'),
    out: Path = typer.Option(..., '--out', help='MCAP file for the results.'),
    model: str = typer.Option(DEFAULT_MODEL, '--model', help='Model card (msdesis models list).'),
    models_dir: model_options.ModelsDirOption = None,
    backend: model_options.BackendOption = None,
    calibration: str | None = typer.Option(
        None,
        '--calibration',
        help=f'Instead of the recorded camera_infos: {rig_options.CALIBRATION_HELP}',
    ),
    unit: rig_options.UnitOption = None,
    left_topic: str = typer.Option('', '--left-topic', help='Default: found by its name.'),
    right_topic: str = typer.Option('', '--right-topic', help='Default: found by its name.'),
    topics: str = typer.Option('', '--topics', help='Results to write, a,b,c; default all.'),
    settings: list[str] = typer.Option(
        [], '--set', help='A parameter of the node, name=value; may be given several times.'
    ),
    compression: str = typer.Option('zstd', '--compression', help='none, lz4 or zstd.'),
) -> None:
    """Process a recording as the node does, each pair of it, without ROS around.

    The same recording, model and machine give the same bytes.

    Example: msdesis replay demo.mcap --out results.mcap --set max_skew_ms=5.0
    """
    try:
        import rclpy.serialization  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f'the messages of ROS 2 are missing ({error}): pip install "msdesis_ros[ros]", or '
            'source the set-up of your distribution first'
        ) from error
    from msdesis_ros.data.mcap_files import McapRecording
    from msdesis_ros.data.stereo_recording import StereoRecording
    from msdesis_ros.ros.offline_replay import DEFAULT_TOPICS, OfflineReplay
    from msdesis_ros.ros.recorded_pictures import look_at

    if out.exists() and recording.exists() and out.samefile(recording):
        raise UsageError(f'{out} is the recording itself; name another file')
    chosen = _settings(settings, model, models_dir, backend)
    source = StereoRecording(recording, left_topic=left_topic, right_topic=right_topic)
    cameras = None
    if calibration is not None:
        size, _ = look_at(source)
        cameras = read_calibration(calibration, image_size=size, unit=unit)
    if not source.reader.finished:
        typer.echo(f'warning: {source.sentence()}', err=True)
    output = McapRecording(out, compression=compression)
    try:
        work = OfflineReplay(
            source,
            output,
            settings=chosen,
            topics=_names(topics) or DEFAULT_TOPICS,
            cameras=cameras,
        )
        try:
            summary = _run(work, source.pairs)
        finally:
            work.close()
        output.close()
    except BaseException:
        output.discard()
        raise
    for sentence in summary.problems:
        typer.echo(f'warning: {sentence}', err=True)
    dropped = ', '.join(f'{cause} {count}' for cause, count in summary.dropped.items())
    typer.echo(
        f'{summary.pairs} pairs through {work.model.name} ({work.model.backend}); verdicts '
        f'{summary.verdicts}; dropped: {dropped or "none"}'
    )
    typer.echo(f'{sum(summary.written.values())} messages in {out}, SHA-256 {_sha256(out)}')


def _run(work: Any, pairs: int) -> Any:
    """Run the replay with a progress bar, quiet where nobody looks on."""
    with Progress(disable=not sys.stdout.isatty(), transient=True) as progress:
        bar = progress.add_task('pairs', total=pairs)
        return work.run(lambda done: progress.update(bar, completed=done))


def _settings(
    given: list[str], model: str, models_dir: Path | None, backend: str | None
) -> dict[str, Any]:
    """The parameters of the node that the options name, in the types the node expects."""
    from msdesis_ros.ros.parameters import SPECS

    chosen: dict[str, Any] = {
        'model': model,
        'models_dir': '' if models_dir is None else str(models_dir),
        'backend': backend or '',
    }
    for entry in given:
        name, separator, text = entry.partition('=')
        if not separator:
            raise UsageError(f'--set {entry}: expected name=value')
        if name not in SPECS:
            raise UsageError(
                f'--set {name}: the node has no such parameter; it has {_list(SPECS)}'
            )
        chosen[name] = _value(name, text, type(SPECS[name].default))
    return chosen


def _value(name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if kind is float and type(value) is int:
        value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UsageError(f'--set {name}={text}: expected a value of type {kind.__name__}')
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(',') if name.strip())


def _list(names: Any) -> str:
    return ', '.join(names)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()
