"""When the pictures of a folder were taken: from a text file, or from their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from msdesis_ros.core.errors import FileFormatError, UsageError, shown

UNITS_NS = {'s': 10**9, 'ms': 10**6, 'us': 10**3, 'ns': 1}
# Without a unit: a count since 1970 shows it by its size (in seconds it stays below 10^11 until
# the year 5138). What does not count from there is taken as seconds.
_SIZES = ((10**17, 'ns'), (10**14, 'us'), (10**11, 'ms'))
_NUMBER = re.compile(r'[0-9]{1,30}(\.[0-9]{1,30})?')
_SEPARATORS = ',;\t'
_LATEST_NS = 2**63 - 1


def read_stamps(path: Path, pictures: Sequence[Path], *, unit: str = '') -> tuple[int, ...]:
    """The stamps of `pictures`, in their order, from a CSV or TXT file; nanoseconds.

    A line holds a stamp, one for each picture in order, or the name of a picture (with or without
    folder and suffix) and its stamp, in any order of the two. Columns are separated by comma,
    semicolon, tab or blanks; empty lines, those that start with #, and one line of titles are
    passed over. unit: a key of UNITS_NS; empty, as the size of the first stamp says.

    Raises FileFormatError where a stamp is missing, no number, or older than the one before.
    """
    rows = [(n, row) for n, row in enumerate(map(_columns, _lines(path)), 1) if row]
    if rows and not any(_is_stamp(cell) for cell in rows[0][1]):
        del rows[0]
    if not rows:
        raise FileFormatError(f'{path} holds no stamps; expected one in each line')
    if all(len(row) == 1 for _, row in rows):
        if len(rows) != len(pictures):
            raise FileFormatError(
                f'{path} holds {len(rows)} stamps for {len(pictures)} pictures; expected one for '
                'each picture, or lines with the name of a picture and its stamp'
            )
        texts = [row[0] for _, row in rows]
    else:
        texts = _by_name(path, rows, pictures)
    return _nanoseconds(texts, [f'{path}: the stamp of {p.name}' for p in pictures], unit)


def stamps_in_names(pictures: Sequence[Path], *, unit: str = '') -> tuple[int, ...]:
    """The stamps in the names of `pictures`, nanoseconds: the longest number in each name.

    unit and errors as in `read_stamps`.
    """
    texts = []
    for picture in pictures:
        found = [match[0] for match in _NUMBER.finditer(picture.stem)]
        if not found:
            raise FileFormatError(f'the name of {picture} holds no number that could be its stamp')
        texts.append(max(found, key=len))
    return _nanoseconds(texts, [f'the stamp in the name of {p}' for p in pictures], unit)


def _lines(path: Path) -> list[str]:
    try:
        # A pipe would block for ever.
        if path.exists() and not path.is_file():
            raise FileFormatError(f'{path} is not a file; give a text file with stamps')
        return path.read_text(encoding='utf-8-sig').splitlines()
    except OSError as error:
        raise FileFormatError(
            f'cannot read {path}: {error.strerror or error}; give a text file with stamps'
        ) from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f'{path} is not a UTF-8 text; give a text file') from error


def _columns(line: str) -> list[str]:
    if line.lstrip().startswith('#'):
        return []
    separator = next((mark for mark in _SEPARATORS if mark in line), None)
    return [cell.strip() for cell in line.split(separator)]


def _is_stamp(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _by_name(path: Path, rows: list[tuple[int, list[str]]], pictures: Sequence[Path]) -> list[str]:
    known: dict[str, str] = {}
    for number, row in rows:
        if len(row) != 2:
            raise FileFormatError(
                f'{path}, line {number}: {len(row)} columns; expected a stamp, or the name of a '
                'picture and its stamp'
            )
        # A name may itself be a number: the second column is the stamp unless it is none.
        name, stamp = row if _is_stamp(row[1]) else reversed(row)
        known[Path(name).name] = stamp
    texts = []
    for picture in pictures:
        text = known.get(picture.name, known.get(picture.stem))
        if text is None:
            raise FileFormatError(f'{path} holds no stamp for {picture.name}')
        texts.append(text)
    return texts


def _nanoseconds(texts: list[str], names: list[str], unit: str) -> tuple[int, ...]:
    if unit and unit not in UNITS_NS:
        raise UsageError(f'{unit!r} is no unit of a stamp; choose one of {", ".join(UNITS_NS)}')
    stamps: list[int] = []
    for text, name in zip(texts, names, strict=True):
        if not _is_stamp(text):
            raise FileFormatError(f'{name} is {shown(text)}; expected a number')
        value = Decimal(text)
        unit = unit or _unit_of(value)
        # Through decimals: as a float a stamp of today would be off by a hundred nanoseconds.
        stamp_ns = int(value * UNITS_NS[unit])
        if stamp_ns > _LATEST_NS:
            raise FileFormatError(f'{name} is {text} {unit}, beyond the year 2262; check the unit')
        if stamps and stamp_ns < stamps[-1]:
            raise FileFormatError(f'{name} is older than the one before; they must be in order')
        stamps.append(stamp_ns)
    return tuple(stamps)


def _unit_of(stamp: Decimal) -> str:
    return next((unit for size, unit in _SIZES if stamp >= size), 's')
