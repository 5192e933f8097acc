"""Weights in files: read with every reason to distrust them, written with what they belong to.

The authors of MSDESIS publish `.pt` files, a bare state_dict; the encoder, `max_disparity` and
`n_classes` follow from its names and shapes. Own weights are `.safetensors`, whose metadata say
the same once more. Either is taken whole or refused: a network that lacks some weights would
answer all the same, wrongly.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msdesis_ros.core.errors import ModelError, UsageError
from msdesis_ros.nets.msdesis.config import COARSEST_STRIDE, FEATURE_CHANNELS, MsdesisConfig
from msdesis_ros.nets.tensor_files import read_tensors
from msdesis_ros.nets.torch_extra import require_torch

if TYPE_CHECKING:
    import torch

    from msdesis_ros.nets.msdesis.model import Msdesis

FAMILY = 'msdesis'
# The first weight of each encoder.
FINGERPRINTS = {
    'light': 'feature_extractor.encoder_0.encoder.0.weight',
    'resnet34': 'feature_extractor.layer_0.0.weight',
}
# The weights whose shapes depend on max_disparity and n_classes.
SEARCH_WEIGHT = 'disparity_head.disp_decoder_5.estimation.0.layer.0.weight'
CLASSES_WEIGHT = 'segmentation_head.out_conv.weight'
# How many names a message lists before it goes on with a number.
LISTED = 3


@dataclass(frozen=True, eq=False)
class LoadedCheckpoint:
    """A network in eval mode with the weights of a file.

    `sha256`: of the bytes that were loaded. `metadata`: what a safetensors file says about itself,
    empty for the authors' format.
    """

    network: Msdesis
    sha256: str
    metadata: Mapping[str, str] = field(default_factory=dict)


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
    content: bytes,
    *,
    source: str,
    encoder: str | None = None,
    max_disparity: int | None = None,
    n_classes: int | None = None,
    mode: str = 'multitask',
) -> LoadedCheckpoint:
    """Make a network from the bytes of a checkpoint; `source` names them in messages.

    `encoder`, `max_disparity`, `n_classes`: what the caller expects, None = whatever the file
    holds; `mode` is not part of a file. Shapes tell `max_disparity` only to the next lower
    multiple of 32, which it then is unless the caller or the metadata know better. No code in the
    file runs.

    Raises ModelError, in one sentence, for bytes that are no checkpoint, are damaged, hold
    anything but tensors, belong to another network or encoder, lack a name, have one too many, or
    hold another shape or type, NaN, infinity or a negative variance; UsageError for a `mode` or an
    expectation that no network has; MissingExtraError where PyTorch or safetensors is missing.
    """
    require_torch('safetensors', what='reading a checkpoint')
    state, metadata = read_tensors(content, source)
    found = _config_of(state, metadata, source)
    config = MsdesisConfig(
        encoder=found.encoder if encoder is None else encoder,
        max_disparity=found.max_disparity if max_disparity is None else max_disparity,
        n_classes=found.n_classes if n_classes is None else n_classes,
        mode=mode,
    )
    _require_asked(config, found, source)
    network = _fill(config, state, source)
    return LoadedCheckpoint(network, hashlib.sha256(content).hexdigest(), metadata)


def checkpoint_bytes(network: Msdesis, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the safetensors file of a network, for the caller to write.

    `metadata` (name of the card, commit, ...) joins family, encoder, max_disparity and n_classes;
    UsageError where it would replace one of them.
    """
    require_torch('safetensors', what='writing a checkpoint')
    from safetensors.torch import save

    own = {
        'family': FAMILY,
        'encoder': network.config.encoder,
        'max_disparity': str(network.config.max_disparity),
        'n_classes': str(network.config.n_classes),
    }
    clash = sorted(set(own) & set(metadata or {}))
    if clash:
        raise UsageError(f'metadata {", ".join(clash)} is that of the network; leave it out')
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    return save(state, {**(metadata or {}), **own})


def _config_of(
    state: Mapping[str, torch.Tensor], metadata: Mapping[str, str], source: str
) -> MsdesisConfig:
    """Encoder, max_disparity and n_classes as names, shapes and metadata tell them."""
    encoders = [encoder for encoder, name in FINGERPRINTS.items() if name in state]
    if len(encoders) != 1:
        raise ModelError(
            f'{source} holds weights of another network ({_listed(state)}); expected MSDESIS, '
            f'with either {" or ".join(FINGERPRINTS.values())}'
        )
    encoder = encoders[0]
    for name in (SEARCH_WEIGHT, CLASSES_WEIGHT):
        if name not in state:
            raise ModelError(f'{source} lacks {name}; it is no whole {encoder} checkpoint')
    search, classes = state[SEARCH_WEIGHT].shape, state[CLASSES_WEIGHT].shape
    candidates = search[1] - FEATURE_CHANNELS[encoder][-1] if len(search) == 4 else 0
    if candidates < 1 or len(classes) != 4 or classes[0] < 1:
        raise ModelError(
            f'{source}: {SEARCH_WEIGHT} is {_shape(search)} and {CLASSES_WEIGHT} is '
            f'{_shape(classes)}, which no {encoder} network has'
        )
    by_shape = {'family': FAMILY, 'encoder': encoder, 'n_classes': str(classes[0])}
    wrong = [key for key, value in by_shape.items() if metadata.get(key, value) != value]
    max_disparity = max((candidates - 1) * COARSEST_STRIDE, 1)
    if 'max_disparity' in metadata:
        told = metadata['max_disparity']
        max_disparity = int(told) if told.isdecimal() and len(told) < 10 else 0
        if max_disparity < 1 or max_disparity // COARSEST_STRIDE + 1 != candidates:
            wrong.append('max_disparity')
    if wrong:
        raise ModelError(
            f'{source} says {wrong[0]} {metadata[wrong[0]]!r:.60} of itself, but its tensors say '
            'something else; download or export it again'
        )
    return MsdesisConfig(encoder, max_disparity, classes[0])


def _require_asked(asked: MsdesisConfig, found: MsdesisConfig, source: str) -> None:
    """Raise ModelError unless the file is what the caller expects."""
    if asked.encoder != found.encoder:
        raise ModelError(
            f'{source} holds a network with the encoder {found.encoder}, not {asked.encoder}; '
            f'ask for {found.encoder}, or give another file'
        )
    if asked.candidates != found.candidates:
        raise ModelError(
            f'{source} searches disparities up to {found.max_disparity} px, not '
            f'{asked.max_disparity} px; ask for {found.max_disparity}, or give another file'
        )
    if asked.n_classes != found.n_classes:
        raise ModelError(
            f'{source} has {found.n_classes} classes, not {asked.n_classes}; ask for '
            f'{found.n_classes}, or give another file'
        )


def _fill(config: MsdesisConfig, state: Mapping[str, torch.Tensor], source: str) -> Msdesis:
    """The network of `config` with the tensors of `state`, after checking every one of them."""
    import torch

    from msdesis_ros.nets.msdesis.model import Msdesis

    with torch.device('meta'):  # shapes without memory or random numbers
        network = Msdesis(config)
    expected = network.state_dict()
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    if missing or unexpected:
        raise ModelError(
            f'{source} is no whole {config.encoder} checkpoint: missing {_listed(missing)}; '
            f'unexpected {_listed(unexpected)}'
        )
    for name, wanted in expected.items():
        problem = _problem(name, state[name], wanted)
        if problem:
            raise ModelError(f'{source}: {name} {problem}; this checkpoint cannot be used')
    # Copies, because two tensors of a file may be one piece of memory.
    network.load_state_dict({name: state[name].clone() for name in expected}, assign=True)
    return network.eval()


def _problem(name: str, tensor: torch.Tensor, wanted: torch.Tensor) -> str | None:
    """What is wrong with one tensor, or None."""
    import torch

    if tensor.shape != wanted.shape:
        return f'has the shape {_shape(tensor.shape)}, expected {_shape(wanted.shape)}'
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


def _shape(shape: Iterable[int]) -> str:
    return 'x'.join(map(str, shape)) or 'a single number'
