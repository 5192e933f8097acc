"""Rows of a list on the workers of a Ray cluster, or on local ones.

Tasks of plain Ray rather than Ray Data: a row is one task and its results are files, so that
nothing has to pass through an object store, and neither Arrow nor pandas has to be installed. Each
worker is a process of its own that opens the model once. Where a worker dies, its row is given to
another one; since every file is written whole or not at all, nothing is lost and nothing is half.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msdesis_ros.core.errors import MissingExtraError, MsdesisError
from msdesis_ros.offline.pair_list import PairRow
from msdesis_ros.offline.row_work import ModelStoppedError, Recipe, RowWork
from msdesis_ros.offline.run import Done, Failed, Outcome

# A row that ends so many workers does it to every one: too large for their memory, most likely.
# So many workers in a row that end before they were given anything mean that none will start.
ATTEMPTS = 3
# Pictures go through files; this is the least that Ray takes for its object store.
STORE_BYTES = 100 * 2**20
# A worker that has a place is a process within seconds; one without a place waits in silence.
PATIENCE_S = 10.0
WORKER_CPUS = 1


@dataclass(frozen=True)
class Stopped:
    """No further row has a chance: what cannot be written, or a model that does not run."""

    error: MsdesisError


class RowWorker:
    """One worker process: rows in, outcomes out; errors are values, so that none gets wrapped."""

    def __init__(self, recipe: Recipe) -> None:
        self._work = RowWork(recipe)

    def up(self) -> None:
        """Answers as soon as this process is there."""

    def heads(self, image_size: tuple[int, int]) -> frozenset[str] | Stopped:
        """What the model gives, or why it cannot be opened."""
        try:
            return self._work.heads(image_size)
        except MsdesisError as error:
            return Stopped(error)

    def do(self, row: PairRow) -> Outcome | Stopped:
        """Everything for one row."""
        try:
            inferred = self._work.infer(self._work.read(row))
        except ModelStoppedError as error:
            return Stopped(error)
        except MsdesisError as error:
            return Failed(row, str(error))
        try:
            return Done(row, self._work.save(inferred))
        except MsdesisError as error:
            return Stopped(error)


class RayRunner:
    """`workers` processes on Ray; a context. It satisfies `offline.run.Runner`.

    `address`: of a running cluster, as `ray.init` takes it; None is that of RAY_ADDRESS, and
    without that one on this machine, which ends with the context. One that this process is in
    already is used as it is. `gpus`: how many (or what share of one) each worker gets. The workers
    must see the same files under the same paths, and have this package. `warn` gets a sentence,
    once, where no worker has started for `PATIENCE_S`; a cluster may grow, so the waiting goes
    on. Raises MissingExtraError without Ray, MsdesisError where the cluster cannot be reached, or
    this machine lacks the GPUs.
    """

    def __init__(
        self,
        recipe: Recipe,
        workers: int,
        *,
        address: str | None = None,
        gpus: float = 0.0,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.recipe = recipe
        self._workers = workers
        self._address = address
        self._gpus = gpus
        self._warn = warn
        self._warned = False
        self._ray: Any = None
        self._started = False
        self._actors: list[Any] = []

    def __enter__(self) -> RayRunner:
        # No figures about this program leave the machine.
        os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError(
                f'--ray needs the package ray, which cannot be imported ({error}); install it '
                "with: pip install 'msdesis_ros[ray]'"
            ) from error
        if not ray.is_initialized():
            self._start(ray)
        self._ray = ray
        return self

    def _start(self, ray: Any) -> None:
        here: dict[str, Any] = {
            'num_cpus': self._workers,
            'include_dashboard': False,
            'object_store_memory': STORE_BYTES,
        }
        address = self._address or os.environ.get('RAY_ADDRESS')
        where = {'address': address} if address else here
        try:
            ray.init(log_to_driver=False, **where)
        except Exception as error:  # Ray raises what has no other base for a slow start
            raise MsdesisError(
                f'Ray does not start or cannot be reached: {" ".join(str(error).split())}'
            ) from error
        self._started = True
        there = ray.cluster_resources().get('GPU', 0)
        if not address and self._gpus > there:
            ray.shutdown()
            raise MsdesisError(
                f'--ray-gpus {self._gpus:g} cannot be had: Ray finds {there:g} GPUs here'
            )

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            with contextlib.suppress(Exception):  # it may be dead, or the cluster gone
                self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()

    def heads(self, image_size: tuple[int, int]) -> frozenset[str]:
        """What the model gives (see Runner), as one worker finds."""
        actor = self._actor()
        try:
            # Apart from the model, which may take minutes to open.
            self._ray.get(self._first([actor.up.remote()], patient=False))
            found = self._ray.get(actor.heads.remote(image_size))
        except self._ray.exceptions.RayTaskError:  # a fault of this program
            raise
        except self._ray.exceptions.RayError as error:
            raise _no_workers(error) from error
        if isinstance(found, Stopped):
            raise found.error
        return found

    def run(self, rows: Sequence[PairRow]) -> Generator[Outcome, None, None]:
        """Work through the rows (see Runner)."""
        waiting = deque((row, 1) for row in rows)
        while len(self._actors) < min(self._workers, len(waiting)):
            self._actor()
        # Only workers that are up get rows: in a cluster that is full, one may never be.
        starting = {actor.up.remote(): actor for actor in self._actors}
        running: dict[Any, tuple[Any, PairRow, int]] = {}
        idle: list[Any] = []
        stopped: Stopped | None = None
        unstarted = 0
        while running or (waiting and stopped is None):
            while idle and waiting and stopped is None:
                actor, (row, attempt) = idle.pop(), waiting.popleft()
                running[actor.do.remote(row)] = actor, row, attempt
            task = self._first([*running, *starting], patient=bool(running))
            actor, row, attempt = running.pop(task, None) or (starting.pop(task), None, 0)
            try:
                outcome = self._ray.get(task)
            except self._ray.exceptions.RayTaskError:  # a fault of this program
                raise
            except self._ray.exceptions.RayError as error:  # killed, or its machine is gone
                fresh = self._replaced(actor)
                starting[fresh.up.remote()] = fresh
                unstarted = unstarted + 1 if row is None else 0
                if unstarted == ATTEMPTS:
                    raise _no_workers(error) from error
                if row is not None and attempt < ATTEMPTS:
                    waiting.appendleft((row, attempt + 1))
                elif row is not None:
                    yield Failed(row, f'{attempt} workers ended while they worked on this row')
                continue
            idle.append(actor)
            unstarted = 0
            if isinstance(outcome, Stopped):
                stopped = stopped or outcome
            elif row is not None:
                yield outcome
        if stopped is not None:
            raise stopped.error

    def _first(self, tasks: Sequence[Any], *, patient: bool) -> Any:
        """The first task that ends; not patient = tell of the waiting where it takes long."""
        if not patient and not self._warned:
            done, _ = self._ray.wait(tasks, num_returns=1, timeout=PATIENCE_S)
            if done:
                return done[0]
            self._warned = True
            self._warn(self._why_none_starts())
        (task, *_), _ = self._ray.wait(tasks, num_returns=1)
        return task

    def _why_none_starts(self) -> str:
        """What a worker asks for and what the cluster has, in one line."""
        asked = {'CPU': WORKER_CPUS, 'GPU': self._gpus}
        machines = [node['Resources'] for node in self._ray.nodes() if node['Alive']]
        holds_one = any(
            all(machine.get(kind, 0) >= count for kind, count in asked.items())
            for machine in machines
        )
        free = _amount(self._ray.available_resources())
        why = f'free {free}' if holds_one else 'no machine of it can hold a worker'
        has = _amount(self._ray.cluster_resources())
        return (
            f'no worker of Ray has started after {PATIENCE_S:g} s: each asks for '
            f'{_amount(asked)}, and the cluster has {has}, {why}. Waiting; Ctrl-C stops, and rows '
            'that are done stay done'
        )

    def _replaced(self, actor: Any) -> Any:
        """A new worker for one that ended, or that cannot be reached any more."""
        self._actors.remove(actor)
        with contextlib.suppress(Exception):
            self._ray.kill(actor)
        return self._actor()

    def _actor(self) -> Any:
        actor = (
            self._ray.remote(RowWorker)
            .options(num_cpus=WORKER_CPUS, num_gpus=self._gpus, max_restarts=0, max_task_retries=0)
            .remote(self.recipe)
        )
        self._actors.append(actor)
        return actor


def _amount(resources: Mapping[str, float]) -> str:
    return ' and '.join(f'{resources.get(kind, 0):g} {kind}' for kind in ('CPU', 'GPU'))


def _no_workers(error: Exception) -> MsdesisError:
    return MsdesisError(
        'the workers of Ray end before they do anything; is this package on every machine, and '
        f'memory enough for the model? {" ".join(str(error).split())}'
    )
