from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.video_frames import VideoFile

sys.path.append(str(Path(__file__).parents[1]))
from stereo_videos import (
    NTSC,
    cut,
    decoded,
    overwrite_picture,
    stacked,
    write_video,
)

FASTSTART = {'movflags': 'faststart'}


@pytest.mark.parametrize('rate', [Fraction(25), NTSC, Fraction(60)])
@pytest.mark.parametrize('name', ['v.mkv', 'v.avi', 'v.mp4'])
def test_times_and_rate_are_exact_even_in_containers_that_count_milliseconds(name, rate, tmp_path):
    encoder = 'mpeg4' if name.endswith('mp4') else 'ffv1'
    video = VideoFile(write_video(tmp_path / name, stacked(7), rate=rate, encoder=encoder))
    assert video.rate == rate and video.count == 7 and video.count_is_exact
    pictures = list(video.pictures())
    assert [picture.time for picture in pictures] == [n / rate for n in range(7)]
    assert {picture.duration for picture in pictures} == {1 / rate}
    assert video.account.decoded == 7 and not video.account.lost and not video.account.cut_short


@pytest.mark.parametrize('name', ['v.mkv', 'v.mp4'])
def test_times_that_vary_are_kept(name, tmp_path):
    times = [Fraction(ms, 1000) for ms in (0, 40, 90, 100, 250, 300)]
    encoder = 'mpeg4' if name.endswith('mp4') else 'ffv1'
    path = write_video(tmp_path / name, stacked(6), times=times, encoder=encoder)
    video = VideoFile(path)
    assert [picture.time for picture in video.pictures()] == times


@pytest.mark.parametrize(
    ('name', 'encoder', 'options'),
    [
        ('v.avi', 'mjpeg', {}),
        ('v.avi', 'mpeg4', {}),
        ('v.mkv', 'mjpeg', {}),
        ('v.mp4', 'mpeg4', FASTSTART),
        ('v.mov', 'mjpeg', FASTSTART),
    ],
)
@pytest.mark.parametrize('share', [0.45, 0.8])
def test_a_video_cut_short_gives_all_that_decodes_and_says_what_is_missing(
    name, encoder, options, share, tmp_path
):
    whole = write_video(tmp_path / name, stacked(12), rate=NTSC, encoder=encoder, options=options)
    path = cut(whole, share)
    video = VideoFile(path)
    pictures = list(video.pictures(skip_damaged=True))
    expected = decoded(path)
    assert 1 <= len(pictures) == len(expected) < 12
    account = video.account
    assert account.damaged == sum(picture.damaged for picture in pictures) <= 1
    for picture, plain in zip(pictures, expected, strict=True):
        if not picture.damaged:
            np.testing.assert_array_equal(picture.rgb, plain)
    assert account.cut_short and account.exact
    assert account.decoded == len(pictures)
    assert account.decoded + account.lost == 12


def test_a_picture_that_does_not_decode_costs_itself_and_nothing_else(tmp_path):
    path = write_video(tmp_path / 'v.avi', stacked(9), encoder='mjpeg')
    whole = decoded(path)
    video = VideoFile(overwrite_picture(path, 4))
    pictures = list(video.pictures(skip_damaged=True))
    assert [picture.time * 30 for picture in pictures] == [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_array_equal(pictures[4].rgb, whole[5])
    assert video.account.refused == 1 == video.account.lost and not video.account.cut_short
    with pytest.raises(FileFormatError, match='cannot be read as a video'):
        list(video.pictures())


@pytest.mark.parametrize('number', [9, 10, 11])
def test_a_bad_picture_near_the_end_costs_itself_where_decoders_reorder(number, tmp_path):
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    if 'libx264' not in av.codecs_available:
        pytest.skip('this FFmpeg does not write H.264')
    path = write_video(tmp_path / 'v.mp4', stacked(12), encoder='libx264')
    video = VideoFile(overwrite_picture(path, number, keep=0))
    assert len(list(video.pictures(skip_damaged=True))) == 11 == video.account.decoded
    assert video.account.lost == 1


def test_a_picture_that_the_decoder_repairs_is_given_and_marked(tmp_path):
    path = write_video(tmp_path / 'v.avi', stacked(9), encoder='mpeg4')
    video = VideoFile(overwrite_picture(path, 4))
    pictures = list(video.pictures(skip_damaged=True))
    assert [n for n, picture in enumerate(pictures) if picture.damaged] == [4]
    assert video.account.damaged == 1 and video.account.decoded == 9


def test_what_an_edit_list_hides_is_not_missing(tmp_path):
    av = pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    first = write_video(tmp_path / 'v.mp4', stacked(12), encoder='mpeg4')
    path = tmp_path / 'later.mp4'
    with av.open(str(first)) as source, av.open(str(path), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        back = round(Fraction(5, 30) / source.streams.video[0].time_base)
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = packet.pts - back, packet.dts - back
                packet.stream = stream
                target.mux(packet)
    video = VideoFile(path)
    assert video.count == 7
    assert len(list(video.pictures(skip_damaged=True))) == 7
    assert not video.account.lost and not video.account.cut_short


def test_joined_recordings_whose_times_begin_again_go_on_from_the_first(tmp_path):
    part = write_video(tmp_path / 'a.ts', stacked(5), encoder='mpeg2video').read_bytes()
    (tmp_path / 'b.ts').write_bytes(part + part)
    times = [p.time for p in VideoFile(tmp_path / 'b.ts').pictures(skip_damaged=True)]
    assert len(times) >= 9
    assert all(after > before for before, after in zip(times, times[1:], strict=False))


def test_a_video_whose_pictures_change_their_size_is_refused(tmp_path):
    parts = [
        write_video(tmp_path / f'{n}.mjpeg', stacked(3, size=size), encoder='mjpeg').read_bytes()
        for n, size in enumerate([(72, 48), (64, 40)])
    ]
    (tmp_path / 'v.mjpeg').write_bytes(b''.join(parts))
    with pytest.raises(FileFormatError, match='picture 3 is 128x40 while the video is 144x48'):
        list(VideoFile(tmp_path / 'v.mjpeg').pictures(skip_damaged=True))
