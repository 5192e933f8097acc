"""Two Ray workers do what one process does, and a worker that dies takes nothing with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ray = pytest.importorskip('ray', reason='the extra ray is not installed')

from msdesis_ros.cli.model_options import ModelChoice  # noqa: E402
from msdesis_ros.core.errors import ModelError, MsdesisError  # noqa: E402
from msdesis_ros.offline.journal import Journal  # noqa: E402
from msdesis_ros.offline.ray_run import ATTEMPTS, STORE_BYTES, RayRunner  # noqa: E402
from msdesis_ros.offline.row_work import Recipe  # noqa: E402
from msdesis_ros.offline.run import Done, LocalRunner, process_rows  # noqa: E402

WORKERS = 2
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope='module', autouse=True)
def cluster():
    """One Ray for all tests, as starting it takes seconds; that of RAY_ADDRESS where it is set."""
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    here = {
        'num_cpus': WORKERS,
        'include_dashboard': False,
        'object_store_memory': STORE_BYTES,
    }
    ray.init(log_to_driver=False, **({} if os.environ.get('RAY_ADDRESS') else here))
    yield
    ray.shutdown()


@pytest.fixture
def matching() -> Recipe:
    """The matcher, as a value that another process can be given."""
    return Recipe(open_backend=ModelChoice(model='opencv_sgbm').open)


@pytest.fixture
def slow_matching(tmp_path) -> Recipe:
    """The same at 30 ms a pair; its processes write their numbers, narrow pictures end them."""
    pids = tmp_path / 'pids'
    pids.mkdir()

    def open_backend(image_size):
        import os
        import time

        from msdesis_ros.runtime.factory import create_backend

        (pids / str(os.getpid())).touch()
        backend = create_backend('opencv_sgbm')
        answer = backend.run

        def run(left, right):
            time.sleep(0.03)
            if left.shape[1] < 50:
                os._exit(9)
            return answer(left, right)

        backend.run = run
        return backend

    return Recipe(open_backend=open_backend)


def run(runner, rows, journal: Path, told=None):
    with runner, Journal(journal, {}) as kept:
        on_outcome = (told if told is not None else []).append
        return process_rows(rows, runner, kept, on_outcome=on_outcome)


def results_of(rows) -> list[bytes]:
    return [row.outputs['disparity'].read_bytes() for row in rows]


def test_two_workers_do_what_one_process_does(pair_rows, matching, tmp_path):
    rows = pair_rows(12)
    broken = rows[4].left.read_bytes()
    rows[4].left.write_bytes(b'no picture')
    journal = tmp_path / 'out' / 'j'
    summary = run(RayRunner(matching, WORKERS), rows, journal)
    assert summary.done == 11
    (failure,) = summary.failed
    assert failure.row.line == 5 and '004.png' in failure.reason
    rows[4].left.write_bytes(broken)
    # Either goes on with what the other one did.
    assert run(LocalRunner(matching, 2), rows, journal).done == 1
    on_ray = results_of(rows)
    for row in rows:
        row.outputs['disparity'].unlink()
    assert run(LocalRunner(matching, 2), rows, journal).done == 12
    assert results_of(rows) == on_ray


def test_a_worker_that_is_killed_loses_nothing(pair_rows, matching, slow_matching, tmp_path):
    rows = pair_rows(24)
    pids = tmp_path / 'pids'

    class Told(list):
        def append(self, outcome):
            super().append(outcome)
            if len(self) in (5, 12):  # kill those that work just now, twice
                for path in pids.iterdir():
                    os.kill(int(path.name), signal.SIGKILL)
                    path.unlink()

    told = Told()
    summary = run(RayRunner(slow_matching, WORKERS), rows, tmp_path / 'out' / 'j', told)
    assert (summary.done, summary.failed) == (24, [])
    assert sorted(o.row.line for o in told if isinstance(o, Done)) == list(range(1, 25))
    killed = results_of(rows)
    assert run(LocalRunner(matching, 2), rows, tmp_path / 'other' / 'j').done == 24
    assert results_of(rows) == killed
    assert not list((tmp_path / 'out').rglob('.*.png')), 'nothing half is left'


def test_a_row_that_ends_every_worker_is_named(pair_rows, slow_matching, tmp_path):
    import numpy as np

    from msdesis_ros.data.images import write_image

    rows = pair_rows(4)
    for path in (rows[1].left, rows[1].right):
        write_image(path, np.zeros((40, 40, 3), np.uint8))
    summary = run(RayRunner(slow_matching, WORKERS), rows, tmp_path / 'out' / 'j')
    assert summary.done == 3
    (failure,) = summary.failed
    assert failure.row.line == 2 and f'{ATTEMPTS} workers ended' in failure.reason


def test_what_cannot_be_written_or_opened_stops_the_run(pair_rows, matching, tmp_path):
    rows = pair_rows(20)
    rows[3].outputs['disparity'].mkdir(parents=True)
    with pytest.raises(MsdesisError, match='cannot write.*003.png'):
        run(RayRunner(matching, WORKERS), rows, tmp_path / 'out' / 'j')
    assert not rows[15].outputs['disparity'].exists()

    def refuses(image_size):
        from msdesis_ros.core.errors import ModelError

        raise ModelError('the weights are damaged')

    recipe = Recipe(open_backend=refuses)
    with RayRunner(recipe, WORKERS) as runner, pytest.raises(ModelError, match='are damaged'):
        runner.heads((64, 48))
    with pytest.raises(MsdesisError, match='are damaged'):
        run(RayRunner(recipe, WORKERS), rows, tmp_path / 'out' / 'k')
