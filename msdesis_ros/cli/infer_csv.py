"""`msdesis infer csv`: the pipeline of the node on every row of a list of pairs."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from msdesis_ros.cli import model_options, offline_options, rig_options
from msdesis_ros.cli.offline_run import run_rows
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.core.errors import UsageError
from msdesis_ros.offline.pair_list import read_pair_list


@dataclass(frozen=True, kw_only=True)
class ReleaseModel(model_options.ModelFields):
    """The model options, and the arguments by which the release names a checkpoint."""

    model_type: Annotated[
        str | None,
        typer.Argument(
            help='With MODEL_WEIGHTS, short for --encoder (light, resnet34) and --checkpoint.'
        ),
    ] = None
    model_weights: Annotated[Path | None, typer.Argument(help='A checkpoint file.')] = None

    @property
    def choice(self) -> model_options.ModelChoice:
        """What they say together; raises UsageError for a contradiction."""
        given = {each.name: getattr(self, each.name) for each in fields(model_options.ModelFields)}
        if self.model_type is not None:
            if (
                self.model_weights is None
                or self.checkpoint is not None
                or self.encoder is not None
            ):
                raise UsageError(
                    'MODEL_TYPE and MODEL_WEIGHTS go together, in place of --encoder and '
                    '--checkpoint'
                )
            given |= {'encoder': self.model_type, 'checkpoint': self.model_weights}
        return model_options.ModelChoice(**given)


# The default of a parameter that `option_groups` fills.
NO_MODEL = ReleaseModel()


@with_option_groups
def infer_csv(
    root_input_path: Path = typer.Argument(..., help='Where relative paths of inputs begin.'),
    root_output_path: Path = typer.Argument(..., help='Where relative paths of results begin.'),
    filelist_path: Path = typer.Argument(
        ..., help='The list: left, right[, disparity][, segmentation], with a header or without.'
    ),
    options: offline_options.RowOptions = offline_options.AS_USUAL,
    rigs: rig_options.RectifyChoice = rig_options.UNKNOWN,
    release: ReleaseModel = NO_MODEL,
) -> None:
    """Disparities, masks and depths of every pair in a list, for pictures of any size.

    Rows that cannot be read are named and passed over (exit code 1 at the end); a second run does
    only what is missing.

    Example: msdesis infer csv data out/results paths.csv
    """
    choice = offline_options.OfflineChoice.of(release.choice, rigs, options)
    rig_options.require_files(root_input_path, filelist_path)
    results = Path(os.path.abspath(root_output_path))
    pairs = read_pair_list(
        filelist_path, input_root=os.path.abspath(root_input_path), output_root=results
    )
    for warning in pairs.warnings:
        typer.echo(f'warning: {warning}', err=True)
    for row in pairs.bad:
        typer.echo(f'{filelist_path}:{row.line}: {row.reason}', err=True)
    run_rows(
        pairs.rows,
        choice,
        results=results,
        name=filelist_path.stem,
        label=lambda row: f'{filelist_path}:{row.line}',
        bad=pairs.bad,
    )
