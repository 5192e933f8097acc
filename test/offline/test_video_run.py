from __future__ import annotations

import csv
import json
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import read_plane
from msdesis_ros.data.scaled_png import read_scaled
from msdesis_ros.data.video_pairs import VideoPairs
from msdesis_ros.offline.row_outputs import OutputSettings
from msdesis_ros.offline.video_run import VideoRun, VideoSettings
from msdesis_ros.offline.video_view import grey_levels, side_by_side
from msdesis_ros.runtime.pipeline import PerceptionPipeline

sys.path.append(str(Path(__file__).parents[1]))
from stereo_videos import (
    NTSC,
    FakeBackend,
    cut,
    decoded,
    overwrite_picture,
    rate_of,
    stacked,
    times_of,
    views,
    write_video,
)

pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')


def run(
    out: Path,
    *paths: Path,
    backend: FakeBackend | None = None,
    layout: str = 'side_by_side',
    stop=lambda: None,
    **settings,
):
    videos = VideoPairs(*paths, layout=layout, skip_damaged=True)
    pipeline = PerceptionPipeline(backend or FakeBackend())
    work = VideoRun(videos, pipeline, None, out, VideoSettings(**settings))
    return work.run(stop=stop)


def report(out: Path) -> dict:
    return json.loads((out / 'report.json').read_text())


def rows(out: Path) -> list[dict[str, str]]:
    with (out / 'frames.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_shown(region: np.ndarray, colour: list[int]) -> None:
    """A region of a compressed picture has this colour throughout."""
    np.testing.assert_allclose(np.median(region, axis=(0, 1)), colour, atol=6)
    assert np.abs(region - np.float32(colour)).mean() < 8


@pytest.mark.parametrize('vertical', [False, True])
@pytest.mark.parametrize('size', [(72, 48), (71, 47), (64, 33)])
def test_the_result_is_as_wide_as_both_views_for_widths_that_are_no_multiple_of_32(
    size, vertical, tmp_path
):
    path = write_video(tmp_path / 'v.mkv', stacked(4, size=size, vertical=vertical))
    layout = 'top_bottom' if vertical else 'side_by_side'
    summary = run(tmp_path / 'out', path, layout=layout, save_images=True)
    assert summary.processed == 4
    pictures = decoded(tmp_path / 'out' / 'video.mp4')
    assert len(pictures) == 4
    for number, picture in enumerate(pictures):
        assert picture.shape == (size[1], 2 * size[0], 3)
        left = cv2.blur(views(number, size=size)[0], (5, 5)).astype(int)
        assert np.abs(cv2.blur(picture[:, : size[0]], (5, 5)) - left).mean() < 6
        assert_shown(picture[:, size[0] + 2 :], [10, 10, 10])
    for number in range(4):
        disparity = read_scaled(tmp_path / 'out' / 'disparity' / f'{number:06d}.png')
        assert disparity.shape == (size[1], size[0]) and (disparity == 10).all()


@pytest.mark.parametrize('rate', [Fraction(25), NTSC, Fraction(60)])
@pytest.mark.parametrize('name', ['v.mkv', 'v.avi'])
def test_the_rate_of_the_result_is_exactly_that_of_the_input(name, rate, tmp_path):
    path = write_video(tmp_path / name, stacked(6), rate=rate)
    run(tmp_path / 'out', path)
    assert rate_of(tmp_path / 'out' / 'video.mp4') == rate
    assert times_of(tmp_path / 'out' / 'video.mp4') == [n / rate for n in range(6)]
    assert report(tmp_path / 'out')['rate'] == str(rate)


def test_times_that_vary_are_kept_in_the_result_and_in_the_table(tmp_path):
    times = [Fraction(ms, 1000) for ms in (0, 40, 90, 100, 250)]
    path = write_video(tmp_path / 'v.mp4', stacked(5), times=times, encoder='mpeg4')
    run(tmp_path / 'out', path)
    assert times_of(tmp_path / 'out' / 'video.mp4') == times
    assert [Fraction(row['time_s']) for row in rows(tmp_path / 'out')] == times


def test_sound_is_dropped(tmp_path):
    path = write_video(tmp_path / 'v.avi', stacked(3), sound=True)
    assert run(tmp_path / 'out', path).processed == 3
    assert rate_of(tmp_path / 'out' / 'video.mp4') == 30


def test_disparities_beyond_8_and_16_bits_saturate_and_never_wrap(tmp_path):
    backend = FakeBackend(np.repeat(np.float32([300, 600, np.nan, -5]), 18))
    path = write_video(tmp_path / 'v.mkv', stacked(1))
    summary = run(tmp_path / 'out', path, backend=backend, save_images=True)
    samples = read_plane(tmp_path / 'out' / 'disparity' / '000000.png')
    assert samples.dtype == np.uint16
    assert samples[0, ::18].tolist() == [300 * 128, 65535, 0, 0]
    assert summary.too_large == 48 * 18 == int(rows(tmp_path / 'out')[0]['too_large'])
    shown = decoded(tmp_path / 'out' / 'video.mp4')[0]
    # 300 and 600 would be 44 and 88 in 8 bits that wrap.
    assert_shown(shown[:, 74:106], [255, 255, 255])
    assert_shown(shown[:, 110:], [0, 0, 0])


def test_grey_levels_are_rounded_scaled_and_bounded():
    disparity = np.float32([[np.nan, -1, 0, 0.2, 1.6, 255.4, 256, np.inf, -np.inf]])
    assert grey_levels(disparity).tolist() == [[0, 0, 0, 0, 2, 255, 255, 255, 0]]
    assert grey_levels(disparity, 0.5)[0, 4:7].tolist() == [1, 128, 128]


def test_tools_are_shades_of_cyan_and_everything_else_is_grey():
    left = np.full((1, 3, 3), 9, np.uint8)
    mask = np.uint8([[255, 0, 255]])
    view = side_by_side(left, np.float32([[100, 100, np.nan]]), mask)
    assert view[0].tolist() == [[9] * 3] * 3 + [[0, 100, 100], [100, 100, 100], [0, 0, 0]]


def test_the_mask_is_255_strictly_above_the_threshold_and_0_elsewhere(tmp_path):
    # The sigmoid of 0 is 0.5, that of 2.5 is 0.924.
    logits = np.repeat(np.float32([0, 0.1, 2.5, -1]), 18)
    path = write_video(tmp_path / 'v.mkv', stacked(1))
    for threshold, expected in ((0.5, [0, 255, 255, 0]), (0.9, [0, 0, 255, 0])):
        run(
            tmp_path / 'out',
            path,
            backend=FakeBackend(100.0, logits),
            save_images=True,
            outputs=OutputSettings(segmentation_threshold=threshold),
        )
        mask = read_plane(tmp_path / 'out' / 'segmentation' / '000000.png')
        assert mask.dtype == np.uint8 and mask[5, ::18].tolist() == expected
        shown = decoded(tmp_path / 'out' / 'video.mp4')[0]
        for number, tool in enumerate(expected):
            band = shown[:, 72 + 18 * number + 4 : 72 + 18 * number + 14]
            assert_shown(band, [0 if tool else 100, 100, 100])


def test_a_model_that_finds_tools_only_gives_masks_and_a_video(tmp_path):
    backend = FakeBackend(None, np.repeat(np.float32([-3, 3]), 36))
    path = write_video(tmp_path / 'v.mkv', stacked(3))
    assert run(tmp_path / 'out', path, backend=backend, save_images=True).processed == 3
    assert names(tmp_path / 'out') == ['frames.csv', 'report.json', 'segmentation', 'video.mp4']
    for picture in decoded(tmp_path / 'out' / 'video.mp4'):
        assert_shown(picture[:, 74:104], [0, 0, 0])
        assert_shown(picture[:, 112:], [0, 255, 255])


def test_the_report_says_how_the_pictures_are_stored(tmp_path):
    path = write_video(tmp_path / 'v.mkv', stacked(2))
    outputs = OutputSettings(disparity_scale_factor=64)
    run(tmp_path / 'out', path, save_images=True, outputs=outputs)
    stored = report(tmp_path / 'out')
    assert stored['status'] == 'complete' and stored['processed'] == 2
    disparity = read_scaled(
        tmp_path / 'out' / 'disparity' / '000001.png', stored['disparity_scale_factor']
    )
    assert (disparity == 10).all() and read_plane(
        tmp_path / 'out' / 'disparity' / '000001.png'
    ).max() == 640


def test_only_valid_disparities_are_stored_where_that_is_asked_for(tmp_path):
    path = write_video(tmp_path / 'v.mkv', stacked(1))
    run(tmp_path / 'out', path, save_images=True, outputs=OutputSettings(valid_only=True))
    disparity = read_scaled(tmp_path / 'out' / 'disparity' / '000000.png')
    # A disparity of 10 has no partner left of column 10.
    assert np.isnan(disparity[:, :10]).all() and (disparity[:, 10:] == 10).all()


@pytest.mark.parametrize('name', ['v.avi', 'v.mkv'])
def test_of_a_video_cut_short_everything_that_decodes_is_written_and_counted(name, tmp_path):
    path = cut(write_video(tmp_path / name, stacked(12), encoder='mjpeg'))
    summary = run(tmp_path / 'out', path, save_images=True)
    there = len(decoded(path))
    assert 3 <= there < 12
    assert summary.status == 'damaged' and not summary.account.whole
    assert summary.processed == summary.account.decoded == there
    assert summary.account.lost == 12 - there
    assert 'is cut short' in summary.account.problems()[0]
    assert len(names(tmp_path / 'out' / 'disparity')) == there
    assert len(decoded(tmp_path / 'out' / 'video.mp4')) == there == len(rows(tmp_path / 'out'))
    assert report(tmp_path / 'out')['account']['files'][0]['announced'] == 12


def test_a_picture_lost_within_the_video_leaves_a_gap_in_the_times_only(tmp_path):
    path = write_video(tmp_path / 'v.avi', stacked(9), encoder='mjpeg')
    summary = run(tmp_path / 'out', overwrite_picture(path, 4), save_images=True)
    assert (summary.processed, summary.account.lost) == (8, 1)
    assert names(tmp_path / 'out' / 'disparity') == [f'{n:06d}.png' for n in range(8)]
    shown = [round(time * 30) for time in times_of(tmp_path / 'out' / 'video.mp4')]
    assert shown == [0, 1, 2, 3, 5, 6, 7, 8]
    assert summary.account.problems() == [f'{path}: 1 picture left out, not decodable']


def test_two_videos_of_different_lengths_are_told_apart_and_are_no_damage(tmp_path):
    left = write_video(tmp_path / 'l.mkv', [views(n)[0] for n in range(7)])
    right = write_video(tmp_path / 'r.mkv', [views(n)[1] for n in range(4)])
    summary = run(tmp_path / 'out', left, right)
    assert summary.processed == 4 and summary.status == 'complete'
    assert summary.account.unpaired() == [
        f'{left}: 3 pictures without a partner in the other video'
    ]


def test_stopped_it_leaves_a_video_that_plays_up_to_there(tmp_path):
    left, right = (
        write_video(tmp_path / f'{side}.mkv', [views(n)[side] for n in range(9)])
        for side in (0, 1)
    )
    backend = FakeBackend()
    summary = run(
        tmp_path / 'out',
        left,
        right,
        backend=backend,
        stop=lambda: 'enough' if backend.runs == 3 else None,
        save_images=True,
    )
    assert summary.status == 'interrupted' == report(tmp_path / 'out')['status']
    assert summary.processed == 3 == len(decoded(tmp_path / 'out' / 'video.mp4'))
    assert names(tmp_path / 'out' / 'disparity') == [f'{n:06d}.png' for n in range(3)]
    assert not summary.account.unpaired()


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_whole_pictures_their_scale_and_no_video(error, tmp_path):
    def fail(number: int) -> None:
        if number == 2:
            raise error

    path = write_video(tmp_path / 'v.mkv', stacked(9))
    with pytest.raises(error):
        run(tmp_path / 'out', path, backend=FakeBackend(on_run=fail), save_images=True)
    assert names(tmp_path / 'out') == ['disparity', 'report.json']
    assert names(tmp_path / 'out' / 'disparity') == ['000000.png', '000001.png']
    assert report(tmp_path / 'out')['status'] == 'unfinished'
    assert report(tmp_path / 'out')['disparity_scale_factor'] == 128


def test_a_second_run_leaves_nothing_of_the_first_and_touches_nothing_else(tmp_path):
    path, out = write_video(tmp_path / 'v.mkv', stacked(5)), tmp_path / 'out'
    run(out, path, backend=FakeBackend(9.0, 3.0), save_images=True)
    (out / 'disparity' / 'mine.png').write_text('kept')
    run(out, write_video(tmp_path / 'w.mkv', stacked(2)), save_images=True)
    assert names(out) == ['disparity', 'frames.csv', 'report.json', 'video.mp4']
    assert names(out / 'disparity') == ['000000.png', '000001.png', 'mine.png']


def test_a_result_never_takes_the_place_of_its_input(tmp_path):
    path = write_video(tmp_path / 'video.mp4', stacked(2), encoder='mpeg4')
    before = path.read_bytes()
    with pytest.raises(UsageError, match='would be replaced by the result'):
        run(tmp_path, path)
    assert path.read_bytes() == before and names(tmp_path) == ['video.mp4']


def test_a_video_of_which_nothing_decodes_is_refused(tmp_path):
    path = write_video(tmp_path / 'v.avi', stacked(2), encoder='mjpeg')
    for number in range(2):
        overwrite_picture(path, number)
    with pytest.raises(FileFormatError, match='not one pair of pictures decodes'):
        run(tmp_path / 'out', path)
    assert not (tmp_path / 'out' / 'video.mp4').exists()


@pytest.mark.parametrize('gain', [0, -1, float('nan'), float('inf')])
def test_a_display_scale_that_is_none_is_refused(gain):
    with pytest.raises(UsageError, match='display scale'):
        VideoSettings(display_scale=gain)
