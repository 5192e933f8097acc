"""Which results of a list are finished: a line for each, in a file that a killed run leaves whole.

A line is written in one piece once all files of a result are in place, so the journal never claims
more than there is. It holds the hash of every file, by which the next run sees whether it still is
what was written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.offline.pair_list import PairRow

_FIRST_LINE = {'journal': 'msdesis_ros offline', 'version': 1}


@dataclass(frozen=True)
class Entry:
    """One finished result.

    inputs: size in bytes and time of the last change (ns) of each file that was read. outputs:
    SHA-256 (hex) of the file of each kind of result. about: what else a report tells of it.
    """

    inputs: Mapping[str, list[int]]
    outputs: Mapping[str, str]
    about: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """The journal of one list; a context that no other process can be in at the same time.

    `settings`: what decides the contents of the results, as JSON values; an entry made with others
    does not count. Raises MsdesisError where the file cannot be written, is no journal, or is in
    use by another run.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = digest_of(settings)
        self._entries: dict[tuple[str, ...], Entry] = {}
        self._made: dict[str, str] = {}  # a result as in `_key` -> its hash
        self._file: int | None = None

    def __enter__(self) -> Journal:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self._lock()
            self._read()
        except OSError as error:
            self.__exit__()
            raise self._refused(error) from error
        except MsdesisError:
            self.__exit__()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)  # and with it the lock
            self._file = None

    def finished(self, row: PairRow, further_inputs: tuple[str, ...] = ()) -> Entry | None:
        """The entry of a row whose results are there, whole and up to date; None otherwise.

        `further_inputs`: files beside those of the row that it was made from.
        """
        entry = self._entries.get(self._key(row))
        if entry is None or entry.inputs != identity_of((*row.inputs(), *further_inputs)):
            return None
        try:
            now = {kind: file_sha256(path) for kind, path in row.outputs.items()}
        except OSError:
            return None
        return entry if now == entry.outputs else None

    def add(self, row: PairRow, entry: Entry) -> None:
        """Write down that all results of a row are in place."""
        key = self._key(row)
        self._entries[key] = entry
        self._made |= _made_by(key, entry)
        self._append({'row': key, 'settings': self._settings, **asdict(entry)})

    def _key(self, row: PairRow) -> tuple[str, ...]:
        """Which results, as seen from the journal, so that both may move together."""
        return tuple(
            f'{kind}={os.path.relpath(path, self._path.parent)}'
            for kind, path in sorted(row.outputs.items())
        )

    def remove_outdated(self, row: PairRow) -> None:
        """Remove what an earlier run wrote for a row that has no result now, and nothing else."""
        for name, (_, path) in zip(self._key(row), sorted(row.outputs.items()), strict=True):
            # Whatever else was asked for together with it then.
            with contextlib.suppress(OSError):
                if name in self._made and file_sha256(path) == self._made[name]:
                    path.unlink()

    def _append(self, value: Mapping[str, Any]) -> None:
        assert self._file is not None, 'used outside of its context'
        line = _line(value)
        try:
            if os.write(self._file, line) != len(line):
                raise OSError('the disk is full')
        except OSError as error:
            raise self._refused(error) from error

    def _lock(self) -> None:
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MsdesisError(
                f'{self._path} is in use: another run works on this list; wait for it, or give '
                'another folder for the results'
            ) from None

    def _read(self) -> None:
        lines = self._path.read_bytes().split(b'\n')
        torn = lines.pop()
        values = [_parsed(line) for line in lines]
        if values[:1] not in ([], [_FIRST_LINE]) or not (
            values or _line(_FIRST_LINE).startswith(torn)
        ):
            raise MsdesisError(f'{self._path} is no journal of this program; move it away')
        if torn and values:
            assert self._file is not None
            os.write(self._file, b'\n')  # what a killed run began is a line of its own
        elif not values:
            os.truncate(self._path, 0)
            self._append(_FIRST_LINE)
        for value in values[1:]:
            try:
                key = tuple(value['row'])
                entry = Entry(value['inputs'], value['outputs'], value['about'])
                current = value['settings'] == self._settings
                made = _made_by(key, entry)
            except (AttributeError, KeyError, TypeError):
                continue
            self._made |= made
            if current:
                self._entries[key] = entry
            else:  # the files of earlier settings were replaced
                self._entries.pop(key, None)

    def _refused(self, error: OSError) -> MsdesisError:
        return MsdesisError(
            f'cannot write {self._path}: {error.strerror or error}; choose a folder you may write '
            'to, with free space'
        )


def _made_by(key: tuple[str, ...], entry: Entry) -> dict[str, str]:
    """The hash of each result that a key of `Journal` names."""
    return {name: entry.outputs[name.partition('=')[0]] for name in key}


def digest_of(settings: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of JSON values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def identity_of(paths: tuple[str, ...]) -> dict[str, list[int]]:
    """Size in bytes and time of the last change (ns) of files; those that are not there are left
    out.
    """
    found = {}
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        found[path] = [status.st_size, status.st_mtime_ns]
    return found


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 (hex) of the bytes of a file; OSError where it cannot be read."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(',', ':')).encode() + b'\n'


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # of a run that was killed, or a disk that was full
        return None
