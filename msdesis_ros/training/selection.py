"""Which weights of a training are the best so far, by its validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from msdesis_ros.training.batch import Batch
from msdesis_ros.training.comparison import COMPARED, Comparison
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.data import validation_batches
from msdesis_ros.training.fine_tuning import FineTuning
from msdesis_ros.training.journal import VALIDATION
from msdesis_ros.training.judge import Judge
from msdesis_ros.training.model_runner import Runner
from msdesis_ros.training.objectives import Objective
from msdesis_ros.training.state_files import BEST, read_state, write_state
from msdesis_ros.training.validation import Figures, validate

if TYPE_CHECKING:
    from msdesis_ros.training.look import Look
    from msdesis_ros.training.sources import Mixture


class Selection:
    """Validates networks, and keeps the best weights in the folder of their training.

    look: what a fine-tuning dresses pairs with truth in. note: told the broken records of every
    batch. `best`: figures of the best weights by name, `score`, `step` and `part`; None so far.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        pairs: Mixture,
        *,
        objective: Objective,
        runner: Runner,
        max_disparity: int,
        look: Look | None,
        note: Callable[[tuple[str, ...]], None],
    ) -> None:
        self._config, self._folder, self._pairs = config, folder, pairs
        self._objective, self._runner = objective, runner
        self._max_disparity, self._note = max_disparity, note
        self._judge: Judge | None = None
        if isinstance(objective, FineTuning):
            self._judge = objective.judge(look=look)
        self.best: dict[str, float] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the figures."""
        return VALIDATION if self._judge is None else COMPARED

    def figures(self, network: nn.Module) -> Figures | Comparison:
        """Of a network in eval mode, as it will be used."""
        if self._judge is not None:
            return self._judge.compare(network, self._batches())
        return validate(
            network,
            self._batches(),
            runner=self._runner,
            objective=self._objective,
            max_disparity=self._max_disparity,
        )

    def offer(self, network: nn.Module, *, step: int, part: float = 1.0) -> Figures | Comparison:
        """Validate a network of this step, and write its weights where they are the best so far.

        part: of the way from the initial weights to those of the step.
        """
        figures = self.figures(network)
        # A mask that is not trained says nothing about the weights.
        task = self._config.task if self._objective.learns_mask else 'disparity'
        score = figures.score(task)
        if score is not None and (self.best is None or score < self.best['score']):
            self.best = {'score': score, 'step': step, 'part': part, **asdict(figures)}
            state = {'network': network.state_dict(), 'figures': self.best}
            write_state(self._folder / BEST, state)
        return figures

    def use_best(self, network: nn.Module) -> None:
        """Put the best weights into a network, where there are some."""
        if self.best is not None:
            network.load_state_dict(read_state(self._folder / BEST)['network'])

    def _batches(self) -> Iterator[Batch]:
        frames = self._config.data.validation_frames
        for batch in validation_batches(self._pairs, frames=frames):
            self._note(batch.skipped)
            yield batch
