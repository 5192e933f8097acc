"""What `infer csv` and `infer folder` do alike: check the whole list, work through it, tell."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import typer

from msdesis_ros.cli.offline_options import OfflineChoice
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.alignment import measure_vertical_offset
from msdesis_ros.core.errors import CalibrationError, MsdesisError, UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.quality import QualityLimits, alignment_reasons
from msdesis_ros.offline.journal import Journal
from msdesis_ros.offline.pair_list import BadRow, PairRow, require_no_conflicts
from msdesis_ros.offline.report import write_report
from msdesis_ros.offline.row_outputs import HEAD_OF, require_writable
from msdesis_ros.offline.row_work import first_pair
from msdesis_ros.offline.run import Failed, LocalRunner, Outcome, Runner, Summary, process_rows

# What a checkpoint in this mode is asked for; in multitask everything.
KINDS_OF_MODE = {
    'disparity': ('disparity', 'depth', 'uncertainty'),
    'segmentation': ('segmentation',),
}

# Verdicts under which results should be looked at.
DOUBTFUL = ('INVALID', 'DEGRADED')


def run_rows(
    rows: Sequence[PairRow],
    choice: OfflineChoice,
    *,
    results: Path,
    name: str,
    label: Callable[[PairRow], str],
    bad: Sequence[BadRow] = (),
    only_what_the_model_gives: bool = False,
) -> None:
    """Do the rows; journal and report are `results`/`name`.journal.jsonl and .report.json.

    `label`: how messages name a row. `only_what_the_model_gives`: leave out results that the model
    has no head for, instead of refusing the list. Raises UsageError for a list that cannot be
    done as it is, MsdesisError where a row has no result at the end. FileFormatError for a
    calibration of the whole run that cannot be read: what an earlier run made then stays.
    """
    require_writable(rows)
    require_no_conflicts(rows)
    report = results / f'{name}.report.json'
    found = first_pair(rows)
    if found:
        _require_calibration(choice, found[1].image_size)
    with _runner(choice) as runner:
        if found:
            row, pair = found
            heads = runner.heads(pair.image_size)
            rows = _possible(rows, heads, choice, leave_out=only_what_the_model_gives)
            _warn_of_unrectified(row, pair, choice)
        settings = choice.settings()
        with Journal(results / f'{name}.journal.jsonl', settings) as journal, _bar(rows) as told:
            with contextlib.suppress(FileNotFoundError):
                report.unlink()  # of an earlier run
            summary = process_rows(
                rows,
                runner,
                journal,
                again=choice.options.overwrite,
                jobs=choice.options.jobs,
                on_outcome=lambda outcome: told(outcome, label),
            )
            write_report(report, summary, bad, settings)
    _tell(summary, len(bad), report)


def _runner(choice: OfflineChoice) -> contextlib.AbstractContextManager[Runner]:
    if not choice.options.ray:
        return LocalRunner(choice.recipe, choice.options.jobs)
    from msdesis_ros.offline.ray_run import RayRunner

    return RayRunner(
        choice.recipe,
        choice.options.jobs,
        address=choice.options.ray_address,
        gpus=choice.options.ray_gpus,
        warn=lambda sentence: typer.echo(f'warning: {sentence}', err=True),
    )


def _possible(
    rows: Sequence[PairRow], heads: frozenset[str], choice: OfflineChoice, *, leave_out: bool
) -> list[PairRow]:
    """The rows with the results that will be made; UsageError for one that cannot be."""
    mode = choice.model.mode or ''
    of_mode = KINDS_OF_MODE.get(mode, tuple(HEAD_OF))
    possible = []
    for row in rows:
        outputs = {kind: path for kind, path in row.outputs.items() if kind in of_mode}
        for kind in list(outputs):
            metric = kind != 'depth' or choice.rigs.is_metric(row.calibration)
            if HEAD_OF[kind] in heads and metric:
                continue
            if leave_out:
                del outputs[kind]
            elif not metric:
                raise UsageError(
                    f'line {row.line} asks for a depth, and how its pictures were taken is not '
                    'known; give --calibration, --focal-px with --baseline-mm, or a column '
                    'calibration'
                )
            else:
                raise UsageError(
                    f'line {row.line} asks for {kind}, which this model does not give (it gives '
                    f'{", ".join(sorted(heads))}); choose another model, or leave the column out'
                )
        if outputs:
            possible.append(replace(row, outputs=outputs))
    if rows and not possible:
        raise UsageError(
            'no row says where a result goes; add a column disparity, segmentation, depth or '
            'uncertainty (msdesis create-io-csv makes such lists)'
        )
    if len(possible) < len(rows):
        typer.echo(
            f'warning: {len(rows) - len(possible)} rows ask for nothing that is made here and are '
            'left out',
            err=True,
        )
    return possible


def _require_calibration(choice: OfflineChoice, image_size: tuple[int, int]) -> None:
    """Raise where no row could use the calibration of the run; tell what is doubtful about it."""
    try:
        rig = choice.rigs.rig(None, image_size)
    except CalibrationError:  # for pictures of another size perhaps: each row tells
        return
    for sentence in rig.warnings if rig else ():
        typer.echo(f'warning: {sentence}', err=True)


def _warn_of_unrectified(row: PairRow, pair: RawPair, choice: OfflineChoice) -> None:
    """Look at one pair that is taken as rectified: is it?"""
    if row.calibration or choice.rigs.calibration:
        return
    offset = measure_vertical_offset(pair.left, pair.right)
    for reason in alignment_reasons(offset, QualityLimits()):
        typer.echo(
            f'warning: {row.left}: {reason.sentence}; without a calibration pictures are taken as '
            'rectified',
            err=True,
        )


@contextlib.contextmanager
def _bar(
    rows: Sequence[PairRow],
) -> Iterator[Callable[[Outcome | None, Callable[[PairRow], str]], None]]:
    """Show how many rows are done; gives what is to be told of each."""
    with progress_bar() as bar:
        task = bar.add_task('rows', total=len(rows))

        def told(outcome: Outcome | None, label: Callable[[PairRow], str]) -> None:
            bar.advance(task)
            if isinstance(outcome, Failed):
                typer.echo(f'{label(outcome.row)}: {outcome.reason}', err=True)

        yield told


def _tell(summary: Summary, bad: int, report: Path) -> None:
    doubtful = [f'{summary.verdicts[s]} rows are {s}' for s in DOUBTFUL if summary.verdicts[s]]
    if doubtful:
        reasons = ', '.join(f'{code} {count}' for code, count in summary.reasons.most_common())
        typer.echo(f'warning: {" and ".join(doubtful)}: {reasons}', err=True)
    if summary.too_large:
        typer.echo(
            f'warning: {summary.too_large} rows have values too large for 16 bits, stored as the '
            'largest; a smaller scale factor or .tiff holds them',
            err=True,
        )
    failed = len(summary.failed) + bad
    typer.echo(
        f'{summary.done} rows done, {summary.finished_before} finished before, {failed} without '
        f'a result; wrote {report}'
    )
    if failed:
        raise MsdesisError(
            f'{failed} of {summary.done + summary.finished_before + failed} rows have no result; '
            f'they are named above and in {report}'
        )
