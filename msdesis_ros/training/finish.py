"""The end of a training: weights as safetensors, and the card that says where they come from."""

from __future__ import annotations

import hashlib
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from msdesis_ros.data.images import atomic_write
from msdesis_ros.export.card import NOT_STATED
from msdesis_ros.nets.checkpoints import checkpoint_bytes
from msdesis_ros.nets.torch_extra import require_torch
from msdesis_ros.runtime.card_writer import card_toml
from msdesis_ros.runtime.model_card import (
    InputRule,
    Measurement,
    ModelCard,
    OutputPlane,
    Training,
)
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.loop import TrainResult
from msdesis_ros.training.sources import ShardSource

WEIGHTS_FILE = 'model.safetensors'
HEADER = "# Written by msdesis train. Complete what is 'not stated' before you give it away.\n\n"
OUTPUTS = {
    'disparity': OutputPlane(
        'disparity', '[N, 1, H, W]', 'px', 'left x minus right x of the left picture, float32'
    ),
    'instrument_mask': OutputPlane(
        'mask_logits', '[N, 1, H, W]', 'logits', 'above 0 where there is an instrument, float32'
    ),
    'uncertainty': OutputPlane(
        'log_scale', '[N, 1, H, W]', 'log px', 'logarithm of the Laplace scale, float32'
    ),
}
UNITS = {'epe_px': 'px', 'epe_visible_px': 'px', 'bad3_percent': '%', 'iou': '1'}


def write_result(
    network: nn.Module,
    config: TrainConfig,
    result: TrainResult,
    folder: Path,
    *,
    command: Sequence[str],
    commit: str | None,
) -> Path:
    """Write `model.safetensors` and `<name>.toml` into a folder; the path of the card."""
    content = _weights(network, config)
    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(content)
    card = _card(network, config, result, folder, content, command=command, commit=commit)
    path = folder / f'{config.name}.toml'
    with atomic_write(path) as temporary:
        temporary.write_text(HEADER + card_toml(card), encoding='utf-8')
    return path


def commit_of_source() -> str | None:
    """The commit of the program's source, with '+changes' where files differ; None without git."""
    folder = Path(__file__).parent
    try:
        said = [
            subprocess.run(
                ['git', '-C', str(folder), *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=20,
            ).stdout.strip()
            for command in (['rev-parse', 'HEAD'], ['status', '--porcelain', '--', '.'])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0] + ('+changes' if said[1] else '')


def _weights(network: nn.Module, config: TrainConfig) -> bytes:
    if config.network['family'] == 'msdesis':
        return checkpoint_bytes(network, metadata={'card': config.name})  # type: ignore[arg-type]
    require_torch('safetensors', what='writing weights')
    from safetensors.torch import save

    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    about = {name: str(value) for name, value in vars(network.config).items()}
    return save(state, {'card': config.name, 'family': config.network['family'], **about})


def _card(
    network: nn.Module,
    config: TrainConfig,
    result: TrainResult,
    folder: Path,
    content: bytes,
    *,
    command: Sequence[str],
    commit: str | None,
) -> ModelCard:
    task_heads = {
        'disparity': {'disparity', 'uncertainty'},
        'segmentation': {'instrument_mask'},
        'multitask': set(OUTPUTS),
    }[config.task]
    heads = network.config.heads & task_heads
    size = getattr(network.config, 'size', None) or getattr(network.config, 'encoder', '')
    return ModelCard(
        name=config.name,
        family=config.network['family'],
        summary=f'{size} network of the family {config.network["family"]}, trained for '
        f'{config.task}, {result.step} steps',
        heads=frozenset(heads),
        licence=NOT_STATED,
        min_disparity_px=0.0,
        max_disparity_px=float(network.config.max_disparity),
        intended_use=NOT_STATED,
        known_failures=(NOT_STATED,),
        input=InputRule(mean=config.mean, std=config.std),
        outputs=tuple(plane for head, plane in OUTPUTS.items() if head in heads),
        measured=_measured(config, result.best or {}, shlex.join(command)),
        files=(
            ModelFile(
                path=WEIGHTS_FILE,
                format='safetensors',
                sha256=hashlib.sha256(content).hexdigest(),
                size_bytes=len(content),
            ),
        ),
        training=Training(data=_data(config), seed=config.seed, commit=commit),
        folder=folder,
    )


def _measured(
    config: TrainConfig, best: Mapping[str, float], command: str
) -> tuple[Measurement, ...]:
    frames = config.data.validation_frames
    where = ', '.join(source.shards for source in config.data.validation)
    return tuple(
        Measurement(
            figure=f'validation {name} at step {int(best["step"])}',
            value=best[name],
            unit=unit,
            data=f'the first {frames} frames of {where}, whole',
            machine=f'{platform.machine()}, Python {platform.python_version()}',
            command=command,
        )
        for name, unit in UNITS.items()
        if name in best and best[name] == best[name]  # no NaN
    )


def _data(config: TrainConfig) -> str:
    parts = []
    for settings in config.data.train:
        source = ShardSource(settings.shards)
        share = '' if settings.weight is None else f', weight {settings.weight:g}'
        parts.append(f'{source.name}: {len(source)} synthetic pairs{share}')
    return '; '.join(parts)
