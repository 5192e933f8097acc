"""Messages of an MCAP file as they were recorded, whole files and those that end early."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from msdesis_ros.core.errors import FileFormatError, MissingExtraError

try:
    from mcap.reader import McapReader as Reader
    from mcap.reader import NonSeekingReader, SeekingReader
    from mcap_ros2.decoder import DecoderFactory
except ImportError as error:
    raise MissingExtraError(
        f'recordings need the packages mcap and mcap-ros2-support ({error}); install them with: '
        'pip install mcap mcap-ros2-support'
    ) from error

MAGIC = b'\x89MCAP0\r\n'
# Opcode and length, which every record begins with.
_RECORD_HEAD = struct.Struct('<BQ')


@dataclass(frozen=True)
class RecordedTopic:
    """count: None where it is not known without reading the messages."""

    name: str
    type_name: str
    count: int | None


class RecordedMessage(NamedTuple):
    """One serialised (CDR) message and when it was recorded."""

    topic: str
    log_time_ns: int
    cdr: bytes


class McapReader:
    """One MCAP file. `finished`: its end was written, so nothing is missing.

    file_bytes: its size; whole_bytes: up to where it is whole. A file that was never finished is
    read in the order of writing up to there. Raises FileFormatError for a file that is missing or
    no MCAP, and later for one that is finished, but damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._open() as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                raise FileFormatError(
                    f'{self.path} is no MCAP recording: it does not start like one'
                )
            self.file_bytes = stream.seek(0, os.SEEK_END)
            self.finished = _is_finished(stream)
            self.whole_bytes = self.file_bytes if self.finished else _whole_bytes(stream)

    def topics(self) -> dict[str, RecordedTopic]:
        """The topics by name; of an unfinished file those that have a message."""
        if self.finished:
            found = self._topics_of_summary()
            if found is not None:
                return found
        types: dict[str, str] = {}
        counts: dict[str, int] = {}

        def note(schema: Any, channel: Any, record: Any) -> None:
            types[channel.topic] = schema.name if schema is not None else ''
            counts[channel.topic] = counts.get(channel.topic, 0) + 1

        for _ in self._read(None, note):
            pass
        return {name: RecordedTopic(name, types[name], counts[name]) for name in types}

    def messages(self, topics: Iterable[str] | None = None) -> Iterator[RecordedMessage]:
        """The messages of these topics, or all, in the order of their log times."""
        return self._read(
            topics,
            lambda _, channel, record: RecordedMessage(
                channel.topic, record.log_time, record.data
            ),
        )

    def decoded(self, topics: Iterable[str] | None = None) -> Iterator[tuple[str, int, Any]]:
        """(topic, log_time_ns, message) with the fields of the ROS message, else as `messages`."""
        factory = DecoderFactory()
        decoders: dict[int, Callable[[bytes], Any]] = {}

        def decode(schema: Any, channel: Any, record: Any) -> tuple[str, int, Any]:
            if channel.id not in decoders:
                decoder = factory.decoder_for(channel.message_encoding, schema)
                if decoder is None:
                    raise FileFormatError(
                        f'{self.path}: messages of {channel.topic} are encoded as '
                        f"'{channel.message_encoding}'; expected cdr with a ros2msg definition"
                    )
                decoders[channel.id] = decoder
            return channel.topic, record.log_time, decoders[channel.id](record.data)

        return self._read(topics, decode)

    def _read(
        self, topics: Iterable[str] | None, make: Callable[[Any, Any, Any], Any]
    ) -> Iterator[Any]:
        wanted = None if topics is None else list(topics)
        count = 0
        with self._open() as stream:
            try:
                reader: Reader = (SeekingReader if self.finished else NonSeekingReader)(stream)
                for schema, channel, record in reader.iter_messages(
                    topics=wanted, log_time_order=self.finished
                ):
                    yield make(schema, channel, record)
                    count += 1
            except FileFormatError:
                raise
            except Exception as error:  # each layer of a damaged file fails in its own way
                if self.finished:
                    raise FileFormatError(
                        f'{self.path} is damaged after {count} messages: {_words(error)}'
                    ) from error

    def _topics_of_summary(self) -> dict[str, RecordedTopic] | None:
        with self._open() as stream:
            try:
                summary = SeekingReader(stream).get_summary()
            except Exception as error:
                raise FileFormatError(f'{self.path} is damaged: {_words(error)}') from error
            if summary is None or summary.statistics is None or not summary.channels:
                return None
            counts = summary.statistics.channel_message_counts
            found: dict[str, RecordedTopic] = {}
            for number, channel in summary.channels.items():
                schema = summary.schemas.get(channel.schema_id)
                earlier = found.get(channel.topic)
                count = counts.get(number, 0) + (earlier.count or 0 if earlier else 0)
                name = schema.name if schema else ''
                found[channel.topic] = RecordedTopic(channel.topic, name, count)
            return found

    def _open(self) -> BinaryIO:
        try:
            return open(self.path, 'rb')
        except OSError as error:
            raise FileFormatError(
                f'cannot read the recording {self.path}: {error.strerror or error}; give an MCAP '
                'file'
            ) from error


def _is_finished(stream: BinaryIO) -> bool:
    """Whether the file ends with the mark that is written last."""
    length = stream.seek(0, os.SEEK_END)
    if length < 2 * len(MAGIC):
        return False
    stream.seek(-len(MAGIC), os.SEEK_END)
    return stream.read() == MAGIC


def _words(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__


def _whole_bytes(stream: BinaryIO) -> int:
    """Where the last whole record ends."""
    length = stream.seek(0, os.SEEK_END)
    end = len(MAGIC)
    while end + _RECORD_HEAD.size <= length:
        stream.seek(end)
        _, size = _RECORD_HEAD.unpack(stream.read(_RECORD_HEAD.size))
        if end + _RECORD_HEAD.size + size > length:
            break
        end += _RECORD_HEAD.size + size
    return end
