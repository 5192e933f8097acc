"""Feed one target with malformed inputs and print what became of them.

    python run.py TARGET COUNT [SEED]

A process of its own, because a defect may be a crash or an endless loop of native code: the caller
sees the signal, and the input that did it is in FOLDER or in the traceback. Prints JSON: examples,
valid, refused (how often each error), grown_mb (resident memory after the first tenth and at the
end), slowest_s.
"""

from __future__ import annotations

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

from hypothesis import HealthCheck, Phase, given, seed, settings
from targets import TARGETS, Target

from msdesis_ros.core.errors import MsdesisError

# Nothing that is malformed may take longer; a busy machine alone does not take as long.
HANG_S = 20
# Numbers enough for maps of a megapixel; an input that asks for gigabytes must be refused.
MEMORY_BYTES = 2 << 30
# Hypothesis remembers every example of a run, so that long runs are made of short ones.
EXAMPLES_PER_RUN = 1000
LONGEST_SENTENCE = 600


class Tally:
    """What became of the examples."""

    def __init__(self) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.slowest_s = 0.0
        self.slowest = ''

    def take(self, target: Target, value: Any, folder: Path) -> None:
        began = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, HANG_S)
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


def fuzz(target: Target, folder: Path, *, count: int, first_seed: int) -> dict[str, Any]:
    inputs, tally, sizes_mb = target.inputs(folder), Tally(), []
    for number, begin in enumerate(range(0, count, EXAMPLES_PER_RUN)):

        @seed(first_seed + number)
        @settings(
            max_examples=min(EXAMPLES_PER_RUN, count - begin),
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
        'grown_mb': [sizes_mb[len(sizes_mb) // 10], sizes_mb[-1]],
        'slowest_s': tally.slowest_s,
        'slowest': tally.slowest,
    }


def main(name: str, count: str, first_seed: str = '0') -> None:
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, chain=True)
    import cv2

    cv2.setNumThreads(1)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES,) * 2)
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(TARGETS[name], Path(folder), count=int(count), first_seed=int(first_seed))
    json.dump(found, sys.stdout)


if __name__ == '__main__':
    main(*sys.argv[1:])
