"""Calibrations fitted to corners whose places are known exactly."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.boards import BoardPair, BoardView, Checkerboard
from msdesis_ros.core.calibration_findings import calibration_warnings
from msdesis_ros.core.calibration_sanity import sanity_warnings
from msdesis_ros.core.camera_fit import fit_camera
from msdesis_ros.core.errors import CalibrationError, UsageError
from msdesis_ros.core.picture_errors import row_differences
from msdesis_ros.core.stereo_calibration import StereoCalibration
from msdesis_ros.core.stereo_fit import fit_stereo

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes

BOARD = Checkerboard(8, 5, 3.0)
CORNERS = BOARD.corners_mm
IDS = np.arange(len(CORNERS))


def exact_pairs(poses=scenes.POSES, noise_px=0.0, seed=0):
    random = np.random.default_rng(seed)
    pairs = []
    for number, pose in enumerate(poses):
        views = [
            BoardView(IDS, points + noise_px * random.normal(size=points.shape))
            for points in scenes.eyes(CORNERS, pose)
        ]
        pairs.append(BoardPair(str(number), *views))
    return pairs


def fit(pairs, **options):
    return fit_stereo(CORNERS, pairs, image_size=scenes.SIZE, **options)


@pytest.fixture(scope='module')
def noisy():
    return fit(exact_pairs(noise_px=0.05))


@pytest.mark.parametrize('held', [False, True])
def test_exact_corners_give_the_rig_back(held):
    found = fit(exact_pairs(), hold_intrinsics=held).calibration
    for ours, true, tolerance in (
        (found.k1, scenes.K1, 2e-3),
        (found.k2, scenes.K2, 2e-3),
        (found.d1, scenes.D1, 1e-4),
        (found.d2, scenes.D2, 1e-4),
        (found.r, scenes.R, 1e-5),
        (found.t_mm, scenes.T_MM, 1e-3),
    ):
        np.testing.assert_allclose(ours, true, atol=tolerance)
    assert found.error_px < 1e-4
    assert found.image_size == scenes.SIZE


@pytest.mark.parametrize('distortion', ['plumb_bob_k3', 'rational_polynomial'])
@pytest.mark.parametrize('held', [False, True])
def test_richer_lenses_keep_all_their_coefficients(distortion, held):
    found = fit(exact_pairs(), distortion=distortion, hold_intrinsics=held)
    # OpenCV drops k4 to k6 where it is not told of them, and the corners go far off.
    assert found.calibration.error_px < 0.02
    assert found.epipolar_px < 0.02
    assert len(found.calibration.d1) == (8 if distortion == 'rational_polynomial' else 5)


def test_noisy_corners_give_the_rig_within_its_stated_deviations(noisy):
    for side, k, d in (('left', scenes.K1, scenes.D1), ('right', scenes.K2, scenes.D2)):
        eye = getattr(noisy, side)
        true = [k[0, 0], k[1, 1], k[0, 2], k[1, 2], *d[:4]]
        for name, value in zip(('fx', 'fy', 'cx', 'cy', 'k1', 'k2', 'p1', 'p2'), true):  # noqa: B905
            assert abs(eye.values[name] - value) < 4 * eye.deviations[name], name
        assert 'k3' not in eye.deviations
        assert eye.values['k3'] == 0
    # Two coordinates of 0.05 px each; the fit takes a few percent of it away.
    assert noisy.calibration.error_px == pytest.approx(0.05 * math.sqrt(2), rel=0.12)
    assert noisy.epipolar_px == pytest.approx(0.05 * math.sqrt(2), rel=0.2)


def test_standard_deviations_are_those_of_repeated_calibrations():
    repeated = []
    for seed in range(24):
        views = [pair.left for pair in exact_pairs(noise_px=0.1, seed=seed)]
        repeated.append(
            fit_camera(CORNERS, views, image_size=scenes.SIZE, distortion='plumb_bob', name='left')
        )
    ratios = []
    for name in ('fx', 'fy', 'cx', 'cy', 'k1', 'k2', 'p1', 'p2'):
        scatter = np.std([each.values[name] for each in repeated], ddof=1)
        ratios.append(scatter / np.mean([each.deviations[name] for each in repeated]))
    # 24 repetitions tell a deviation to 15 %, and eight of them (not independent) better.
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)
    assert min(ratios) > 0.6 and max(ratios) < 1.5


def test_fitting_both_eyes_together_leaves_less_error_in_rows():
    truth = np.array([[x, y, z] for x in (-15, 0, 15) for y in (-11, 0, 11) for z in (45, 80.0)])
    left = scenes.project(truth, scenes.K1, scenes.D1)
    right = scenes.project(truth @ scenes.R.T + scenes.T_MM, scenes.K2, scenes.D2)
    probe = BoardPair('probe', BoardView(IDS[:18], left), BoardView(IDS[:18], right))

    def rows_px(held):
        fits = [fit(exact_pairs(noise_px=0.1, seed=s), hold_intrinsics=held) for s in range(3)]
        squares = [np.mean(row_differences(f.calibration, probe) ** 2) for f in fits]
        return math.sqrt(np.mean(squares))

    assert rows_px(held=False) < 0.7 * rows_px(held=True)


def test_row_differences_are_those_of_the_rectified_views():
    true = StereoCalibration.from_pose(
        image_size=scenes.SIZE, k1=scenes.K1, d1=scenes.D1, k2=scenes.K2, d2=scenes.D2,
        r=scenes.R, t_mm=scenes.T_MM,
    )  # fmt: skip
    pair = exact_pairs()[0]
    assert np.abs(row_differences(true, pair)).max() < 1e-4
    down = BoardPair('down', pair.left, BoardView(IDS, pair.right.points_px + [0, 2.0]))
    # Near the middle, where the lens does not bend, 2 px of the picture are 2 px of the focal
    # length 264.5 of the right camera.
    expected = -2.0 * true.p2[1, 1] / 264.5
    middle = np.argmin(np.linalg.norm(pair.right.points_px - [157, 129.5], axis=1))
    assert row_differences(true, down)[middle] == pytest.approx(expected, rel=0.05)


def test_a_view_without_partner_serves_its_own_eye_only():
    pairs = exact_pairs(noise_px=0.05)
    pairs[1] = pairs[1]._replace(right=None)
    pairs[2] = pairs[2]._replace(left=None)
    pairs[3] = pairs[3]._replace(left=None, right=None)
    half = len(IDS) // 2
    pairs[4] = pairs[4]._replace(
        left=pairs[4].left.only(IDS[:half]), right=pairs[4].right.only(IDS[half:])
    )
    found = fit(pairs)
    states = [picture.state for picture in found.pictures]
    assert states == ['used', 'left_only', 'right_only', 'no_board', 'apart'] + ['used'] * 5
    assert len(found.left.view_errors_px) == len(found.right.view_errors_px) == 8
    assert len(found.used) == 6
    left_only = found.pictures[1]
    assert left_only.left_px < 0.1 and math.isnan(left_only.right_px)
    assert math.isnan(left_only.epipolar_px) and left_only.corners == 0
    np.testing.assert_allclose(found.calibration.t_mm, scenes.T_MM, atol=0.3)


def test_a_pair_of_two_moments_stands_out_and_can_be_left_out():
    pairs = exact_pairs(noise_px=0.05)
    later = scenes.Pose((-8.4, -6, 50), (0, 28, 5))  # the second pose, moved by 0.6 mm
    pairs[1] = pairs[1]._replace(right=BoardView(IDS, scenes.eyes(CORNERS, later)[1]))
    kept = fit(pairs)
    assert [picture.name for picture in kept.outliers] == ['1']
    assert kept.pictures[1].state == 'used'
    assert any('picture 1 stands out and was used' in w for w in calibration_warnings(kept))
    without = fit(pairs, leave_out_outliers=True)
    assert [p.name for p in without.pictures if p.state == 'left_out'] == ['1']
    assert without.pictures[1].excess > 3
    assert len(without.used) == 9
    assert without.calibration.error_px < 0.5 * kept.calibration.error_px
    assert any('picture 1 stands out and was left out' in w for w in calibration_warnings(without))


def test_a_corner_at_a_wrong_place_makes_its_picture_stand_out():
    pairs = exact_pairs(noise_px=0.05)
    points = pairs[6].left.points_px.copy()
    points[7] += [3, -2]
    pairs[6] = pairs[6]._replace(left=BoardView(IDS, points))
    found = fit(pairs)
    assert [picture.name for picture in found.outliers] == ['6']
    assert 'times the median of all' in found.outliers[0].outlier


def test_no_more_than_a_quarter_of_the_pairs_is_left_out():
    pairs = exact_pairs(noise_px=0.02)
    for number in (1, 4, 7):
        points = pairs[number].left.points_px.copy()
        points[::3] += 3 * number
        pairs[number] = pairs[number]._replace(left=BoardView(IDS, points))
    found = fit(pairs, leave_out_outliers=True)
    assert sum(picture.state == 'left_out' for picture in found.pictures) <= 2


def test_good_pictures_leave_nothing_to_say_but_that_the_border_is_unseen(noisy):
    sentences = calibration_warnings(noisy)
    assert len(sentences) == 2
    assert all('reaches 6' in s or 'reaches 7' in s for s in sentences)
    assert sanity_warnings(*noisy.calibration.cameras) == ()


def test_parallel_boards_are_reported_as_undetermined():
    flat = [scenes.Pose((x, y, 45 + x), (1, 0, 0)) for x in (-8, 0, 8) for y in (-5, 5)]
    found = fit(exact_pairs(flat, noise_px=0.05))
    sentences = ' '.join(calibration_warnings(found))
    assert 'rests on 6 pairs, fewer than 10' in sentences
    assert 'boards of the left eye are nearly parallel' in sentences
    assert 'focal length of the right eye is uncertain' in sentences
    assert found.left.tilts_deg.max() < 5


def test_a_coefficient_that_the_pictures_do_not_determine_is_named():
    near_middle = [scenes.Pose((0, 0, p.at_mm[2] + 20), p.turned_deg) for p in scenes.POSES]
    found = fit(exact_pairs(near_middle, noise_px=0.1, seed=1), distortion='plumb_bob_k3')
    assert abs(found.left.values['k3']) < found.left.deviations['k3'] or (
        abs(found.right.values['k3']) < found.right.deviations['k3']
    )
    assert any(
        'do not determine it; use the distortion plumb_bob' in sentence
        for sentence in calibration_warnings(found)
    )


def test_coverage_and_tilt_are_those_of_the_boards():
    pose = scenes.Pose((0, 0, 46), (25, 0, 0))
    found = fit(exact_pairs((pose, *scenes.POSES[1:4])))
    assert found.left.tilts_deg[0] == pytest.approx(25, abs=0.1)
    turned = [scenes.turn(*p.turned_deg)[:, 2] for p in (pose, *scenes.POSES[1:4])]
    angles = [math.degrees(math.acos(a @ b)) for a in turned for b in turned if a is not b]
    assert found.left.turned_deg == pytest.approx(max(angles), abs=0.1)
    points = np.concatenate([scenes.eyes(CORNERS, p)[0] for p in (pose, *scenes.POSES[1:4])])
    far = np.linalg.norm(points - [159.5, 127.5], axis=1).max()
    assert found.left.reach == pytest.approx(far / math.hypot(159.5, 127.5))


def test_the_share_of_the_picture_inside_of_the_boards_is_counted():
    # A board that faces the camera is a rectangle of 7 x 4 squares of 3 mm.
    flat = [scenes.Pose((0, 0, 50), (0, 0, 0.01 * n)) for n in range(2)]
    tilted = [scenes.Pose((0, 0, 90), (25 * n, 20, 0)) for n in (-1, 1)]
    found = fit(exact_pairs(flat + tilted))
    expected = (21 * 262 / 50) * (12 * 263 / 50) / (320 * 256)
    assert found.left.coverage == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ('spoil', 'error', 'reason'),
    [
        (lambda pairs: pairs[:2], CalibrationError, 'left camera has 2 usable views'),
        (
            lambda pairs: [p._replace(right=None) for p in pairs],
            CalibrationError,
            'right camera has 0 usable views',
        ),
        (
            lambda pairs: [
                p._replace(right=None) if n % 2 else p._replace(left=None)
                for n, p in enumerate(pairs)
            ],
            CalibrationError,
            '0 pairs show at least 8 corners',
        ),
    ],
)
def test_too_few_pictures_are_refused_with_what_is_missing(spoil, error, reason):
    with pytest.raises(error, match=reason):
        fit(spoil(exact_pairs()))


def test_an_unknown_distortion_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="'fisheye' is unknown; known are plumb_bob, plumb"):
        fit(exact_pairs(), distortion='fisheye')


def test_strange_rigs_are_named():
    k2 = scenes.K2.copy()
    k2[0, 0] *= 1.1
    k2[0, 2] += 60
    odd = StereoCalibration.from_pose(
        image_size=scenes.SIZE,
        k1=scenes.K1,
        d1=[-1.5, 0, 0, 0, 0],
        k2=k2,
        d2=scenes.D2,
        r=scenes.turn(0, 8, 0),
        t_mm=scenes.T_MM,
    )
    sentences = ' '.join(sanity_warnings(*odd.cameras))
    assert 'turned by 8.0 degrees against each other' in sentences
    assert 'distortion of the left camera has no inverse' in sentences
    assert 'principal point of the right camera' in sentences
    assert 'focal lengths of the eyes differ' in sentences
    assert 'right camera has fx 290.4 and fy 264.5' in sentences
