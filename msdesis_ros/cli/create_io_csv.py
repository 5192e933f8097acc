"""`msdesis create-io-csv`: two folders of pictures as the list that `msdesis infer csv` reads."""

from __future__ import annotations

from pathlib import Path

import typer

from msdesis_ros.offline.pair_folders import pair_by_name
from msdesis_ros.offline.pair_list import require_no_conflicts, write_pair_list


def create_io_csv(
    left_dir: Path = typer.Argument(..., help='Folder of the left pictures.'),
    right_dir: Path = typer.Argument(..., help='Folder of the right ones, with the same names.'),
    out_path: Path = typer.Option(
        Path('paths.csv'), '--out-path', '--out_path', help='The list to write.'
    ),
    disparity_out_dir: Path | None = typer.Option(
        None, '--disparity-out-dir', '--disparity_out_dir', help='Where disparities will go.'
    ),
    segmentation_out_dir: Path | None = typer.Option(
        None, '--segmentation-out-dir', '--segmentation_out_dir', help='Where masks will go.'
    ),
) -> None:
    """List pairs of pictures, and where their results go, for msdesis infer csv.

    Example: msdesis create-io-csv left right --disparity-out-dir out/disparity
    """
    folders = {'disparity': disparity_out_dir, 'segmentation': segmentation_out_dir}
    rows = pair_by_name(
        left_dir, right_dir, {kind: folder for kind, folder in folders.items() if folder}
    )
    require_no_conflicts(rows)
    write_pair_list(out_path, rows)
    columns = ', '.join(['left', 'right', *rows[0].outputs])
    typer.echo(f'{len(rows)} pairs ({columns}) in {out_path}')
