"""A training of a network that is far too small, for tests, and a program that runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from msdesis_ros.nets.fast import config as fast_config
from msdesis_ros.training.config import TrainConfig, build
from msdesis_ros.training.loop import Training
from msdesis_ros.training.ranks import ranks_of_environment

trunk = fast_config.MaskTrunk(
    (64, 32), (96, 64), 8, tuple((1, 8, 3, stride, 1) for stride in (1, 2, 2, 2, 1, 2, 1))
)
fast_config.SIZES['tiny'] = fast_config.Widths(
    (8, 8, 12, 12, 16, 16), 8, 2, 8, (12, 12, 16), (8, 8), trunk
)


def tiny_content(shards, **changes) -> dict:
    """The JSON of a training of 12 steps."""
    content = {
        'name': 'tiny',
        'task': 'multitask',
        'network': {'family': 'msdesis_fast', 'size': 'tiny', 'max_disparity': 64},
        'data': {
            'train': [{'shards': str(shards)}],
            'validation': [{'shards': str(shards)}],
            'validation_frames': 2,
            'crops': [[64, 32], [32, 64]],
            'workers': 0,
        },
        'augment': {'scale': [0.7, 1.4], 'vertical_flip': 0.5, 'photometric': {'gain': 0.2}},
        'optimiser': {
            'schedule': {'steps': 12, 'lr': 0.002, 'warmup': 2},
            'batch_size': 2,
            'accumulate': 1,
            'ema_decay': 0.9,
        },
        'run': {
            'log_every': 1,
            'validate_every': 6,
            'checkpoint_every': 3,
            'threads': 1,
            'device': 'cpu',
            'channels_last': False,
        },
    }
    for key, value in changes.items():
        *parents, last = key.split('__')
        place = content
        for name in parents:
            place = place[name]
        place[last] = value
    return content


def tiny_config(shards, **changes) -> TrainConfig:
    """The same as a configuration; `optimiser__schedule__steps=5` changes one key."""
    return build(TrainConfig, tiny_content(shards, **changes), where='')


def main() -> None:
    """SHARDS FOLDER STEPS: train, for tests that end it."""
    shards, folder, steps = sys.argv[1:]
    torch.set_num_threads(1)
    config = tiny_config(shards, optimiser__schedule__steps=int(steps))
    with ranks_of_environment() as ranks:
        Training(config, Path(folder), ranks=ranks).run()


if __name__ == '__main__':
    main()
