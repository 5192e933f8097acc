"""How many pairs a second a node keeps up with: the search, the turns, the figures. No ROS here.

The method is that of NVIDIA's `ros2_benchmark`: the peak is the greatest rate at which fewer than
5 % of the pairs are dropped; latencies are taken at fixed rates, so that backends compare.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msdesis_ros.core.health import Percentiles

DROP_LIMIT = 0.05
# A player that was slower than this part of the rate asked for has not sent at that rate.
SENT_SHARE = 0.95
# The search ends when what holds and what does not are no further apart than this.
PEAK_STEP = 1.1


@dataclass(frozen=True)
class NodeRun:
    """What became of the pairs of one run, or of several at one rate.

    rate_hz: pairs a second that were asked for; sent_hz: that the player sent. sent, arrived:
    pairs, and those whose results came to the subscriber, on every topic. dropped: the others, by
    cause. single_pictures: pictures of one side that led to no pair, by cause. latency_ms: left
    stamp to publication, of each pair that arrived; arrival_ms: to the subscriber, on all topics.
    """

    rate_hz: float
    sent_hz: float
    sent: int
    arrived: int
    dropped: Mapping[str, int]
    single_pictures: Mapping[str, int]
    latency_ms: tuple[float, ...]
    arrival_ms: tuple[float, ...]

    @classmethod
    def together(cls, runs: Sequence[NodeRun]) -> NodeRun:
        """Runs at one rate as if they had been one."""
        return cls(
            rate_hz=runs[0].rate_hz,
            sent_hz=sum(run.sent_hz for run in runs) / len(runs),
            sent=sum(run.sent for run in runs),
            arrived=sum(run.arrived for run in runs),
            dropped=sum((Counter(run.dropped) for run in runs), Counter()),
            single_pictures=sum((Counter(run.single_pictures) for run in runs), Counter()),
            latency_ms=tuple(ms for run in runs for ms in run.latency_ms),
            arrival_ms=tuple(ms for run in runs for ms in run.arrival_ms),
        )

    @property
    def drop_share(self) -> float:
        """The part of the pairs that did not arrive, 0 to 1."""
        return 1 - self.arrived / self.sent

    @property
    def sent_as_asked(self) -> bool:
        """Whether the player kept the rate; otherwise the run says nothing about the node."""
        return self.sent_hz >= SENT_SHARE * self.rate_hz

    @property
    def kept(self) -> bool:
        """Whether the node kept up with the rate."""
        return self.sent_as_asked and self.drop_share < DROP_LIMIT

    def figures(self) -> dict[str, Any]:
        """For the report; latencies only where the rate was sent and something arrived."""
        known = self.sent_as_asked and self.arrived > 0
        return {
            'sent_hz': round(self.sent_hz, 3),
            'sent_as_asked': self.sent_as_asked,
            'sent': self.sent,
            'arrived': self.arrived,
            'dropped': dict(self.dropped),
            'dropped_share': round(self.drop_share, 4),
            'single_pictures': dict(self.single_pictures),
            'latency_ms': _percentiles(self.latency_ms) if known else None,
            'arrival_ms': _percentiles(self.arrival_ms) if known else None,
        }


@dataclass(frozen=True)
class Peak:
    """The greatest rate that was kept; None where even the lowest was not.

    limited_by: `node`, `player` (it could send no more), or `range` (the highest rate was kept).
    runs: those that confirm it, or those at the lowest rate; none of a rate just found.
    """

    rate_hz: float | None
    limited_by: str
    runs: tuple[NodeRun, ...] = ()


def find_peak(measure: Callable[[float], NodeRun], *, lowest_hz: float, highest_hz: float) -> Peak:
    """Halve the ratio of the rate that was kept and the one that was not.

    The highest is tried first, and the lowest not at all: `confirm_peaks` has the last word.
    """
    failed = measure(highest_hz)
    if failed.kept:
        return Peak(highest_hz, 'range')
    kept_hz, failed_hz = lowest_hz, highest_hz
    while failed_hz / kept_hz > PEAK_STEP:
        middle_hz = math.sqrt(kept_hz * failed_hz)
        run = measure(middle_hz)
        if run.kept:
            kept_hz = middle_hz
        else:
            failed_hz, failed = middle_hz, run
    return Peak(kept_hz, _limit(failed))


def most_searches(lowest_hz: float, highest_hz: float) -> int:
    """How often `find_peak` measures at most."""
    ratios = math.log(highest_hz / lowest_hz) / math.log(PEAK_STEP)
    return 1 + math.ceil(math.log2(ratios)) if ratios > 1 else 1


def confirm_peaks(
    found: Mapping[str, Peak],
    measure: Callable[[str, float], NodeRun],
    *,
    runs: int,
    lowest_hz: float,
) -> dict[str, Peak]:
    """The peaks that hold over `runs` runs together; one that does not is tried lower.

    found: by backend; they take turns.
    """
    confirmed: dict[str, Peak] = {}
    waiting = {name: peak.rate_hz for name, peak in found.items() if peak.rate_hz is not None}
    limits = {name: peak.limited_by for name, peak in found.items()}
    while waiting:
        for name, taken in in_turns(waiting, measure, runs=runs).items():
            whole = NodeRun.together(taken)
            if whole.kept:
                confirmed[name] = Peak(whole.rate_hz, limits[name], tuple(taken))
                del waiting[name]
                continue
            limits[name] = _limit(whole)
            if whole.rate_hz <= lowest_hz:
                confirmed[name] = Peak(None, limits[name], tuple(taken))
                del waiting[name]
            else:
                waiting[name] = max(lowest_hz, whole.rate_hz / PEAK_STEP)
    return {name: confirmed[name] for name in found}


def in_turns(
    rates_hz: Mapping[str, float], measure: Callable[[str, float], NodeRun], *, runs: int
) -> dict[str, list[NodeRun]]:
    """Round by round, backend after backend, so that what else the machine does falls on all."""
    taken: dict[str, list[NodeRun]] = {name: [] for name in rates_hz}
    for _ in range(runs):
        for name, rate_hz in rates_hz.items():
            taken[name].append(measure(name, rate_hz))
    return taken


def _limit(run: NodeRun) -> str:
    """Why a rate was not kept: a player that is late says nothing about a node that drops none."""
    return 'node' if run.drop_share >= DROP_LIMIT else 'player'


def _percentiles(values_ms: tuple[float, ...]) -> dict[str, float]:
    found = Percentiles.of(list(values_ms))
    return {name: round(getattr(found, name), 2) for name in ('p50', 'p95', 'p99')}
