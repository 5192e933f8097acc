"""What the options of `msdesis finetune` say: weights and settings, of a new or an old folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.resources import resource
from msdesis_ros.runtime.cards import DEFAULT_MODEL

if TYPE_CHECKING:
    from msdesis_ros.training.config import TrainConfig
    from msdesis_ros.training.fine_tune_files import Beginning

# In the folder of a fine-tuning: how it is set.
CONFIG_FILE = 'finetune.json'


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions:
    """The options by their names; None and () = not given."""

    frames: Path
    model: str | None = None
    checkpoint: Path | None = None
    mode: str | None = None
    models_dir: Path | None = None
    calibration: str | None = None
    unit: str | None = None
    name: str | None = None
    rehearsal: Path | None = None
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.model is not None and self.checkpoint is not None:
            raise UsageError('give either --model or --checkpoint, not both')

    def begin(self) -> tuple[Beginning, TrainConfig]:
        """Of a new fine-tuning: its weights, and its settings but for pairs with truth."""
        from msdesis_ros.training.config import read_config
        from msdesis_ros.training.fine_tune_files import network_options

        if self.unit is not None and self.calibration is None:
            raise UsageError('--unit is that of a calibration; give --calibration too')
        if self.mode is not None and self.checkpoint is None:
            raise UsageError('--mode describes a checkpoint; give --checkpoint FILE too')
        beginning = self._named_beginning()
        loaded = beginning.loaded
        stem = ''.join(c if c.isalnum() or c in '_-' else '_' for c in Path(beginning.name).stem)
        frames = {'folder': str(self.frames), 'calibration': self.calibration, 'unit': self.unit}
        filled = {
            'name': self.name or f'{stem}_finetuned',
            'network': network_options(loaded.network),
            'mean': list(loaded.mean),
            'std': list(loaded.std),
            **{f'self_supervised.frames.{key}': value for key, value in frames.items()},
        }
        settings = [f'{key}={json.dumps(value)}' for key, value in filled.items()]
        config = read_config(
            resource('config', 'train', 'finetune.json'), [*settings, *self.changes]
        )
        if f'{config.name}.json'.lower() == CONFIG_FILE:  # file systems may ignore case
            raise UsageError(
                f'the name {config.name} is taken: the report of its export would replace '
                f'{CONFIG_FILE}; choose another --name'
            )
        return beginning, config

    def at_deployed_size(self, config: TrainConfig, image_size: tuple[int, int]) -> TrainConfig:
        """Pictures are to learn at the size at which those of a camera, (width, height), are
        matched: the scales of the configuration are around that one, unless --set says which.
        """
        from msdesis_ros.nets.fast.config import ENLARGED
        from msdesis_ros.nets.fast.working_size import working_size

        if any(change.startswith('augment.scale=') for change in self.changes):
            return config
        size = image_size[1], image_size[0]
        working = working_size(*size, config.network.get('enlarged', ENLARGED))
        enlarged = working[1] / image_size[0]
        low, high = config.augment.scale
        augment = replace(config.augment, scale=(enlarged * low, enlarged * high))
        return replace(config, augment=augment)

    def go_on(self, out: Path) -> tuple[Beginning, TrainConfig]:
        """Of the fine-tuning in a folder; UsageError, naming it, for an option against it."""
        from msdesis_ros.training.config import read_config
        from msdesis_ros.training.fine_tune_files import kept_beginning
        from msdesis_ros.training.state_files import LAST

        path = out / CONFIG_FILE
        if not (out / LAST).exists() or not path.exists():
            raise UsageError(
                f'{out} holds no fine-tuning to go on with; leave out --resume, or name the '
                'folder of one with --out'
            )
        beginning, kept = kept_beginning(out), read_config(path)
        self._require_same(beginning, kept, path)
        if self.model is not None or self.checkpoint is not None:
            named = self._named_beginning()
            if beginning.weights_sha256 != named.loaded.sha256:
                raise UsageError(
                    f'{out} began with other weights than {named.name}; leave out --model and '
                    '--checkpoint to go on with it, or give another --out'
                )
        return beginning, read_config(path, self.changes)

    def _named_beginning(self) -> Beginning:
        from msdesis_ros.training.fine_tune_files import beginning_of

        model = DEFAULT_MODEL if self.model is None and self.checkpoint is None else self.model
        return beginning_of(
            model=model, checkpoint=self.checkpoint, models_dir=self.models_dir, mode=self.mode
        )

    def _require_same(self, beginning: Beginning, kept: TrainConfig, path: Path) -> None:
        from msdesis_ros.training.config import read_config
        from msdesis_ros.training.state_files import fingerprint

        assert kept.self_supervised is not None
        frames = kept.self_supervised.frames
        rehearsal = ', '.join(str(source.shards) for source in kept.data.train)
        asked = (
            ('FRAMES', str(self.frames), frames.folder),
            ('--calibration', self.calibration, frames.calibration),
            ('--unit', self.unit, frames.unit),
            ('--name', self.name, kept.name),
            ('--mode', self.mode, beginning.mode),
            ('--rehearsal', self.rehearsal and str(self.rehearsal), rehearsal),
        )
        for option, now, before in asked:
            if now is not None and now != before and _places(now) != _places(before):
                raise UsageError(
                    f'{option} is {now}, but {path.parent} began with {before or "none"}; go on '
                    'with that, or give another --out'
                )
        for change in self.changes:
            if fingerprint(read_config(path, [change])) != fingerprint(kept):
                raise UsageError(
                    f'--set {change} is not what {path} says; only run and data.workers may '
                    'change when it goes on'
                )


def _places(paths: str | None) -> list[Path] | None:
    """The same for every way to write one or more paths."""
    return None if paths is None else [Path(path).resolve() for path in paths.split(',')]
