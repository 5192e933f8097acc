"""The training loop: step by step, and from any step on again to the same numbers.

A loop of our own: a step is a function of the checkpoint and its number, so that a run that was
killed repeats itself to the bit. Frameworks go on from the epoch, or repeat its samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import torch

from msdesis_ros.training.comparison import Comparison
from msdesis_ros.training.config import TrainConfig
from msdesis_ros.training.data import StepPlan, TrainingSet, training_batches
from msdesis_ros.training.divergence import DivergenceWatch
from msdesis_ros.training.journal import VALIDATION, Journal, Progress
from msdesis_ros.training.model_runner import AveragedWeights, Runner, device_of
from msdesis_ros.training.objectives import learning_groups, network_of, objective_of
from msdesis_ros.training.own_look import dressing_of
from msdesis_ros.training.ranks import Ranks
from msdesis_ros.training.schedules import Fall
from msdesis_ros.training.selection import Selection
from msdesis_ros.training.sources import mixtures_of
from msdesis_ros.training.state_files import (
    LAST,
    fingerprint,
    load_mask_encoder,
    load_weights,
    read_state,
    require_same,
    write_state,
)
from msdesis_ros.training.validation import Figures


@dataclass(frozen=True)
class TrainResult:
    """How a run ended. reason: why before its last step; None = it is done. best: figures of the
    best weights, by name, and `step`; None where nothing was validated.
    """

    step: int
    reason: str | None
    best: dict[str, float] | None


class Training:
    """One training in one process. Make it, `run` it; `network` then has the weights to ship."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        *,
        ranks: Ranks = Ranks(),  # noqa: B008 - a frozen value
        resume: bool = False,
        say: Callable[[str], None] = lambda sentence: None,
        progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        """Look through the data, make the network and, to `resume`, the checkpoint in
        `folder`. Raises MsdesisError for anything that would stop the first step.
        """
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self.folder, self.ranks = folder, ranks
        self._say, self._progress = say, progress
        self._mixture, validation = mixtures_of(
            config, say=say if ranks.first else lambda sentence: None
        )
        self.config = config = _in_steps(config, self._mixture.epoch_size, ranks)
        self._dress = dressing_of(config, self._mixture)
        optimiser = config.optimiser
        self._plan = StepPlan(
            batch_size=optimiser.batch_size * optimiser.accumulate,
            crops=config.data.crops,
            seed=config.seed,
            rank=ranks.rank,
            ranks=ranks.size,
        )
        self._runner = Runner(config, device_of(config, local_rank=ranks.local))
        network = network_of(config)
        # A checkpoint holds all weights; a fine-tuning also needs what it began with, to compare.
        if config.init and (not resume or config.self_supervised is not None):
            load_weights(network, Path(config.init))
        if config.mask_encoder.weights and not resume:  # a checkpoint holds them
            load_mask_encoder(network, Path(config.mask_encoder.weights))
        self._network = self._runner.placed(network)
        self._objective = objective_of(config, network)
        self._selection: Selection | None = None
        if validation is not None:
            self._selection = Selection(
                config,
                folder,
                validation,
                objective=self._objective,
                runner=self._runner,
                max_disparity=network.config.max_disparity,
                look=None if self._dress is None else self._dress.look,
                note=self._note,
            )
        self._averaged = AveragedWeights(network, optimiser.ema_decay)
        self._optimiser = torch.optim.AdamW(
            learning_groups(config, network),
            lr=optimiser.schedule.lr,
            weight_decay=optimiser.weight_decay,
        )
        self._fall: Fall | None = None
        self._watch = DivergenceWatch()
        self._window: dict[str, list[float]] = {}
        self._validated_step: int | None = None
        self.step = 0
        self._term_names: tuple[str, ...] = ()
        self._journal: Journal | None = None
        if resume:
            self._load(read_state(folder / LAST))

    @property
    def network(self) -> torch.nn.Module:
        """The averaged network, in eval mode."""
        return self._averaged.network

    def run(
        self,
        should_stop: Callable[[], str | None] = lambda: None,
        *,
        should_fall: Callable[[], bool] = lambda: False,
    ) -> TrainResult:
        """Train to the last step, or until `should_stop` gives a reason after a step.

        Once `should_fall` says after a step that FALL_BEGINS of the time is over, the rate falls
        to nothing in the steps that fit in the rest, and the run ends; any schedule but a constant
        one says itself how it falls. Either way a checkpoint is written. Raises DivergenceError
        where the training is lost (the last checkpoint stays as it was), FileFormatError for a
        broken record.
        """
        steps = self.config.optimiser.schedule.steps
        batches = training_batches(
            TrainingSet(self._mixture, self.config.augment, self._plan, dress=self._dress),
            first=self.step,
            stop=steps,
            workers=self.config.data.workers,
        )
        shared = self.ranks.shared(self._network)
        may_fall = self.ranks.first and self.config.optimiser.schedule.kind == 'constant'
        reason, first, begin, pairs = None, self.step, time.monotonic(), 0
        for batch in batches:
            values = self._train_step(shared, batch)
            stop = should_stop() if self.ranks.first else None
            falls = may_fall and self._fall is None and should_fall()
            values += [float(falls), float(stop is not None)]
            *means, falling, stopping = self.ranks.mean(values, self._runner.device)
            self._account(means, batch.skipped)
            if falling:
                self._fall = Fall.after(first, self.step)
            elif self._fall is not None and self.step >= self._fall.end:
                stop, stopping = 'the rate has fallen to nothing', 1.0
            pairs += batch.left.shape[0] * self.ranks.size
            if self.ranks.first:
                speed = pairs / max(time.monotonic() - begin, 1e-9)
                last = steps if self._fall is None else min(self._fall.end, steps)
                self._progress(Progress(self.step, last, sum(means[1:]), speed))
            self._periodic(steps, ending=stopping > 0)
            if stopping:
                reason = stop or 'the first process asked to stop'
                break
        if self._journal is not None:
            self._journal.close()
        self.ranks.wait()
        return TrainResult(self.step, reason, self._best)

    @property
    def _best(self) -> dict[str, float] | None:
        return None if self._selection is None else self._selection.best

    @property
    def data(self) -> str:
        """What it learns from, for a model card."""
        return self._mixture.described

    def compare(self) -> Figures | Comparison:
        """Figures of the weights as they are; needs a validation."""
        assert self._selection is not None
        return self._selection.figures(self.network)

    def conclude(self) -> TrainResult:
        """Validate the last weights and what the objective has instead; keep them if best.

        What goes on from here does so at the full rate.
        """
        self._fall = None
        if self._selection is not None:
            if self._validated_step != self.step:
                self._selection.offer(self.network, step=self.step)
            for part, network in self._objective.alternatives(self.network):
                self._selection.offer(network, step=self.step, part=part)
            write_state(self.folder / LAST, self._state())
        return TrainResult(self.step, None, self._best)

    def use_best(self) -> None:
        """Put the best weights of the validation into `network`, where there are some."""
        if self._selection is not None:
            self._selection.use_best(self.network)

    def _train_step(self, network, batch) -> list[float]:
        """One change of the weights: the norm of the gradients and the loss terms."""
        settings = self.config.optimiser
        lr = settings.schedule.lr_at(self.step)
        if self._fall is not None:
            lr *= self._fall.share_at(self.step)
        for group in self._optimiser.param_groups:
            group['lr'] = lr * group['lr_share']
        self._objective.prepare(self._network)
        self._optimiser.zero_grad(set_to_none=True)
        totals: dict[str, float] = {}
        pieces = batch.parts_of(settings.accumulate)
        for number, piece in enumerate(pieces):
            part = self._objective.shown(piece.to(self._runner.device))
            # Steps with large crops may cut into pieces of unequal size: each pair counts alike.
            share = piece.left.shape[0] / batch.left.shape[0]
            # Processes exchange gradients once a step, with the last piece.
            waits = self.ranks.size > 1 and number < len(pieces) - 1
            with network.no_sync() if waits else nullcontext():
                output = self._runner.output(network, part)
                terms = self._objective.terms(output, part)
                (sum(terms.values()) * share).backward()
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + float(term.detach()) * share
        self._term_names = tuple(totals)
        limit = float('inf') if settings.clip_norm is None else settings.clip_norm
        norm = float(torch.nn.utils.clip_grad_norm_(self._network.parameters(), limit))
        if all(map(_is_number, totals.values())) and self._watch.gradient(self.step, norm):
            self._optimiser.step()
            self._averaged.update(self._network, self.step)
        return [norm, *totals.values()]

    def _account(self, means: list[float], skipped: tuple[str, ...]) -> None:
        """Look at the figures of the step that was made, and count it."""
        norm, *values = means
        terms = dict(zip(self._term_names, values, strict=True))
        self._watch.loss(self.step, terms)
        figures = {'gradient_norm': norm, 'loss': sum(values), **terms}
        for name, value in figures.items():
            total = self._window.setdefault(name, [0.0, 0])
            total[0], total[1] = total[0] + value, total[1] + 1
        if self.ranks.first:
            if self._journal is None:
                self._journal = Journal(
                    self.folder,
                    self._term_names,
                    done=self.step,
                    figures=self._selection.names if self._selection else VALIDATION,
                    say=self._say,
                )
            self._note(skipped)
        self.step += 1

    def _note(self, skipped: tuple[str, ...]) -> None:
        if self._journal is not None:
            self._journal.once(skipped)

    def _periodic(self, steps: int, *, ending: bool) -> None:
        """What comes after some steps: a row, a validation, a checkpoint."""
        run, last = self.config.run, self.step == steps
        values: dict[str, float] = {}
        if self.step % run.log_every == 0 or last:
            values = {name: total / count for name, (total, count) in self._window.items()}
            values['lr'] = self._optimiser.param_groups[-1]['lr']
            self._window = {}
        validating = self._selection is not None and (self.step % run.validate_every == 0 or last)
        if self._selection is not None and validating and self.ranks.first:
            values.update(asdict(self._selection.offer(self.network, step=self.step)))
            self._validated_step = self.step
        if values and self._journal is not None:
            self._journal.row(self.step, values)
        if (self.step % run.checkpoint_every == 0 or last or ending) and self.ranks.first:
            write_state(self.folder / LAST, self._state())
        if validating:
            self.ranks.wait()

    def _state(self) -> dict[str, object]:
        return {
            'config': fingerprint(self.config),
            'ranks': self.ranks.size,
            'step': self.step,
            'network': self._network.state_dict(),
            'optimiser': self._optimiser.state_dict(),
            'averaged': self.network.state_dict(),
            'watch': self._watch.state(),
            'window': self._window,
            'fall': None if self._fall is None else astuple(self._fall),
            'best': self._best,
        }

    def _load(self, state: dict) -> None:
        path = self.folder / LAST
        require_same(self.config, state['config'], path)
        if state['ranks'] != self.ranks.size:
            self._say(f'{path} was written by {state["ranks"]} processes: other samples follow')
        self.step = state['step']
        self._network.load_state_dict(state['network'])
        self._optimiser.load_state_dict(state['optimiser'])
        self.network.load_state_dict(state['averaged'])
        self._watch.load(state['watch'])
        self._window = state['window']
        self._fall = None if state.get('fall') is None else Fall(*state['fall'])
        if self._selection is not None:
            self._selection.best = state['best']


def _in_steps(config: TrainConfig, pairs: int, ranks: Ranks) -> TrainConfig:
    optimiser = config.optimiser
    batch_size = optimiser.batch_size * optimiser.accumulate * ranks.size
    schedule = optimiser.schedule.resolved(pairs=pairs, batch_size=batch_size)
    return replace(config, optimiser=replace(optimiser, schedule=schedule))


def _is_number(value: float) -> bool:
    return abs(value) < float('inf')
