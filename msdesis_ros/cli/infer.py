"""`msdesis infer`: the pipeline of the node on files, without ROS."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import typer

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.core.alignment import VerticalOffset
from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.prediction import RawPair, require_equal_size
from msdesis_ros.core.quality import Verdict, alignment_reasons
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.core.surface import SurfaceBuilder, unpack
from msdesis_ros.data.images import atomic_write, read_rgb, write_image
from msdesis_ros.data.overview import overview_picture
from msdesis_ros.data.ply import write_ply
from msdesis_ros.runtime.pipeline import PerceptionPipeline, PerceptionResult

infer_app = typer.Typer(no_args_is_help=True, help='Run the pipeline on files, without ROS.')

# Everything `infer pair` may write; what a run does not make is removed, so that a folder never
# mixes two runs.
OUTPUT_FILES = (
    'disparity.tiff',
    'valid.png',
    'instrument_mask.png',
    'overview.png',
    'report.json',
    'depth.tiff',
    'points.ply',
    'uncertainty.tiff',
    'raw_disparity.npy',
    'raw_mask_logits.npy',
)


@infer_app.callback()
def infer() -> None:
    """Run the pipeline on files, without ROS."""


@infer_app.command('pair')
@with_option_groups
def pair(
    left: Path = typer.Argument(..., help='Left picture.'),
    right: Path = typer.Argument(..., help='Right picture.'),
    out: Path = typer.Option(..., '--out', help='Folder for the results.'),
    rigs: rig_options.RectifyChoice = rig_options.UNKNOWN,
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
    raw: bool = typer.Option(False, '--raw', help="Also write the model's own numbers."),
) -> None:
    """Disparity, depth and surface of one pair of pictures of any size.

    Example: msdesis infer pair left.png right.png --calibration stereo.json --out out/pair
    """
    rig_options.require_files(left, right)
    require_no_others_files(out, left, right)
    left_rgb, right_rgb = read_rgb(left), read_rgb(right)
    require_equal_size(left_rgb, right_rgb)
    raw_pair = RawPair(left_rgb, right_rgb, stamp_ns=0, right_stamp_ns=0)
    rig = rigs.rig(None, raw_pair.image_size)
    with choice.opened(raw_pair.image_size) as chosen:
        pipeline = PerceptionPipeline(chosen, alpha=rigs.alpha)
        result = pipeline.process(raw_pair, rig)
        offset = pipeline.measure_vertical_offset(result)
    verdict = result.verdict.also(*alignment_reasons(offset, pipeline.monitor.limits))
    written = write_result(result, verdict, rig, offset, out, raw=raw)
    for sentence in (*(rig.warnings if rig else ()), *(r.sentence for r in verdict.reasons)):
        typer.echo(f'warning: {sentence}', err=True)
    typer.echo(
        f'{verdict.state.value}: {result.prediction.coverage:.1%} of the pixels have a disparity; '
        f'wrote {", ".join(written)} to {out}'
    )


def require_no_others_files(out: Path, *inputs: Path) -> None:
    """UsageError where results would replace the pictures themselves, or files of their names that
    no earlier run wrote: the truth of a data set has such names.
    """
    there = [name for name in OUTPUT_FILES if (out / name).exists()]
    for path in inputs:
        if any(path.samefile(out / name) for name in there):
            raise UsageError(f'{path} would be replaced by a result; choose another --out')
    if there and 'report.json' not in there:
        raise UsageError(
            f'{out} holds {", ".join(there)} and no report.json of an earlier run beside it; '
            'choose another --out, or move these files away'
        )


def write_result(
    result: PerceptionResult,
    verdict: Verdict,
    rig: StereoRig | None,
    offset: VerticalOffset | None,
    out: Path,
    *,
    raw: bool,
) -> list[str]:
    """Write every file of one result into `out`; returns their names."""
    prediction = result.prediction
    out.mkdir(parents=True, exist_ok=True)
    for name in OUTPUT_FILES:
        (out / name).unlink(missing_ok=True)
    pictures: dict[str, np.ndarray | None] = {
        'disparity.tiff': prediction.disparity_px,
        'valid.png': prediction.valid.astype(np.uint8) * np.uint8(255),
        'depth.tiff': prediction.depth_m,
        'uncertainty.tiff': prediction.uncertainty_px,
        'overview.png': _overview(result, verdict),
    }
    if prediction.instrument_mask is not None:
        pictures['instrument_mask.png'] = prediction.instrument_mask * np.uint8(255)
    written = []
    for name, picture in pictures.items():
        if picture is not None:
            write_image(out / name, picture)
            written.append(name)
    if prediction.depth_m is not None and prediction.geometry is not None:
        _write_points(result, out / 'points.ply')
        written.append('points.ply')
    if raw:
        written += _write_raw(result, out)
    report = _report(result, verdict, rig, offset)
    with atomic_write(out / 'report.json') as path:
        path.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    return sorted([*written, 'report.json'])


def _overview(result: PerceptionResult, verdict: Verdict) -> np.ndarray:
    prediction = result.prediction
    title = f'{prediction.model.name}: {verdict.state.value}, {prediction.coverage:.1%} answered'
    return overview_picture(
        prediction.left_rect,
        prediction.disparity_px,
        prediction.valid,
        depth_m=prediction.depth_m,
        instrument_mask=prediction.instrument_mask,
        title_lines=(title,),
    )


def _write_points(result: PerceptionResult, path: Path) -> None:
    prediction = result.prediction
    assert prediction.depth_m is not None and prediction.geometry is not None
    cloud = SurfaceBuilder(prediction.geometry).pack(
        prediction.depth_m, prediction.left_rect, instrument_mask=prediction.instrument_mask
    )
    points, colours, labels = unpack(cloud)
    known = np.isfinite(points[..., 2])
    write_ply(path, points[known], colours[known], labels[known])


def _write_raw(result: PerceptionResult, out: Path) -> list[str]:
    raws = {
        'raw_disparity.npy': result.raw.disparity_px,
        'raw_mask_logits.npy': result.raw.mask_logits,
    }
    written = []
    for name, values in raws.items():
        if values is not None:
            with atomic_write(out / name) as path, path.open('wb') as file:
                np.save(file, values.astype(np.float32, copy=False))
            written.append(name)
    return written


def _report(
    result: PerceptionResult,
    verdict: Verdict,
    rig: StereoRig | None,
    offset: VerticalOffset | None,
) -> dict[str, Any]:
    prediction = result.prediction
    height, width = prediction.disparity_px.shape
    return {
        'image_size': [width, height],
        'model': {'name': prediction.model.name, 'sha256': prediction.model.sha256},
        'backend': prediction.model.backend,
        'verdict': verdict.state.value,
        'reasons': [asdict(reason) | {'state': reason.state.value} for reason in verdict.reasons],
        'coverage': prediction.coverage,
        'searched_px': [prediction.min_disparity_px, prediction.max_disparity_px],
        'geometry': asdict(prediction.geometry) if prediction.geometry else None,
        'calibration_warnings': list(rig.warnings) if rig else [],
        'vertical_offset': asdict(offset) if offset else None,
        'stages_ms': {name: round(ms, 3) for name, ms in result.stages_ms.items()},
    }
