"""What a fine-tuning begins with and ends in: initial weights and the deployment."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import nn

from msdesis_ros.core.errors import ModelError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.export.card import NOT_STATED, card_of_export
from msdesis_ros.export.onnx_export import LARGEST_SIDE, Origin, export_sizes
from msdesis_ros.nets.checkpoints import (
    LoadedCheckpoint,
    checkpoint_bytes,
    load_checkpoint,
    parse_checkpoint,
)
from msdesis_ros.nets.registry import family_of
from msdesis_ros.runtime.card_writer import card_toml
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.model_card import Measurement, Training
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.runtime.torch_backend import weights_of_card
from msdesis_ros.training.comparison import Comparison
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.finish import WEIGHTS_FILE

FAMILY = 'msdesis_fast'
INITIAL_FILE = 'initial.safetensors'
HEADER = (
    "# Written by msdesis finetune. Complete what is 'not stated' before you give it away.\n\n"
)
UNITS = {'unlikeness': '1', 'inconsistent': '%', 'general_epe': 'px', 'look_epe': 'px'}


@dataclass(frozen=True)
class Beginning:
    """The network that is fine-tuned. name: of its card or file. licence, known_failures: of its
    card; a file says nothing of them. Raises UsageError for another family, and for a mode
    without disparity.
    """

    loaded: LoadedCheckpoint
    name: str
    licence: str = NOT_STATED
    known_failures: tuple[str, ...] = (NOT_STATED,)

    def __post_init__(self) -> None:
        family = family_of(self.loaded.network).name
        if family != FAMILY:
            raise UsageError(
                f'{self.name} is of the family {family}; fine-tuning without truth knows {FAMILY}'
            )
        heads = self.loaded.network.config.heads
        if 'disparity' not in heads:
            raise UsageError(
                f'{self.name} answers {", ".join(sorted(heads))} alone; fine-tuning without truth '
                'teaches disparity: begin with weights that answer it'
            )

    @property
    def mode(self) -> str:
        """What it answers, and what the fine-tuned network will answer."""
        return self.loaded.network.config.mode

    @property
    def weights_sha256(self) -> str:
        """Of the file that the very first fine-tuning began with."""
        return self.loaded.metadata.get('began_with_sha256', self.loaded.sha256)


def beginning_of(
    *,
    model: str | None,
    checkpoint: Path | None,
    models_dir: Path | None,
    mode: str | None = None,
) -> Beginning:
    """Read the weights of a card, in the mode of its heads, or of a file, in `mode`.

    mode: None = 'multitask'; a card says its own. ModelError where there are no such weights.
    """
    if checkpoint is not None:
        return Beginning(load_checkpoint(checkpoint, mode=mode or 'multitask'), checkpoint.name)
    assert model is not None
    card = load_card(model, models_dir)
    return Beginning(weights_of_card(card), card.name, card.licence, card.known_failures)


def keep_beginning(beginning: Beginning, folder: Path) -> Path:
    """Write the initial weights into the folder of the fine-tuning, which then needs no other."""
    loaded = beginning.loaded
    content = checkpoint_bytes(
        loaded.network,
        mean=loaded.mean,
        std=loaded.std,
        metadata={
            'began_with': beginning.name,
            'began_with_sha256': loaded.sha256,
            'began_with_mode': beginning.mode,
            'began_with_licence': beginning.licence,
            'began_with_known_failures': json.dumps(beginning.known_failures),
        },
    )
    with atomic_write(folder / INITIAL_FILE) as temporary:
        temporary.write_bytes(content)
    return folder / INITIAL_FILE


def kept_beginning(folder: Path) -> Beginning:
    """What `keep_beginning` wrote; ModelError where it is damaged."""
    path = folder / INITIAL_FILE
    told = load_checkpoint(path).metadata
    try:
        # Only what the file says of itself tells the mode to read it in.
        loaded = load_checkpoint(path, mode=told['began_with_mode'])
        failures = tuple(map(str, json.loads(told['began_with_known_failures'])))
        return Beginning(loaded, told['began_with'], told['began_with_licence'], failures)
    except (KeyError, TypeError, ValueError) as error:  # UsageError is a ValueError
        raise ModelError(
            f'{path} does not say what its weights are ({error!r}); begin again in another folder'
        ) from error


def network_options(network: nn.Module) -> dict[str, Any]:
    """What `TrainConfig.network` says of a network, without its mode, which the task decides."""
    config = network.config
    options = {field.name: getattr(config, field.name) for field in fields(config)}
    options.pop('mode')
    return {'family': FAMILY, **options}


def require_sizes(image_sizes: Sequence[tuple[int, int]]) -> None:
    """UsageError for (width, height) that no export takes, before hours of work."""
    for size in image_sizes:
        if image_sizes.count(size) > 1:
            raise UsageError(f'--size {size[0]}x{size[1]} is given twice; give different ones')
        if max(size) > LARGEST_SIDE:
            raise UsageError(
                f'cannot export for {size[0]}x{size[1]} pictures; give --size with sides up to '
                f'{LARGEST_SIDE} px'
            )


def write_deployment(
    network: nn.Module,
    config: TrainConfig,
    comparison: Comparison,
    folder: Path,
    *,
    beginning: Beginning,
    image_sizes: Sequence[tuple[int, int]],
    data: str,
    held_out: int,
    command: Sequence[str],
    commit: str | None,
    progress: Callable[[str], None] = lambda step: None,
) -> Path:
    """Write weights, ONNX files and the card of a fine-tuned network; the path of the card.

    They answer what the beginning answers, whatever the mode of the network. data: what it learned
    from, for people. held_out: how many own pairs it did not. Raises as `parse_checkpoint`,
    `export_sizes` and `card_of_export`.
    """
    content = checkpoint_bytes(
        network, mean=config.mean, std=config.std, metadata={'card': config.name}
    )
    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(content)
    network = parse_checkpoint(content, source=WEIGHTS_FILE, mode=beginning.mode).network
    weights = ModelFile(
        path=WEIGHTS_FILE,
        format='safetensors',
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    origin = Origin(config.name, weights.sha256, commit, mean=config.mean, std=config.std)
    reports = export_sizes(
        network,
        folder / f'{config.name}.onnx',
        image_sizes=image_sizes,
        origin=origin,
        progress=progress,
    )
    card = card_of_export(
        network, reports, name=config.name, origin=origin, weights=weights, progress=progress
    )
    compared = f'{held_out} more pairs held out, {comparison.own_pairs} of them compared'
    card = replace(
        card,
        summary=f'{beginning.name}, fine-tuned without truth on own frames',
        licence=beginning.licence,
        intended_use=f'Pictures of the camera that took the frames of {_place(config)}.',
        known_failures=beginning.known_failures,
        training=Training(
            data=f'began with {beginning.name} (SHA-256 {beginning.weights_sha256}); {data}; '
            f'{compared}',
            seed=config.seed,
            commit=commit,
        ),
        measured=_measured(comparison, config, shlex.join(command), held_out=held_out),
    )
    path = folder / f'{config.name}.toml'
    with atomic_write(path) as temporary:
        temporary.write_text(HEADER + card_toml(card), encoding='utf-8')
    return path


def _measured(
    comparison: Comparison, config: TrainConfig, command: str, *, held_out: int
) -> tuple[Measurement, ...]:
    values: Mapping[str, float] = vars(comparison)
    machine = f'{platform.machine()}, Python {platform.python_version()}'
    found = []
    for name, value in values.items():
        stem = next((stem for stem in UNITS if name.startswith(stem)), None)
        if stem is None or value != value:  # NaN: there were no such pairs
            continue
        where = {
            'general_epe': f'{comparison.general_pairs} validation pairs with truth',
            'look_epe': f'{comparison.general_pairs} validation pairs with truth, in the look of '
            f'the pairs of {_place(config)}',
        }.get(stem, f'{comparison.own_pairs} of {held_out} held-out pairs of {_place(config)}')
        found.append(Measurement(name, value, UNITS[stem], where, machine, command))
    return tuple(found)


def _place(config: TrainConfig) -> str:
    assert config.self_supervised is not None
    return config.self_supervised.frames.folder
