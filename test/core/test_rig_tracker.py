from __future__ import annotations

import pytest

from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.rig_tracker import SETTLE_S, RigTracker


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
