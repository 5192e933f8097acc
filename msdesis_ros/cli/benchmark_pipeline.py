"""`msdesis benchmark pipeline`: from the raw pair to the cloud, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from msdesis_ros.cli import model_options
from msdesis_ros.cli.benchmark_models import machine_description
from msdesis_ros.cli.benchmark_report import (
    USUAL_BACKENDS,
    backends_of,
    open_backends,
    show_table,
    write_report,
)
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.cli.rig_options import rig_from_options
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.data.sized_sample import SAMPLE_SIZE, sized_sample
from msdesis_ros.runtime.cards import DEFAULT_MODEL, load_card
from msdesis_ros.runtime.factory import create_backend
from msdesis_ros.runtime.pipeline import PerceptionPipeline
from msdesis_ros.runtime.pipeline_timing import PipelineTiming, compare_pipelines


def pipeline(
    name: str = typer.Option(DEFAULT_MODEL, '--model', help='Model card (msdesis models list).'),
    models_dir: model_options.ModelsDirOption = None,
    backends: str | None = typer.Option(
        None, '--backends', help=f'Default: what the card has of {", ".join(USUAL_BACKENDS)}.'
    ),
    sizes: list[str] = typer.Option(
        ['640x512'], '--size', help="May be given several times; the sample's is 640x512."
    ),
    runs: int = typer.Option(20, '--runs', min=1, help='Timed pairs of each backend.'),
    warm_up: int = typer.Option(2, '--warm-up', min=1, help='Pairs before, not timed.'),
    threads: model_options.ThreadsOption = None,
    json_file: Path | None = typer.Option(None, '--json', help='Where to write the figures.'),
) -> None:
    """Run what the node does with a pair (rectify, judge, infer, metres, cloud), without ROS.

    Backends take turns on the pictures of the project's own sample, resized for other sizes; the
    first one is what the others are compared with. Times are milliseconds.

    Example: msdesis benchmark pipeline --backends onnxruntime,openvino --size 1280x1024
    """
    card = load_card(name, models_dir)
    wanted = backends_of(card, backends)
    report: dict[str, Any] = {
        'model': name,
        'machine': machine_description(),
        'threads': threads,
        'runs': runs,
        'sizes': {},
    }

    def opened(backend: str) -> Any:
        return create_backend(name, backend=backend, threads=threads, models_dir=models_dir)

    for text in sizes:
        size = parse_size(text)
        pairs, rig = _sample(size)
        loaded, skipped = open_backends(wanted, opened)
        with progress_bar() as progress:
            bar = progress.add_task(text, total=runs)
            timings = compare_pipelines(
                {each: PerceptionPipeline(backend) for each, backend in loaded.items()},
                pairs,
                rig,
                runs=runs,
                warm_up_runs=warm_up,
                progress=lambda done, p=progress, b=bar: p.update(b, completed=max(0, done)),
            )
        for backend in loaded.values():
            backend.close()
        report['sizes'][text] = {
            'pictures': 'the sample' if size == SAMPLE_SIZE else 'the sample, resized',
            'backends': _figures(timings),
            'skipped': skipped,
        }
        _show(text, report['sizes'][text])
    write_report(report, json_file)


def _sample(image_size: tuple[int, int]) -> tuple[list[RawPair], StereoRig]:
    with sized_sample(image_size) as folder:
        found = find_pairs(left=str(folder / 'left'), right=str(folder / 'right'))
        pairs = [RawPair(read_rgb(left), read_rgb(right), 0, 0) for left, right in found]
        rig = rig_from_options(image_size=image_size, calibration=str(folder / 'calibration.json'))
    assert rig is not None
    return pairs, rig


def _figures(timings: Mapping[str, PipelineTiming]) -> dict[str, Any]:
    """The figures of each backend; `times_faster` compares medians with the first one."""
    first = next(iter(timings.values()))
    return {
        name: {
            'median_ms': round(timing.percentile_ms(50), 2),
            'p95_ms': round(timing.percentile_ms(95), 2),
            'p99_ms': round(timing.percentile_ms(99), 2),
            'least_ms': round(min(timing.wall_ms), 2),
            'times_faster': round(first.percentile_ms(50) / timing.percentile_ms(50), 3),
            'stages_ms': {k: round(ms, 2) for k, ms in timing.median_of_stages_ms().items()},
            'verdicts': dict(timing.verdicts),
            'coverage': round(timing.coverage, 4),
            'wall_ms': [round(ms, 2) for ms in timing.wall_ms],
        }
        for name, timing in timings.items()
    }


def _show(size: str, result: Mapping[str, Any]) -> None:
    """Medians of the stages come after those of the whole."""
    first = next(iter(result['backends'].values()))
    stages = [stage for stage in first['stages_ms'] if stage != 'maps']
    titles = (size, 'median ms', 'p95', 'p99', 'x', *stages)
    rows = [
        (
            name,
            *(f'{figures[key]:.0f}' for key in ('median_ms', 'p95_ms', 'p99_ms')),
            f'{figures["times_faster"]:.2f}',
            *(f'{figures["stages_ms"][stage]:.1f}' for stage in stages),
        )
        for name, figures in result['backends'].items()
    ]
    show_table(titles, rows, result['skipped'])
