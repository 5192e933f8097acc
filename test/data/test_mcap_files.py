from __future__ import annotations

import os
import random
import struct
from pathlib import Path

import pytest

pytest.importorskip('mcap', reason='mcap is not installed')

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.data import mcap_files
from msdesis_ros.data.mcap_files import McapRecording, TruncatedFileWarning, read_messages

# A message with a nested type, a string and an array, and what its CDR bytes look like.
TYPE = 'lab_msgs/msg/Sample'
DEFINITION = f"""lab_msgs/Stamp stamp
string name
float32[] values
{'=' * 80}
MSG: lab_msgs/Stamp
int32 sec
uint32 nanosec
"""
START_NS = 1_700_000_000_000_000_000


def cdr(number: int) -> bytes:
    """Serialise one sample by hand, little endian."""
    name = f'n{number:02d}'.encode() + b'\x00'
    body = struct.pack('<iI', number, number + 1)
    body += struct.pack('<I', len(name)) + name
    return b'\x00\x01\x00\x00' + body + struct.pack('<I2f', 2, number, -number)


def record(
    path: Path, count: int = 5, *, compression: str = 'none', topics: tuple[str, ...] = ('/a',)
) -> Path:
    with McapRecording(path, compression=compression) as recording:
        for topic in topics:
            recording.add_topic(topic, type_name=TYPE, definition=DEFINITION)
        for number in range(count):
            for topic in topics:
                time_ns = START_NS + number * 1000
                recording.write(
                    topic, cdr(number), log_time_ns=time_ns, publish_time_ns=time_ns - 10
                )
    return path


@pytest.mark.parametrize('compression', mcap_files.COMPRESSIONS)
def test_what_was_recorded_is_read_back(compression: str, tmp_path: Path) -> None:
    path = record(tmp_path / 'new' / 'a.mcap', 5, compression=compression)
    messages = list(read_messages(path))
    assert [(topic, time) for topic, time, _ in messages] == [
        ('/a', START_NS + number * 1000) for number in range(5)
    ]
    for number, (_, _, message) in enumerate(messages):
        assert (message.stamp.sec, message.stamp.nanosec) == (number, number + 1)
        assert message.name == f'n{number:02d}'
        assert list(message.values) == [number, -number]


def test_a_recording_is_read_by_rosbags(tmp_path: Path) -> None:
    anyreader = pytest.importorskip('rosbags.highlevel', reason='rosbags is not installed')
    path = record(tmp_path / 'a.mcap', 4, topics=('/a', '/b'))
    with anyreader.AnyReader([path]) as reader:
        assert sorted((c.topic, c.msgtype, c.msgcount) for c in reader.connections) == [
            ('/a', TYPE, 4),
            ('/b', TYPE, 4),
        ]
        names = [
            reader.deserialize(raw, connection.msgtype).name
            for connection, _, raw in reader.messages()
            if connection.topic == '/b'
        ]
    assert names == ['n00', 'n01', 'n02', 'n03']


def test_both_times_of_a_message_are_kept(tmp_path: Path) -> None:
    from mcap.reader import make_reader

    path = record(tmp_path / 'a.mcap', 1)
    with open(path, 'rb') as stream:
        ((_, _, message),) = make_reader(stream).iter_messages()
    assert (message.log_time, message.publish_time) == (START_NS, START_NS - 10)


def test_only_the_topics_asked_for_are_read(tmp_path: Path) -> None:
    path = record(tmp_path / 'a.mcap', 3, topics=('/a', '/b', '/c'))
    assert {topic for topic, _, _ in read_messages(path, ['/a', '/c'])} == {'/a', '/c'}
    assert list(read_messages(path, ['/d'])) == []


def test_messages_come_in_the_order_of_their_log_times(tmp_path: Path) -> None:
    with McapRecording(tmp_path / 'a.mcap') as recording:
        recording.add_topic('/a', type_name=TYPE, definition=DEFINITION)
        for number in (3, 1, 2):
            time_ns = START_NS + number
            recording.write('/a', cdr(number), log_time_ns=time_ns, publish_time_ns=time_ns)
    times = [time - START_NS for _, time, _ in read_messages(tmp_path / 'a.mcap')]
    assert times == [1, 2, 3]


def test_a_recording_has_its_name_only_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    recording = McapRecording(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ['a.mcap.part']
    recording.close()
    recording.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ['a.mcap']
    assert list(read_messages(path)) == []


def test_an_error_in_between_still_finishes_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    with pytest.raises(KeyError), McapRecording(path) as recording:
        recording.add_topic('/a', type_name=TYPE, definition=DEFINITION)
        recording.write('/a', cdr(1), log_time_ns=1, publish_time_ns=1)
        recording.write('/unknown', cdr(2), log_time_ns=2, publish_time_ns=2)
    assert len(list(read_messages(path))) == 1


def test_counts_say_what_was_written(tmp_path: Path) -> None:
    with McapRecording(tmp_path / 'a.mcap') as recording:
        recording.add_topic('/a', type_name=TYPE, definition=DEFINITION)
        recording.add_topic('/b', type_name=TYPE, definition=DEFINITION)
        recording.write('/a', cdr(1), log_time_ns=1, publish_time_ns=1)
    assert recording.counts == {'/a': 1, '/b': 0}


@pytest.mark.parametrize('compression', mcap_files.COMPRESSIONS)
def test_a_truncated_file_gives_what_is_whole_and_says_so(
    compression: str, tmp_path: Path
) -> None:
    big = tmp_path / 'big.mcap'
    with McapRecording(big, compression=compression) as recording:
        recording.add_topic('/a', type_name=TYPE, definition=DEFINITION)
        for number in range(40):
            # Random bytes do not compress, so that there are several chunks of 1 MiB.
            filler = os.urandom(100_000)
            recording.write(
                '/a', cdr(number) + filler, log_time_ns=number + 1, publish_time_ns=number + 1
            )
    whole = big.read_bytes()
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    messages = []
    with pytest.warns(TruncatedFileWarning, match=r'ends early .* whole messages'):
        messages.extend(read_messages(cut))
    assert 10 <= len(messages) < 30
    assert [message.stamp.sec for _, _, message in messages] == list(range(len(messages)))


def test_a_file_that_holds_its_first_bytes_only_is_truncated_not_an_error(tmp_path: Path) -> None:
    path = record(tmp_path / 'a.mcap')
    path.write_bytes(path.read_bytes()[:20])
    with pytest.warns(TruncatedFileWarning, match='0 whole messages'):
        assert list(read_messages(path)) == []


@pytest.mark.parametrize('content', [b'', b'no mcap at all', b'\x89PNG\r\n\x1a\n' * 3])
def test_a_file_that_is_no_recording_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match='no MCAP'):
        list(read_messages(path))


@pytest.mark.parametrize('compression', mcap_files.COMPRESSIONS)
def test_a_damaged_file_is_read_or_refused_but_never_breaks_the_reader(
    compression: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = record(tmp_path / 'a.mcap', 6, compression=compression).read_bytes()
    rng, path, refused = random.Random(compression), tmp_path / 'damaged.mcap', 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 2, 5))):
            damaged[rng.randrange(8, len(damaged) - 8)] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            assert len(list(read_messages(path))) <= 6
        except FileFormatError:
            refused += 1
    assert refused > 50


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match='No such file'):
        list(read_messages(tmp_path / 'none.mcap'))


def test_an_unknown_compression_is_refused_listing_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='none, lz4, zstd'):
        McapRecording(tmp_path / 'a.mcap', compression='gzip')
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(MsdesisError, match='cannot write the recording'):
        McapRecording(tmp_path / 'file' / 'a.mcap')


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    if not Path('/dev/full').exists():
        pytest.skip('this system has no /dev/full')
    (tmp_path / 'a.mcap.part').symlink_to('/dev/full')
    recording = McapRecording(tmp_path / 'a.mcap')
    recording.add_topic('/a', type_name=TYPE, definition=DEFINITION)
    with pytest.raises(MsdesisError, match='No space left'):
        for number in range(30):
            recording.write('/a', cdr(number) + bytes(100_000), log_time_ns=1, publish_time_ns=1)
    with pytest.raises(MsdesisError, match='No space left'):
        recording.close()
    assert not (tmp_path / 'a.mcap').exists()
