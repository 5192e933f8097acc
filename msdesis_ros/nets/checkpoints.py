"""Weights in files: read with every reason to distrust them, written with what they belong to.

The authors of MSDESIS publish `.pt` files, a bare state_dict; the family and its options follow
from names and shapes. Own weights are `.safetensors`, whose metadata say the same once more, and
how pictures were normalised. Either is taken whole or refused: a network that lacks some weights
would answer all the same, wrongly.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdesis_ros.core.errors import ModelError, UsageError
from msdesis_ros.nets.family import Family
from msdesis_ros.nets.msdesis.config import SCARED_MEAN, SCARED_STD
from msdesis_ros.nets.registry import FAMILIES, family_of
from msdesis_ros.nets.tensor_files import read_tensors, shape_text
from msdesis_ros.nets.torch_extra import require_torch

if TYPE_CHECKING:
    import torch
    from torch import nn

# How many names a message lists before it goes on with a number.
LISTED = 3


@dataclass(frozen=True, eq=False)
class LoadedCheckpoint:
    """A network in eval mode with the weights of a file.

    `sha256`: of the bytes that were loaded. `metadata`: what a safetensors file says about itself,
    empty for the authors' format. `mean`, `std`: how pictures (R, G, B from 0 to 1) are
    normalised; as the authors of MSDESIS do where the file does not say.
    """

    network: nn.Module
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    mean: tuple[float, ...] = SCARED_MEAN
    std: tuple[float, ...] = SCARED_STD


def load_checkpoint(path: str | os.PathLike[str], **asked: Any) -> LoadedCheckpoint:
    """Load a checkpoint file; `asked` as in `parse_checkpoint`, ModelError where unreadable."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelError(
            f'cannot read the checkpoint {path}: {error.strerror or error}; give a .pt or '
            '.safetensors file'
        ) from error
    return parse_checkpoint(content, source=str(path), **asked)


def parse_checkpoint(
    content: bytes, *, source: str, mode: str = 'multitask', **asked: Any
) -> LoadedCheckpoint:
    """Make a network from the bytes of a checkpoint; `source` names them in messages.

    `asked`: options of the family's config (`encoder`, `size`, `max_disparity`, ..), what the
    caller expects of the file; None = whatever it holds. `mode` and what else is one of the
    family's `use_options` is not part of a file. Shapes tell
    `max_disparity` of MSDESIS only to the next lower multiple of 32, which it then is unless the
    caller or the metadata know better. No code in the file runs.

    Raises ModelError, in one sentence, for bytes that are no checkpoint, are damaged, hold
    anything but tensors, belong to another network than asked for, lack a name, have one too many,
    or hold another shape or type, NaN, infinity or a negative variance; UsageError for a `mode` or
    an expectation that no network has; MissingExtraError where PyTorch or safetensors is missing.
    """
    require_torch('safetensors', what='reading a checkpoint')
    expected = {name: value for name, value in asked.items() if value is not None}
    state, metadata = read_tensors(content, source)
    family, found = _recognised(state, metadata, source)
    config = _as_asked(family, found, expected, source)
    network = _fill(family, replace(config, mode=mode), state, source)
    mean, std = (_three(metadata, name, source) for name in ('mean', 'std'))
    if (mean is None) != (std is None):
        raise ModelError(f'{source} says only one of mean and std of itself; export it again')
    return LoadedCheckpoint(
        network,
        hashlib.sha256(content).hexdigest(),
        metadata,
        mean=mean or SCARED_MEAN,
        std=std or SCARED_STD,
    )


def checkpoint_bytes(
    network: nn.Module,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the safetensors file of a network, for the caller to write.

    `metadata` (name of the card, commit, ...) joins family, options and normalisation; UsageError
    where it would replace one of them.
    """
    require_torch('safetensors', what='writing a checkpoint')
    from safetensors.torch import save

    own = options_text(network)
    normalisation = {'mean': mean, 'std': std}
    own |= {k: json.dumps([*map(float, v)]) for k, v in normalisation.items() if v is not None}
    clash = sorted(set(own) & set(metadata or {}))
    if clash:
        raise UsageError(f'metadata {", ".join(clash)} is that of the network; leave it out')
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    return save(state, {**(metadata or {}), **own})


def options_text(network: nn.Module) -> dict[str, str]:
    """Family and options of a network as text, without those that are not in its weights."""
    family, config = family_of(network), network.config
    names = [each.name for each in fields(config) if each.name not in family.use_options]
    return {'family': family.name} | {name: str(getattr(config, name)) for name in names}


def _recognised(
    state: Mapping[str, torch.Tensor], metadata: Mapping[str, str], source: str
) -> tuple[Family, Any]:
    """The family and the config that names, shapes and metadata tell."""
    for family in FAMILIES.values():
        config = family.config_of(state, metadata, source)
        if config is not None:
            break
    else:
        raise ModelError(
            f'{source} holds weights of another network ({_listed(state)}); expected one of '
            f'{", ".join(FAMILIES)}'
        )
    told = {'family': family.name} | {name: str(value) for name, value in vars(config).items()}
    for name in told.keys() - family.use_options:
        if metadata.get(name, told[name]) != told[name]:
            raise ModelError(
                f'{source} says {name} {metadata[name]!r:.60} of itself, but its tensors say '
                'something else; download or export it again'
            )
    return family, config


def _as_asked(family: Family, found: Any, asked: Mapping[str, Any], source: str) -> Any:
    """The config with the caller's expectations; ModelError where the file does not meet one."""
    foreign = sorted(set(asked) - {each.name for each in fields(found)})
    if foreign:
        raise ModelError(
            f'{source} holds a network of the family {family.name}, which has no {foreign[0]}; '
            f'leave it out, or give another file'
        )
    config = replace(found, **asked)
    wanted, there = family.fixed(config), family.fixed(found)
    for name in there:
        if wanted[name] != there[name]:
            told = getattr(found, name)
            raise ModelError(
                f'{source} holds a network with the {name} {told}, not {getattr(config, name)}; '
                f'ask for {told}, or give another file'
            )
    return config


def _three(metadata: Mapping[str, str], name: str, source: str) -> tuple[float, ...] | None:
    """Three numbers of the metadata, None where it has none; ModelError for anything else."""
    if name not in metadata:
        return None
    try:
        values = json.loads(metadata[name])
    except (ValueError, RecursionError):
        values = None
    least = 0.0 if name == 'std' else -math.inf
    if (
        not isinstance(values, list)
        or [type(v) for v in values] != [float] * 3
        or not all(math.isfinite(v) and v > least for v in values)
    ):
        raise ModelError(
            f'{source} says {name} {metadata[name]!r:.60} of itself; expected three numbers, for '
            'R, G, B'
        )
    return tuple(values)


def _fill(
    family: Family, config: Any, state: Mapping[str, torch.Tensor], source: str
) -> nn.Module:
    """The network of `config` with the tensors of `state`, after checking every one of them."""
    import torch

    with torch.device('meta'):  # shapes without memory or random numbers
        network = family.build(config)
    expected = network.state_dict()
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    if missing or unexpected:
        raise ModelError(
            f'{source} is no whole {family.name} checkpoint: missing {_listed(missing)}; '
            f'unexpected {_listed(unexpected)}'
        )
    for name, wanted in expected.items():
        problem = _problem(name, state[name], wanted)
        if problem:
            raise ModelError(f'{source}: {name} {problem}; this checkpoint cannot be used')
    # Copies, because two tensors of a file may be one piece of memory.
    network.load_state_dict({name: state[name].clone() for name in expected}, assign=True)
    _make_constants(network, family, config)
    return network.eval()


def _make_constants(network: nn.Module, family: Family, config: Any) -> None:
    """Give a network what it holds beside its weights, which no file has."""
    import torch

    empty = [name for name, constant in network.named_buffers() if constant.is_meta]
    if empty:
        with torch.random.fork_rng(devices=[]):
            constants = dict(family.build(config).named_buffers())
        for name in empty:
            owner, _, own_name = name.rpartition('.')
            setattr(network.get_submodule(owner), own_name, constants[name])


def _problem(name: str, tensor: torch.Tensor, wanted: torch.Tensor) -> str | None:
    """What is wrong with one tensor, or None."""
    import torch

    if tensor.shape != wanted.shape:
        return f'has the shape {shape_text(tensor.shape)}, expected {shape_text(wanted.shape)}'
    if tensor.dtype != wanted.dtype:
        return f'is {tensor.dtype}, expected {wanted.dtype}'
    if tensor.layout != torch.strided or tensor.device.type != 'cpu':
        return f'is {tensor.layout} on {tensor.device}, expected plain numbers'
    # A few bytes can pose as a tensor that no memory holds, by counting each number many times.
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        return 'holds fewer numbers than its shape says'
    if not bool(torch.isfinite(tensor).all()):
        return 'holds NaN or infinity'
    if name.endswith('running_var') and bool((tensor < 0).any()):
        return 'holds a variance below 0'
    return None


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    listed = ', '.join(f'{name:.80}' for name in names[:LISTED]) or 'nothing'
    more = len(names) - LISTED
    return f'{listed} and {more} more' if more > 0 else listed
