"""The options that choose a model and what runs it, as several commands share them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BackendOption = Annotated[str | None, typer.Option('--backend', help='Default: that of the card.')]
ModelsDirOption = Annotated[
    Path | None,
    typer.Option('--models-dir', help='Folder of model cards; default: those that ship.'),
]
