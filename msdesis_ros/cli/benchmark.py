"""`msdesis benchmark`: figures side by side, taken in turns on one machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.progress import Progress

from msdesis_ros.cli import model_options
from msdesis_ros.cli.benchmark_models import BenchmarkModel, machine_description
from msdesis_ros.cli.benchmark_node import node
from msdesis_ros.cli.benchmark_pipeline import pipeline
from msdesis_ros.cli.benchmark_report import (
    backend_names,
    open_backends,
    show_table,
    write_report,
)
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.errors import UsageError
from msdesis_ros.runtime.comparison import PLANES, BackendTiming, compare_backends
from msdesis_ros.runtime.self_check import check_pictures

DEFAULT_BACKENDS = 'torch_plain,torch,onnxruntime,openvino,openvino_bf16'

benchmark_app = typer.Typer(no_args_is_help=True, help='Compare figures on this machine.')


@benchmark_app.callback()
def benchmark() -> None:
    """Compare figures on this machine."""


benchmark_app.command('pipeline')(pipeline)
benchmark_app.command('node')(node)


@benchmark_app.command('model')
def model(
    name: str | None = typer.Option(None, '--model', help='Model card (msdesis models list).'),
    checkpoint: Path | None = typer.Option(None, '--checkpoint', help='Weights, any format.'),
    random: int | None = typer.Option(None, '--random', help='Seed of random, fixed weights.'),
    encoder: str | None = typer.Option(
        None, '--encoder', help='Of msdesis weights: light or resnet34.'
    ),
    network_size: str | None = typer.Option(
        None, '--network-size', help='Of msdesis_fast weights: small, base or large.'
    ),
    mode: str = typer.Option('multitask', '--mode', help='multitask, disparity, segmentation.'),
    models_dir: model_options.ModelsDirOption = None,
    backends: str | None = typer.Option(
        None, '--backends', help=f'Default: what is installed of {DEFAULT_BACKENDS}.'
    ),
    sizes: list[str] = typer.Option(['1280x1024'], '--size', help='May be given several times.'),
    runs: int = typer.Option(10, '--runs', min=1, help='Timed runs of each backend.'),
    warm_up: int = typer.Option(2, '--warm-up', min=1, help='Runs before, not timed.'),
    threads: int | None = typer.Option(None, '--threads', help='CPU threads of every backend.'),
    json_file: Path | None = typer.Option(None, '--json', help='Where to write the figures.'),
) -> None:
    """Run the same weights in several backends, in turns, and compare times and answers.

    The first backend is what the others are compared with; `torch_plain` is PyTorch without
    anything that makes it faster.

    Example: msdesis benchmark model --random 0 --encoder light --size 640x512 --json out/b.json
    """
    if sum(given is not None for given in (name, checkpoint, random)) != 1:
        raise UsageError('give one of --model, --checkpoint and --random')
    chosen = BenchmarkModel(
        card=name,
        checkpoint=checkpoint,
        seed=random,
        encoder=encoder,
        network_size=network_size,
        mode=mode,
        models_dir=models_dir,
        threads=threads,
    )
    wanted = backend_names(backends or DEFAULT_BACKENDS)
    report: dict[str, Any] = {
        'model': chosen.description,
        'machine': machine_description(),
        'threads': threads,
        'runs': runs,
        'sizes': {},
    }
    for text in sizes:
        size = parse_size(text)
        loaded, skipped = open_backends(wanted, lambda each, s=size: chosen.open(each, s))
        with Progress(disable=not sys.stdout.isatty(), transient=True) as progress:
            bar = progress.add_task(text, total=runs)
            timings = compare_backends(
                loaded,
                *check_pictures(seed=1, image_size=size),
                runs=runs,
                warm_up_runs=warm_up,
                progress=lambda done, p=progress, b=bar: p.update(b, completed=done),
            )
        for backend in loaded.values():
            backend.close()
        report['sizes'][text] = {'backends': _figures(timings), 'skipped': skipped}
        _show(text, report['sizes'][text])
    write_report(report, json_file)


def _figures(timings: Mapping[str, BackendTiming]) -> dict[str, Any]:
    """The figures of each backend; `times_faster` compares medians with the first one."""
    first = next(iter(timings.values()))
    figures = {}
    for name, timing in timings.items():
        processor = sorted(timing.processor_ms)[len(timing.processor_ms) // 2]
        figures[name] = {
            'median_ms': round(timing.percentile_ms(50), 2),
            'p95_ms': round(timing.percentile_ms(95), 2),
            'p99_ms': round(timing.percentile_ms(99), 2),
            'least_ms': round(min(timing.wall_ms), 2),
            'median_processor_ms': round(processor, 2),
            'times_faster': round(first.percentile_ms(50) / timing.percentile_ms(50), 3),
            'times_faster_at_best': round(min(first.wall_ms) / min(timing.wall_ms), 3),
            'differences': {
                plane: {'greatest': apart.greatest, 'mean': apart.mean}
                for plane, apart in timing.differences.items()
            },
            'wall_ms': [round(ms, 2) for ms in timing.wall_ms],
        }
    return figures


def _show(size: str, result: Mapping[str, Any]) -> None:
    titles = (size, 'median ms', 'p95', 'p99', 'least', 'processor ms', 'x', 'x at best')
    titles += tuple(f'greatest difference, {unit}' for unit in list(PLANES.values())[:2])
    rows = [
        (
            name,
            *(f'{figures[key]:.0f}' for key in ('median_ms', 'p95_ms', 'p99_ms', 'least_ms')),
            f'{figures["median_processor_ms"]:.0f}',
            f'{figures["times_faster"]:.2f}',
            f'{figures["times_faster_at_best"]:.2f}',
            *(
                f'{figures["differences"][plane]["greatest"]:.2g}'
                if plane in figures['differences']
                else '-'
                for plane in list(PLANES)[:2]
            ),
        )
        for name, figures in result['backends'].items()
    ]
    show_table(titles, rows, result['skipped'])
