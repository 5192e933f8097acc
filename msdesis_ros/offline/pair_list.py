"""Lists of stereo pairs: a CSV file that says what to read and where each result goes.

One row is one pair. A header names the columns (COLUMNS, in any order); without one they are left,
right, disparity, segmentation by position, as the lists of the MSDESIS release. Blank lines and
lines that begin with # are passed over, and a cell may be empty wherever its column may be absent.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msdesis_ros.core.errors import FileFormatError, UsageError, shown
from msdesis_ros.data.images import atomic_write

OUTPUT_COLUMNS = ('disparity', 'segmentation', 'depth', 'uncertainty')
COLUMNS = ('left', 'right', *OUTPUT_COLUMNS, 'calibration')
BY_POSITION = ('left', 'right', 'disparity', 'segmentation')
# The header that `create_io_csv` of the release writes above columns in the order of BY_POSITION.
SWAPPED_HEADER = ('left', 'right', 'segmentation', 'disparity')


@dataclass(frozen=True)
class PairRow:
    """One pair and where its results go.

    line: in the list, from 1. outputs: by the names of OUTPUT_COLUMNS, only those asked for.
    calibration: as `data.calibration_files.read_calibration` takes it; None = that of the run.
    """

    line: int
    left: Path
    right: Path
    outputs: Mapping[str, Path]
    calibration: str | None = None

    def inputs(self) -> tuple[str, ...]:
        """Every file that the row itself names as one to read."""
        return (str(self.left), str(self.right), *calibration_files(self.calibration))


@dataclass(frozen=True)
class BadRow:
    """A line that names no pair: its number, what it holds, and what is wrong with it."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class PairList:
    """The rows of one list, the lines that are none, and sentences the user should read."""

    rows: tuple[PairRow, ...]
    bad: tuple[BadRow, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def read_pair_list(
    path: str | os.PathLike[str],
    *,
    input_root: str | os.PathLike[str] = '',
    output_root: str | os.PathLike[str] = '',
) -> PairList:
    """Read a list; relative paths in it begin at the roots, absolute ones stand for themselves.

    A line without a left and a right path is a BadRow. Raises FileFormatError for a file that
    is missing, is no UTF-8 text, has an unknown, double or missing column in its header, or holds
    no row at all.
    """
    path = Path(path)
    columns: Sequence[str] = BY_POSITION
    warnings: list[str] = []
    rows: list[PairRow] = []
    bad: list[BadRow] = []
    for number, (line, text, cells) in enumerate(_content_lines(path)):
        if number == 0 and _is_header(cells):
            columns = _header(cells, path)
            if tuple(columns) == SWAPPED_HEADER:
                warnings.append(
                    f'{path}: the columns are read by their names, the third as segmentation and '
                    'the fourth as disparity; a list of the MSDESIS release has these two names '
                    'swapped: remove its first line, or make it again with msdesis create-io-csv'
                )
            continue
        try:
            named = _named(cells, columns)
        except ValueError as error:
            bad.append(BadRow(line, text, str(error)))
            continue
        rows.append(_resolved(line, named, Path(input_root), Path(output_root)))
    if not rows and not bad:
        raise FileFormatError(
            f'{path} holds no pair; expected lines of {",".join(BY_POSITION)} (the last two may '
            'be left out), with or without these names in the first line'
        )
    return PairList(tuple(rows), tuple(bad), tuple(warnings))


def write_pair_list(path: str | os.PathLike[str], rows: Sequence[PairRow]) -> None:
    """Write a list with a header and the paths as they are, whole or not at all.

    It has the columns that some row needs. Raises UsageError for a path that a line of text cannot
    hold, MsdesisError where the file cannot be written.
    """
    table = [_cells(row) for row in rows]
    columns = [
        name for name in COLUMNS if name in BY_POSITION[:2] or any(name in t for t in table)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    # Quoted, a path that begins with # is not taken for a comment.
    quoting = csv.writer(text, lineterminator='\n', quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for cells in table:
        line = [_writable(cells.get(name, '')) for name in columns]
        (quoting if line[0].startswith('#') else writer).writerow(line)
    with atomic_write(path) as temporary:
        temporary.write_text(text.getvalue(), encoding='utf-8', newline='\n')


def require_no_conflicts(rows: Iterable[PairRow]) -> None:
    """Raise UsageError where two results share a file, or one would replace a file to read."""
    folders: dict[str, str] = {}

    def place(path: str | os.PathLike[str]) -> str:
        folder, name = os.path.split(os.path.abspath(path))
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        return os.path.join(folders[folder], name)

    rows = list(rows)
    read = {place(path): row.line for row in rows for path in row.inputs()}
    written: dict[str, int] = {}
    for row in rows:
        for kind, path in row.outputs.items():
            where = place(path)
            if where in read:
                raise UsageError(
                    f'line {row.line}: the {kind} would replace {path}, which line {read[where]} '
                    'reads; write the results into another folder'
                )
            if where in written:
                raise UsageError(
                    f'line {row.line}: the {kind} would go to {path}, where a result of line '
                    f'{written[where]} goes already; give each result a file of its own'
                )
            written[where] = row.line


def calibration_files(source: str | None) -> tuple[str, ...]:
    """The files of a calibration: none, one, or the two of `LEFT.yaml,RIGHT.yaml`."""
    if not source:
        return ()
    whole = os.path.expanduser(source)
    if ',' not in source or os.path.isfile(whole):
        return (whole,)
    return tuple(os.path.expanduser(part.strip()) for part in source.split(','))


def _content_lines(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Number, text and cells of every line that says something; no cell for one that is no CSV."""
    try:
        text = path.read_text(encoding='utf-8-sig')
    except OSError as error:
        raise FileFormatError(
            f'cannot read the list {path}: {error.strerror or error}; give a CSV file, as msdesis '
            'create-io-csv writes it'
        ) from error
    except UnicodeDecodeError as error:
        raise FileFormatError(f'{path} is no UTF-8 text; save the list as CSV (UTF-8)') from error
    for number, line in enumerate(text.split('\n'), start=1):
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        try:
            # Line by line: a quote that is not closed costs its own row alone.
            (cells,) = csv.reader([line], skipinitialspace=True, strict=True)
        except (csv.Error, ValueError):
            cells = []
        cells = [cell.strip() for cell in cells]
        if cells and not any(cells):
            continue
        yield number, line, cells


def _is_header(cells: Sequence[str]) -> bool:
    names = {cell.lower() for cell in cells if cell}
    return {'left', 'right'} <= names or (bool(names) and names <= set(COLUMNS))


def _header(cells: Sequence[str], path: Path) -> list[str]:
    names = [cell.lower() for cell in cells]
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            fault = 'stands there twice' if name in COLUMNS else 'is unknown'
            raise FileFormatError(
                f'{path}: the column {shown(name)} {fault}; known are {", ".join(COLUMNS)}'
            )
    for name in ('left', 'right'):
        if name not in names:
            raise FileFormatError(f'{path}: the header has no column {name}; every pair needs it')
    return names


def _named(cells: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """The cells by the names of their columns, without the empty ones; ValueError for no pair."""
    if not cells:
        raise ValueError('the line is no CSV: a quotation mark is not closed or stands in a word')
    if any(cells[len(columns) :]):
        raise ValueError(
            f'{len(cells)} cells where the list has {len(columns)} columns ({",".join(columns)}); '
            'quote a path that contains a comma'
        )
    named = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
    for name in ('left', 'right'):
        if name not in named:
            raise ValueError(f'no path of the {name} picture; expected {",".join(columns)}')
    if any('\0' in cell for cell in named.values()):
        raise ValueError('a path holds a zero byte')
    return named


def _resolved(line: int, named: Mapping[str, str], inputs: Path, outputs: Path) -> PairRow:
    calibration = named.get('calibration')
    if calibration is not None:
        whole = inputs / calibration
        parts = (
            [whole] if whole.is_file() else [inputs / c.strip() for c in calibration.split(',')]
        )
        calibration = ','.join(map(str, parts))
    return PairRow(
        line,
        inputs / named['left'],
        inputs / named['right'],
        {kind: outputs / named[kind] for kind in OUTPUT_COLUMNS if kind in named},
        calibration,
    )


def _cells(row: PairRow) -> dict[str, str]:
    cells = {'left': str(row.left), 'right': str(row.right)}
    cells |= {kind: str(path) for kind, path in row.outputs.items()}
    return cells | ({'calibration': row.calibration} if row.calibration else {})


def _writable(cell: str) -> str:
    try:
        cell.encode()
        fits = cell.isprintable() and cell == cell.strip()
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise UsageError(
            f'the path {shown(cell)} cannot stand in a list: it begins or ends with a blank, or '
            'holds a line break or bytes that are no text; rename it'
        )
    return cell
