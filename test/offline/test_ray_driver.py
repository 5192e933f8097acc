"""How rows are handed to workers, with a stand-in for Ray; test_ray_run.py has the real one.

The stand-in runs one task at a time in this process, and passes everything through pickle.
"""

from __future__ import annotations

import itertools
import pickle
import sys
import types
from collections import deque

import pytest

from msdesis_ros.cli.model_options import ModelChoice
from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.offline.journal import Journal
from msdesis_ros.offline.ray_run import ATTEMPTS, RayRunner
from msdesis_ros.offline.row_work import Recipe
from msdesis_ros.offline.run import LocalRunner, process_rows


class RayError(Exception):
    """What is wrong with Ray or its machines."""


class RayActorError(RayError):
    """What the stand-in raises for a worker that died."""


class OutOfMemoryError(RayError):
    """What Ray raises for a worker that it ended because its machine ran out of memory."""


class RayTaskError(RayError):
    """What Ray raises for an error of the task itself."""


class StandIn(types.ModuleType):
    """As much of Ray as the runner uses. `dies`: lines of the list that end a worker, in order.

    places: so many workers start, the others wait until a machine joins, for which somebody must
    wait with a timeout. death: what is raised for a dead one.
    stillborn: no worker gets through its start.
    """

    def __init__(self, dies: tuple[int, ...] = ()) -> None:
        super().__init__('ray')
        self.exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.dies = deque(dies)
        self.places = 100
        self.death: type[Exception] = RayActorError
        self.stillborn = False
        self.workers: list[dict] = []
        self.started: dict | None = None

    def is_initialized(self) -> bool:
        return self.started is not None

    def init(self, **options) -> None:
        self.started = options

    def shutdown(self) -> None:
        self.started = None

    def kill(self, actor) -> None:
        actor.state['killed'] = True

    def remote(self, kind):
        def options(**asked):
            return types.SimpleNamespace(remote=lambda recipe: Actor(self, kind, recipe, asked))

        return types.SimpleNamespace(options=options)

    def cluster_resources(self) -> dict[str, float]:
        return {'CPU': 2.0}

    def available_resources(self) -> dict[str, float]:
        return {'CPU': 2.0}

    def nodes(self) -> list[dict]:
        return [
            {'Alive': True, 'Resources': {'CPU': 2.0}},
            {'Alive': False, 'Resources': {'CPU': 64.0, 'GPU': 8.0}},
        ]

    def wait(self, tasks, num_returns, timeout=None):
        if timeout is not None and all(task.waits for task in tasks):
            for worker in self.workers:
                worker['waits'] = False
            return [], tasks
        first = min((task for task in tasks if not task.waits), key=lambda task: task.number)
        return [first], [task for task in tasks if task is not first]

    def get(self, task):
        assert not task.waits, 'this never ends'
        return task.work()


class Task:
    """A task of a worker; it waits for ever where the worker has no place."""

    _numbers = itertools.count()

    def __init__(self, actor: Actor, work) -> None:
        self.actor, self.work, self.number = actor, work, next(self._numbers)

    @property
    def waits(self) -> bool:
        return self.actor.state['waits']


class Actor:
    """A worker; a dead one answers nothing any more."""

    def __init__(self, ray: StandIn, kind, recipe, options) -> None:
        worker = kind(pickle.loads(pickle.dumps(recipe)))
        waits = len(ray.workers) >= ray.places
        self.state = {'dead': False, 'killed': False, 'rows': 0, 'waits': waits, **options}
        ray.workers.append(self.state)

        def method(work):
            return types.SimpleNamespace(remote=lambda *given: Task(self, lambda: work(*given)))

        def up():
            if ray.stillborn:
                raise RayActorError('no module named msdesis_ros')

        def do(row):
            self.state['rows'] += 1
            row = pickle.loads(pickle.dumps(row))
            if ray.dies and ray.dies[0] == row.line:
                ray.dies.popleft()
                self.state['dead'] = True
            if self.state['dead']:
                raise ray.death
            return pickle.loads(pickle.dumps(worker.do(row)))

        def heads(size):
            up()
            return pickle.loads(pickle.dumps(worker.heads(size)))

        self.up, self.do, self.heads = method(up), method(do), method(heads)


@pytest.fixture
def stand_in(monkeypatch):
    """Put the stand-in into the place of Ray."""
    monkeypatch.delenv('RAY_ADDRESS', raising=False)

    def put(*dies: int) -> StandIn:
        ray = StandIn(dies)
        monkeypatch.setitem(sys.modules, 'ray', ray)
        return ray

    return put


@pytest.fixture
def matching() -> Recipe:
    return Recipe(open_backend=ModelChoice(model='opencv_sgbm').open)


@pytest.fixture
def run(tmp_path):
    def run_rows(runner, rows):
        with runner, Journal(tmp_path / 'out' / 'j', {}) as journal:
            return process_rows(rows, runner, journal)

    return run_rows


def results_of(rows) -> list[bytes]:
    return [row.outputs['disparity'].read_bytes() for row in rows]


def test_workers_do_what_one_process_does(stand_in, matching, run, pair_rows):
    ray = stand_in()
    rows = pair_rows(6)
    rows[2].left.write_bytes(b'no picture')
    summary = run(RayRunner(matching, 2), rows)
    assert summary.done == 5 and [f.row.line for f in summary.failed] == [3]
    assert len(ray.workers) == 2 and all(w['killed'] and w['rows'] for w in ray.workers)
    assert ray.started is None
    rows.pop(2)
    remote = results_of(rows)
    for row in rows:
        row.outputs['disparity'].unlink()
    assert run(LocalRunner(matching, 1), rows).done == 5
    assert results_of(rows) == remote


def test_the_row_of_a_worker_that_dies_goes_to_a_new_one(stand_in, matching, run, pair_rows):
    ray = stand_in(2, 2, 4)
    rows = pair_rows(5)
    summary = run(RayRunner(matching, 2), rows)
    assert (summary.done, summary.failed) == (5, [])
    assert len(ray.workers) == 2 + 3 and not ray.dies


def test_a_worker_that_ran_out_of_memory_is_one_that_died(stand_in, matching, run, pair_rows):
    # Ray's own monitor ends the worker before the kernel does, and says so with another error.
    ray = stand_in(3)
    ray.death = OutOfMemoryError
    assert run(RayRunner(matching, 2), pair_rows(4)).done == 4
    assert len(ray.workers) == 2 + 1


def test_a_worker_without_a_place_gets_no_row(stand_in, matching, run, pair_rows):
    # A cluster with fewer processors than --jobs: what waited with such a worker was never done.
    ray = stand_in()
    ray.places = 1
    assert run(RayRunner(matching, 3), pair_rows(4)).done == 4
    assert [worker['rows'] for worker in ray.workers] == [4, 0, 0]


def test_workers_that_never_start_are_one_sentence(stand_in, matching, run, pair_rows):
    stand_in().stillborn = True
    rows = pair_rows(4)
    with pytest.raises(MsdesisError, match='before they do anything.*no module named'):
        run(RayRunner(matching, 2), rows)
    with RayRunner(matching, 2) as runner, pytest.raises(MsdesisError, match='before they do'):
        runner.heads((64, 48))


@pytest.mark.parametrize('gpus', [2.0, 0.0])
def test_a_cluster_that_starts_no_worker_is_told_of_once(stand_in, matching, pair_rows, gpus):
    ray = stand_in()
    ray.places = 0
    told = []
    with RayRunner(matching, 2, address='head:10001', gpus=gpus, warn=told.append) as runner:
        assert runner.heads((64, 48)) == {'disparity'}
        assert len(list(runner.run(pair_rows(2)))) == 2
    (sentence,) = told
    assert f'asks for 1 CPU and {gpus:g} GPU, and the cluster has 2 CPU and 0 GPU, ' in sentence
    assert ('no machine of it can hold a worker' in sentence) == (gpus > 0)
    assert ('free 2 CPU' in sentence) == (gpus == 0)


def test_a_cluster_that_starts_workers_is_not_told_of(stand_in, matching, run, pair_rows):
    stand_in()
    told = []
    assert run(RayRunner(matching, 2, warn=told.append), pair_rows(3)).done == 3
    assert told == []


def test_gpus_that_this_machine_lacks_are_refused(stand_in, matching):
    ray = stand_in()
    with pytest.raises(MsdesisError, match='--ray-gpus 1 cannot be had: Ray finds 0'):
        RayRunner(matching, 2, gpus=1).__enter__()
    assert ray.started is None


def test_a_row_that_ends_every_worker_is_named(stand_in, matching, run, pair_rows):
    ray = stand_in(*[3] * ATTEMPTS)
    summary = run(RayRunner(matching, 2), pair_rows(5))
    assert summary.done == 4
    (failure,) = summary.failed
    assert failure.row.line == 3 and f'{ATTEMPTS} workers' in failure.reason
    assert len(ray.workers) == 2 + ATTEMPTS


def test_what_cannot_be_written_stops_every_worker(stand_in, matching, run, pair_rows):
    ray = stand_in()
    rows = pair_rows(20)
    rows[4].outputs['disparity'].mkdir(parents=True)
    with pytest.raises(MsdesisError, match='cannot write'):
        run(RayRunner(matching, 2), rows)
    assert sum(worker['rows'] for worker in ray.workers) < 12
    assert run(LocalRunner(matching, 1), rows[:2]).finished_before == 2


def test_a_model_that_cannot_be_opened_is_the_error_of_the_command(stand_in, pair_rows):
    stand_in()
    recipe = Recipe(open_backend=ModelChoice(model='opencv_sgbm', backend='abacus').open)
    with RayRunner(recipe, 2) as runner, pytest.raises(UsageError, match='abacus'):
        runner.heads((64, 48))


def test_gpus_and_the_address_are_passed_on(stand_in, matching, monkeypatch):
    ray = stand_in()
    with RayRunner(matching, 2, address='ray://head:10001', gpus=0.5) as runner:
        assert ray.started == {'address': 'ray://head:10001', 'log_to_driver': False}
        assert runner.heads((64, 48)) == {'disparity'}
    assert ray.workers[0]['num_gpus'] == 0.5
    with RayRunner(matching, 3):
        assert ray.started['num_cpus'] == 3 and 'address' not in ray.started
    monkeypatch.setenv('RAY_ADDRESS', 'auto')
    with RayRunner(matching, 3):
        assert ray.started == {'address': 'auto', 'log_to_driver': False}


def test_a_cluster_that_is_there_already_is_left_running(stand_in, matching):
    ray = stand_in()
    ray.init(mine=True)
    with RayRunner(matching, 2):
        pass
    assert ray.started == {'mine': True}


def test_a_cluster_that_cannot_be_reached_is_one_sentence(stand_in, matching, monkeypatch):
    ray = stand_in()

    def unreachable(**_):
        raise ConnectionError('no answer\nfrom head:10001')

    monkeypatch.setattr(ray, 'init', unreachable)
    with pytest.raises(MsdesisError, match='cannot be reached: no answer from head'):
        RayRunner(matching, 2, address='head:10001').__enter__()
