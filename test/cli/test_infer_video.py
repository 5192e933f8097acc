from __future__ import annotations

import json
import signal
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from msdesis_ros.cli.model_options import ModelChoice
from msdesis_ros.data.scaled_png import read_scaled

sys.path.append(str(Path(__file__).parents[1]))
from shown_commands import ROOT, run_shown, shown_commands
from stereo_videos import (
    NTSC,
    FakeBackend,
    cut,
    decoded,
    overwrite_picture,
    rate_of,
    stacked,
    views,
    write_video,
)

pytest.importorskip('av', reason='PyAV (the extra `video`) is not installed')
SIZE = (72, 48)
MATCHER = ('--model', 'opencv_sgbm')


@pytest.fixture
def infer_video(run_command):
    """Run `msdesis infer video`; gives exit code, standard output and standard error."""
    run = run_command('infer')
    return lambda *arguments: run('video', *arguments)


@pytest.fixture
def answered_by(monkeypatch):
    """Let a backend of the test answer, whichever model is asked for."""

    def use(backend: FakeBackend) -> FakeBackend:
        monkeypatch.setattr(ModelChoice, 'open', lambda self, size: backend)
        return backend

    return use


def write_calibration(
    path: Path, *, size: tuple[int, int] = SIZE, rectified: bool = False
) -> dict:
    """A rig with distortion and a turn; `rectified` stores R1, R2, P1, P2 of alpha -1 too."""
    width, height = size
    k = np.array([[60.0, 0, width / 2 + 3], [0, 62, height / 2 - 2], [0, 0, 1]])
    fields = {
        'K1': k,
        'D1': np.array([[0.25, 0.05, 0, 0, 0]]),
        'K2': k + np.diag([1.0, 1, 0]),
        'D2': np.array([[0.24, 0.05, 0, 0, 0]]),
        'R': cv2.Rodrigues(np.array([0.01, 0.02, -0.01]))[0],
        'T': np.array([[-4.2], [0.03], [0.02]]),
    }
    if rectified:
        arguments = [fields[name] for name in ('K1', 'D1', 'K2', 'D2')]
        found = cv2.stereoRectify(*arguments, size, fields['R'], fields['T'], alpha=-1)
        fields |= dict(zip(('R1', 'R2', 'P1', 'P2'), found[:4], strict=True))
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in fields.items():
        file.write(name, value)
    file.release()
    return fields


def report(out: Path) -> dict:
    return json.loads((out / 'report.json').read_text())


def test_every_command_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_calibration(Path('stereo.json'))
    write_video(Path('stacked.mp4'), stacked(2, vertical=True), encoder='mpeg4')
    for side, name in enumerate(('left.mp4', 'right.mp4')):
        write_video(Path(name), [views(n)[side] for n in range(2)], encoder='mpeg4')
    write_video(Path('rectified.mkv'), stacked(2), rate=NTSC)
    commands = shown_commands(ROOT / 'docs' / 'video.md')
    assert len(commands) == 3
    for arguments in commands:
        assert arguments[:2] == ['infer', 'video']
        assert '2 pictures decoded, 0 lost; 2 pairs processed' in run_shown(arguments)
        out = Path(arguments[arguments.index('--out') + 1])
        assert report(out)['status'] == 'complete' and report(out)['processed'] == 2
        assert decoded(out / 'video.mp4')[1].shape == (48, 144, 3)
    assert len(list(Path('out/stacked/disparity').iterdir())) == 2
    assert rate_of(Path('out/rectified/video.mp4')) == NTSC
    assert report(Path('out/rectified'))['geometry']['baseline_m'] == pytest.approx(0.004)


@pytest.mark.parametrize('stacking', ['horizontal', 'vertical', None])
def test_the_matcher_finds_the_disparity_of_a_stacked_video(stacking, tmp_path, infer_video):
    path = write_video(tmp_path / 'v.mkv', stacked(3, vertical=stacking == 'vertical'))
    options = ['--stacking', stacking] if stacking else []
    code, told, wrong = infer_video(
        path, *options, '--out', tmp_path / 'out', '--save_images', *MATCHER
    )
    assert code == 0 and not wrong
    assert '3 pictures decoded, 0 lost; 3 pairs processed' in told
    for number in range(3):
        disparity = read_scaled(tmp_path / 'out' / 'disparity' / f'{number:06d}.png')
        assert np.nanmedian(disparity) == pytest.approx(8, abs=0.1)


def test_swapped_views_are_swapped_back(tmp_path, infer_video, answered_by):
    backend = answered_by(FakeBackend())
    path = write_video(tmp_path / 'v.mkv', stacked(1))
    assert infer_video(path, '--swap', '--out', tmp_path / 'out')[0] == 0
    np.testing.assert_array_equal(backend.lefts[0], views(0)[1])


def test_the_picture_size_of_the_rectification_is_width_by_height(
    tmp_path, infer_video, answered_by
):
    backend = answered_by(FakeBackend())
    size = (96, 48)
    fields = write_calibration(tmp_path / 'stereo.json', size=size)
    path = write_video(tmp_path / 'v.mkv', stacked(1, size=size))
    out = tmp_path / 'out'
    assert infer_video(path, '--calibration', tmp_path / 'stereo.json', '--out', out)[0] == 0
    cameras = [fields[name] for name in ('K1', 'D1', 'K2', 'D2')]
    pose = fields['R'], fields['T']
    r1, _, p1, *_ = cv2.stereoRectify(*cameras, size, *pose, alpha=-1)
    geometry = report(out)['geometry']
    assert geometry['cx_px'] == pytest.approx(p1[0, 2])
    assert geometry['cy_px'] == pytest.approx(p1[1, 2])
    assert geometry['focal_px'] == pytest.approx(p1[0, 0])
    maps = cv2.initUndistortRectifyMap(*cameras[:2], r1, p1[:, :3], size, cv2.CV_32FC1)
    expected = cv2.remap(views(0, size=size)[0], *maps, cv2.INTER_LINEAR)
    assert np.abs(backend.lefts[0].astype(int) - expected).mean() < 0.5
    # The other way round it would be another camera.
    wrong = cv2.stereoRectify(*cameras, size[::-1], *pose, alpha=-1)[2]
    assert abs(wrong[0, 2] - p1[0, 2]) > 1 or abs(wrong[1, 2] - p1[1, 2]) > 1


def test_alpha_is_applied_to_a_stored_rectification(tmp_path, infer_video, answered_by):
    backend = answered_by(FakeBackend())
    fields = write_calibration(tmp_path / 'stereo.json', rectified=True)
    path = write_video(tmp_path / 'v.mkv', [np.full((48, 144, 3), 200, np.uint8)])
    focal_px, without_source = {}, {}
    for alpha in (-1, 0, 1):
        out = tmp_path / str(alpha)
        options = '--rectification_alpha', alpha, '--out', out
        code, _, wrong = infer_video(path, '--calibration', tmp_path / 'stereo.json', *options)
        assert code == 0, wrong
        focal_px[alpha] = report(out)['geometry']['focal_px']
        without_source[alpha] = int((backend.lefts[-1] < 100).any(axis=2).sum())
        assert report(out)['alpha'] == alpha
    assert focal_px[-1] == pytest.approx(fields['P1'][0, 0])
    assert focal_px[1] < focal_px[0] and without_source[0] == 0 < without_source[1]


def test_views_that_are_off_their_rows_are_warned_of(tmp_path, infer_video, answered_by):
    answered_by(FakeBackend())
    left, right = views(0, size=(320, 240))
    both = np.concatenate([left, np.roll(right, 6, axis=0)], axis=1)
    path = write_video(tmp_path / 'v.mkv', [both])
    code, _, wrong = infer_video(path, '--out', tmp_path / 'out')
    assert code == 0 and 'vertically' in wrong
    assert 'without --calibration the views are taken as rectified' in wrong


def test_a_video_cut_short_is_exit_code_1_in_one_sentence_with_all_results(
    tmp_path, infer_video, answered_by
):
    answered_by(FakeBackend())
    path = cut(write_video(tmp_path / 'v.avi', stacked(12), encoder='mjpeg'))
    there = len(decoded(path))
    code, told, wrong = infer_video(path, '--out', tmp_path / 'out', '--save-images')
    assert code == 1
    assert f'{there} pictures decoded, {12 - there} lost; {there} pairs processed' in told
    assert f'{12 - there} pictures missing behind the {there} decoded' in wrong
    assert len(wrong.strip().splitlines()) == 1
    assert len(list((tmp_path / 'out' / 'disparity').iterdir())) == there


def test_pictures_that_do_not_decode_are_counted_and_exit_code_1(
    tmp_path, infer_video, answered_by
):
    answered_by(FakeBackend())
    path = write_video(tmp_path / 'v.avi', stacked(6), encoder='mjpeg')
    code, told, wrong = infer_video(overwrite_picture(path, 2), '--out', tmp_path / 'out')
    assert code == 1 and '5 pictures decoded, 1 lost; 5 pairs processed' in told
    assert '1 picture left out, not decodable' in wrong


def test_ctrl_c_leaves_a_video_that_plays(tmp_path, infer_video, answered_by):
    def interrupt(number: int) -> None:
        if number == 2:
            # Not sent to the process, which may be one that shares out tests and ends at it.
            signal.getsignal(signal.SIGINT)(signal.SIGINT, None)

    answered_by(FakeBackend(on_run=interrupt))
    path = write_video(tmp_path / 'v.mkv', stacked(9))
    before = signal.getsignal(signal.SIGINT)
    code, told, wrong = infer_video(path, '--out', tmp_path / 'out')
    assert signal.getsignal(signal.SIGINT) is before
    assert code == 130 and '3 pairs processed' in told
    assert 'interrupted: video.mp4 ends with the pair 2' in wrong
    assert len(decoded(tmp_path / 'out' / 'video.mp4')) == 3
    assert report(tmp_path / 'out')['status'] == 'interrupted'


def test_videos_of_different_length_are_told_apart_before_and_after(
    tmp_path, infer_video, answered_by
):
    answered_by(FakeBackend())
    left = write_video(tmp_path / 'l.mkv', [views(n)[0] for n in range(3)])
    right = write_video(tmp_path / 'r.avi', [views(n)[1] for n in range(5)])
    code, told, wrong = infer_video(left, right, '--out', tmp_path / 'out')
    assert code == 0 and '3 pairs processed' in told
    assert 'l.mkv has 3 pictures and' in wrong and 'r.avi 5;' in wrong
    assert f'{right}: 2 pictures without a partner' in wrong


def test_videos_of_different_rate_or_size_are_exit_code_1(tmp_path, infer_video):
    left = write_video(tmp_path / 'l.mkv', [views(0)[0]])
    slow = write_video(tmp_path / 's.mkv', [views(0)[1]], rate=Fraction(25))
    small = write_video(tmp_path / 'm.mkv', [views(0, size=(64, 40))[1]])
    for right, words in ((slow, 'pictures a second'), (small, '72x48 and')):
        code, _, wrong = infer_video(left, right, '--out', tmp_path / 'out', *MATCHER)
        assert code == 1 and words in wrong and not (tmp_path / 'out').exists()


WRONG_USE = {
    'a stacking for two videos': (['w.mkv', '--stacking', 'vertical'], 'a video for each eye'),
    'swapping two videos': (['w.mkv', '--swap'], 'a video for each eye'),
    'an unknown stacking': (['--stacking', 'diagonal'], 'horizontal or vertical'),
    'an unknown codec': (['--codec', 'x264'], 'known: mpeg4, vp9'),
    'a scale of 0': (['--disparity-scale-factor', '0'], 'above 0'),
    'a display scale of 0': (['--display-scale', '0'], 'above 0'),
    'a threshold of 1': (['--segmentation-threshold', '1'], 'between 0 and 1'),
    'a missing video': (['none.mkv'], 'none.mkv does not exist'),
}


@pytest.mark.parametrize(('options', 'words'), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_is_one_sentence_and_exit_code_2(
    options, words, tmp_path, infer_video, answered_by, monkeypatch
):
    answered_by(FakeBackend())
    monkeypatch.chdir(tmp_path)
    for name in ('v.mkv', 'w.mkv'):
        write_video(Path(name), [views(0)[0]])
    code, _, wrong = infer_video('v.mkv', *options, '--out', 'out')
    assert code == 2 and words in wrong and len(wrong.strip().splitlines()) == 1
    assert not Path('out').exists()


def test_without_the_package_the_extra_is_named(tmp_path, infer_video, monkeypatch):
    (tmp_path / 'v.mkv').write_bytes(b'anything')
    monkeypatch.setitem(sys.modules, 'av', None)
    code, _, wrong = infer_video(tmp_path / 'v.mkv', '--out', tmp_path / 'out', *MATCHER)
    assert code == 1 and "pip install 'msdesis_ros[video]'" in wrong


def test_the_help_has_an_example(infer_video):
    code, told, _ = infer_video('--help')
    assert code == 0 and 'msdesis infer video stacked.mp4' in ' '.join(told.split())
