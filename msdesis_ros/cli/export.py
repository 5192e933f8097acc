"""`msdesis export`: from weights to the ONNX file that deploys, with the proof that it answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from msdesis_ros.cli import model_options
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.errors import UsageError
from msdesis_ros.export.card import card_of_export, write_card
from msdesis_ros.export.onnx_export import PRECISIONS, ExportReport, Origin, export_sizes
from msdesis_ros.export.parity import ParityRow
from msdesis_ros.nets.checkpoints import load_checkpoint, parse_checkpoint
from msdesis_ros.nets.msdesis.config import HEADS_OF_MODE
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.model_card import ModelCard
from msdesis_ros.runtime.torch_backend import normalisation_of

if TYPE_CHECKING:
    from msdesis_ros.nets.msdesis.model import Msdesis

MODES = ', '.join(HEADS_OF_MODE)


def export(
    out: Path = typer.Option(
        ..., '--out', help='ONNX file to write; a .json and a card (.toml) go beside it.'
    ),
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
    models_dir: model_options.ModelsDirOption = None,
    engine: bool = typer.Option(
        False, '--engine', help="Also compile a TensorRT engine for this machine's GPU."
    ),
) -> None:
    """Export weights to ONNX, after the graph has answered like the network.

    Beside it goes a model card with samples of the network's answers, which an engine must give
    before it is used. A card that is there is kept: the new one is then called NAME.toml.new.

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
        source = load_card(model, models_dir)
        for each in sizes:
            source.input.require(each, model=source.name)
        network, origin = _from_card(source, mode)
    elif checkpoint is not None and model is None:
        loaded = load_checkpoint(
            checkpoint, encoder=encoder, max_disparity=max_disparity, mode=mode or 'multitask'
        )
        source, network = None, loaded.network
        origin = Origin(checkpoint.name, loaded.sha256, loaded.metadata.get('commit'))
    else:
        raise UsageError('give either --model NAME or --checkpoint FILE')
    with Console(stderr=True).status('exporting') as status:

        def progress(step: str) -> None:
            status.update(f'exporting: {step}')

        reports = export_sizes(
            network,
            out,
            image_sizes=sizes,
            origin=origin,
            precision=precision,
            progress=progress,
        )
        card = card_of_export(
            network, reports, name=out.stem, origin=origin, source=source, progress=progress
        )
    for report in reports:
        _show(report)
        if engine:
            _compile(report)
    _tell_card(write_card(card))


def _tell_card(path: Path) -> None:
    if path.suffix == '.toml':
        typer.echo(f"card: {path}; complete what it says is 'not stated'")
    else:
        typer.echo(f'card: {path}; {path.stem} was kept: compare them, then rename the new one')


def _from_card(card: ModelCard, mode: str | None) -> tuple[Msdesis, Origin]:
    """The network of a card, with the heads it promises unless `mode` says otherwise."""
    file = card.weights_file()
    default = next((m for m, heads in HEADS_OF_MODE.items() if heads == card.heads), 'multitask')
    loaded = parse_checkpoint(card.file_bytes(file), source=file.path, mode=mode or default)
    mean, std = normalisation_of(card)
    commit = card.training.commit if card.training else None
    return loaded.network, Origin(card.name, file.sha256, commit, mean=mean, std=std)


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
