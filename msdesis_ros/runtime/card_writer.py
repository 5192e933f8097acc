"""Model cards as text: what `cards` reads, written from the same dataclasses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from msdesis_ros.runtime.model_card import ModelCard


def card_toml(card: ModelCard) -> str:
    """The TOML of a card; read again in its folder it is equal to `card`.

    What has the default of its field is left out, and so is `folder`.
    """
    return '\n'.join(_lines(card, '')) + '\n'


def table_toml(name: str, value: Any) -> str:
    """One dataclass as an entry of the list of tables `name`, such as [[self_check]]."""
    return '\n'.join([f'[[{name}]]', *_lines(value, f'{name}.')]) + '\n'


def _lines(value: Any, prefix: str) -> Iterator[str]:
    """The keys of one table, then the tables below it: TOML wants this order."""
    tables = []
    for field in fields(value):
        content = getattr(value, field.name)
        if content == field.default or field.name == 'folder':
            continue
        listed = isinstance(content, tuple) and content and is_dataclass(content[0])
        if listed or is_dataclass(content):
            tables.append((field.name, content, listed))
        else:
            yield f'{field.name} = {_value(content)}'
    for name, content, listed in tables:
        for entry in content if listed else [content]:
            yield f'\n[[{prefix}{name}]]' if listed else f'\n[{prefix}{name}]'
            yield from _lines(entry, f'{prefix}{name}.')


def _value(content: Any) -> str:
    if isinstance(content, (tuple, frozenset)):
        rows = sorted(content) if isinstance(content, frozenset) else content
        return f'[{", ".join(map(_value, rows))}]'
    if isinstance(content, str):
        if content.isprintable() and "'" not in content:
            return f"'{content}'"
        # The escapes of JSON are those of TOML, which also wants one for DEL.
        return json.dumps(content, ensure_ascii=False).replace('\x7f', '\\u007f')
    return repr(content)
