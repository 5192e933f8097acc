"""`msdesis infer folder`: the pipeline of the node on two folders of pictures, without a list."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from msdesis_ros.cli import model_options, offline_options, rig_options
from msdesis_ros.cli.offline_run import run_rows
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.data.scaled_png import DEFAULT_SCALE
from msdesis_ros.offline.pair_folders import pair_by_name
from msdesis_ros.offline.pair_list import OUTPUT_COLUMNS


@with_option_groups
def infer_folder(
    left_dir: Path = typer.Argument(..., help='Folder of the left pictures.'),
    right_dir: Path = typer.Argument(..., help='Folder of the right ones, with the same names.'),
    out: Path = typer.Option(..., '--out', help='Folder for the results, one folder a kind.'),
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
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
) -> None:
    """Everything the model gives for two folders of pictures: disparity/, segmentation/, ...

    Pictures of one name are a pair. Otherwise as msdesis infer csv.

    Example: msdesis infer folder left right --out out/results
    """
    choice = offline_options.offline_choice(
        choice,
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
    results = Path(os.path.abspath(out))
    run_rows(
        pair_by_name(left_dir, right_dir, {kind: results / kind for kind in OUTPUT_COLUMNS}),
        choice,
        results=results,
        name='folder',
        label=lambda row: row.left.name,
        only_what_the_model_gives=True,
    )
