"""`msdesis export`: from weights to the ONNX file that deploys, with the proof that it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from msdesis_ros.cli import model_options
from msdesis_ros.cli.sizes import parse_size
from msdesis_ros.core.errors import ModelError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.export.card import card_of_export, write_card
from msdesis_ros.export.onnx_export import PRECISIONS, ExportReport, Origin, export_sizes
from msdesis_ros.export.parity import ParityRow
from msdesis_ros.nets.checkpoints import checkpoint_bytes, load_checkpoint
from msdesis_ros.nets.registry import MODES
from msdesis_ros.runtime.cards import load_card
from msdesis_ros.runtime.model_card import ModelCard
from msdesis_ros.runtime.model_file import ModelFile
from msdesis_ros.runtime.torch_backend import weights_of_card

if TYPE_CHECKING:
    import numpy as np

    from msdesis_ros.nets.checkpoints import LoadedCheckpoint


def export(
    out: Path = typer.Option(
        ..., '--out', help='ONNX file to write; a .json and a card (.toml) go beside it.'
    ),
    model: str | None = typer.Option(None, '--model', help='Model card with weights.'),
    checkpoint: Path | None = typer.Option(
        None, '--checkpoint', help='Weights: a .pt state_dict or a .safetensors file.'
    ),
    encoder: model_options.EncoderOption = None,
    network_size: model_options.NetworkSizeOption = None,
    max_disparity: model_options.MaxDisparityOption = None,
    size: list[str] = typer.Option(
        ['1280x1024'],
        '--size',
        help="Width x height in px, or 'any', which TensorRT cannot run; again for more files.",
    ),
    precision: str = typer.Option('fp32', '--precision', help=f'{", ".join(PRECISIONS)}.'),
    int8_pairs: Path | None = typer.Option(
        None,
        '--int8-pairs',
        help='int8: folder of own rectified pairs on which the ranges of numbers are measured; '
        'default: made-up ones.',
    ),
    mode: str | None = typer.Option(
        None, '--mode', help=f'{", ".join(MODES)}; default: that of the card, or multitask.'
    ),
    native_size: bool = typer.Option(
        False,
        '--native-size',
        help='msdesis_fast: look at small pictures at their own size, for half the work and '
        'larger errors.',
    ),
    models_dir: model_options.ModelsDirOption = None,
    with_weights: bool = typer.Option(
        False, '--with-weights', help='Put a copy of the weights beside it, X.safetensors.'
    ),
    engine: bool = typer.Option(
        False, '--engine', help="Also compile a TensorRT engine for this machine's GPU."
    ),
) -> None:
    """Export weights to ONNX, after the graph has answered like the network.

    Beside it goes a model card with samples of the network's answers, which an engine must give
    before it is used. A card that is there is kept: the new one is then called NAME.toml.new.

    Example: msdesis export --checkpoint light.pt --encoder light --out light.onnx --size 640x512
    """
    sizes = [None if text == 'any' else parse_size(text) for text in size]
    if engine:
        if None in sizes:
            raise UsageError('an engine is made for one size; leave --size any or --engine out')
        _require_gpu(precision)
    if int8_pairs is not None and precision != 'int8':
        raise UsageError('--int8-pairs are for --precision int8; give that too, or leave them out')
    asked = {'encoder': encoder, 'size': network_size, 'max_disparity': max_disparity}
    use: dict[str, Any] = {'enlarged': ()} if native_size else {}
    if model is not None and checkpoint is None:
        if any(given is not None for given in asked.values()):
            raise UsageError(
                'a model card says its encoder, size and disparities itself; leave them out'
            )
        source: ModelCard | None = load_card(model, models_dir)
        loaded, origin, path = _from_card(source, mode, sizes, use)
    elif checkpoint is not None and model is None:
        source, path = None, checkpoint
        loaded = load_checkpoint(checkpoint, mode=mode or 'multitask', **asked, **use)
        commit = loaded.metadata.get('commit')
        origin = Origin(checkpoint.name, loaded.sha256, commit, loaded.mean, loaded.std)
    else:
        raise UsageError('give either --model NAME or --checkpoint FILE')
    with Console(stderr=True).status('exporting') as status:

        def progress(step: str) -> None:
            status.update(f'exporting: {step}')

        reports = export_sizes(
            loaded.network,
            out,
            image_sizes=sizes,
            origin=origin,
            precision=precision,
            pairs=None if int8_pairs is None else _pairs_of(int8_pairs),
            progress=progress,
        )
        card = card_of_export(
            loaded.network,
            reports,
            name=out.stem,
            origin=origin,
            source=source,
            weights=_weights_beside(out, path, loaded) if with_weights else None,
            progress=progress,
        )
    for report in reports:
        _show(report)
        if engine:
            _compile(report)
    _tell_card(write_card(card))


def _pairs_of(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Left and right pictures of own frames, as many as an export uses."""
    from msdesis_ros.data.layouts.catalogue import scan
    from msdesis_ros.data.layouts.samples import load
    from msdesis_ros.export.int8 import spread_evenly

    pairs = []
    for files in spread_evenly(scan('own_frames', folder, check='headers')):
        sample = load(files)
        assert sample.right is not None  # the layout has pairs
        pairs.append((sample.left, sample.right))
    return pairs


def _tell_card(path: Path) -> None:
    if path.suffix == '.toml':
        typer.echo(f"card: {path}; complete what it says is 'not stated'")
    else:
        typer.echo(f'card: {path}; {path.stem} was kept: compare them, then rename the new one')


def _from_card(
    card: ModelCard,
    mode: str | None,
    sizes: Sequence[tuple[int, int] | None],
    use: Mapping[str, bool],
) -> tuple[LoadedCheckpoint, Origin, Path]:
    """The network of a card, with the heads and the input it promises unless `mode` and `use`, how
    the weights are used, say otherwise.
    """
    for each in filter(None, sizes):
        card.input.require(each, model=card.name)
    loaded = weights_of_card(card, mode=mode, **use)
    commit = card.training.commit if card.training else None
    origin = Origin(card.name, loaded.sha256, commit, loaded.mean, loaded.std)
    return loaded, origin, card.folder / card.weights_file().path


def _weights_beside(out: Path, weights: Path, loaded: LoadedCheckpoint) -> ModelFile:
    """Put <out>.safetensors beside the export, for the card; what is there already is replaced.

    The very bytes of a safetensors file, so that its SHA-256 stays that which the export tells;
    another format is written anew.
    """
    content = weights.read_bytes()
    if weights.suffix != '.safetensors':
        content = checkpoint_bytes(loaded.network, mean=loaded.mean, std=loaded.std)
    elif hashlib.sha256(content).hexdigest() != loaded.sha256:
        raise ModelError(f'{weights} has changed since it was read; try again')
    path = out.with_suffix('.safetensors')
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return ModelFile(
        path.name, 'safetensors', hashlib.sha256(content).hexdigest(), size_bytes=len(content)
    )


def _show(report: ExportReport) -> None:
    size = 'any size' if report.image_size is None else 'x'.join(map(str, report.image_size))
    typer.echo(
        f'{report.path}: {report.precision}, {size}, {report.size_bytes / 1e6:.1f} MB, '
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
