from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, MissingExtraError, UsageError
from msdesis_ros.data.video_frames import Picture
from msdesis_ros.data.video_pairs import VideoPairs, in_step, is_video

sys.path.append(str(Path(__file__).parents[1]))
from stereo_videos import decoded, overwrite_picture, write_video


def picture(seed: int, *, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ('layout', 'axis', 'size'), [('side_by_side', 1, (64, 48)), ('top_bottom', 0, (64, 48))]
)
@pytest.mark.parametrize('swap', [False, True])
def test_one_video_is_cut_into_two_views(
    layout: str, axis: int, size: tuple[int, int], swap: bool, tmp_path: Path
) -> None:
    both = [np.concatenate([picture(n), picture(100 + n)], axis=axis) for n in range(5)]
    video = VideoPairs(write_video(tmp_path / 'v.mkv', both), layout=layout, swap=swap)
    assert video.image_size == size
    assert video.rate_hz == 30.0
    for _ in range(2):
        pairs = list(video)
        assert len(pairs) == 5
        for number, pair in enumerate(pairs):
            left, right = (pair.right, pair.left) if swap else (pair.left, pair.right)
            assert np.array_equal(left, picture(number))
            assert np.array_equal(right, picture(100 + number))
            assert left.flags['C_CONTIGUOUS'] and right.flags['C_CONTIGUOUS']
            # Matroska counts in milliseconds.
            assert abs(pair.time_ns - number / 30 * 1e9) < 1e6


def test_two_videos_are_paired_picture_by_picture_up_to_the_shorter_one(tmp_path: Path) -> None:
    left = write_video(tmp_path / 'l.mkv', [picture(n) for n in range(4)])
    right = write_video(tmp_path / 'r.avi', [picture(100 + n) for n in range(6)])
    video = VideoPairs(left, right)
    assert video.image_size == (64, 48)
    pairs = list(video)
    assert len(pairs) == 4 == video.count
    for number, pair in enumerate(pairs):
        assert np.array_equal(pair.left, picture(number))
        assert np.array_equal(pair.right, picture(100 + number))


@pytest.mark.parametrize('rate', [Fraction(30000, 1001), 25])
def test_the_times_are_those_of_the_video(rate: Fraction | int, tmp_path: Path) -> None:
    path = write_video(tmp_path / 'v.avi', [picture(n) for n in range(7)], rate=rate)
    times = [pair.time_ns for pair in VideoPairs(path)]
    assert times == pytest.approx([n / float(rate) * 1e9 for n in range(7)], abs=2)


def test_views_that_cannot_be_halved_are_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'v.mkv', [picture(1, height=31, width=65)])
    for layout, what in (('side_by_side', 'width'), ('top_bottom', 'height')):
        with pytest.raises(FileFormatError, match=f'65x31, whose {what} cannot be halved'):
            VideoPairs(path, layout=layout)


def test_videos_of_different_size_or_rate_are_refused(tmp_path: Path) -> None:
    left = write_video(tmp_path / 'l.mkv', [picture(1)])
    small = write_video(tmp_path / 's.mkv', [picture(1, height=32)])
    with pytest.raises(FileFormatError, match='64x48 and .* is 64x32'):
        VideoPairs(left, small)
    slow = write_video(tmp_path / 'r.mkv', [picture(1)], rate=25)
    with pytest.raises(FileFormatError, match='30 pictures a second and .* 25'):
        VideoPairs(left, slow)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
    with pytest.raises(FileFormatError, match='No such file'):
        VideoPairs(tmp_path / 'none.mp4')
    (tmp_path / 'text.mp4').write_text('no video' * 100)
    with pytest.raises(FileFormatError, match='cannot be read as a video'):
        VideoPairs(tmp_path / 'text.mp4')


def test_a_video_cut_short_gives_what_it_holds(tmp_path: Path) -> None:
    whole = write_video(tmp_path / 'v.mkv', [picture(n) for n in range(20)])
    cut = tmp_path / 'cut.mkv'
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    pairs = list(VideoPairs(cut, layout='top_bottom'))
    assert 6 <= len(pairs) <= 11
    assert np.array_equal(pairs[5].left, picture(5)[:24])


def test_an_unknown_layout_is_refused_listing_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='side_by_side, top_bottom'):
        VideoPairs(tmp_path / 'v.mp4', layout='interlaced')


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(MissingExtraError, match=r"pip install 'msdesis_ros\[video\]'"):
        VideoPairs(tmp_path / 'v.mp4')


def test_videos_are_told_by_their_names() -> None:
    assert is_video(Path('a/B.MP4')) and is_video(Path('x.mkv'))
    assert not is_video(Path('a.png')) and not is_video(Path('a.mp4/left.png'))


def pictures(numbers: list[int], *, rate: Fraction = Fraction(25)) -> list[Picture]:
    """Pictures at these places of a constant rate; the duration says which one it is."""
    return [Picture(n / rate, Fraction(n), np.empty(0, np.uint8), False) for n in numbers]


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.integers(0, 60)),
    st.sets(st.integers(0, 60)),
    st.sampled_from([Fraction(25), Fraction(25 * 10**6, 10**6 + 1), Fraction(25003, 1000)]),
)
def test_pictures_that_one_video_lost_cost_their_pairs_and_shift_no_other(left, right, rate):
    kept = sorted(left), sorted(right)
    steps = in_step(
        iter(pictures(kept[0])), iter(pictures(kept[1], rate=rate)), within=Fraction(1, 50)
    )
    paired = [(one.duration, other.duration) for one, other in steps if one and other]
    assert [one for one, _ in paired] == [other for _, other in paired] == sorted(left & right)


def test_rates_that_are_rounded_differently_do_not_drift_apart():
    count, rates = 3000, (Fraction(30), Fraction('29.99'))
    left, right = (iter(pictures(list(range(count)), rate=rate)) for rate in rates)
    steps = list(in_step(left, right, within=1 / (2 * rates[0])))
    assert len(steps) == count and all(one.duration == other.duration for one, other in steps)


def test_two_videos_stay_in_step_where_one_of_them_is_damaged(tmp_path: Path) -> None:
    left = [picture(n) for n in range(6)]
    right = [picture(100 + n) for n in range(6)]
    one = write_video(tmp_path / 'l.avi', left)
    other = overwrite_picture(write_video(tmp_path / 'r.avi', right, encoder='mjpeg'), 2)
    whole = decoded(write_video(tmp_path / 'whole.avi', right, encoder='mjpeg'))
    videos = VideoPairs(one, other, skip_damaged=True)
    pairs = list(videos)
    assert [round(float(pair.time) * 30) for pair in pairs] == [0, 1, 3, 4, 5]
    for pair in pairs:
        number = round(float(pair.time) * 30)
        assert np.array_equal(pair.left, left[number])
        assert np.array_equal(pair.right, whole[number])
    assert videos.unpaired == [1, 0] and [a.lost for a in videos.accounts] == [0, 1]
    with pytest.raises(FileFormatError, match='r.avi cannot be read'):
        list(VideoPairs(one, other))
