"""From the bytes of a weights file to named tensors, running no code that the file may hold."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msdesis_ros.core.errors import ModelError

if TYPE_CHECKING:
    import torch

# A zip archive, or a bare pickle: torch.save since and before 2020.
PT_BEGINNINGS = (b'PK', b'\x80')
# The limit of the safetensors library.
LONGEST_HEADER = 100_000_000


def read_tensors(content: bytes, source: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a `.pt` state_dict or a `.safetensors` file: (tensors by name, metadata by name).

    The format is told by the bytes, not by a name; a `.pt` file has no metadata. Needs PyTorch and
    safetensors. Raises ModelError, with `source` as the name of the file, for anything else.
    """
    if not content:
        raise ModelError(f'{source} is empty; expected a .pt or .safetensors checkpoint')
    # Asked first: the length that begins a safetensors file may look like either beginning.
    if _is_safetensors(content):
        return _safetensors(content, source), _metadata(content)
    if content.startswith(PT_BEGINNINGS):
        return _state_dict(content, source), {}
    raise ModelError(
        f'{source} is no checkpoint: it begins like neither a .pt nor a .safetensors file; '
        'download or export it again'
    )


def _is_safetensors(content: bytes) -> bool:
    """Length of the header (8 bytes, little endian), the header in JSON, the numbers."""
    return content[8:9] == b'{' and int.from_bytes(content[:8], 'little') <= LONGEST_HEADER


def _safetensors(content: bytes, source: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    try:
        return load(content)
    except Exception as error:  # the library raises its own and Python's types
        raise ModelError(
            f'{source} is a damaged or truncated safetensors file ({_reason(error)}); '
            'download or export it again'
        ) from error


def _metadata(content: bytes) -> dict[str, str]:
    """What a safetensors file says about itself; its library shows that of files on disk alone."""
    length = int.from_bytes(content[:8], 'little')
    return json.loads(content[8 : 8 + length]).get('__metadata__', {})


def _state_dict(content: bytes, source: str) -> dict[str, torch.Tensor]:
    import torch

    try:
        _require_sound_archive(content)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            state = torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f'{source} holds objects or code beside tensors, or is damaged, and was not loaded; '
            'expected a bare state_dict: save network.state_dict() alone'
        ) from error
    except Exception as error:  # a damaged archive or pickle raises nearly any type
        raise ModelError(
            f'{source} is damaged, truncated or of another format than .pt '
            f'({_reason(error)}); download or export it again'
        ) from error
    if not isinstance(state, dict) or not state:
        raise ModelError(
            f'{source} holds {"an empty" if state == {} else "a"} {type(state).__name__}; '
            'expected a state_dict, names with tensors'
        )
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise ModelError(
                f'{source} holds {name!r:.60} -> {type(value).__name__}; expected a bare '
                'state_dict, names with tensors: save network.state_dict() alone'
            )
    return dict(state)


def _require_sound_archive(content: bytes) -> None:
    """Raise BadZipFile where a checksum of a zip archive is wrong, which PyTorch does not check.

    A changed byte in the middle of the weights would otherwise be a weight.
    """
    if content.startswith(b'PK'):
        damaged = zipfile.ZipFile(io.BytesIO(content)).testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f'bad checksum of {damaged}')


def _reason(error: BaseException) -> str:
    """The first sentence of what a library says."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first.split('. ')[0].rstrip('.')[:160]


def shape_text(shape: Iterable[int]) -> str:
    """'16x3x3x3'."""
    return 'x'.join(map(str, shape)) or 'a single number'
