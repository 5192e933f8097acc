from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.core.errors import UsageError


@dataclass(frozen=True)
class Drink:
    name: Annotated[str | None, typer.Option('--drink', help='What to drink.')] = None
    sugar: Annotated[int, typer.Option('--sugar', min=0, help='Lumps of it.')] = 1

    def __post_init__(self) -> None:
        if self.name is None and self.sugar > 1:
            raise UsageError('sugar in nothing')


@pytest.fixture
def program():
    app, given = typer.Typer(), []

    @app.command()
    @with_option_groups
    def order(
        table: int = typer.Argument(..., help='Its number.'),
        drink: Drink = Drink(),
        cake: bool = typer.Option(False, '--cake', help='Cake too.'),
    ) -> None:
        """Order something."""
        given.append((table, drink, cake))

    return app, given


def test_the_fields_of_a_group_are_options_in_its_place(program):
    app, given = program
    helped = CliRunner().invoke(app, ['--help']).output
    places = [helped.index(word) for word in ('Order something', '--drink', '--sugar', '--cake')]
    assert places == sorted(places) and '[default: 1]' in helped
    assert (
        CliRunner().invoke(app, ['7', '--drink', 'tea', '--sugar', '3', '--cake']).exit_code == 0
    )
    assert CliRunner().invoke(app, ['8']).exit_code == 0
    assert given == [(7, Drink('tea', 3), True), (8, Drink(), False)]


def test_wrong_values_and_contradictions_are_refused_before_the_command_begins(program):
    app, given = program
    assert CliRunner().invoke(app, ['7', '--sugar', '-1']).exit_code == 2
    assert isinstance(CliRunner().invoke(app, ['7', '--sugar', '2']).exception, UsageError)
    assert given == []
