"""`msdesis benchmark node`: the whole node on this machine, its peak rate and its latencies."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from msdesis_ros.cli import model_options
from msdesis_ros.cli.benchmark_models import machine_description
from msdesis_ros.cli.benchmark_node_rates import (
    DROP_LIMIT,
    NodeRun,
    Peak,
    confirm_peaks,
    find_peak,
    in_turns,
    most_searches,
)
from msdesis_ros.cli.benchmark_report import (
    USUAL_BACKENDS,
    backends_of,
    open_backends,
    show_table,
    write_report,
)
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.sized_sample import SAMPLE_SIZE, sized_sample
from msdesis_ros.runtime.cards import DEFAULT_MODEL, load_card
from msdesis_ros.runtime.factory import require_usable

if TYPE_CHECKING:
    from msdesis_ros.cli.benchmark_node_graph import NodeBench
    from msdesis_ros.runtime.model_card import ModelCard

DEFAULT_RATES_HZ = [10.0, 30.0, 60.0]
# What the player takes; no machine sends as much.
MOST_HZ = 1000.0
TITLES = ('rate Hz', 'sent', 'arrived', 'dropped', 'p50 ms', 'p95', 'p99')
TITLES += ('arrival p50 ms', 'p95', 'p99', 'what was dropped')


@dataclass(frozen=True)
class NodePlan:
    """What is measured of each backend at each size. UsageError for what cannot be."""

    rates_hz: tuple[float, ...]
    runs: int
    seconds: float
    peak_from_hz: float
    peak_to_hz: float

    def __post_init__(self) -> None:
        if len(set(self.rates_hz)) != len(self.rates_hz):
            raise UsageError('--rate names one rate twice; give each once')
        if self.peak_from_hz > self.peak_to_hz:
            raise UsageError(
                f'--peak-from {self.peak_from_hz:g} lies above --peak-to {self.peak_to_hz:g}; the '
                'peak is looked for between them'
            )

    def pairs(self, rate_hz: float) -> int:
        """How many make a run; two at least, or there is no rate."""
        return max(2, round(rate_hz * self.seconds))

    @property
    def most_searches(self) -> int:
        """Runs that look for the peak of one backend, at most."""
        return most_searches(self.peak_from_hz, self.peak_to_hz)


def node(
    model: str = typer.Option(DEFAULT_MODEL, '--model', help='Model card (msdesis models list).'),
    models_dir: model_options.ModelsDirOption = None,
    backends: str | None = typer.Option(
        None, '--backends', help=f'Default: what the card has of {", ".join(USUAL_BACKENDS)}.'
    ),
    sizes: list[str] = typer.Option(
        ['640x512'], '--size', help="May be given several times; the sample's is 640x512."
    ),
    rates: list[float] = typer.Option(
        DEFAULT_RATES_HZ,
        '--rate',
        min=0.1,
        max=MOST_HZ,
        help='Pairs a second at which latencies are taken; may be given several times.',
    ),
    runs: int = typer.Option(5, '--runs', min=1, help='Runs at the peak, and at each rate.'),
    seconds: float = typer.Option(5.0, '--seconds', min=0.1, max=3600, help='Of each run.'),
    peak_from: float = typer.Option(
        1.0, '--peak-from', min=0.1, max=MOST_HZ, help='Lowest rate of the search for the peak.'
    ),
    peak_to: float = typer.Option(
        120.0, '--peak-to', min=0.1, max=MOST_HZ, help='Highest rate of that search.'
    ),
    json_file: Path | None = typer.Option(None, '--json', help='Where to write the figures.'),
) -> None:
    """Send stereo pairs to the node, and see how many it keeps up with and how old results are.

    The peak is the greatest rate at which fewer than 5 % of the pairs are dropped. Latency is from
    the left stamp to the publication, arrival to this subscriber of all topics. Node, player and
    subscriber are processes of their own in a private ROS domain; backends take turns.

    Example: msdesis benchmark node --backends onnxruntime,openvino --rate 5 --json out/n.json
    """
    plan = NodePlan(tuple(rates), runs, seconds, peak_from, peak_to)
    parsed = {text: parse_size(text) for text in sizes}
    card = load_card(model, models_dir)
    wanted = backends_of(card, backends)
    usable, skipped = open_backends(wanted, functools.partial(require_usable, card))
    report: dict[str, Any] = {
        'model': {'card': model, 'files': {file.path: file.sha256 for file in card.files}},
        'machine': machine_description(),
        'runs': runs,
        'seconds': seconds,
        'drop_limit': DROP_LIMIT,
        'peak_from_hz': peak_from,
        'peak_to_hz': peak_to,
        'sizes': {},
    }
    for text, size in parsed.items():
        found = _measure(card, models_dir, list(usable), size, plan, text)
        report['sizes'][text] = {'input': _input(size), 'backends': found, 'skipped': skipped}
        _show(text, report['sizes'][text])
    write_report(report, json_file)


def _measure(
    card: ModelCard,
    models_dir: Path | None,
    backends: list[str],
    size: tuple[int, int],
    plan: NodePlan,
    title: str,
) -> dict[str, Any]:
    """The figures of each backend at one size."""
    from msdesis_ros.cli.benchmark_node_graph import NodeBench

    with (
        sized_sample(size) as sample,
        _logs() as logs,
        NodeBench(card, models_dir=models_dir, logs=logs) as bench,
    ):
        return measure_backends(bench, backends, sample, plan, title=title)


def measure_backends(
    bench: NodeBench, backends: list[str], sample: Path, plan: NodePlan, *, title: str
) -> dict[str, Any]:
    """Peak and latencies of each backend, as the report has them; a bar tells how far it is."""
    each = 1 + plan.most_searches + plan.runs * (1 + len(plan.rates_hz))
    with progress_bar() as progress:
        bar = progress.add_task(title, total=len(backends) * each)

        def measure(backend: str, rate_hz: float) -> NodeRun:
            progress.update(bar, description=f'{title} {backend} {rate_hz:.1f} Hz')
            run = bench.measure(backend, rate_hz, pairs=plan.pairs(rate_hz), sample=sample)
            progress.advance(bar)
            return run

        for backend in backends:
            progress.update(bar, description=f'{title} {backend} starts')
            bench.start(backend, sample)
            progress.advance(bar)
        found: dict[str, Peak] = {}
        for number, backend in enumerate(backends, start=1):
            found[backend] = find_peak(
                lambda rate_hz, backend=backend: measure(backend, rate_hz),
                lowest_hz=plan.peak_from_hz,
                highest_hz=plan.peak_to_hz,
            )
            # It may have taken fewer runs than there could be.
            progress.update(bar, completed=len(backends) + number * plan.most_searches)
        peaks = confirm_peaks(found, measure, runs=plan.runs, lowest_hz=plan.peak_from_hz)
        at_rates = {
            rate_hz: in_turns(dict.fromkeys(backends, rate_hz), measure, runs=plan.runs)
            for rate_hz in plan.rates_hz
        }
    return {
        backend: {
            'peak_hz': peak.rate_hz and round(peak.rate_hz, 2),
            'peak_limited_by': peak.limited_by,
            'peak': NodeRun.together(peak.runs).figures(),
            'peak_runs': [run.figures() for run in peak.runs],
            'rates': {
                f'{rate_hz:g}': {
                    **NodeRun.together(taken[backend]).figures(),
                    'runs': [run.figures() for run in taken[backend]],
                }
                for rate_hz, taken in at_rates.items()
            },
        }
        for backend, peak in peaks.items()
    }


@contextlib.contextmanager
def _logs() -> Iterator[Path]:
    """A folder for the output of the processes; it stays where one of them fails."""
    folder = Path(tempfile.mkdtemp(prefix='msdesis-benchmark-node-'))
    try:
        yield folder
    except MsdesisError:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _input(size: tuple[int, int]) -> dict[str, Any]:
    """What the pictures are; a resized one has no more detail than the sample."""
    resized = None
    if size != SAMPLE_SIZE:
        resized = 'enlarged' if size[0] * size[1] > SAMPLE_SIZE[0] * SAMPLE_SIZE[1] else 'reduced'
    return {'pictures': 'sample', 'sample_size': list(SAMPLE_SIZE), 'resized': resized}


def _show(size: str, result: Mapping[str, Any]) -> None:
    """Lines of each backend: at its peak, and at each rate."""
    rows = []
    for backend, found in result['backends'].items():
        # A node that was not at its limit keeps up with that rate at least.
        least = '' if found['peak_limited_by'] == 'node' else '>= '
        peak = 'none' if found['peak_hz'] is None else f'{least}{found["peak_hz"]:g}'
        remark = 'the player sends no more' if found['peak_limited_by'] == 'player' else ''
        rows.append((backend, f'peak {peak}', *_cells(found['peak'], remark)))
        for rate_hz, figures in found['rates'].items():
            rows.append((backend, rate_hz, *_cells(figures, '')))
    show_table((size, *TITLES), rows, result['skipped'])
    if result['input']['resized']:
        width, height = result['input']['sample_size']
        typer.echo(
            f'the pictures of {size} are {result["input"]["resized"]} from {width}x{height}'
        )


def _cells(figures: Mapping[str, Any], remark: str) -> tuple[str, ...]:
    counts = (str(figures['sent']), str(figures['arrived']), f'{figures["dropped_share"]:.1%}')
    causes = ', '.join(f'{cause} {count}' for cause, count in figures['dropped'].items())
    if not figures['sent_as_asked']:
        causes = f'no result: the player sent {figures["sent_hz"]:.1f} Hz only; {causes or "-"}'
    times = [
        f'{figures[kind][key]:.0f}' if figures[kind] else '-'
        for kind in ('latency_ms', 'arrival_ms')
        for key in ('p50', 'p95', 'p99')
    ]
    return (*counts, *times, '; '.join(text for text in (causes, remark) if text) or '-')
