"""Small JSON, YAML and XML texts as plain trees, whatever is wrong with them.

Calibration files come from everywhere, and the parser of OpenCV's FileStorage is no judge of them:
it aborts or throws on many malformed texts. Here every text ends as a tree of dicts, lists,
strings and numbers or as one FileFormatError.
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import yaml

from msdesis_ros.core.errors import FileFormatError

# A stereo calibration takes 4 kB; the bound keeps the YAML parser under some seconds.
MAX_BYTES = 256 * 1024


def read_text(path: Path) -> str:
    """The text of a regular UTF-8 file of at most MAX_BYTES; FileFormatError otherwise."""
    try:
        # A pipe would block for ever, a device might never end.
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise FileFormatError(f'{path} is not a file; give the path of a file')
        with path.open('rb') as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        reason = getattr(error, 'strerror', None) or error
        raise FileFormatError(
            f'cannot read {str(path)!r}: {reason}; give the path of a readable file'
        ) from error
    if len(content) > MAX_BYTES:
        raise FileFormatError(
            f'{path} has more than {MAX_BYTES // 1024} kB, which no text of this kind has; '
            'give the right file'
        )
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise FileFormatError(f'{path} is not a UTF-8 text; give a text file') from error
    if '\0' in text:
        raise FileFormatError(f'{path} is a binary file; give a text file')
    if not text.strip():
        raise FileFormatError(f'{path} is empty')
    return text


def parse_tree(text: str, path: Path) -> dict[str, Any]:
    """Parse JSON, XML or YAML (told apart by the content) whose root holds named entries.

    Scalars of YAML and XML stay strings. An OpenCV XML matrix becomes a dict like in JSON and
    YAML; its `data` is a list of strings. `path` is named in the messages. Raises FileFormatError.
    """
    try:
        tree = _parse(text)
    except RecursionError as error:
        raise FileFormatError(f'{path} is nested too deeply to be a file of this kind') from error
    except (ValueError, yaml.YAMLError, ElementTree.ParseError) as error:
        raise FileFormatError(f'{path} cannot be parsed: {_one_line(error)}') from error
    if not isinstance(tree, dict):
        raise FileFormatError(f'{path} holds no named entries; expected "name: value" pairs')
    return tree


def numbers(tree: Mapping[str, Any], name: str, path: Path) -> np.ndarray:
    """The numbers of an entry, flat float64: an OpenCV or ROS matrix, or a (nested) list.

    Raises FileFormatError where they are not finite numbers, or not as many as rows x cols.
    """
    return _entry(tree[name], f'{path}: {name}')[0]


def matrix(tree: Mapping[str, Any], name: str, shape: tuple[int, int], path: Path) -> np.ndarray:
    """The numbers of an entry as a float64 matrix of `shape`; FileFormatError for another one.

    A vector may lie or stand, and a plain list may leave its shape open.
    """
    flat, stored = _entry(tree[name], f'{path}: {name}')
    are_vectors = 1 in shape and (1 in stored or len(stored) == 1)
    if flat.size != shape[0] * shape[1] or (stored not in ((), shape) and not are_vectors):
        found = ' x '.join(map(str, stored)) if stored else f'{flat.size} numbers'
        raise FileFormatError(f'{path}: {name} has {found}; expected {shape[0]} x {shape[1]}')
    return flat.reshape(shape)


def integer(tree: Mapping[str, Any], name: str, path: Path) -> int:
    """The one whole number of an entry; FileFormatError for anything else."""
    return _integer(tree[name], f'{path}: {name}')


def _entry(value: Any, what: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """The numbers and the stored shape, () where none is stored."""
    shape: tuple[int, ...] = ()
    if isinstance(value, dict):
        if isinstance(value.get('sizes'), list):
            shape = tuple(_integer(size, f'{what}.sizes') for size in value['sizes'])
        elif 'rows' in value and 'cols' in value:
            shape = tuple(_integer(value[n], f'{what}.{n}') for n in ('rows', 'cols'))
        value = value.get('data')
    if not isinstance(value, list):
        raise FileFormatError(f'{what} is no matrix: expected rows, cols and data, or a list')
    cells = [cell for row in value for cell in (row if isinstance(row, list) else [row])]
    flat = np.array([_number(cell, what) for cell in cells], dtype=np.float64)
    if shape and math.prod(shape) != flat.size:
        raise FileFormatError(
            f'{what} holds {flat.size} numbers but says {" x ".join(map(str, shape))}'
        )
    return flat, shape


def _number(cell: Any, what: str) -> float:
    if isinstance(cell, (str, int, float)) and not isinstance(cell, bool):
        try:
            number = float(cell)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    shown = repr(cell)
    shown = shown if len(shown) <= 40 else f'{shown[:37]}...'
    raise FileFormatError(f'{what} contains {shown}; expected finite numbers')


def _integer(value: Any, what: str) -> int:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    number = _number(value, what)
    if number != int(number):
        raise FileFormatError(f'{what} is {number:g}; expected a whole number')
    return int(number)


def _parse(text: str) -> Any:
    begin = text.lstrip()[:1]
    if begin == '<':
        return _parse_xml(text)
    if begin != '{':
        return _parse_yaml(text)
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        # OpenCV writes numbers such as `1.` and `.Nan` into its JSON; YAML's braces accept them.
        try:
            return _parse_yaml(text)
        except yaml.YAMLError:
            raise error from None


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if key in tree:
            raise ValueError(f'{key!r} occurs twice')
        tree[key] = value
    return tree


class _Loader(yaml.BaseLoader):
    """YAML without tags (every scalar a string), without aliases, and without repeated keys.

    The base loader constructs nothing but strings, lists and dicts: less than the safe loader.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        # A few lines of nested aliases stand for gigabytes; no calibration file needs them.
        if self.check_event(yaml.AliasEvent):
            raise ValueError(f'aliases (*{self.peek_event().anchor}) are not supported')
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        _unique((key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str) -> Any:
    # OpenCV heads its files with `%YAML:1.0`, which is no YAML.
    text = re.sub(r'\A\s*%YAML[^\n]*\n', '', text)
    return yaml.load(text, _Loader)


def _parse_xml(text: str) -> Any:
    # Entities can stand for gigabytes, or for other files.
    if '<!' in re.sub(r'<!--.*?-->', '', text, flags=re.DOTALL):
        raise ValueError('XML declarations (<!...>) are not supported')
    # The text is decoded already; expat refuses a contradicting declaration only in bytes.
    root = ElementTree.fromstring(text)
    return _unique((child.tag, _xml_value(child)) for child in root)


def _xml_value(element: ElementTree.Element) -> Any:
    if len(element) == 0:
        return (element.text or '').split()
    return _unique((child.tag, (child.text or '').split()) for child in element)


def _one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        where = f' in line {mark.line + 1}' if mark else ''
        return f'{error.problem or error.context}{where}'
    return ' '.join(str(error).split())
