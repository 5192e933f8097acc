"""Recordings of ROS 2 topics in one MCAP file, as `ros2 bag`, Foxglove, `mcap` and `rosbags` read.

The file holds serialised (CDR) messages as they came off the wire, with the text of their message
definitions, so that it can be read without ROS and after the definitions have changed.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from msdesis_ros.core.errors import MissingExtraError, MsdesisError, UsageError
from msdesis_ros.data.closing import Closing
from msdesis_ros.data.mcap_reader import McapReader

try:
    from mcap.writer import CompressionType, Writer
except ImportError as error:
    raise MissingExtraError(
        f'recordings need the package mcap ({error}); install it with: pip install mcap'
    ) from error

# One frame of 1280x1024 results, 35 MB, takes 47 ms with none, 163 with lz4 (file: 0.76 of it) and
# 213 with zstd (0.52) on one core, so that only `none` follows a camera.
COMPRESSIONS = {
    'none': CompressionType.NONE,
    'lz4': CompressionType.LZ4,
    'zstd': CompressionType.ZSTD,
}
# A recording that is not finished yet, or never was, because the machine lost power.
UNFINISHED_SUFFIX = '.part'


class TruncatedFileWarning(UserWarning):
    """A recording ends early; what is whole was read."""


class McapRecording(Closing):
    """Writes one recording under a temporary name (`.part`) and renames it in `close()`.

    compression: a key of COMPRESSIONS. Raises UsageError for another one, and MsdesisError where
    the operating system refuses to write. One thread only.
    """

    def __init__(self, path: str | os.PathLike[str], *, compression: str = 'none') -> None:
        if compression not in COMPRESSIONS:
            raise UsageError(
                f"'{compression}' is no compression; choose one of {', '.join(COMPRESSIONS)}"
            )
        self.path = Path(path)
        self.counts: dict[str, int] = {}
        self._unfinished = self.path.with_name(self.path.name + UNFINISHED_SUFFIX)
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        with self._refusals():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream: BinaryIO | None = open(self._unfinished, 'wb')  # noqa: SIM115
        self._writer = Writer(self._stream, compression=COMPRESSIONS[compression])
        self._writer.start(profile='ros2', library='msdesis_ros')

    def add_topic(self, topic: str, *, type_name: str, definition: str) -> None:
        """Announce a topic before its first message.

        type_name: `package/msg/Type`. definition: its ros2msg text with all it depends on.
        """
        if topic in self._channels:
            return
        if type_name not in self._schemas:
            self._schemas[type_name] = self._writer.register_schema(
                name=type_name, encoding='ros2msg', data=definition.encode()
            )
        self._channels[topic] = self._writer.register_channel(
            topic=topic, message_encoding='cdr', schema_id=self._schemas[type_name]
        )
        self.counts[topic] = 0

    def write(self, topic: str, cdr: bytes, *, log_time_ns: int, publish_time_ns: int) -> None:
        """Append one serialised message of an announced topic."""
        with self._refusals():
            self._writer.add_message(
                channel_id=self._channels[topic],
                log_time=log_time_ns,
                publish_time=publish_time_ns,
                sequence=self.counts[topic],
                data=cdr,
            )
        self.counts[topic] += 1

    def close(self) -> None:
        """Finish the file and give it its name; calling it again does nothing."""
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        with self._refusals(), stream:
            self._writer.finish()
            stream.flush()
            os.fsync(stream.fileno())
        with self._refusals():
            os.replace(self._unfinished, self.path)

    def discard(self) -> None:
        """Leave nothing behind of a recording that cannot be finished."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            self._unfinished.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MsdesisError(
                f'cannot write the recording {self._unfinished}: {error.strerror or error}; '
                'choose a folder you may write to, with free space'
            ) from error


def read_messages(
    path: str | os.PathLike[str], topics: Iterable[str] | None = None
) -> Iterator[tuple[str, int, Any]]:
    """Read a recording: (topic, log_time_ns, message) in the order of their log times.

    The messages have the fields of the ROS messages (`message.header.stamp.sec`), made from the
    definitions in the file; `data` of images and clouds is bytes. topics: only these.

    A file that was never finished is read in the order of writing up to its end, then a
    TruncatedFileWarning says so. Raises FileFormatError for a file that is missing or no MCAP.
    """
    reader = McapReader(path)
    count = 0
    for entry in reader.decoded(topics):
        yield entry
        count += 1
    if not reader.finished:
        warnings.warn(
            f'{path} ends early (its recorder was killed?): {count} whole messages were read',
            TruncatedFileWarning,
            stacklevel=2,
        )
