"""A backend that fails is counted, restarted once, then declared dead: no silent retries."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np

from msdesis_ros.core.errors import BackendError, MsdesisError, PictureSizeError
from msdesis_ros.core.prediction import ModelIdentity
from msdesis_ros.runtime.backend import Backend, RawOutput

# After so many good frames in a row an earlier restart is forgiven and another one allowed.
FRAMES_TO_FORGIVE = 100


class SupervisedBackend:
    """Wraps a backend of `create` so that whatever it raises becomes a counted BackendError.

    After `max_failures` failures in a row it is closed and made anew, once; after as many again it
    stays dead (`dead`, `last_error`) until the owner makes a new one. Pictures of a size that the
    model does not take are no failure of the backend. It satisfies `Backend`.

    One thread at a time may be inside: another one is refused with a BackendError, because engines
    pass pictures and answers through memory of their own. `close` does not wait for a thread that
    is inside; the backend is then closed when that thread comes out.
    """

    def __init__(self, create: Callable[[], Backend], *, max_failures: int = 5) -> None:
        self._create = create
        self._max_failures = max_failures
        self._backend = create()
        self._image_size: tuple[int, int] | None = None
        self._failures_in_a_row = 0
        self._good_in_a_row = 0
        self._restarted = False
        self._inside = threading.Lock()
        self._closed = False
        self.failures = 0
        self.restarts = 0
        self.dead = False
        self.last_error = ''
        self.heads = self._backend.heads
        self.min_disparity_px = self._backend.min_disparity_px
        self.max_disparity_px = self._backend.max_disparity_px
        self.disparity_step_px = self._backend.disparity_step_px

    @property
    def identity(self) -> ModelIdentity:
        """Of the file in use, which follows the size of the pictures where a model has several."""
        return self._backend.identity

    def warm_up(self, image_size: tuple[int, int]) -> None:
        with self._alone():
            self._backend.warm_up(image_size)
        self._image_size = image_size

    def run(self, left: np.ndarray, right: np.ndarray) -> RawOutput:
        if self.dead:
            raise BackendError(
                f'the backend {self.identity.backend} is out of use after repeated failures '
                f'(last: {self.last_error}); clean up and configure the node again'
            )
        with self._alone():
            try:
                output = self._backend.run(left, right)
            except PictureSizeError:
                raise
            except Exception as error:
                self._count_failure(error)
                raise BackendError(
                    f'the backend {self.identity.backend} failed: {self.last_error}'
                ) from error
        self._failures_in_a_row = 0
        self._good_in_a_row += 1
        if self._good_in_a_row >= FRAMES_TO_FORGIVE:
            self._restarted = False
        return output

    def close(self) -> None:
        self._closed = True
        if self._inside.acquire(blocking=False):
            try:
                self._backend.close()
            finally:
                self._inside.release()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._inside.acquire(blocking=False):
            raise BackendError(
                f'the backend {self.identity.backend} is still busy with an earlier frame'
            )
        try:
            yield
        finally:
            self._inside.release()
            if self._closed:
                self.close()

    def _count_failure(self, error: Exception) -> None:
        self.failures += 1
        self._failures_in_a_row += 1
        self._good_in_a_row = 0
        self.last_error = str(error) or type(error).__name__
        if self._closed or self._failures_in_a_row < self._max_failures:
            return
        self._failures_in_a_row = 0
        if self._restarted or not self._restart():
            self.dead = True

    def _restart(self) -> bool:
        self._restarted = True
        self.restarts += 1
        try:
            self._backend.close()
        except Exception as error:  # a broken backend may not even close; it is dropped anyway
            self.last_error = f'{self.last_error}; closing it failed too: {error}'
        try:
            self._backend = self._create()
            if self._image_size is not None:
                self._backend.warm_up(self._image_size)
        except Exception as error:
            text = str(error) if isinstance(error, MsdesisError) else repr(error)
            self.last_error = f'the restart failed: {text}'
            return False
        return True
