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
from msdesis_ros.export.card import NOT_STATED, OUTPUTS
from msdesis_ros.nets.checkpoints import checkpoint_bytes
from msdesis_ros.nets.registry import family_of
from msdesis_ros.runtime.card_writer import card_toml
from msdesis_ros.runtime.model_card import (
    InputRule,
    Measurement,
    ModelCard,
    Training,
)
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.loop import TrainResult

WEIGHTS_FILE = 'model.safetensors'
HEADER = "# Written by msdesis train. Complete what is 'not stated' before you give it away.\n\n"
UNITS = {'epe_px': 'px', 'epe_visible_px': 'px', 'bad3_percent': '%', 'iou': '1'}


def write_result(
    network: nn.Module,
    config: TrainConfig,
    result: TrainResult,
    folder: Path,
    *,
    data: str,
    command: Sequence[str],
    commit: str | None,
) -> Path:
    """Write `model.safetensors` and `<name>.toml` into a folder; the path of the card.

    data: what the network learned from, in words.
    """
    content = checkpoint_bytes(
        network, mean=config.mean, std=config.std, metadata={'card': config.name}
    )
    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(content)
    card = _card(
        network, config, result, folder, content, data=data, command=command, commit=commit
    )
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


def _card(
    network: nn.Module,
    config: TrainConfig,
    result: TrainResult,
    folder: Path,
    content: bytes,
    *,
    data: str,
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
        input=InputRule(
            mean=config.mean,
            std=config.std,
            enlarged=family_of(network).enlarged(network.config),
        ),
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
        training=Training(data=data, seed=config.seed, commit=commit),
        folder=folder,
    )


def _measured(
    config: TrainConfig, best: Mapping[str, float], command: str
) -> tuple[Measurement, ...]:
    frames = config.data.validation_frames
    where = ', '.join(source.place for source in config.data.validation)
    return tuple(
        Measurement(
            figure=f'validation {name} at step {int(best["step"])}',
            value=best[name],
            unit=unit,
            data=f'up to {frames} frames of {where}, whole',
            machine=f'{platform.machine()}, Python {platform.python_version()}',
            command=command,
        )
        for name, unit in UNITS.items()
        if name in best and best[name] == best[name]  # no NaN
    )
