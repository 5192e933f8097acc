from __future__ import annotations

import pytest

from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.left_rig import LeftRig
from msdesis_ros.core.rig_tracker import SETTLE_S, RigTracker, Standing


class Feed:
    """Two cameras whose calibrations are identified by a number (the focal length)."""

    def __init__(self, make_camera) -> None:
        self.tracker = RigTracker(rectified=False)
        self.make_camera = make_camera
        self.now_s = 100.0
        self.parsed = 0

    def send(self, side: str, focal: float, *, stamp_s: float | None = None) -> bool:
        stamp_s = self.now_s if stamp_s is None else stamp_s

        def parse():
            self.parsed += 1
            if focal <= 0:
                raise CalibrationError('K is all zero')
            tx = 0.0 if side == 'left' else -focal * 0.004
            return self.make_camera(p=[focal, 0, 320, tx, 0, focal, 256, 0, 0, 0, 1, 0])

        return self.tracker.update(
            side, focal, parse, stamp_ns=round(stamp_s * 1e9), now_s=self.now_s
        )

    def picture(self, side: str, stamp_s: float) -> None:
        self.tracker.see_picture(side, round(stamp_s * 1e9))

    def frame(self, stamp_s: float, focal: float) -> None:
        """Both eyes: a picture, and a camera_info with its stamp."""
        for side in ('left', 'right'):
            self.picture(side, stamp_s)
            self.send(side, focal, stamp_s=stamp_s)

    def standing(self, left_s: float, right_s: float | None = None) -> Standing:
        return self.tracker.standing(
            left_ns=round(left_s * 1e9), right_ns=round((right_s or left_s) * 1e9)
        )

    @property
    def focal(self) -> float | None:
        rig = self.tracker.rig
        return None if rig is None else float(rig.left.projection[0, 0])


@pytest.fixture
def feed(make_camera) -> Feed:
    return Feed(make_camera)


def test_there_is_a_rig_as_soon_as_both_eyes_have_spoken(feed):
    assert 'either camera' in feed.tracker.problem
    feed.send('left', 500)
    assert feed.focal is None and 'right camera' in feed.tracker.problem
    assert feed.send('right', 500)
    assert feed.focal == 500 and feed.tracker.problem == ''


def test_repeated_camera_infos_change_nothing_and_are_not_parsed_again(feed):
    feed.send('left', 500)
    feed.send('right', 500)
    rig = feed.tracker.rig
    for _ in range(5):
        feed.now_s += 0.03
        assert not feed.send('left', 500) and not feed.send('right', 500)
    assert feed.parsed == 2
    assert feed.tracker.rig is rig


def test_no_rig_mixes_an_old_and_a_new_calibration(feed):
    feed.send('left', 500)
    feed.send('right', 500)
    feed.now_s += 1
    # Same focal length, other number: the gate alone would let this mixture pass.
    feed.send('left', 500.00001)
    assert feed.focal is None and 'waiting' in feed.tracker.problem
    feed.send('right', 500, stamp_s=feed.now_s - 0.033)  # the frame before the change
    assert feed.focal is None
    feed.send('right', 500.00001)
    assert feed.focal == 500.00001


def test_an_eye_that_did_not_change_confirms_by_speaking_later(feed):
    feed.send('left', 500)
    feed.send('right', 500)
    feed.now_s += 1
    feed.send('left', 500.00001)
    feed.now_s += 0.03
    assert feed.send('right', 500)
    assert feed.focal == 500.00001


def test_a_latched_eye_is_taken_as_unchanged_after_a_second(feed):
    feed.send('left', 500)
    feed.send('right', 500)
    feed.now_s += 1
    feed.send('left', 500.00001)
    assert not feed.tracker.tick(now_s=feed.now_s + SETTLE_S * 0.9)
    assert feed.focal is None
    assert feed.tracker.tick(now_s=feed.now_s + SETTLE_S * 1.1)
    assert feed.focal == 500.00001


def test_a_bad_calibration_takes_the_rig_away_and_a_good_one_brings_it_back(feed):
    feed.send('left', 500)
    feed.send('right', 500)
    feed.now_s += 1
    feed.send('left', -1)
    feed.send('right', 500)
    assert feed.focal is None
    assert feed.tracker.problem == 'left camera_info refused: K is all zero'
    feed.send('left', 500)
    assert feed.focal == 500


def test_two_calibrations_that_do_not_fit_are_refused(feed):
    feed.send('left', 500)
    feed.send('right', 700)
    assert feed.focal is None
    assert 'focal lengths differ' in feed.tracker.problem


def test_an_eye_that_has_spoken_at_that_time_already_is_not_waited_for(feed):
    feed.frame(1.0, 500)
    feed.send('right', 500.00001, stamp_s=2.0)
    assert feed.focal is None
    feed.send('left', 500.00001, stamp_s=2.0)
    assert feed.focal == 500.00001
    feed.send('left', 500.00002, stamp_s=2.0)
    assert feed.focal == 500.00002


def test_no_rig_mixes_calibrations_on_the_way_back_from_a_refused_one(feed):
    feed.frame(1.0, 500)
    feed.frame(2.0, -1)
    assert feed.tracker.problem.startswith('left camera_info refused')
    # It would pass the gate together with what the right eye said before.
    feed.send('right', 500, stamp_s=2.0)
    feed.send('left', 500.00001, stamp_s=3.0)
    assert feed.focal is None and 'waiting' in feed.tracker.problem
    feed.send('right', 500.00001, stamp_s=3.0)
    assert feed.focal == 500.00001


def test_a_camera_info_that_was_overtaken_by_a_newer_one_is_ignored(feed):
    feed.frame(1.0, 500)
    feed.frame(1.1, 600)
    assert feed.focal == 600
    # The second subscription of the topic delivers what the first one had before.
    assert not feed.send('left', 500, stamp_s=1.0)
    assert feed.focal == 600


def test_a_camera_info_from_a_clock_that_was_set_back_counts(feed):
    feed.frame(3600.0, 500)
    feed.frame(1.0, 600)
    assert feed.focal == 600


def test_pictures_without_camera_infos_of_their_own_stand_with_the_rig_there_is(feed):
    assert feed.standing(1.0) is Standing.OPEN
    feed.send('left', 500, stamp_s=0.0)
    assert feed.standing(1.0) is Standing.OPEN
    feed.send('right', 500, stamp_s=0.0)
    assert feed.standing(1.0) is Standing.USABLE
    feed.send('left', -1, stamp_s=0.0)
    feed.send('right', 500, stamp_s=0.0)
    assert feed.standing(1.1) is Standing.REFUSED


@pytest.mark.parametrize('first', ['picture', 'camera_info'])
def test_a_picture_waits_for_its_own_camera_info_where_each_has_one(feed, first):
    for stamp_s in (1.0, 1.1):
        for side in ('left', 'right'):
            if first == 'picture':
                feed.picture(side, stamp_s)
            feed.send(side, 500, stamp_s=stamp_s)
            feed.picture(side, stamp_s)
    assert feed.standing(1.1) is Standing.USABLE
    assert feed.standing(1.2) is Standing.EXPECTED
    feed.send('left', 500, stamp_s=1.2)
    assert feed.standing(1.2) is Standing.EXPECTED
    feed.send('right', 500, stamp_s=1.2)
    assert feed.standing(1.2) is Standing.USABLE


def test_pictures_from_before_a_change_do_not_stand_with_the_new_rig(feed):
    feed.frame(1.0, 500)
    feed.frame(1.1, 500)
    for side in ('left', 'right'):  # small messages overtake large ones
        feed.send(side, 600, stamp_s=1.3)
    assert feed.focal == 600
    assert feed.standing(1.2) is Standing.OUTDATED
    assert feed.standing(1.3, 1.2) is Standing.OUTDATED
    assert feed.standing(1.3) is Standing.USABLE


def test_pictures_that_cannot_be_compared_with_a_change_are_taken(feed):
    # The stamps of these camera_infos are of another clock, hours ahead.
    for stamp_s, focal in ((9000.0, 500), (9001.0, 600)):
        for side in ('left', 'right'):
            feed.send(side, focal, stamp_s=stamp_s)
    feed.picture('left', 1.0)
    feed.picture('right', 1.0)
    assert feed.focal == 600
    assert feed.standing(1.0) is Standing.USABLE


def test_camera_infos_that_stop_are_not_waited_for_again(feed):
    feed.frame(1.0, 500)
    assert feed.standing(1.1) is Standing.EXPECTED
    feed.tracker.give_up_waiting(left_ns=1_100_000_000, right_ns=1_100_000_000)
    assert feed.standing(1.1) is Standing.USABLE
    assert feed.standing(1.2) is Standing.USABLE
    feed.frame(1.3, 500)
    assert feed.standing(1.4) is Standing.EXPECTED


def test_one_missing_camera_info_does_not_end_the_trust_in_the_other_eye(feed):
    feed.frame(1.0, 500)
    feed.send('left', 500, stamp_s=1.1)
    feed.tracker.give_up_waiting(left_ns=1_100_000_000, right_ns=1_100_000_000)
    assert feed.standing(1.1) is Standing.USABLE
    assert feed.standing(1.2) is Standing.EXPECTED
    feed.send('left', 500, stamp_s=1.2)
    assert feed.standing(1.2) is Standing.USABLE


def test_after_time_was_set_back_old_stamps_decide_nothing(feed):
    feed.frame(3600.0, 500)
    feed.frame(3600.1, 600)
    feed.tracker.set_time_back(1_000_000_000)
    # The pictures of the new run still have camera_infos of their own.
    assert feed.standing(1.0) is Standing.EXPECTED
    feed.frame(1.0, 600)
    assert feed.standing(1.0) is Standing.USABLE


def test_camera_infos_that_announced_the_new_time_are_kept(feed):
    feed.frame(3600.0, 500)
    for side in ('left', 'right'):
        feed.send(side, 600, stamp_s=1.0)
    feed.tracker.set_time_back(1_000_000_000)
    assert feed.standing(1.0) is Standing.USABLE
    assert feed.focal == 600


def test_camera_infos_that_run_some_frames_ahead_are_still_those_of_their_pictures(feed):
    for stamp_s, focal in ((1.0, 500), (1.1, 500), (1.2, 500), (1.3, 600)):
        for side in ('left', 'right'):
            feed.send(side, focal, stamp_s=stamp_s)
    for side in ('left', 'right'):
        feed.picture(side, 1.1)
    assert feed.standing(1.1) is Standing.OUTDATED
    assert feed.standing(1.3) is Standing.USABLE


def test_camera_infos_that_lag_behind_the_next_picture_are_not_waited_for(feed):
    for stamp_s in (1.0, 1.1, 1.2):
        for side in ('left', 'right'):
            feed.picture(side, stamp_s)
            feed.send(side, 500, stamp_s=stamp_s - 0.1)
    assert feed.standing(1.2) is Standing.USABLE


# --- The left eye alone. ---


@pytest.fixture
def left(make_camera) -> Feed:
    feed = Feed(make_camera)
    feed.tracker = RigTracker(rectified=False, left_alone=True)
    return feed


def test_one_camera_info_is_enough_for_a_rig_of_the_left_eye(left):
    assert left.tracker.problem == 'no camera_info has arrived from the left camera'
    assert left.tracker.awaits_first
    assert left.send('left', 500)
    assert isinstance(left.tracker.rig, LeftRig) and left.focal == 500
    assert left.tracker.problem == '' and not left.tracker.awaits_first


def test_a_change_of_the_left_eye_alone_waits_for_nobody(left):
    left.send('left', 500)
    left.now_s += 1
    assert left.send('left', 600)
    assert left.focal == 600


def test_a_refused_calibration_of_the_left_eye_says_why(left):
    left.send('left', -1)
    assert left.tracker.rig is None
    assert left.tracker.problem == 'left camera_info refused: K is all zero'
    assert left.tracker.standing(left_ns=1) is Standing.REFUSED


def test_the_camera_info_of_a_right_camera_makes_no_left_rig(left, make_camera, right_tx):
    left.tracker.update('left', 1, lambda: make_camera(tx=right_tx), stamp_ns=1, now_s=1.0)
    assert left.tracker.rig is None
    assert left.tracker.problem.startswith('calibration refused: P[0,3] of the left camera')


def test_a_left_picture_alone_waits_for_its_own_camera_info(left):
    for stamp_s in (1.0, 1.1):
        left.picture('left', stamp_s)
        left.send('left', 500, stamp_s=stamp_s)
    assert left.tracker.standing(left_ns=1_100_000_000) is Standing.USABLE
    assert left.tracker.standing(left_ns=1_200_000_000) is Standing.EXPECTED
    left.tracker.give_up_waiting(left_ns=1_200_000_000)
    assert left.tracker.standing(left_ns=1_200_000_000) is Standing.USABLE


def test_of_a_stereo_rig_too_a_left_picture_alone_asks_for_its_own_eye_only(feed):
    feed.frame(1.0, 500)
    feed.send('left', 500, stamp_s=1.1)
    assert feed.standing(1.1) is Standing.EXPECTED
    assert feed.tracker.standing(left_ns=1_100_000_000) is Standing.USABLE
    feed.tracker.give_up_waiting(left_ns=1_200_000_000)
    feed.send('left', 500, stamp_s=1.2)
    assert feed.standing(1.2) is Standing.EXPECTED, 'the right eye is still trusted'
