"""Files from which a training goes on, and weights to begin with."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from msdesis_ros.core.errors import FileFormatError, ModelError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.nets.fast.pretrained import load_efficientnet_lite0
from msdesis_ros.nets.tensor_files import read_tensors
from msdesis_ros.training.config import TrainConfig

FORMAT = 1
LAST, BEST, LOCK = 'last.pt', 'best.pt', '.lock'


@contextlib.contextmanager
def alone_in(folder: Path, *, needed: bool = True) -> Iterator[None]:
    """Hold the folder of a training against other processes; UsageError where one is in it.

    needed: False does nothing, for all processes of a training but the first.
    """
    if not needed:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open('a') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f'another process trains in {folder}; wait for it, or give another --out'
            ) from error
        yield


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all."""
    content = io.BytesIO()
    torch.save({'format': FORMAT, **state}, content)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote; runs no code in it. Raises FileFormatError otherwise."""
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
        if not isinstance(state, dict) or state.get('format') != FORMAT:
            raise ValueError(f'it is not of format {FORMAT}')
    except FileNotFoundError as error:
        raise FileFormatError(
            f'there is no {path} to go on from; leave out --resume, or name the folder of the '
            'training with --out'
        ) from error
    except Exception as error:  # a damaged file raises nearly any type
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileFormatError(f'{path} is no checkpoint of a training: {reason:.160}') from error
    return state


def fingerprint(config: TrainConfig) -> str:
    """What must be the same for a training to go on: all but how it runs and reads."""
    content = asdict(config)
    del content['run']
    del content['data']['workers']
    return json.dumps(content, sort_keys=True)


def require_same(config: TrainConfig, told: str, path: Path) -> None:
    """Raise UsageError, naming the first difference, unless a checkpoint is of this training."""
    mine, theirs = _flat(json.loads(fingerprint(config))), _flat(json.loads(told))
    for name in sorted(mine.keys() | theirs.keys()):
        if mine.get(name) != theirs.get(name):
            raise UsageError(
                f'{path} belongs to a training with {name} {theirs.get(name)!r}, not '
                f'{mine.get(name)!r}; only run and data.workers may change when it goes on'
            )


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with the weights of a .pt or .safetensors file; ModelError unless all fit."""
    tensors = _tensors_of(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise ModelError(f'{path} does not fit the network: {" ".join(lines[1:3])}') from error
    wrong = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if wrong:
        raise ModelError(f'{path}: {wrong[0]} holds NaN or infinity')


def load_mask_encoder(network: nn.Module, path: Path) -> None:
    """Fill the mask's encoder with published weights; ModelError for others."""
    load_efficientnet_lite0(network.mask_head.encoder, _tensors_of(path))


def _tensors_of(path: Path) -> dict[str, torch.Tensor]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f'cannot read the weights {path}: {error.strerror}') from error
    return read_tensors(content, str(path))[0]


def _flat(value: Any, prefix: str = '') -> dict[str, Any]:
    if not isinstance(value, (dict, list)) or not value:
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        name: leaf
        for key, item in items
        for name, leaf in _flat(item, f'{prefix}.{key}' if prefix else str(key)).items()
    }
