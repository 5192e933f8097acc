from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import MissingExtraError, MsdesisError, UsageError
from msdesis_ros.data.video_writer import CODECS, MAX_TIMESCALE, VideoWriter, timescale

sys.path.append(str(Path(__file__).parents[1]))
from stereo_videos import NTSC, decoded, rate_of, times_of

pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
WARM, CYAN = (200, 60, 40), (0, 180, 180)


def halves(size: tuple[int, int]) -> np.ndarray:
    """A warm left half and a cyan right one."""
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[:] = CYAN
    picture[:, : size[0] // 2] = WARM
    return picture


def write(
    path: Path, times: list[Fraction], *, size=(48, 32), rate=Fraction(25), **options
) -> Path:
    with VideoWriter(path, size=size, rate=rate, **options) as writer:
        for time in times:
            writer.write(halves(size), time)
    return path


@pytest.mark.parametrize('codec', sorted(CODECS))
@pytest.mark.parametrize('size', [(48, 32), (51, 33), (1, 1)])
def test_pictures_of_any_size_come_back_in_their_size_and_colours(codec, size, tmp_path):
    times = [Fraction(n, 25) for n in range(5)]
    pictures = decoded(write(tmp_path / 'v.mp4', times, size=size, codec=codec))
    assert len(pictures) == 5
    for picture in pictures:
        assert picture.shape == (size[1], size[0], 3)
        # FFmpeg 7 and older mix up the colours of a last, odd column and what is beside it.
        if size[0] > 1:
            np.testing.assert_allclose(picture[:, size[0] * 3 // 4], [CYAN] * size[1], atol=10)
            np.testing.assert_allclose(picture[:, 0], [WARM] * size[1], atol=10)


@pytest.mark.parametrize('codec', sorted(CODECS))
@pytest.mark.parametrize('rate', [Fraction(25), NTSC, Fraction(60), Fraction(460800, 19183)])
def test_rate_and_times_are_exactly_those_given(codec, rate, tmp_path):
    times = [n / rate for n in range(6)]
    path = write(tmp_path / 'v.mp4', times, rate=rate, codec=codec)
    assert rate_of(path) == rate
    assert times_of(path) == times


def test_times_that_vary_are_kept_and_the_last_duration_counts(tmp_path):
    times = [Fraction(ticks, 90000) for ticks in (0, 3003, 6001, 20000, 20001)]
    with VideoWriter(
        tmp_path / 'v.mp4', size=(48, 32), rate=Fraction(30), time_base=Fraction(1, 90000)
    ) as writer:
        for time in times:
            writer.write(halves((48, 32)), time, Fraction(4999, 90000))
    assert times_of(tmp_path / 'v.mp4') == times
    assert rate_of(tmp_path / 'v.mp4') == 5 / Fraction(25000, 90000)


def test_another_program_reads_it_too(tmp_path):
    path = write(tmp_path / 'v.mp4', [Fraction(n, 25) for n in range(5)])
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        pytest.skip('this OpenCV reads no MPEG-4 video')
    assert capture.get(cv2.CAP_PROP_FPS) == 25
    frames = [capture.read() for _ in range(6)]
    assert [found for found, _ in frames] == [True] * 5 + [False]
    np.testing.assert_allclose(frames[4][1][0, 0][::-1], WARM, atol=6)


def test_no_encoder_is_under_the_gpl():
    assert {codec.encoder for codec in CODECS.values()} == {'mpeg4', 'libvpx-vp9'}


def test_the_name_appears_with_the_whole_video_only(tmp_path):
    path = tmp_path / 'new' / 'v.mp4'
    writer = VideoWriter(path, size=(48, 32), rate=Fraction(25))
    writer.write(halves((48, 32)), Fraction(0))
    assert not path.exists()
    writer.close()
    assert [p.name for p in path.parent.iterdir()] == ['v.mp4']
    assert len(decoded(path)) == 1


def test_an_error_leaves_what_was_there_before_and_nothing_else(tmp_path):
    path = write(tmp_path / 'v.mp4', [Fraction(0)])
    before = path.read_bytes()
    with (
        pytest.raises(ZeroDivisionError),
        VideoWriter(path, size=(48, 32), rate=Fraction(25)) as writer,
    ):
        writer.write(halves((48, 32)), Fraction(0))
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ['v.mp4']


def test_a_video_without_pictures_is_not_written(tmp_path):
    with VideoWriter(tmp_path / 'v.mp4', size=(48, 32), rate=Fraction(25)):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('name', 'options', 'words'),
    [
        ('v.mp4', {'codec': 'x264'}, 'known: mpeg4, vp9'),
        ('v.avi', {}, 'must end in .mp4'),
        ('v.mp4', {'size': (8192, 32)}, 'cannot be written with mpeg4: both sides'),
        ('v.mp4', {'size': (0, 32)}, '0x32'),
        ('v.mp4', {'rate': Fraction(0)}, 'above 0'),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_file_is_made(name, options, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        VideoWriter(tmp_path / name, **{'size': (48, 32), 'rate': Fraction(25), **options})
    assert not list(tmp_path.iterdir())


def test_pictures_that_do_not_fit_and_times_that_do_not_grow_are_refused(tmp_path):
    with VideoWriter(tmp_path / 'v.mp4', size=(48, 32), rate=Fraction(25)) as writer:
        writer.write(halves((48, 32)), Fraction(1, 25))
        with pytest.raises(UsageError, match='picture 1 .* is 32x32; the video is 48x32'):
            writer.write(halves((32, 32)), Fraction(2, 25))
        with pytest.raises(UsageError, match='not behind'):
            writer.write(halves((48, 32)), Fraction(1, 25))
    assert len(decoded(tmp_path / 'v.mp4')) == 1


def test_a_folder_that_cannot_be_written_to_is_said_in_a_sentence(tmp_path):
    (tmp_path / 'file').write_text('no folder')
    with pytest.raises(MsdesisError, match='cannot write .*v.mp4.*choose a folder'):
        VideoWriter(tmp_path / 'file' / 'v.mp4', size=(48, 32), rate=Fraction(25))


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(MissingExtraError, match=r"pip install 'msdesis_ros\[video\]'"):
        VideoWriter(tmp_path / 'v.mp4', size=(48, 32), rate=Fraction(25))


@settings(max_examples=60, deadline=None)
@given(
    st.builds(Fraction, st.integers(1, 200_000), st.integers(1, 2000)),
    st.fractions(Fraction(1, 100_000), 1, max_denominator=100_000),
    st.booleans(),
)
def test_the_ticks_hold_rate_and_time_base_or_the_one_that_times_follow(rate, time_base, steady):
    ticks = timescale(rate, time_base, steady=steady)
    assert 10_000 <= ticks <= MAX_TIMESCALE
    held = (ticks / rate).denominator == 1, (ticks * time_base).denominator == 1
    assert held[0 if steady else 1]
    if np.lcm(rate.numerator, time_base.denominator, dtype=object) <= MAX_TIMESCALE:
        assert all(held)
    else:
        assert ticks > MAX_TIMESCALE / 2
    assert (timescale(rate) / rate).denominator == 1
