"""JSON as frozen dataclasses, where an unknown, missing or wrong key is an error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from msdesis_ros.core.errors import FileFormatError, UsageError, shown

Chosen = TypeVar('Chosen')


def read_object(path: Path, changes: Sequence[str] = (), *, what: str) -> dict[str, Any]:
    """Read a JSON object and apply `key=value` changes (keys with dots, values in JSON or text).

    what: the name of such files in messages. Raises FileFormatError where it is no JSON object,
    UsageError for a change that cannot be made.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise FileFormatError(f'cannot read the {what} {path}: {error}') from error
    if not isinstance(content, dict):
        raise FileFormatError(f'{path} holds no JSON object; see config/train for examples')
    for change in changes:
        _change(content, change)
    return content


def build(kind: type[Chosen], content: Any, *, where: str) -> Chosen:
    """Make the dataclass `kind` of JSON; `where` it stands, for messages."""
    if not isinstance(content, Mapping):
        raise UsageError(f'{where or "the configuration"} is {shown(content)}; expected an object')
    hints = get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise UsageError(
            f'{_key(where, unknown[0])} is unknown; known keys of {where or "the configuration"}: '
            f'{", ".join(known)}'
        )
    needed = [
        name
        for name, item in known.items()
        if item.default is MISSING and item.default_factory is MISSING and name not in content
    ]
    if needed:
        raise UsageError(f'{_key(where, needed[0])} is missing; add it to the configuration')
    values = {
        name: _typed(hints[name], value, _key(where, name)) for name, value in content.items()
    }
    try:
        return kind(**values)
    except UsageError as error:
        raise UsageError(f'{where}: {error}' if where else str(error)) from error


def _typed(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type of a field; UsageError where it is none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not NoneType)
        return _typed(hint, value, where)
    if is_dataclass(hint):
        return build(hint, value, where=where)
    if origin is tuple and isinstance(value, list):
        endless = len(arguments) == 2 and arguments[1] is Ellipsis
        if not endless and len(value) != len(arguments):
            raise UsageError(f'{where} is {shown(value)}; expected {len(arguments)} values')
        kinds = [arguments[0]] * len(value) if endless else arguments
        return tuple(
            _typed(kind, item, f'{where}.{at}')
            for at, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    plain = dict if origin is dict else list if origin is tuple else hint
    wrong = not isinstance(value, plain) or (plain is int and isinstance(value, bool))
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        names = {dict: 'an object', list: 'a list', str: 'a text', int: 'a whole number'}
        names |= {float: 'a number', bool: 'true or false'}
        raise UsageError(f'{where} is {shown(value)}; expected {names[plain]}')
    return value


def _change(content: dict[str, Any], change: str) -> None:
    """Set one key of the JSON, e.g. 'optimiser.batch_size=4' or 'data.train.0.shards=out/x'."""
    key, equals, text = change.partition('=')
    if not equals or not key:
        raise UsageError(f'--set {change!r} is no key=value, e.g. optimiser.batch_size=4')
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    *parents, last = key.split('.')
    place: Any = content
    for name in parents:
        if isinstance(place, list):
            place = place[_position(place, name, key)]
        elif isinstance(place, dict):
            place = place.setdefault(name, {})
        else:
            raise UsageError(f'--set {key}: {name} lies in {shown(place)}, which has no keys')
    if isinstance(place, list):
        place[_position(place, last, key)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise UsageError(f'--set {key}: {last} lies in {shown(place)}, which has no keys')


def _position(place: list[Any], name: str, key: str) -> int:
    if not name.isdecimal() or int(name) >= len(place):
        raise UsageError(f'--set {key}: {name!r} is no position in a list of {len(place)}')
    return int(name)


def _key(where: str, name: str) -> str:
    return f'{where}.{name}' if where else name
