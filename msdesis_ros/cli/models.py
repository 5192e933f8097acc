"""`msdesis models`: the model cards, and whether their files are what the cards say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from msdesis_ros.cli import model_options
from msdesis_ros.cli.findings import one_line
from msdesis_ros.core.errors import ModelError
from msdesis_ros.core.resources import resource
from msdesis_ros.runtime.cards import list_cards, load_card, verify_card
from msdesis_ros.runtime.model_card import Measurement, ModelCard

models_app = typer.Typer(
    no_args_is_help=True, help='The models there are, what is known of each, and their files.'
)


@models_app.command('list')
def list_models(models_dir: model_options.ModelsDirOption = None) -> None:
    """Name every model with its heads, disparities, backends and licence.

    Example: msdesis models list
    """
    titles = ('name', 'gives', 'disparities', 'backends', 'licence', 'summary')
    rows = [
        (
            card.name,
            ', '.join(sorted(card.heads)),
            _disparities(card),
            ', '.join(card.backends) or 'none',
            card.licence,
            card.summary,
        )
        for card in list_cards(models_dir)
    ]
    _show(titles, rows)


@models_app.command('show')
def show(
    name: str = typer.Argument(..., help='Name of a card (msdesis models list).'),
    models_dir: model_options.ModelsDirOption = None,
) -> None:
    """Show one model card in full.

    Example: msdesis models show opencv_sgbm
    """
    _show((), list(_lines(load_card(name, models_dir))))


@models_app.command('verify')
def verify(
    name: str | None = typer.Argument(None, help='Name of a card; all of them where left out.'),
    models_dir: model_options.ModelsDirOption = None,
) -> None:
    """Hash the files again and compare them with the cards; exit code 1 where one differs.

    Example: msdesis models verify
    """
    names = [name] if name is not None else _card_names(models_dir)
    findings = []
    for each in names:
        try:
            card = load_card(each, models_dir)
            problems = verify_card(card)
        except ModelError as error:  # one card that cannot be read must not hide the others
            problems = [one_line(error)]
        findings += problems
        if not problems:
            count = len(card.files)
            said = f'{count} file{"s" if count != 1 else ""} verified' if count else 'has no files'
            typer.echo(f'{each}: {said}')
    for finding in findings:
        typer.echo(finding, err=True)
    if findings:
        raise typer.Exit(1)


def _card_names(models_dir: Path | None) -> list[str]:
    folder = resource('models') if models_dir is None else models_dir
    names = sorted(path.stem for path in folder.glob('*.toml'))
    if not names:
        todo = 'install the package again' if models_dir is None else 'give another folder'
        raise ModelError(f'{folder} holds no model card; {todo}')
    return names


def _lines(card: ModelCard) -> Iterator[tuple[str, str]]:
    """The card as pairs of a title and a text."""
    yield 'name', card.name
    yield 'summary', card.summary
    yield 'family', card.family
    yield 'gives', ', '.join(sorted(card.heads))
    yield 'disparities', _disparities(card)
    yield 'backends', ', '.join(card.backends) or 'none'
    yield 'licence', card.licence
    yield 'pictures', card.input.accepted
    for output in card.outputs:
        yield 'output', f'{output.name} ({output.shape}, {output.unit}): {output.meaning}'
    for file in card.files:
        size = '' if file.image_size is None else f', {file.image_size[0]}x{file.image_size[1]}'
        yield 'file', f'{file.path} ({file.format}{size}), SHA-256 {file.sha256}'
    if card.training is not None:
        training = card.training
        yield 'training data', training.data
        yield 'seed', 'unknown' if training.seed is None else str(training.seed)
        yield 'commit', training.commit or 'unknown'
    yield 'intended use', ' '.join(card.intended_use.split())
    for failure in card.known_failures:
        yield 'known failure', failure
    for measured in card.measured:
        yield 'measured', _measured(measured)


def _measured(measured: Measurement) -> str:
    return (
        f'{measured.figure}: {measured.value:g} {measured.unit} on {measured.data}; '
        f'{measured.machine}; {measured.command}'
    )


def _disparities(card: ModelCard) -> str:
    return f'{card.min_disparity_px:g} to {card.max_disparity_px:g} px'


def _show(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere one line a row, its cells apart by tabs."""
    console = Console()
    if not console.is_terminal:
        for cells in ([titles] if titles else []) + list(rows):
            typer.echo('\t'.join(cells))
        return
    table = Table(*titles, show_header=bool(titles), box=None, padding=(0, 1))
    for cells in rows:
        # As Text: a card may hold what rich takes for markup.
        table.add_row(
            *(Text(cell, style='bold' if i == 0 else '') for i, cell in enumerate(cells))
        )
    console.print(table)
