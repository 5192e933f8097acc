"""`msdesis convert ris2017` and `ris2017-statistics`: instrument segmentation of EndoVis 2017."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msdesis_ros.cli import rig_options
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.conversion.ris2017 import Outcome, RisConversion
from msdesis_ros.data.conversion.ris2017_calibration import INTRINSICS
from msdesis_ros.data.conversion.ris2017_frame import PICTURE_SIZE
from msdesis_ros.data.conversion.ris2017_set import FORMS, RisOptions
from msdesis_ros.data.conversion.ris2017_statistics import (
    ALL,
    SetStatistics,
    ris_statistics,
    statistics_files,
    write_statistics,
)
from msdesis_ros.data.conversion.ris2017_tree import write_io_list

MAX_JOBS = 64
_SHOWN_PROBLEMS = 10
_STEREO_ONLY = 'of --form stereo alone'


def ris2017(
    source: Annotated[
        Path,
        typer.Argument(help='Published data: instrument_dataset_1, instrument_dataset_2, ...'),
    ],
    out: Annotated[Path, typer.Argument(help='Folder for the converted sets.')],
    form: str = typer.Option(
        'monocular', '--form', help=f'{" or ".join(FORMS)}: left pictures, or rectified pairs.'
    ),
    alpha: float | None = typer.Option(
        None,
        '--alpha',
        help='Of the rectification as in OpenCV: -1, or 0 (only pixels with a source) to 1; '
        f'default 0; {_STEREO_ONLY}.',
    ),
    intrinsics: str | None = typer.Option(
        None,
        '--intrinsics',
        help=f'{" or ".join(INTRINSICS)}: camera matrices follow crop and resizing, or stay as '
        f'in the text, as ris2017_toolkit leaves them; {_STEREO_ONLY}.',
    ),
    size: str = typer.Option(
        '{}x{}'.format(*PICTURE_SIZE), '--size', help='Width x height of the pictures, px.'
    ),
    io_csv: Path | None = typer.Option(
        None, '--io-csv', help='Also list the converted frames: a CSV of left, right.'
    ),
    io_masks: bool = typer.Option(
        False, '--io-masks', help='The list gets a column mask, with the binary masks.'
    ),
    jobs: int = typer.Option(2, '--jobs', '-j', min=1, max=MAX_JOBS, help='Threads.'),
) -> None:
    """Make clean pictures and masks of the Robotic Instrument Segmentation data of 2017.

    Crops the border, keeps one field of the interlaced frames, resizes; a second run goes on.

    Example: msdesis convert ris2017 RIS/train_set data/ris2017_stereo --form stereo
    """
    rig_options.require_files(source)
    if io_masks and io_csv is None:
        raise UsageError('--io-masks is a column of the list; give --io-csv FILE too')
    if form == 'monocular':
        for option, value in (('--alpha', alpha), ('--intrinsics', intrinsics)):
            if value is not None:
                raise UsageError(f'{option} is {_STEREO_ONLY}; leave it out, or give that')
    options = RisOptions(
        form=form,
        alpha=0.0 if alpha is None else alpha,
        size=parse_size(size),
        intrinsics=intrinsics or INTRINSICS[0],
    )
    conversion = RisConversion(source, out, options)
    with progress_bar() as bar:
        task = bar.add_task('frames', total=conversion.frames)
        outcome = conversion.run(jobs=jobs, each=lambda: bar.advance(task))
    for note in outcome.notes:
        typer.echo(f'warning: {note}', err=True)
    _tell(outcome.problems)
    listed = ''
    if io_csv is not None and outcome.made + outcome.kept:
        count = write_io_list(io_csv, out, masks=io_masks)
        listed = f'; {io_csv} lists {count}'
    typer.echo(_summary(outcome, conversion, out) + listed)
    if outcome.problems:
        raise typer.Exit(1)


def ris2017_statistics(
    roots: Annotated[
        list[Path], typer.Argument(help='Converted trees, e.g. of the training and the test data.')
    ],
    out: Path | None = typer.Option(None, '--out', help='Also write them: a file .json or .csv.'),
) -> None:
    """Colours of the left pictures and share of instrument pixels, by set and on average.

    Means over the frames of a set, then over the sets, of values from 0 to 1.

    Example: msdesis convert ris2017-statistics data/ris2017 --out statistics.csv
    """
    rig_options.require_files(*roots)
    if out is not None and out.suffix.lower() not in ('.csv', '.json'):
        raise UsageError(f'{out}: the statistics are written as .json or .csv')
    files = statistics_files(roots)
    with progress_bar() as bar:
        total = sum(len(pictures) + len(masks) for pictures, masks in files.values())
        task = bar.add_task('files', total=total)
        statistics = ris_statistics(files, each=lambda: bar.advance(task))
    width = max(len(name) for name in (*files, ALL))
    typer.echo(f'{"set":{width}}  frames  mean R G B             std R G B              coverage')
    for name, row in {**statistics.sets, ALL: statistics.average}.items():
        typer.echo(f'{name:{width}}  {_row(row)}')
    if out is not None:
        write_statistics(out, statistics)
    _tell(statistics.problems)
    if statistics.problems:
        raise typer.Exit(1)


def _summary(outcome: Outcome, conversion: RisConversion, out: Path) -> str:
    kept = f', {outcome.kept} were there' if outcome.kept else ''
    wrong = f', {len(outcome.problems)} problems' if outcome.problems else ''
    return f'{outcome.made} of {conversion.frames} frames converted to {out}{kept}{wrong}'


def _tell(problems: list[str]) -> None:
    for problem in problems[:_SHOWN_PROBLEMS]:
        typer.echo(f'error: {problem}', err=True)
    if len(problems) > _SHOWN_PROBLEMS:
        typer.echo(f'error: ... and {len(problems) - _SHOWN_PROBLEMS} more', err=True)


def _row(row: SetStatistics) -> str:
    colours = [
        ' '.join(f'{v:.4f}' for v in values) if values else '-' for values in (row.mean, row.std)
    ]
    coverage = '-' if row.coverage is None else f'{row.coverage:.4f}'
    return f'{row.frames:6}  {colours[0]:21}  {colours[1]:21}  {coverage}'
