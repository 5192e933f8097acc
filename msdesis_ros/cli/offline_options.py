"""The options that `infer csv` and `infer folder` share, and what they mean together."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from msdesis_ros import __version__
from msdesis_ros.cli.model_options import ModelChoice
from msdesis_ros.cli.rig_options import RectifyChoice
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.scaled_png import DEFAULT_SCALE
from msdesis_ros.offline.journal import file_sha256
from msdesis_ros.offline.pair_list import calibration_files
from msdesis_ros.offline.rigs import RigRule
from msdesis_ros.offline.row_outputs import OutputSettings
from msdesis_ros.offline.row_work import Recipe
from msdesis_ros.runtime.cards import DEFAULT_MODEL, load_card
from msdesis_ros.runtime.factory import GRAPH_BACKENDS

GPU_HALF = 'torch_cuda'

ThresholdOption = Annotated[
    float,
    typer.Option(
        '--segmentation-threshold',
        '--segmentation_threshold',
        help='A pixel is tool where its probability is above this.',
    ),
]
DisparityScaleOption = Annotated[
    float,
    typer.Option(
        '--disparity-scale-factor',
        '--disparity_scale_factor',
        help='A 16-bit PNG holds px times this, 0 = unknown.',
    ),
]
DepthScaleOption = Annotated[
    float,
    typer.Option('--depth-scale-factor', help='A 16-bit PNG of depth holds mm times this.'),
]
ValidOnlyOption = Annotated[
    bool,
    typer.Option(
        '--valid-only',
        help='Disparity only where it may be used, as in depth; default: at every pixel that the '
        'model answers.',
    ),
]
JobsOption = Annotated[
    int,
    typer.Option(
        '--jobs', '-j', min=1, help='Threads that read, and that write; with --ray, workers.'
    ),
]
AmpOption = Annotated[
    bool,
    typer.Option(
        '--amp', '--use_amp', help=f'Half precision on an NVIDIA GPU: --backend {GPU_HALF}.'
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option('--overwrite', help='Do rows again that are finished.')
]
RayOption = Annotated[bool, typer.Option('--ray', help='On Ray workers (the extra ray).')]
RayAddressOption = Annotated[
    str | None,
    typer.Option('--ray-address', help='Of a running cluster; default: workers on this machine.'),
]
RayGpusOption = Annotated[
    float, typer.Option('--ray-gpus', min=0.0, help='GPUs of each Ray worker, such as 1 or 0.5.')
]


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How rows are done and stored, a group for `option_groups`. UsageError for what cannot be."""

    segmentation_threshold: ThresholdOption = 0.5
    disparity_scale_factor: DisparityScaleOption = DEFAULT_SCALE
    depth_scale_factor: DepthScaleOption = DEFAULT_SCALE
    valid_only: ValidOnlyOption = False
    jobs: JobsOption = 2
    amp: AmpOption = False
    overwrite: OverwriteOption = False
    ray: RayOption = False
    ray_address: RayAddressOption = None
    ray_gpus: RayGpusOption = 0.0

    def __post_init__(self) -> None:
        if not self.ray and (self.ray_address is not None or self.ray_gpus):
            raise UsageError('--ray-address and --ray-gpus go with --ray')
        _ = self.outputs  # refused now rather than at the first row

    @property
    def outputs(self) -> OutputSettings:
        """How the results are stored."""
        return OutputSettings(
            disparity_scale_factor=self.disparity_scale_factor,
            depth_scale_factor=self.depth_scale_factor,
            segmentation_threshold=self.segmentation_threshold,
            valid_only=self.valid_only,
        )


# The default of a parameter that `option_groups` fills.
AS_USUAL = RowOptions()


@dataclass(frozen=True, kw_only=True)
class OfflineChoice:
    """What all the options of a command on rows say. Raises UsageError for a contradiction."""

    model: ModelChoice
    rigs: RigRule
    alpha: float
    options: RowOptions

    @classmethod
    def of(cls, model: ModelChoice, rigs: RectifyChoice, options: RowOptions) -> OfflineChoice:
        """What three groups of options mean together."""
        return cls(
            model=with_amp(model) if options.amp else model,
            rigs=rigs.rule,
            alpha=rigs.alpha,
            options=options,
        )

    @property
    def recipe(self) -> Recipe:
        """What is done to every row."""
        # An exported graph of a checkpoint is made for one size; everything else takes any.
        one_size = self.model.checkpoint is not None and self.model.backend in GRAPH_BACKENDS
        return Recipe(
            open_backend=_from_anywhere(self.model).open,
            one_size=one_size,
            rigs=_rigs_from_anywhere(self.rigs),
            outputs=self.options.outputs,
            alpha=self.alpha,
        )

    def settings(self) -> dict[str, Any]:
        """Everything but the input files that decides what the results hold, as JSON values."""
        rigs = asdict(self.rigs)
        rigs.pop('calibration')  # a file, known by its size and time
        return {
            'program': f'msdesis_ros {__version__}',
            'model': _model_settings(self.model),
            'outputs': asdict(self.options.outputs),
            'rigs': rigs,
            'alpha': self.alpha,
        }


def with_amp(model: ModelChoice) -> ModelChoice:
    """The model in half precision; UsageError where another backend is asked for."""
    if model.backend not in (None, GPU_HALF):
        raise UsageError(
            f'--amp is half precision on an NVIDIA GPU, which {model.backend} does not have; use '
            f'--backend {GPU_HALF}, or leave --amp out'
        )
    return replace(model, backend=GPU_HALF)


def _from_anywhere(model: ModelChoice) -> ModelChoice:
    """The same with absolute paths: a worker on Ray need not run in the folder of the command."""
    paths = {name: getattr(model, name) for name in ('checkpoint', 'models_dir')}
    return replace(
        model, **{name: Path(os.path.abspath(path)) for name, path in paths.items() if path}
    )


def _rigs_from_anywhere(rigs: RigRule) -> RigRule:
    if rigs.calibration is None:
        return rigs
    files = calibration_files(rigs.calibration)
    return replace(rigs, calibration=','.join(os.path.abspath(f) if f else f for f in files))


def _model_settings(model: ModelChoice) -> dict[str, Any]:
    if model.checkpoint is not None:
        return {
            'checkpoint': model.checkpoint.name,
            'sha256': [file_sha256(model.checkpoint)],
            'mode': model.mode or 'multitask',
            'encoder': model.encoder,
            'network_size': model.network_size,
            'max_disparity': model.max_disparity,
            'backend': model.backend or 'torch',
        }
    card = load_card(model.model or DEFAULT_MODEL, model.models_dir)
    return {
        'card': card.name,
        'sha256': sorted(file.sha256 for file in card.files),
        'heads': sorted(card.heads),
        'range_px': [card.min_disparity_px, card.max_disparity_px],
        'mean': card.input.mean,
        'std': card.input.std,
        'backend': model.backend or (card.backends or (None,))[0],
    }
