"""Feed one target with malformed inputs and print what became of them.

    python run.py TARGET COUNT [--seed 0] [--hang-s 20]

A process of its own, because a defect may be a crash or an endless loop of native code: the caller
sees the signal, and Python's stack at that moment is on stderr. Any other defect ends as the
traceback of Hypothesis with the smallest input that shows it. Prints JSON: examples, valid,
refused (how often each error), resident_mb (after the first tenth, and at the end), slowest_s and
the input that took so long.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import gc
import json
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
from hypothesis import HealthCheck, Phase, given, seed, settings
from targets import TARGETS, Target

from msdesis_ros.core.errors import MsdesisError

# Numbers enough for maps of a megapixel; an input that asks for gigabytes must be refused.
MEMORY_BYTES = 2 << 30
# Hypothesis remembers every example of a run, so that long runs are made of short ones.
EXAMPLES_PER_RUN = 1000
LONGEST_SENTENCE = 600


class Tally:
    """What became of the examples."""

    def __init__(self, *, hang_s: float) -> None:
        self.hang_s = hang_s
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.slowest_s = 0.0
        self.slowest = ''

    def take(self, target: Target, value: Any, folder: Path) -> None:
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, self.hang_s)
        try:
            target.take(value, folder)
        except MsdesisError as error:
            require_sentence(str(error))
            self.outcomes[type(error).__name__] += 1
        else:
            self.outcomes['valid'] += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        took_s = time.perf_counter() - began
        if took_s > self.slowest_s:
            self.slowest_s, self.slowest = took_s, repr(value)[:2000]


def require_sentence(text: str) -> None:
    """A refusal is one line that a person can read."""
    assert text.strip(), 'the refusal says nothing'
    assert '\n' not in text, f'the refusal has several lines: {text[:200]!r}'
    assert len(text) <= LONGEST_SENTENCE, f'the refusal has {len(text)} characters: {text[:200]!r}'


def resident_mb() -> float:
    gc.collect()
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def fuzz(
    target: Target, folder: Path, *, count: int, first_seed: int, hang_s: float
) -> dict[str, Any]:
    inputs, tally, sizes_mb = target.inputs(folder), Tally(hang_s=hang_s), []
    # At least ten runs, so that there is a size before and after.
    size = min(EXAMPLES_PER_RUN, -(-count // 10))
    for number in range(-(-count // size)):

        @seed(first_seed + number)
        @settings(
            max_examples=size,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(inputs)
        def run(value: Any) -> None:
            tally.take(target, value, folder)

        run()
        sizes_mb.append(resident_mb())
    outcomes = dict(tally.outcomes)
    return {
        'examples': sum(outcomes.values()),
        'valid': outcomes.pop('valid', 0),
        'refused': outcomes,
        'resident_mb': [sizes_mb[len(sizes_mb) // 10], sizes_mb[-1]],
        'slowest_s': tally.slowest_s,
        'slowest': tally.slowest,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('target', choices=sorted(TARGETS))
    parser.add_argument('count', type=int)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--hang-s', type=float, default=20, help='a busy machine needs less')
    asked = parser.parse_args()
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)
    cv2.setNumThreads(1)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(
            TARGETS[asked.target],
            Path(folder),
            count=asked.count,
            first_seed=asked.seed,
            hang_s=asked.hang_s,
        )
    json.dump(found, sys.stdout)


if __name__ == '__main__':
    main()
