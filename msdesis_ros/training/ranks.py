"""Several processes that train one network together, as `torchrun` starts them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from msdesis_ros.core.errors import UsageError


@dataclass(frozen=True)
class Ranks:
    """This process among `size` ones; `local` is its number on its machine."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def mean(self, values: list[float], device: torch.device) -> list[float]:
        """The mean of each number over all processes, the same in all of them."""
        if self.size == 1:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(sums)
        return (sums / self.size).tolist()

    def shared(self, network: nn.Module) -> nn.Module:
        """The network, whose gradients are then means over all processes."""
        if self.size == 1:
            return network
        # Some tasks leave a head without a loss, and so without gradients.
        return DistributedDataParallel(network, find_unused_parameters=True)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


@contextlib.contextmanager
def ranks_of_environment() -> Iterator[Ranks]:
    """The processes that the variables RANK, WORLD_SIZE and LOCAL_RANK tell of, or this one alone.

    Raises UsageError where only some of them are set.
    """
    names = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')
    found = [os.environ.get(name) for name in names]
    if not any(found):
        yield Ranks()
        return
    if not all(value is not None and value.isdecimal() for value in found):
        raise UsageError(
            f'{", ".join(names)} are {found}; set all of them to numbers, or none: start several '
            'processes with torchrun'
        )
    ranks = Ranks(*(int(value or 0) for value in found))
    if ranks.size == 1:
        yield ranks
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(ranks.local)
    distributed.init_process_group('nccl' if torch.cuda.is_available() else 'gloo')
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()
