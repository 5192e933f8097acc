"""A thread that prepares what the player sends next, round after round."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import replace

from msdesis_ros.ros.played import INFO_TOPIC, Fed
from msdesis_ros.ros.played_sources import SECOND_NS, PlayedSource

# Decoded pictures wait here, so that reading and decoding are never late: some 30 MB.
AHEAD = 8


class Feeder:
    """Hands out the messages of a source, again and again with `loop`.

    frames: the end comes before the picture that would be one more of its side, 0 = no limit.
    """

    def __init__(self, source: PlayedSource, *, loop: bool, frames: int) -> None:
        self._source = source
        self._loop, self._frames = loop, frames
        self._queue: queue.Queue[Fed | Exception | None] = queue.Queue(maxsize=AHEAD)
        self._stopped = threading.Event()
        self.ended = False
        self._thread = threading.Thread(target=self._run, name='feeder', daemon=True)
        self._thread.start()

    @property
    def filled(self) -> bool:
        """Whether the first message is prepared, or there is none."""
        return not self._queue.empty()

    def take(self) -> Fed | None:
        """The next message; None where none is prepared yet, or all were taken (`ended`).

        Raises what went wrong with the source, in its place in the order.
        """
        if self.ended:
            return None
        try:
            fed = self._queue.get_nowait()
        except queue.Empty:
            return None
        if isinstance(fed, Exception):
            raise fed
        self.ended = fed is None
        return fed

    def close(self) -> None:
        """End the thread; it may take as long as one picture."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._feed()
        except Exception as error:
            self._put(error)
        else:
            self._put(None)

    def _feed(self) -> None:
        sent: Counter[str] = Counter()
        shift_ns = number = 0
        while not self._stopped.is_set():
            first_ns = last_ns = None
            before = sent['left']
            for played in self._source.play():
                if played.topic != INFO_TOPIC:
                    if self._frames and sent[played.side] >= self._frames:
                        return
                    sent[played.side] += 1
                first_ns = played.time_ns if first_ns is None else first_ns
                last_ns = played.time_ns
                self._put(Fed(replace(played, time_ns=played.time_ns + shift_ns), number))
                if self._stopped.is_set():
                    return
            if not self._loop or first_ns is None or last_ns is None:
                return
            shift_ns += (
                last_ns - first_ns + self._gap_ns(sent['left'] - before, last_ns - first_ns)
            )
            number += 1

    def _gap_ns(self, pictures: int, length_ns: int) -> int:
        """What lies between the end of a round and the start of the next: a usual period."""
        if self._source.period_ns:
            return self._source.period_ns
        return length_ns // (pictures - 1) if pictures > 1 else SECOND_NS // 10

    def _put(self, fed: Fed | Exception | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(fed, timeout=0.1)
            except queue.Full:
                continue
            return
