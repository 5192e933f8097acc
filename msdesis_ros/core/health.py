"""Accounting of a stream: rates, latencies, drops by cause. No ROS inside, safe for threads."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

# Percentiles and rates speak of the most recent results only.
WINDOW = 512
RATE_WINDOW_S = 5.0


@dataclass(frozen=True)
class Percentiles:
    """p50, p95, p99 of a window; NaN while it is empty."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values: list[float]) -> Percentiles:
        if not values:
            return cls(float('nan'), float('nan'), float('nan'))
        return cls(*(float(v) for v in np.percentile(values, [50, 95, 99])))


@dataclass(frozen=True)
class HealthReport:
    """A snapshot of one stream's accounting. `stages_ms` holds the median of each stage."""

    processed: int
    dropped: dict[str, int]
    published: dict[str, int]
    verdicts: dict[str, int]
    fps: float
    latency_ms: Percentiles
    skew_ms: Percentiles
    stages_ms: dict[str, float] = field(default_factory=dict)


class StreamHealth:
    """Counts what happened to the pairs of one stream since it was made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processed = 0
        self._dropped: Counter[str] = Counter()
        self._published: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._done_s: deque[float] = deque(maxlen=WINDOW)
        self._latency_ms: deque[float] = deque(maxlen=WINDOW)
        self._skew_ms: deque[float] = deque(maxlen=WINDOW)
        self._stages_ms: dict[str, deque[float]] = {}

    def drop(self, cause: str, count: int = 1) -> None:
        """Count pairs or pictures that led to no result."""
        with self._lock:
            self._dropped[cause] += count

    def done(
        self,
        *,
        now_s: float,
        latency_ms: float,
        skew_ms: float,
        verdict: str,
        topics: list[str],
        stages_ms: dict[str, float],
    ) -> None:
        """Count one result that went out on `topics`.

        `now_s` is monotonic. `latency_ms` is NaN where nobody knows it, `skew_ms` where the
        result is of one eye.
        """
        with self._lock:
            self._processed += 1
            self._published.update(topics)
            self._verdicts[verdict] += 1
            self._done_s.append(now_s)
            if not math.isnan(latency_ms):
                self._latency_ms.append(latency_ms)
            if not math.isnan(skew_ms):
                self._skew_ms.append(skew_ms)
            for name, value in stages_ms.items():
                self._stages_ms.setdefault(name, deque(maxlen=WINDOW)).append(value)

    def report(self, *, now_s: float) -> HealthReport:
        """A snapshot; the rate is that of the last seconds before `now_s`."""
        with self._lock:
            recent = [t for t in self._done_s if now_s - t <= RATE_WINDOW_S]
            fps = 0.0
            if len(recent) >= 2:
                # Up to now, not up to the last result: a stream that stopped shows a falling rate.
                fps = (len(recent) - 1) / max(now_s - recent[0], 1e-9)
            return HealthReport(
                processed=self._processed,
                dropped=dict(self._dropped),
                published=dict(self._published),
                verdicts=dict(self._verdicts),
                fps=fps,
                latency_ms=Percentiles.of(list(self._latency_ms)),
                skew_ms=Percentiles.of(list(self._skew_ms)),
                stages_ms={
                    name: float(np.median(values)) for name, values in self._stages_ms.items()
                },
            )
