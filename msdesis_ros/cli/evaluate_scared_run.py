"""The work of `msdesis evaluate scared`: its two sources of predictions, the frames, the files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from msdesis_ros.cli.model_options import ModelChoice
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.data.conversion.depth_maps import Fill
from msdesis_ros.data.images import write_image
from msdesis_ros.data.layouts.headers import read_header
from msdesis_ros.data.value_files import DEPTH, DISPARITY
from msdesis_ros.evaluation.scared_predictions import (
    FramePredictions,
    ModelPredictions,
    SavedPredictions,
)
from msdesis_ros.evaluation.scared_protocols import PROTOCOLS, KeyFrameScore, Protocol
from msdesis_ros.evaluation.scared_report import (
    count_frames,
    count_missing,
    count_skipped,
    file_stem,
    table,
    warnings,
    write_report,
    write_table,
)
from msdesis_ros.evaluation.scared_run import ScaredRun
from msdesis_ros.evaluation.scared_sheet import ScaredSheet
from msdesis_ros.evaluation.scared_tree import LEFT, KeyFrame

HOLDS = {'disparity': DISPARITY, 'depthmap': DEPTH}
_MAX_WARNINGS = 20


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Where predictions of a model go, and the scale of their PNGs."""

    folder: Path | None
    scale: float
    overwrite: bool

    def __post_init__(self) -> None:
        if not 0 < self.scale < float('inf'):
            raise UsageError(
                f'--scale-factor is {self.scale:g}; expected a number above 0, usually 128'
            )
        there = self.folder is not None and self.folder.is_dir() and any(self.folder.iterdir())
        if there and not self.overwrite:
            raise UsageError(
                f'{self.folder} is not empty; give --overwrite to replace the predictions in it, '
                'or another folder'
            )


def saved_source(
    folder: Path, key_frames: Sequence[KeyFrame], holds: str | None, scale: float | None
) -> tuple[SavedPredictions, dict[str, Any]]:
    """Saved predictions, and what the report says of them; tells of files of no frame."""
    quantity = None if holds is None else HOLDS[holds]
    source = SavedPredictions(folder, key_frames, quantity=quantity, scale=scale)
    strangers = [str(path.relative_to(folder)) for path in source.strangers]
    if strangers:
        typer.echo(
            f'warning: {len(strangers)} predictions belong to no frame of the data, the first is '
            f'{strangers[0]}',
            err=True,
        )
    model = source.about.get('model')
    return source, {
        'model': model if isinstance(model, dict) else None,
        'predictions': {
            'folder': str(folder),
            'quantity': source.quantity,
            'scale': source.scale,
            'of_no_frame': strangers,
        },
    }


@contextlib.contextmanager
def running_model(
    choice: ModelChoice, key_frames: Sequence[KeyFrame], saving: Saving
) -> Iterator[tuple[ModelPredictions, dict[str, Any]]]:
    """A model that runs now, closed at the end, and what the report says of it."""
    with choice.opened(_picture_size(key_frames)) as opened:
        identity = asdict(opened.identity)
        source = ModelPredictions(
            opened, save_to=saving.folder, scale=saving.scale, about={'model': identity}
        )
        about: dict[str, Any] = {'model': identity, 'verdicts': source.verdicts}
        if saving.folder is not None:
            about['saved_predictions'] = {'folder': str(saving.folder), 'scale': saving.scale}
        yield source, about
        if source.too_large:
            typer.echo(
                f'warning: {source.too_large} disparities were too large for 16 bits at the scale '
                f'{saving.scale:g} and were saved as the largest one',
                err=True,
            )
        if saving.folder is not None:
            typer.echo(f'predictions at the scale {saving.scale:g} in {saving.folder}')


def _picture_size(key_frames: Sequence[KeyFrame]) -> tuple[int, int]:
    """(width, height) px of the first left picture that can be read."""
    for key_frame in key_frames:
        for frame in key_frame.frames:
            if LEFT in frame.files:
                with contextlib.suppress(FileFormatError):
                    return read_header(frame.files[LEFT]).image_size
    raise FileFormatError(
        f'there is no usable picture in {LEFT} of any key frame; give --predictions FOLDER to '
        'score without running a model'
    )


def evaluate(
    rules: Protocol,
    source: FramePredictions,
    key_frames: Sequence[KeyFrame],
    truth_scale: float | None,
    fill: Fill,
    out: Path,
    about: dict[str, Any],
) -> None:
    """Score all frames, tell what must be known about the figures, and write the files.

    Raises MsdesisError where frames have no prediction, after everything is written.
    """
    out.mkdir(parents=True, exist_ok=True)  # before the work of hours, not after it
    sheet = ScaredSheet(rules)
    with progress_bar() as bar:
        task = bar.add_task('frames', total=sum(len(k.frames) for k in key_frames))
        run = ScaredRun(
            rules,
            source,
            truth_scale=truth_scale,
            fill=fill,
            watch=sheet.show,
            progress=lambda: bar.advance(task),
        )
        scores = run.score(key_frames)
    about['truth_scales'] = run.truth_scales
    told = warnings(scores)
    for sentence in told[:_MAX_WARNINGS]:
        typer.echo(f'warning: {sentence}', err=True)
    if len(told) > _MAX_WARNINGS:
        typer.echo(f'warning: ... and {len(told) - _MAX_WARNINGS} more in the JSON file', err=True)
    typer.echo(_write(rules, scores, sheet, out, about))
    if missing := count_missing(scores):
        raise MsdesisError(
            f'{missing} of {count_frames(scores)} frames have no prediction; the figures count '
            'them as unknown everywhere. Add the predictions, or quote the figures with this'
        )


def _write(
    rules: Protocol,
    scores: Sequence[KeyFrameScore],
    sheet: ScaredSheet,
    out: Path,
    about: dict[str, Any],
) -> str:
    """Write the files of this run, which are the only ones of this command then; a summary."""
    for stem in map(file_stem, PROTOCOLS):
        for suffix in ('.csv', '.json'):
            (out / f'{stem}{suffix}').unlink(missing_ok=True)
    name = (about['model'] or {}).get('name', 'saved predictions')
    summary = f'{name}, {rules.name} protocol ({rules.domain}): {_figures(rules, scores)}'
    write_image(out / 'worst_cases.png', sheet.picture(summary))
    write_table(out / f'{file_stem(rules)}.csv', rules, scores)
    write_report(out / f'{file_stem(rules)}.json', rules, scores, about)
    return f'{summary}; wrote {file_stem(rules)}.csv, .json and worst_cases.png to {out}'


def _figures(rules: Protocol, scores: Sequence[KeyFrameScore]) -> str:
    last = table(rules, scores)[1][-1]
    units = {'EPE': 'px', 'Bad3': '%', 'bad3': '%', 'Depth_MAE': 'mm', 'MAE': rules.unit}
    told = [
        f'{name} {"unknown" if last[name] is None else f"{last[name]:.3f} {units[name]}"}'
        for name in rules.measures
    ]
    skipped = count_skipped(scores)
    why = ', '.join(f'{count} with {reason}' for reason, count in skipped.items())
    frames = f'{count_frames(scores)} frames'
    if skipped:
        frames += f', {sum(skipped.values())} skipped ({why})'
    return f'{", ".join(told)} over {frames}'
