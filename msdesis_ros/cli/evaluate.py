"""`msdesis evaluate`: how good a model is, by the pipeline of the node and a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.cli.evaluate_run import Evaluation, evaluate_set
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.synth.recipes import SOURCES, SourceRecipe
from msdesis_ros.evaluation.frame_score import FrameAnswer, FrameTruth
from msdesis_ros.evaluation.synthetic_set import SyntheticSet, open_folder, open_source
from msdesis_ros.evaluation.truth_files import read_disparity_truth, read_mask_truth
from msdesis_ros.runtime.pipeline import PerceptionPipeline

evaluate_app = typer.Typer(
    no_args_is_help=True, help='Compare predictions with the truth: metrics and worst cases.'
)

DEFAULT_SOURCE, DEFAULT_SIZE, DEFAULT_FRAMES = 'render', '640x512', 20

OutOption = Annotated[Path, typer.Option('--out', help='Folder for the results.')]


@evaluate_app.callback()
def evaluate() -> None:
    """Compare predictions with the truth: metrics and worst cases."""


@evaluate_app.command('pair')
@with_option_groups
def pair(
    left: Annotated[Path, typer.Argument(help='Left picture.')],
    right: Annotated[Path, typer.Argument(help='Right picture.')],
    truth: Annotated[
        Path,
        typer.Option(
            '--truth', help='True disparity of the rectified left picture: .tiff, .png or .pfm.'
        ),
    ],
    out: OutOption,
    truth_scale: float = typer.Option(
        1.0, '--truth-scale', help='What the truth stores for 1 px: 256 for the PNG of KITTI.'
    ),
    mask_truth: Path | None = typer.Option(
        None, '--mask-truth', help='True instrument mask; above 0 = instrument.'
    ),
    occlusion_truth: Path | None = typer.Option(
        None, '--occlusion-truth', help='Above 0 = the right picture does not show the pixel.'
    ),
    rigs: rig_options.RectifyChoice = rig_options.UNKNOWN,
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
) -> None:
    """Score one pair, whose rectified left picture has a true disparity.

    Example: msdesis evaluate pair L.png R.png --rectified --truth disparity.tiff --out out/eval
    """
    files = {'truth': truth, 'mask_truth': mask_truth, 'occlusion_truth': occlusion_truth}
    rig_options.require_files(left, right, *(path for path in files.values() if path))
    raw_pair = RawPair(read_rgb(left), read_rgb(right), stamp_ns=0, right_stamp_ns=0)
    rig = rigs.rig(None, raw_pair.image_size)
    true_px = read_disparity_truth(truth, scale=truth_scale)
    if rig is not None and rig.rectified:
        true_px = _at_one_principal_point(true_px, rig.cx_offset_px)
    true_mask = read_mask_truth(mask_truth) if mask_truth else None
    occluded = read_mask_truth(occlusion_truth) if occlusion_truth else None
    with choice.opened(raw_pair.image_size) as chosen:
        result = PerceptionPipeline(chosen, alpha=rigs.alpha).process(raw_pair, rig)
    found = result.prediction
    known = FrameTruth(
        found.left_rect,
        true_px,
        instrument_mask=true_mask,
        occluded=occluded,
        geometry=found.geometry if isinstance(found.geometry, StereoGeometry) else None,
    )
    evaluation = Evaluation()
    evaluation.add(left.name, known, FrameAnswer.of_result(result), result.verdict)
    for sentence in (
        *(rig.warnings if rig else ()),
        *(r.sentence for r in result.verdict.reasons),
    ):
        typer.echo(f'warning: {sentence}', err=True)
    about = {name: path and str(path) for name, path in files.items()}
    about |= {'left': str(left), 'right': str(right), 'truth_scale': truth_scale}
    typer.echo(evaluation.write(out, found.model, about))


def _at_one_principal_point(true_px: np.ndarray, cx_offset_px: float) -> np.ndarray:
    """Disparities of pictures that arrive rectified, as results are given: 0 at infinity."""
    moved = true_px - np.float32(cx_offset_px)
    return np.where(moved > 0, moved, np.float32(np.nan))


@evaluate_app.command('synth')
@with_option_groups
def synth(
    out: OutOption,
    data: Path | None = typer.Option(
        None, '--data', help='Data set of msdesis synth: frames or shards.'
    ),
    source: str | None = typer.Option(
        None, '--source', help=f'Make the frames now: {" or ".join(SOURCES)} (default render).'
    ),
    seed: int | None = typer.Option(
        None, '--seed', min=0, help='Of frames made now; one that the model was not trained on.'
    ),
    frames: int | None = typer.Option(
        None, '--frames', min=1, help='How many; default: all of --data, else 20.'
    ),
    size: str | None = typer.Option(
        None, '--size', help=f'Width x height in px of frames made now; default {DEFAULT_SIZE}.'
    ),
    clean: bool = typer.Option(
        False, '--clean', help='Frames made now have no noise, blur, smoke and vignette.'
    ),
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
) -> None:
    """Score many synthetic frames, whose truth is exact, by region.

    Example: msdesis evaluate synth --source layered --seed 900 --frames 20 --out out/evaluation
    """
    if data is not None:
        made_now = {'--source': source, '--seed': seed, '--size': size, '--clean': clean or None}
        for option, value in made_now.items():
            if value is not None:
                raise UsageError(f'{option} is for frames made now; leave it out, or --data')
        rig_options.require_files(data)
        chosen = open_folder(data, frames)
    else:
        chosen = _made_now(source, seed, frames, size, clean)
    try:
        typer.echo(evaluate_set(chosen, choice, out))
    finally:
        chosen.close()


def _made_now(
    source: str | None, seed: int | None, frames: int | None, size: str | None, clean: bool
) -> SyntheticSet:
    if seed is None:
        raise UsageError(
            'what to score on is open: give --data FOLDER, or --seed NUMBER for frames made now '
            '(a number that the model was not trained on)'
        )
    recipe = SourceRecipe(
        source or DEFAULT_SOURCE, seed, parse_size(size or DEFAULT_SIZE), clean=clean
    )
    return open_source(recipe, frames or DEFAULT_FRAMES)
