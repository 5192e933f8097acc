"""`msdesis infer folder`: the pipeline of the node on two folders of pictures, without a list."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from msdesis_ros.cli import model_options, offline_options, rig_options
from msdesis_ros.cli.offline_run import run_rows
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.offline.pair_folders import pair_by_name
from msdesis_ros.offline.pair_list import OUTPUT_COLUMNS


@with_option_groups
def infer_folder(
    left_dir: Path = typer.Argument(..., help='Folder of the left pictures.'),
    right_dir: Path = typer.Argument(..., help='Folder of the right ones, with the same names.'),
    out: Path = typer.Option(..., '--out', help='Folder for the results, one folder a kind.'),
    options: offline_options.RowOptions = offline_options.AS_USUAL,
    rigs: rig_options.RectifyChoice = rig_options.UNKNOWN,
    model: model_options.ModelChoice = model_options.UNCHOSEN,
) -> None:
    """Everything the model gives for two folders of pictures: disparity/, segmentation/, ...

    Pictures of one name are a pair. Otherwise as msdesis infer csv.

    Example: msdesis infer folder left right --out out/results
    """
    results = Path(os.path.abspath(out))
    run_rows(
        pair_by_name(left_dir, right_dir, {kind: results / kind for kind in OUTPUT_COLUMNS}),
        offline_options.OfflineChoice.of(model, rigs, options),
        results=results,
        name='folder',
        label=lambda row: row.left.name,
        only_what_the_model_gives=True,
    )
