"""How a network runs: where, in which precision and memory layout; and its averaged twin."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from msdesis_ros.core.errors import UsageError
from msdesis_ros.nets.registry import family_of
from msdesis_ros.training.batch import Batch
from msdesis_ros.training.config import TrainConfig


def device_of(config: TrainConfig, *, local_rank: int = 0) -> torch.device:
    """The device that the configuration asks for; UsageError where it is not there."""
    wanted, there = config.run.device, torch.cuda.is_available()
    if wanted == 'cuda' and not there:
        raise UsageError('run.device is cuda, but PyTorch sees none; use "auto" or "cpu"')
    cuda = wanted != 'cpu' and there
    return torch.device('cuda', local_rank) if cuda else torch.device('cpu')


class Runner:
    """Normalises pictures and runs networks on them as the configuration says."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.device = device
        self._half = config.run.precision == 'bf16'
        self._layout = torch.channels_last if config.run.channels_last else torch.contiguous_format
        like = {'device': device, 'dtype': torch.float32}
        self._mean = torch.tensor(config.mean, **like).view(1, 3, 1, 1)
        self._std = torch.tensor(config.std, **like).view(1, 3, 1, 1)

    def placed(self, network: nn.Module) -> nn.Module:
        """The same network on the device, its convolutions' weights in the memory layout."""
        network.to(self.device)
        for weights in network.parameters():
            if weights.ndim == 4:
                weights.data = weights.data.contiguous(memory_format=self._layout)
        return network

    def output(self, network: nn.Module, batch: Batch) -> object:
        """Run a network, to train it, on a batch that is on the device."""
        return self._run(network, batch)

    def deployed(self, network: nn.Module, batch: Batch) -> object:
        """Run a network as it will be used on a batch that is on the device."""
        return self._run(partial(family_of(network).deployed, network), batch)

    def _run(self, answer: Callable[[Tensor, Tensor], object], batch: Batch) -> object:
        left, right = (self._picture(view) for view in batch[:2])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            return answer(left, right)

    def _picture(self, view: Tensor) -> Tensor:
        picture = (view.float() / 255 - self._mean) / self._std
        return picture.contiguous(memory_format=self._layout)


class AveragedWeights:
    """An exponential moving average of weights and of batch-norm's statistics.

    Early on it forgets faster, so that the random beginning is gone soon: of step t it keeps
    min(decay, (1 + t) / (10 + t)).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval()
        self.network.requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step `step`, counted from 0."""
        keep = min(self._decay, (1 + step) / (10 + step)) if self._decay else 0.0
        mine, theirs = self.network.state_dict(), network.state_dict()
        floats = [name for name in mine if mine[name].is_floating_point()]
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], 1 - keep)
