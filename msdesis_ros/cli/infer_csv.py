"""`msdesis infer csv`: the pipeline of the node on every row of a list of pairs."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from msdesis_ros.cli import model_options, offline_options, rig_options
from msdesis_ros.cli.offline_run import run_rows
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.scaled_png import DEFAULT_SCALE
from msdesis_ros.offline.pair_list import read_pair_list


def infer_csv(
    root_input_path: Path = typer.Argument(..., help='Where relative paths of inputs begin.'),
    root_output_path: Path = typer.Argument(..., help='Where relative paths of results begin.'),
    filelist_path: Path = typer.Argument(
        ..., help='The list: left, right[, disparity][, segmentation], with a header or without.'
    ),
    model_type: str | None = typer.Argument(
        None, help='With MODEL_WEIGHTS, short for --encoder (light, resnet34) and --checkpoint.'
    ),
    model_weights: Path | None = typer.Argument(None, help='A checkpoint file.'),
    segmentation_threshold: offline_options.ThresholdOption = 0.5,
    disparity_scale_factor: offline_options.DisparityScaleOption = DEFAULT_SCALE,
    depth_scale_factor: offline_options.DepthScaleOption = DEFAULT_SCALE,
    valid_only: offline_options.ValidOnlyOption = False,
    jobs: offline_options.JobsOption = 2,
    amp: offline_options.AmpOption = False,
    overwrite: offline_options.OverwriteOption = False,
    ray: offline_options.RayOption = False,
    ray_address: offline_options.RayAddressOption = None,
    ray_gpus: offline_options.RayGpusOption = 0.0,
    calibration: rig_options.CalibrationOption = None,
    focal_px: rig_options.FocalOption = None,
    baseline_mm: rig_options.BaselineOption = None,
    rectified: rig_options.RectifiedOption = False,
    unit: rig_options.UnitOption = None,
    alpha: offline_options.AlphaOption = -1.0,
    model: model_options.ModelOption = None,
    checkpoint: model_options.CheckpointOption = None,
    encoder: model_options.EncoderOption = None,
    network_size: model_options.NetworkSizeOption = None,
    max_disparity: model_options.MaxDisparityOption = None,
    mode: model_options.ModeOption = None,
    backend: model_options.BackendOption = None,
    models_dir: model_options.ModelsDirOption = None,
    threads: model_options.ThreadsOption = None,
) -> None:
    """Disparities, masks and depths of every pair in a list, for pictures of any size.

    Rows that cannot be read are named and passed over (exit code 1 at the end); a second run does
    only what is missing.

    Example: msdesis infer csv data out/results paths.csv
    """
    if model_type is not None:
        if model_weights is None or checkpoint is not None or encoder is not None:
            raise UsageError(
                'MODEL_TYPE and MODEL_WEIGHTS go together, in place of --encoder and --checkpoint'
            )
        encoder, checkpoint = model_type, model_weights
    choice = offline_options.offline_choice(
        model_options.ModelChoice(
            model=model,
            checkpoint=checkpoint,
            encoder=encoder,
            network_size=network_size,
            max_disparity=max_disparity,
            mode=mode,
            backend=backend,
            models_dir=models_dir,
            threads=threads,
        ),
        amp=amp,
        calibration=calibration,
        focal_px=focal_px,
        baseline_mm=baseline_mm,
        rectified=rectified,
        unit=unit,
        segmentation_threshold=segmentation_threshold,
        disparity_scale_factor=disparity_scale_factor,
        depth_scale_factor=depth_scale_factor,
        valid_only=valid_only,
        alpha=alpha,
        jobs=jobs,
        overwrite=overwrite,
        ray=ray,
        ray_address=ray_address,
        ray_gpus=ray_gpus,
    )
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
