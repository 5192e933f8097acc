"""Recordings of any kind as serialised messages: MCAP files, and rosbag2 folders or databases."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from msdesis_ros.core.errors import FileFormatError, MissingExtraError, MsdesisError
from msdesis_ros.data.mcap_reader import MAGIC, McapReader, RecordedMessage, RecordedTopic

METADATA = 'metadata.yaml'
DATABASE_SUFFIX = '.db3'
# The stamp stands first in every message with a header, after four bytes about the encoding.
_STAMP_AT, _STAMP_END = 4, 12


class RecordingReader(Protocol):
    """What can be read of a recording; errors are FileFormatError.

    finished: nothing is missing at its end. file_bytes: its size; whole_bytes: up to where it is
    whole. Messages come in the order of their log times.
    """

    path: Path
    finished: bool
    file_bytes: int
    whole_bytes: int

    def topics(self) -> dict[str, RecordedTopic]: ...

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[RecordedMessage]: ...


def open_recording(path: str | os.PathLike[str]) -> RecordingReader:
    """The reader for an MCAP file, a rosbag2 folder, or a rosbag2 database (.db3).

    Raises FileFormatError for anything else, MissingExtraError where rosbags is needed and
    missing.
    """
    path = Path(path)
    if path.is_dir():
        if (path / METADATA).exists():
            return BagReader(path)
        # A recorder that was killed has written no metadata.
        parts = sorted(entry for entry in path.iterdir() if _looks_like_mcap(entry))
        if len(parts) == 1:
            return McapReader(parts[0])
        raise FileFormatError(
            f'{path} holds no {METADATA} and {len(parts)} MCAP files; give a rosbag2 folder, or '
            'one MCAP file'
        )
    if path.suffix == DATABASE_SUFFIX and path.exists():
        return BagReader(path)
    return McapReader(path)


def stamp_of(cdr: bytes) -> int:
    """The stamp in nanoseconds of a serialised message that begins with a header."""
    if len(cdr) < _STAMP_END:
        raise FileFormatError(f'a message of {len(cdr)} bytes has no header; expected at least 12')
    seconds, nanoseconds = _stamp_format(cdr).unpack_from(cdr, _STAMP_AT)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def with_stamp(cdr: bytes, stamp_ns: int) -> bytes:
    """The same message under another stamp, nanoseconds."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = _stamp_format(cdr).pack(seconds, nanoseconds)
    return b''.join((cdr[:_STAMP_AT], stamp, cdr[_STAMP_END:]))


def _stamp_format(cdr: bytes) -> struct.Struct:
    return struct.Struct('<iI' if cdr[1] & 1 else '>iI')


class BagReader:
    """A rosbag2 folder or database, through the package rosbags."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.finished = True
        entries = path.rglob('*') if path.is_dir() else [path]
        self.file_bytes = sum(entry.stat().st_size for entry in entries if entry.is_file())
        self.whole_bytes = self.file_bytes
        with self._opened() as reader:
            self._topics = {
                name: RecordedTopic(name, entry.msgtype or '', entry.msgcount)
                for name, entry in reader.topics.items()
            }

    def topics(self) -> dict[str, RecordedTopic]:
        return dict(self._topics)

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[RecordedMessage]:
        wanted = set(self._topics if topics is None else topics)
        with self._opened() as reader:
            chosen = [c for c in reader.connections if c.topic in wanted]
            if chosen:
                for connection, log_time_ns, cdr in reader.messages(connections=chosen):
                    yield RecordedMessage(connection.topic, log_time_ns, bytes(cdr))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            from rosbags.rosbag2 import Reader
        except ImportError as error:
            raise MissingExtraError(
                f'rosbag2 recordings need the package rosbags ({error}); install it with: '
                "pip install 'msdesis_ros[bags]'"
            ) from error
        try:
            with Reader(self.path) as reader:
                yield reader
        except MsdesisError:
            raise
        except Exception as error:  # SQLite, YAML and MCAP fail each in their own way
            raise FileFormatError(
                f'{self.path} cannot be read as a rosbag2 recording: {error}; of a damaged folder '
                'give the MCAP file itself'
            ) from error


def _looks_like_mcap(path: Path) -> bool:
    if not path.is_file():
        return False
    with contextlib.suppress(OSError), path.open('rb') as stream:
        return stream.read(len(MAGIC)) == MAGIC
    return False
