"""Find, read and verify the model cards, `models/<name>.toml`.

A card holds the SHA-256 of every file of its model, and a file is only handed out after its bytes
were hashed, so that what runs is what the card describes. The dataclasses of `model_card` are the
schema: their fields are the known keys, and their types are checked here.
"""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from msdesis_ros.core.errors import FileFormatError, ModelError, shown
from msdesis_ros.core.resources import resource
from msdesis_ros.runtime.model_card import ModelCard

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What runs where nobody names a model: in every command, and in the node.
DEFAULT_MODEL = 'msdesis_fast'
# No number of a card comes near it; NaN and infinity are none.
LARGEST = 1e15


def list_cards(models_dir: Path | None = None) -> list[ModelCard]:
    """Return every card of `models_dir` (default: those that ship), by name; see `load_card`."""
    folder = _folder(models_dir)
    return [load_card(name, folder) for name in _names(folder)]


def load_card(name: str, models_dir: Path | None = None) -> ModelCard:
    """Read the card `name` of `models_dir` (default: those that ship).

    Raises ModelError for an unknown name (listing the known ones), and for a card that is not
    TOML, lacks a key, has one that is unknown or of the wrong type, or contradicts itself.
    """
    folder = _folder(models_dir)
    known = _names(folder)
    if name not in known:
        raise ModelError(
            f'no model is called {name!r}; {folder} has: {", ".join(known) or "no cards"}'
        )
    path = folder / f'{name}.toml'
    try:
        values = tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        # tomllib also raises for a number of thousands of digits, and for nesting without end.
        reason = ' '.join(str(error).split())
        raise ModelError(f'{path} cannot be read as a model card (TOML): {reason}') from error
    try:
        card = _read(ModelCard, values, 'the card', folder=folder)
    except ModelError as error:
        raise ModelError(f'{path}: {error}') from error
    if card.name != name:
        raise ModelError(
            f'{path}: name is {shown(card.name)}; it must be that of the file, {name!r}'
        )
    return card


def verify_card(card: ModelCard) -> list[str]:
    """Hash every file of the card again: one sentence for each finding, none if all is well."""
    return card.verify()


def _folder(models_dir: Path | None) -> Path:
    if models_dir is None:
        try:
            return resource('models')
        except FileFormatError as error:
            raise ModelError(f'there are no model cards: {error}') from error
    if not models_dir.is_dir():
        raise ModelError(f'{models_dir} is no folder; expected the folder of the model cards')
    return models_dir


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob('*.toml'))


def _read(kind: type, values: Any, where: str, **given: Any) -> Any:
    """Build the dataclass `kind` from one TOML table; `given` holds fields no table may set."""
    if not isinstance(values, dict):
        raise _wrong(where, values, 'a table')
    known = {field.name: field for field in fields(kind) if field.name not in given}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ModelError(
            f'{where} has unknown keys: {", ".join(map(shown, unknown[:8]))}; known: '
            + ', '.join(sorted(known))
        )
    missing = [name for name in known if known[name].default is MISSING and name not in values]
    if missing:
        raise ModelError(f'{where} lacks {", ".join(missing)}')
    hints = get_type_hints(kind)
    checked = {name: _checked(hints[name], values[name], name) for name in known if name in values}
    try:
        return kind(**checked, **given)
    except ModelError as error:
        raise ModelError(f'{where}: {error}') from error


def _checked(kind: Any, value: Any, where: str) -> Any:
    """Return a TOML value as the annotated type `kind`, or raise ModelError saying where."""
    arguments = get_args(kind)
    if NoneType in arguments:  # TOML has no null: a key that is not known is left out
        return _checked(arguments[0], value, where)
    if get_origin(kind) in (tuple, frozenset):
        if not isinstance(value, list):
            raise _wrong(where, value, 'a list')
        if get_origin(kind) is frozenset or arguments[1] is Ellipsis:
            arguments = (arguments[0],) * len(value)
        if len(value) != len(arguments):
            raise _wrong(where, value, f'{len(arguments)} values')
        rows = zip(arguments, value, strict=True)
        return get_origin(kind)(
            _checked(item, row, f'{where}[{index}]') for index, (item, row) in enumerate(rows)
        )
    if is_dataclass(kind):
        return _read(kind, value, where)  # type: ignore[arg-type]
    # A bool is an int to Python, but never a number in a card; an int is a fine float.
    expected = (int, float) if kind is float else kind
    if not isinstance(value, expected) or isinstance(value, bool):
        raise _wrong(where, value, {str: 'a text', int: 'a whole number'}.get(kind, 'a number'))
    if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
        raise _wrong(where, value, f'a number of at most {LARGEST:g}')
    if isinstance(value, str) and not value.strip():
        raise _wrong(where, value, 'a text that is not empty')
    return kind(value)


def _wrong(where: str, value: Any, expected: str) -> ModelError:
    return ModelError(f'{where} is {shown(value)}; expected {expected}')
