"""`msdesis export`: from weights to the ONNX file that deploys, with the proof that it answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from msdesis_ros.core.errors import UsageError
from msdesis_ros.export.onnx_export import PRECISIONS, ExportReport, Origin, export_sizes
from msdesis_ros.export.parity import ParityRow
from msdesis_ros.nets.checkpoints import load_checkpoint, parse_checkpoint
from msdesis_ros.nets.msdesis.config import HEADS_OF_MODE, SCARED_MEAN, SCARED_STD
from msdesis_ros.runtime.cards import load_card

if TYPE_CHECKING:
    from msdesis_ros.nets.msdesis.model import Msdesis

MODES = ', '.join(HEADS_OF_MODE)


def export(
    out: Path = typer.Option(..., '--out', help='ONNX file to write; a .json goes beside it.'),
    model: str | None = typer.Option(None, '--model', help='Model card with weights.'),
    checkpoint: Path | None = typer.Option(
        None, '--checkpoint', help='Weights: a .pt state_dict or a .safetensors file.'
    ),
    encoder: str | None = typer.Option(
        None, '--encoder', help='light or resnet34; default: what the checkpoint holds.'
    ),
    max_disparity: int | None = typer.Option(
        None, '--max-disparity', help='px; default: what the checkpoint holds.'
    ),
    size: list[str] = typer.Option(
        ['1280x1024'], '--size', help='Width x height in px; give it again for more files.'
    ),
    precision: str = typer.Option('fp32', '--precision', help=f'{" or ".join(PRECISIONS)}.'),
    mode: str | None = typer.Option(
        None, '--mode', help=f'{MODES}; default: that of the card, or multitask.'
    ),
    models_dir: Path | None = typer.Option(None, '--models-dir', help='Folder of the cards.'),
    engine: bool = typer.Option(
        False, '--engine', help="Also compile a TensorRT engine for this machine's GPU."
    ),
) -> None:
    """Export weights to ONNX, after the graph has answered like the network.

    Example: msdesis export --checkpoint light.pt --encoder light --out light.onnx --size 640x512
    """
    sizes = [parse_size(text) for text in size]
    if engine:
        _require_gpu(precision)
    if model is not None and checkpoint is None:
        if encoder is not None or max_disparity is not None:
            raise UsageError(
                'a model card says its encoder and disparities itself; leave them out'
            )
        network, origin = _from_card(model, mode, models_dir)
    elif checkpoint is not None and model is None:
        loaded = load_checkpoint(
            checkpoint, encoder=encoder, max_disparity=max_disparity, mode=mode or 'multitask'
        )
        network = loaded.network
        origin = Origin(checkpoint.name, loaded.sha256, loaded.metadata.get('commit'))
    else:
        raise UsageError('give either --model NAME or --checkpoint FILE')
    with Console(stderr=True).status('exporting') as status:
        reports = export_sizes(
            network,
            out,
            image_sizes=sizes,
            origin=origin,
            precision=precision,
            progress=lambda step: status.update(f'exporting: {step}'),
        )
    for report in reports:
        _show(report)
        if engine:
            _compile(report)


def parse_size(text: str) -> tuple[int, int]:
    """'1280x1024' -> (1280, 1024); UsageError for anything else."""
    found = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if not found:
        raise UsageError(f'size is {text!r}; expected width x height, such as 1280x1024')
    return int(found.group(1)), int(found.group(2))


def _from_card(name: str, mode: str | None, models_dir: Path | None) -> tuple[Msdesis, Origin]:
    """The network of a card, with the heads it promises unless `mode` says otherwise."""
    card = load_card(name, models_dir)
    file = card.weights_file()
    default = next((m for m, heads in HEADS_OF_MODE.items() if heads == card.heads), 'multitask')
    loaded = parse_checkpoint(card.file_bytes(file), source=file.path, mode=mode or default)
    origin = Origin(
        card.name,
        file.sha256,
        card.training.commit if card.training else None,
        mean=card.input.mean or SCARED_MEAN,
        std=card.input.std or SCARED_STD,
    )
    return loaded.network, origin


def _show(report: ExportReport) -> None:
    width, height = report.image_size
    typer.echo(
        f'{report.path}: {report.precision}, {width}x{height}, {report.size_bytes / 1e6:.1f} MB, '
        f'{sum(report.nodes.values())} nodes, SHA-256 {report.sha256}'
    )
    Console().print(_table(report.parity))


def _table(rows: Sequence[ParityRow]) -> Table:
    table = Table(title='ONNX Runtime against PyTorch (float32)', title_justify='left')
    for title in ('pictures', 'output', 'unit', 'largest', 'allowed', 'mean', 'allowed'):
        table.add_column(title)
    for row in rows:
        cells = (
            row.pictures,
            row.output,
            row.unit,
            f'{row.greatest:.2g}',
            f'{row.tolerance.greatest:g}',
            f'{row.mean:.2g}',
            f'{row.tolerance.mean:g}',
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _require_gpu(precision: str) -> None:
    """Raise MissingExtraError now where no engine could be compiled after minutes of work."""
    from msdesis_ros.runtime.tensorrt_backend import machine_fingerprint
    from msdesis_ros.runtime.tensorrt_builder import import_tensorrt

    machine_fingerprint(import_tensorrt(), b'', precision)


def _compile(report: ExportReport) -> None:
    from msdesis_ros.runtime.tensorrt_backend import build_engine

    with Console(stderr=True).status('compiling the engine; this can take minutes'):
        plan = build_engine(
            report.path.read_bytes(), name=report.metadata['model'], precision=report.precision
        )
    typer.echo(f'engine: {plan}')
