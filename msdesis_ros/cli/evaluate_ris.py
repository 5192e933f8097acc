"""`msdesis evaluate ris`: instrument masks by the protocol of RIS 2017."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.conversion.ris2017_tree import BINARY
from msdesis_ros.data.images import read_rgb, write_image
from msdesis_ros.data.layouts.samples import read_mask
from msdesis_ros.evaluation.ris_model import ModelMasks, first_size
from msdesis_ros.evaluation.ris_protocol import FINAL, PUBLISHED_SETS, RisTable, write_scores
from msdesis_ros.evaluation.ris_set import (
    CLASSES,
    RisFrame,
    RisScores,
    existing,
    has_saved,
    list_ris,
    saved_file,
    score_classes,
    score_masks,
)
from msdesis_ros.evaluation.worst_masks import MaskCase, WorstMasks

SCORES, WORST, MASKS = 'ris17_scores', 'worst_cases.png', 'masks'
_SHOWN_PROBLEMS = 10


@with_option_groups
def ris(
    data: Annotated[
        Path, typer.Argument(help='Tree of msdesis convert ris2017: instrument_dataset_*.')
    ],
    out: Annotated[Path, typer.Option('--out', help='Folder for the results.')],
    predictions: Path | None = typer.Option(
        None,
        '--predictions',
        help='Saved masks instead of a model: instrument_dataset_*/binary/*.png, and parts, '
        'types.',
    ),
    threshold: float | None = typer.Option(
        None, '--threshold', help='Above this probability a pixel is instrument; default 0.5.'
    ),
    left_only: bool = typer.Option(
        False, '--left-only', help='Leave right pictures alone, as the published figures do.'
    ),
    save_masks: bool = typer.Option(
        False, '--save-masks', help=f'Write the masks into OUT/{MASKS}, by their source names.'
    ),
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
) -> None:
    """IoU of instrument masks: mean over the frames of a set, then over the sets.

    Runs a model, or takes saved masks; a frame without a prediction counts as an empty one.

    Example: msdesis evaluate ris data/ris2017 --checkpoint weights.pt --out out/ris
    """
    chosen = asdict(choice)
    rig_options.require_files(data)
    frames, problems = list_ris(data)
    scores = RisScores(problems=problems)
    worst = WorstMasks()
    about: dict[str, Any] = {'data': str(data)}
    if predictions is not None:
        of_model = {'threshold': threshold, 'left_only': left_only, 'save_masks': save_masks}
        for name, value in {**chosen, **of_model}.items():
            if value is not None and value is not False:  # 0 is something said
                option = f'--{name.replace("_", "-")}'
                raise UsageError(
                    f'{option} is for a model run now; leave it out, or --predictions'
                )
        rig_options.require_files(predictions)
        out.mkdir(parents=True, exist_ok=True)
        about['predictions'] = str(predictions)
        _score_saved(frames, predictions, scores, worst)
    else:
        with choice.opened(first_size(frames)) as opened:
            runs = ModelMasks(
                opened,
                threshold=0.5 if threshold is None else threshold,
                left_only=left_only,
                folder=out / MASKS if save_masks else None,
            )
            out.mkdir(parents=True, exist_ok=True)
            _score(frames, runs, scores, worst)
            about |= {'model': asdict(opened.identity), 'runs': runs.counts}
            about['threshold'] = 0.5 if threshold is None else threshold
    typer.echo(_write(out, scores, about, worst))
    if scores.problems:
        raise typer.Exit(1)


def _score_saved(
    frames: list[RisFrame], predictions: Path, scores: RisScores, worst: WorstMasks
) -> None:
    kinds = [kind for kind in CLASSES if has_saved(predictions, kind)]
    if has_saved(predictions, BINARY):

        def saved(frame: RisFrame) -> np.ndarray:
            return read_mask(existing(saved_file(predictions, frame)))

        _score(frames, saved, scores, worst)
    elif not kinds:
        raise FileFormatError(
            f'{predictions} has no instrument_dataset_*/{BINARY}/*.png; give the folder of the '
            'saved masks'
        )
    for kind in kinds:
        score_classes(frames, kind, predictions, scores)


def _score(
    frames: list[RisFrame],
    predict: Callable[[RisFrame], np.ndarray],
    scores: RisScores,
    worst: WorstMasks,
) -> None:
    def show(frame: RisFrame, prediction: np.ndarray, truth: np.ndarray, iou: float) -> None:
        if frame.left is None or not worst.wants(iou):
            return
        # A frame is scored without its picture, but not drawn.
        with contextlib.suppress(FileFormatError):
            left = read_rgb(frame.left)
            if left.shape[:2] == truth.shape:
                name = f'{frame.of_set}/{frame.name}'
                worst.show(MaskCase(name, iou, left, prediction, truth))

    with progress_bar() as bar:
        task = bar.add_task('frames', total=len(frames))

        def one(frame: RisFrame) -> np.ndarray:
            bar.advance(task)
            return predict(frame)

        score_masks(frames, one, scores, show=show)


def _write(out: Path, scores: RisScores, about: dict[str, Any], worst: WorstMasks) -> str:
    files = {
        kind: f'{SCORES}.csv' if kind == BINARY else f'ris17_{kind}.csv'
        for kind in (BINARY, *CLASSES)
    }
    for name in (*files.values(), f'{SCORES}.json', WORST):
        (out / name).unlink(missing_ok=True)
    told, written = [], []
    for kind, table in scores.tables.items():
        table.write_csv(out / files[kind])
        written.append(files[kind])
        told.append(_told(kind, table))
    missing = [n for n in PUBLISHED_SETS if any(n not in t.sets for t in scores.tables.values())]
    if missing:
        typer.echo(
            f'warning: {FINAL} is not that of the published protocol, which has 10 sets; not '
            f'scored here: {", ".join(missing)}',
            err=True,
        )
    about |= {
        'missing_sets': missing,
        'counted_empty': scores.counted_empty,
        'problems': scores.problems,
    }
    write_scores(out / f'{SCORES}.json', scores.tables, about)
    written.append(f'{SCORES}.json')
    if worst.cases:
        write_image(out / WORST, worst.sheet(f'RIS 2017: {told[0]}'))
        written.append(WORST)
    for problem in scores.problems[:_SHOWN_PROBLEMS]:
        typer.echo(f'error: {problem}', err=True)
    if len(scores.problems) > _SHOWN_PROBLEMS:
        rest = len(scores.problems) - _SHOWN_PROBLEMS
        typer.echo(f'error: ... and {rest} more, in {SCORES}.json', err=True)
    name = about.get('model', {}).get('name') or about['predictions']
    return f'{name}: {"; ".join(told)}; wrote {", ".join(written)} to {out}'


def _told(kind: str, table: RisTable) -> str:
    final = ', '.join(
        f'{column} {score:.4f}' if score is not None else f'{column} not there'
        for column, score in zip(table.columns, table.final, strict=True)
    )
    count = sum(len(frames) for frames in table.frames.values())
    sets = len(table.frames)
    return f'{kind} {final} over {sets} set{"s" * (sets != 1)}, {count} frame{"s" * (count != 1)}'
