"""`msdesis evaluate scared`: SCARED's test sets by the two published protocols."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.cli.evaluate_scared_run import (
    HOLDS,
    Saving,
    evaluate,
    running_model,
    saved_source,
)
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.conversion.depth_maps import FILLS
from msdesis_ros.data.scaled_png import DEFAULT_SCALE
from msdesis_ros.data.value_files import DISPARITY
from msdesis_ros.evaluation.scared_protocols import DOMAINS, PROTOCOL_NAMES, find_protocol
from msdesis_ros.evaluation.scared_tree import list_key_frames

_NOTHING_TO_FILL = '--fill is for depth maps that are made of disparities; leave it out'


@with_option_groups
def scared(
    data: Annotated[
        Path, typer.Argument(help='Tree of msdesis convert scared: dataset_8 and dataset_9.')
    ],
    out: Annotated[Path, typer.Option('--out', help='Folder for the results.')],
    protocol: str = typer.Option(
        'loose',
        '--protocol',
        help=f'{" or ".join(PROTOCOL_NAMES)}: that of evaluate_scared, or that of the paper.',
    ),
    domain: str | None = typer.Option(
        None, '--domain', help=f"Of the paper's: {' or '.join(DOMAINS)} (default depthmap)."
    ),
    predictions: Path | None = typer.Option(
        None, '--predictions', help='Folder of saved predictions, instead of running a model.'
    ),
    holds: str | None = typer.Option(
        None,
        '--predictions-hold',
        help=f'{" or ".join(HOLDS)}; default: what its values.json says, else disparity.',
    ),
    save_predictions: Path | None = typer.Option(
        None,
        '--save-predictions',
        '--save_predictions',
        help='Write the disparities of the model here, as 16-bit PNG.',
    ),
    scale: float | None = typer.Option(
        None,
        '--scale-factor',
        '--disparity_scale_factor',
        help=f'Of PNG predictions, stored for 1 px or 1 mm; {DEFAULT_SCALE:g} for saving.',
    ),
    truth_scale: float | None = typer.Option(
        None,
        '--truth-scale-factor',
        help='Of the PNGs with the truth; default: what the values.json beside them says, else '
        f'{DEFAULT_SCALE:g}.',
    ),
    fill: str | None = typer.Option(
        None,
        '--fill',
        help=f'Holes of depth maps made of disparities: {" or ".join(FILLS)}; default raster, as '
        'the published protocol fills them.',
    ),
    overwrite: bool = typer.Option(
        False, '--overwrite', help='Replace what is in the folder of --save-predictions.'
    ),
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
) -> None:
    """Score a model, or saved predictions, on the test sets of SCARED.

    Example: msdesis evaluate scared data/scared_test --protocol paper --out out/scared
    """
    rules = find_protocol(protocol, domain)
    asked = asdict(choice)
    _require_one_source(predictions, holds, save_predictions, asked)
    if scale is not None and predictions is None and save_predictions is None:
        raise UsageError('--scale-factor is of predictions in files; give --save-predictions too')
    if fill not in (None, *FILLS):
        raise UsageError(f'--fill is {fill!r}; choose {" or ".join(FILLS)}')
    if fill is not None and rules.domain != 'depthmap':
        raise UsageError(_NOTHING_TO_FILL)
    rig_options.require_files(data)
    key_frames = list_key_frames(data)
    with contextlib.ExitStack() as stack:
        about: dict[str, Any]
        if predictions is not None:
            source, about = saved_source(predictions, key_frames, holds, scale)
        else:
            saving = Saving(
                folder=save_predictions,
                scale=DEFAULT_SCALE if scale is None else scale,
                overwrite=overwrite,
            )
            source, about = stack.enter_context(running_model(choice, key_frames, saving))
        about['data'] = str(data)
        if rules.domain == 'depthmap' and source.quantity == DISPARITY:
            about['fill'] = fill or 'raster'
        elif fill is not None:
            raise UsageError(_NOTHING_TO_FILL)
        evaluate(rules, source, key_frames, truth_scale, about.get('fill', 'none'), out, about)


def _require_one_source(
    predictions: Path | None,
    holds: str | None,
    save_predictions: Path | None,
    asked: dict[str, Any],
) -> None:
    if predictions is None:
        if holds is not None:
            raise UsageError('--predictions-hold describes --predictions FOLDER; give it too')
        return
    rig_options.require_files(predictions)
    if holds not in (None, *HOLDS):
        raise UsageError(f'--predictions-hold is {holds!r}; choose {" or ".join(HOLDS)}')
    named = {name: value for name, value in asked.items() if value is not None}
    if save_predictions is not None:
        named['save_predictions'] = save_predictions
    if named:
        option = f'--{next(iter(named)).replace("_", "-")}'
        raise UsageError(f'{option} is for a model that runs now; leave it out, or --predictions')
