from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip('mcap', reason='mcap is not installed')

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.stereo_recording import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    HeldPictures,
    StereoRecording,
)

Write = Callable[..., Path]


@pytest.mark.parametrize('kind', ['mcap', 'bag'])
def test_the_topics_of_a_rig_are_found_and_read_in_order(
    kind: str, stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = stereo(4)
    recording = StereoRecording(write_recording(tmp_path / 'r', stream, kind))
    assert recording.image_topics == {s: f'/rig/{s}/image_raw' for s in ('left', 'right')}
    assert recording.info_topics == {s: f'/rig/{s}/camera_info' for s in ('left', 'right')}
    assert recording.image_type == IMAGE
    messages = list(recording.messages())
    assert [m.cdr for m in messages] == [cdr for *_, cdr in stream]
    assert [(m.side, m.kind) for m in messages[:4]] == [
        ('left', CAMERA_INFO),
        ('left', IMAGE),
        ('right', CAMERA_INFO),
        ('right', IMAGE),
    ]
    assert [m.time_ns - m.stamp_ns for m in messages[:2]] == [1_000_000, 1_000_001]
    assert recording.pictures == (4, 4)
    assert recording.held == HeldPictures(4, 4, 4)
    assert recording.pairs == 4
    assert recording.rate_hz == pytest.approx(1000 / 33)
    assert '4 left and 4 right pictures' in recording.sentence()
    infos = recording.first_infos()
    assert {side: info.cdr for side, info in infos.items()} == {
        'left': stream[0][3],
        'right': stream[2][3],
    }


def renamed(stream: list, **names: str) -> list:
    """The stream with other topic names: left='/a' renames /rig/left/image_raw."""
    table = {f'/rig/{side}/image_raw': name for side, name in names.items()}
    return [(table.get(topic, topic), *rest) for topic, *rest in stream]


@pytest.mark.parametrize(
    ('left', 'right'),
    [
        ('/left/image_raw', '/right/image_raw'),
        ('/davinci/left/image', '/davinci/right/image'),
        ('/stereo/left_camera/image_raw', '/stereo/right_camera/image_raw'),
        ('/cam_left', '/cam_right'),
        ('left/image_raw', 'right/image_raw'),
    ],
)
def test_other_names_are_found_too(
    left: str, right: str, stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = renamed(stereo(2), left=left, right=right)
    stream += [(t, k, n, c) for t, k, n, c in renamed(stereo(1), left='/depth') if t == '/depth']
    recording = StereoRecording(write_recording(tmp_path / 'r', stream))
    assert recording.image_topics == {'left': left, 'right': right}


def test_the_raw_pictures_come_before_those_that_were_made_of_them(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = stereo(2) + renamed(stereo(2), left='/rig/left/image_rect')
    recording = StereoRecording(write_recording(tmp_path / 'r', stream))
    assert recording.image_topics['left'] == '/rig/left/image_raw'


def test_what_cannot_be_told_must_be_named(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = stereo(2) + renamed(
        stereo(2), left='/two/left/image_raw', right='/two/right/image_raw'
    )
    path = write_recording(tmp_path / 'r', stream)
    with pytest.raises(
        UsageError, match=r'left one .*/rig/left/image_raw, .*/two/right/image_raw'
    ):
        StereoRecording(path)
    recording = StereoRecording(
        path, left_topic='/two/left/image_raw', right_topic='two/right/image_raw'
    )
    assert recording.image_topics['right'] == '/two/right/image_raw'
    with pytest.raises(UsageError, match='no image topic /three; its image topics: /rig'):
        StereoRecording(path, left_topic='/three')


def test_compressed_pictures_and_the_camera_info_beside_them_are_found(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = [
        (f'{topic}/compressed', COMPRESSED, *rest) if kind == IMAGE else (topic, kind, *rest)
        for topic, kind, *rest in stereo(2)
    ]
    recording = StereoRecording(write_recording(tmp_path / 'r', stream))
    assert recording.image_type == COMPRESSED
    assert recording.image_topics['left'] == '/rig/left/image_raw/compressed'
    assert recording.info_topics['left'] == '/rig/left/camera_info'


def test_a_recording_without_camera_info_or_without_pictures_says_so(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    pictures = [entry for entry in stereo(2) if entry[1] == IMAGE]
    recording = StereoRecording(write_recording(tmp_path / 'p', pictures))
    assert recording.info_topics == {} and recording.first_infos() == {}
    infos = [entry for entry in stereo(2) if entry[1] == CAMERA_INFO]
    with pytest.raises(FileFormatError, match='holds no pictures'):
        StereoRecording(write_recording(tmp_path / 'i', infos))


def test_a_truncated_recording_says_how_many_pairs_and_bytes_it_holds(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = stereo(40, size=200)
    content = write_recording(tmp_path / 'r', stream).read_bytes()
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(content[: len(content) // 2])
    recording = StereoRecording(cut)
    messages = list(recording.messages())
    left = sum(m.kind == IMAGE and m.side == 'left' for m in messages)
    right = sum(m.kind == IMAGE and m.side == 'right' for m in messages)
    assert recording.held == HeldPictures(left, right, min(left, right))
    assert 10 < right < 30
    whole = recording.reader.whole_bytes
    assert recording.sentence() == (
        f'{cut} ends early: {right} whole pairs ({left} left and {right} right pictures) in '
        f'{whole} whole bytes of {len(content) // 2}'
    )


def test_only_pictures_that_belong_together_count_as_pairs(
    stereo: Callable, write_recording: Write, tmp_path: Path
) -> None:
    stream = stereo(10)
    del stream[21], stream[7]  # the right picture of pair 1, the left one of pair 5
    held = StereoRecording(write_recording(tmp_path / 'r', stream)).held
    assert (held.left, held.right, held.pairs) == (9, 9, 8)
