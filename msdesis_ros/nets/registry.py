"""From the name of a network family to a network. Needs PyTorch only once one is created."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.family import Family
from msdesis_ros.nets.fast.family import FastFamily
from msdesis_ros.nets.msdesis.family import MsdesisFamily
from msdesis_ros.nets.torch_extra import require_torch

if TYPE_CHECKING:
    from torch import nn

FAMILIES: dict[str, Family] = {each.name: each for each in (MsdesisFamily(), FastFamily())}
MODES = ('multitask', 'disparity', 'segmentation')


def create_network(family: str, **options: Any) -> nn.Module:
    """Create a network of `family` with fresh random weights, in train mode, on the CPU.

    `options` are the fields of the family's config, e.g. `create_network('msdesis',
    encoder='light')` (see MsdesisConfig) or `create_network('msdesis_fast', size='base')` (see
    FastConfig). Raises UsageError for an unknown family, an unknown,
    missing or wrong option, MissingExtraError where PyTorch is not installed.
    """
    if family not in FAMILIES:
        raise UsageError(f'no network family is called {family!r}; known: {", ".join(FAMILIES)}')
    kind = FAMILIES[family].config
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f'{family} has no option {", ".join(unknown)}; its options: {", ".join(known)}'
        )
    missing = [name for name in known if known[name].default is MISSING and name not in options]
    if missing:
        raise UsageError(f'{family} needs the option {", ".join(missing)}')
    config = kind(**options)
    require_torch(what='a network')
    return FAMILIES[family].build(config)


def family_of(network: nn.Module) -> Family:
    """The family of a network, told by its `config`."""
    return next(each for each in FAMILIES.values() if isinstance(network.config, each.config))
