from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip('mcap', reason='mcap is not installed')

from msdesis_ros.core.errors import FileFormatError, MissingExtraError
from msdesis_ros.data.recordings import open_recording, stamp_of, with_stamp

Write = Callable[..., Path]
KINDS = ('mcap', 'bag', 'bag_mcap')


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_of_recording_gives_the_bytes_that_were_recorded(
    kind: str, stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = stereo(5)
    reader = open_recording(write_recording(tmp_path / 'rec', stream, kind))
    for _ in range(2):
        assert [(m.topic, m.log_time_ns, m.cdr) for m in reader.messages()] == [
            (topic, time_ns, cdr) for topic, _, time_ns, cdr in stream
        ]
    topics = reader.topics()
    assert {name: (t.type_name, t.count) for name, t in topics.items()} == {
        topic: (kind, 5) for topic, kind, _, _ in stream
    }
    assert reader.finished and reader.whole_bytes == reader.file_bytes > 1000
    some = [m.topic for m in reader.messages(['/rig/left/image_raw'])]
    assert some == ['/rig/left/image_raw'] * 5
    assert list(reader.messages(['/none'])) == []


def test_a_database_is_read_without_its_folder(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    folder = write_recording(tmp_path / 'rec', stereo(3), 'bag')
    (database,) = folder.glob('*.db3')
    assert len(list(open_recording(database).messages())) == 12


@pytest.mark.parametrize('compression', ['none', 'zstd'])
def test_a_truncated_file_gives_its_whole_messages_and_says_where_it_is_whole(
    compression: str, stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = stereo(40, size=200)
    whole = write_recording(tmp_path / 'rec', stream, compression=compression)
    cut = tmp_path / 'cut.mcap'
    content = whole.read_bytes()
    for share in (0.0001, 0.3, 0.6, 0.999):
        cut.write_bytes(content[: max(10, int(len(content) * share))])
        reader = open_recording(cut)
        messages = list(reader.messages())
        assert not reader.finished
        assert reader.whole_bytes <= reader.file_bytes == cut.stat().st_size
        assert [m.cdr for m in messages] == [cdr for *_, cdr in stream[: len(messages)]]
        assert sum(t.count or 0 for t in reader.topics().values()) == len(messages)
        # What is whole is enough: nothing was read of the rest.
        cut.write_bytes(content[: reader.whole_bytes])
        assert len(list(open_recording(cut).messages())) == len(messages)
    assert len(messages) > 100


def test_a_folder_whose_recorder_was_killed_is_read_by_its_file(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    folder = tmp_path / 'bag'
    folder.mkdir()
    with pytest.raises(FileFormatError, match='0 MCAP files'):
        open_recording(folder)
    content = write_recording(tmp_path / 'rec', stereo(3)).read_bytes()
    (folder / 'bag_0.mcap').write_bytes(content[:-100])
    assert not open_recording(folder).finished
    (folder / 'bag_1.mcap').write_bytes(content)
    with pytest.raises(FileFormatError, match='2 MCAP files'):
        open_recording(folder)


def test_a_damaged_folder_is_refused_with_the_way_out(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    folder = write_recording(tmp_path / 'rec', stereo(3), 'bag')
    (database,) = folder.glob('*.db3')
    database.write_bytes(database.read_bytes()[:3000])
    with pytest.raises(FileFormatError, match='give the MCAP file itself'):
        list(open_recording(folder).messages())


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match='No such file'):
        open_recording(tmp_path / 'none.mcap')
    (tmp_path / 'a.mcap').write_text('no recording')
    with pytest.raises(FileFormatError, match='no MCAP'):
        open_recording(tmp_path / 'a.mcap')


def test_without_rosbags_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'metadata.yaml').write_text('{}')
    monkeypatch.setitem(sys.modules, 'rosbags.rosbag2', None)
    with pytest.raises(MissingExtraError, match=r"pip install 'msdesis_ros\[bags\]'"):
        open_recording(tmp_path)


def test_a_stamp_is_read_and_replaced_without_decoding_the_message(stereo: Callable) -> None:
    _, _, _, cdr = stereo(1)[1]
    assert stamp_of(cdr) == 1_700_000_000_000_000_000
    moved = with_stamp(cdr, 5_000_000_007)
    assert stamp_of(moved) == 5_000_000_007
    assert moved[:4] == cdr[:4] and moved[12:] == cdr[12:] and len(moved) == len(cdr)
    assert with_stamp(moved, 1_700_000_000_000_000_000) == cdr
    big_endian = b'\x00\x00\x00\x00' + bytes(3) + b'\x02' + bytes(3) + b'\x09' + b'rest'
    assert stamp_of(big_endian) == 2_000_000_009
    assert stamp_of(with_stamp(big_endian, 17)) == 17
    with pytest.raises(FileFormatError, match='8 bytes has no header'):
        stamp_of(bytes(8))
