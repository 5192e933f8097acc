"""Reading ahead and saving behind one worker, with bounded memory and errors that arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

T = TypeVar('T')
R = TypeVar('R')
# So many jobs a thread may wait on either side: each holds its pictures in memory.
JOBS_A_THREAD = 2


def read_ahead(
    items: Iterable[T], read: Callable[[T], R], threads: int
) -> Generator[tuple[T, Callable[[], R]], None, None]:
    """Read in threads while the caller works; items come in their order.

    Gives each item with a function that returns what `read` returned, or raises what it raised. At
    most `threads` x JOBS_A_THREAD items are ahead of the caller.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix='read') as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(read, item)))
                if len(waiting) > threads * JOBS_A_THREAD:
                    first, future = waiting.popleft()
                    yield first, future.result
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result
        finally:
            for _, future in waiting:
                future.cancel()


class SaveQueue(Generic[R]):
    """Threads that save, and at most `threads` x JOBS_A_THREAD jobs that wait or run.

    The first error of a job is raised by the next call of `submit` or `finish`, never lost.
    Leaving the context waits for what runs; after an error, what only waits is dropped.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix='save')
        self._most = threads * JOBS_A_THREAD
        self._pending: set[Future[R]] = set()
        self._returned: list[R] = []
        self._error: BaseException | None = None

    def __enter__(self) -> SaveQueue[R]:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    def submit(self, save: Callable[..., R], *arguments: Any) -> None:
        """Hand in one job, as soon as there is a place; raises the error of an earlier one."""
        self._collect()
        while len(self._pending) >= self._most and self._error is None:
            wait(self._pending, return_when=FIRST_COMPLETED)
            self._collect()
        if self._error is not None:
            raise self._error
        self._pending.add(self._pool.submit(save, *arguments))

    def finish(self) -> None:
        """Wait for every job; raises the error of one."""
        wait(self._pending)
        self._collect()
        if self._error is not None:
            raise self._error

    def drop(self) -> None:
        """Forget what only waits, and wait for what runs."""
        for future in self._pending:
            future.cancel()
        wait(self._pending)
        self._collect()

    def returned(self) -> list[R]:
        """What jobs returned since the last call, in the order in which they ended."""
        self._collect()
        taken, self._returned = self._returned, []
        return taken

    def _collect(self) -> None:
        for future in [future for future in self._pending if future.done()]:
            self._pending.remove(future)
            if future.cancelled():
                continue
            error = future.exception()
            if error is None:
                self._returned.append(future.result())
            elif self._error is None:
                self._error = error
