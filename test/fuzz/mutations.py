"""Strategies that make malformed inputs out of good ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

# What has a meaning, or an end, in one of the formats, and numbers at the edge of what there is.
TOKENS = (
    *(
        b'nan',
        b'.nan',
        b'-inf',
        b'1e999',
        b'1e308',
        b'-1e308',
        b'1e-320',
        b'-1',
        b'0',
        b'0.5',
        b'3',
    ),
    *(b'2147483648', b'99999999999999999999', b'0x' + b'f' * 5000, b'9' * 5000, b'1979-05-27'),
    *(
        b'{',
        b'}',
        b'[',
        b']',
        b'<',
        b'>',
        b'</',
        b'"',
        b"'",
        b"'''",
        b':',
        b',',
        b'=',
        b'#',
        b'//',
    ),
    *(
        b'\0',
        b'\xff',
        b'\n',
        b'\t',
        b'\r',
        b'\xc3\xa4',
        b'\xef\xbb\xbf',
        b'---',
        b'...',
        b'%YAML:1.0\n',
    ),
    *(b'&a ', b'*a', b'<<: ', b'!!python/name:os.system ', b'<!DOCTYPE a>', b'&amp;', b'? '),
    *(
        b'[' * 1000,
        b'{"a":' * 1000,
        b'<a>' * 1000,
        b'- ' * 1000,
        b'null',
        b'true',
        b'~',
        b'\n\n[[a]]\n',
    ),
)
NUMBER = re.compile(rb'[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?')
LONGEST = 65536


class Change(NamedTuple):
    """One mutation: what is done where, with what; the numbers are taken modulo what there is."""

    kind: str
    at: int
    length: int
    content: bytes


def changes(kinds: tuple[str, ...]) -> st.SearchStrategy[list[Change]]:
    """One to five mutations of these kinds."""
    change = st.builds(
        Change,
        kind=st.sampled_from(kinds),
        # Headers stand at the begin, and most formats fail there in the most ways.
        at=st.one_of(st.integers(0, 63), st.integers(0, LONGEST)),
        length=st.integers(0, 48),
        content=st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8)),
    )
    return st.lists(change, min_size=1, max_size=5)


def mutated(good: bytes, wanted: list[Change]) -> bytes:
    """The bytes after all mutations, at most LONGEST."""
    for change in wanted:
        good = MUTATIONS[change.kind](good, change)[:LONGEST]
    return good


def _span(data: bytes, change: Change) -> tuple[int, int]:
    begin = change.at % (len(data) + 1)
    return begin, min(begin + change.length, len(data))


def _overwrite(data: bytes, change: Change) -> bytes:
    begin, _ = _span(data, change)
    return data[:begin] + change.content + data[begin + len(change.content) :]


def _insert(data: bytes, change: Change) -> bytes:
    begin, _ = _span(data, change)
    return data[:begin] + change.content + data[begin:]


def _delete(data: bytes, change: Change) -> bytes:
    begin, end = _span(data, change)
    return data[:begin] + data[end:]


def _repeat(data: bytes, change: Change) -> bytes:
    begin, end = _span(data, change)
    return data[:end] + data[begin:end] + data[end:]


def _cut(data: bytes, change: Change) -> bytes:
    return data[: _span(data, change)[0]]


def _number(data: bytes, change: Change) -> bytes:
    found = list(NUMBER.finditer(data))
    if not found:
        return data
    begin, end = found[change.at % len(found)].span()
    return data[:begin] + change.content + data[end:]


def _digit(data: bytes, change: Change) -> bytes:
    """Change one digit: what stays a number, but a wrong one."""
    found = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if not found:
        return data
    at = found[change.at % len(found)]
    return data[:at] + b'%d' % (change.length % 10) + data[at + 1 :]


def _line(data: bytes, change: Change) -> bytes:
    """Move one line somewhere else; without a length it is lost, with a long one it is doubled."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    moved = lines.pop(change.at % len(lines))
    if change.length:
        lines.insert(change.length % (len(lines) + 1), moved)
    if change.length > 40:
        lines.append(moved)
    return b''.join(lines)


MUTATIONS: dict[str, Callable[[bytes, Change], bytes]] = {
    'overwrite': _overwrite,
    'insert': _insert,
    'delete': _delete,
    'repeat': _repeat,
    'cut': _cut,
    'number': _number,
    'digit': _digit,
    'line': _line,
}
BINARY = ('overwrite', 'insert', 'delete', 'repeat', 'cut')
TEXT = (*MUTATIONS, 'number', 'digit', 'digit', 'digit')
