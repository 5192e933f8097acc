"""Frames made by several processes, with the same result however many there are.

Each worker opens a source of its own and asks for one frame number after the other. A frame
depends on its number alone, so it does not matter who makes it, or when. One process, one core:
OpenCV, BLAS and the software renderer get one thread in each.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

import cv2

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.synth.stereo_frame import FrameSource

Result = TypeVar('Result')
# Read when the libraries are loaded, so before the worker's first line of Python.
# 0 threads of llvmpipe: it draws in the thread that asks for it.
_ENVIRONMENT = {
    'LP_NUM_THREADS': '0',
    'OMP_NUM_THREADS': '1',
    'OPENBLAS_NUM_THREADS': '1',
    'MKL_NUM_THREADS': '1',
}
_STOP_S = 5.0


class Recipe(Protocol):
    """What can be sent to a process and opens a source there."""

    def open(self) -> FrameSource: ...


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0))


def in_workers(
    job: Callable[[FrameSource, int], Result],
    recipe: Recipe,
    indices: Iterable[int],
    *,
    workers: int,
) -> Iterator[tuple[int, Result]]:
    """Yield (index, job(source, index)) for every index, as they get done.

    job: picklable, as is what it returns. Indices are handed out in their order. Closing the
    iterator, an error and Ctrl-C end all workers.

    Raises:
        UsageError: fewer than 1 worker.
        MsdesisError: what the job raised, or a worker died; the message names the frame.
    """
    if workers < 1:
        raise UsageError(f'{workers} workers were asked for; expected at least 1')
    waiting = iter(indices)
    team: dict[Connection, _Worker] = {}
    try:
        with _environment():
            for index in _first(waiting, workers):
                worker = _Worker(job, recipe)
                team[worker.pipe] = worker
                worker.give(index)
        while team:
            for pipe in wait(list(team)):
                worker = team[pipe]  # type: ignore[index]
                yield worker.take()
                index = next(waiting, None)
                if index is None:
                    del team[worker.pipe]
                    worker.dismiss()
                else:
                    worker.give(index)
    finally:
        for worker in team.values():
            worker.stop()


def in_order(results: Iterable[tuple[int, Result]], indices: Iterable[int]) -> Iterator[Result]:
    """The results in the order of `indices`, each as soon as those before it are there."""
    wanted = iter(indices)
    early: dict[int, Result] = {}
    following = next(wanted, None)
    for index, result in results:
        early[index] = result
        while following in early:
            yield early.pop(following)
            following = next(wanted, None)


class _Worker:
    """One process, the pipe to it, and the frame it works on."""

    def __init__(self, job: Callable[[FrameSource, int], Any], recipe: Recipe) -> None:
        # A fork would take over locks and GL contexts in whatever state they are.
        context = multiprocessing.get_context('spawn')
        self.pipe, theirs = context.Pipe()
        self.index = -1
        self._process = context.Process(target=_work, args=(theirs, job, recipe), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, index: int) -> None:
        self.index = index
        # One that died is noticed when its answer is taken.
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(index)

    def take(self) -> tuple[int, Any]:
        try:
            error, result, trace = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(_STOP_S)
            raise MsdesisError(
                f'the worker that made frame {self.index} died ({self._end()}); what was finished '
                'is kept: run the same again, with fewer workers where memory is short'
            ) from None
        if error is not None:
            raise error from _InWorker(trace)
        return self.index, result

    def dismiss(self) -> None:
        """No more work: let it close its source and end."""
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send(None)
        self._process.join(_STOP_S)
        self.stop()

    def stop(self) -> None:
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(_STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_STOP_S)
        self.pipe.close()

    def _end(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            return f'killed by {signal.Signals(-code).name}'
        return f'exit code {code}'


class _InWorker(Exception):  # noqa: N818 - no error by itself: what --debug shows below one
    def __str__(self) -> str:
        return f'\n{self.args[0]}'


def _work(pipe: Connection, job: Callable[[FrameSource, int], Any], recipe: Recipe) -> None:
    """The life of a worker: open the source, make frames until there are no more."""
    # Ctrl-C reaches the whole group; the one who hands out the work ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    source = None
    while (index := _next_index(pipe)) is not None:
        error, result, trace = None, None, ''
        try:
            source = source or recipe.open()
            result = job(source, index)
        except Exception as raised:
            error, trace = _named(raised, index), traceback.format_exc()
        try:
            pipe.send((error, result, trace))
        except BrokenPipeError:
            break
    if source is not None:
        source.close()


def _next_index(pipe: Connection) -> int | None:
    try:
        return pipe.recv()
    except (EOFError, ConnectionResetError):  # nobody waits for frames any more
        return None


def _named(raised: Exception, index: int) -> MsdesisError:
    if isinstance(raised, MsdesisError):
        return type(raised)(str(raised))
    return MsdesisError(
        f'frame {index} cannot be made: {type(raised).__name__}: {raised}; this is a fault of the '
        'generator, --debug shows where'
    )


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _first(indices: Iterator[int], count: int) -> Iterator[int]:
    for _, index in zip(range(count), indices):  # noqa: B905 - whichever ends first
        yield index
