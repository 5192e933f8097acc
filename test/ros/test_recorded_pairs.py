from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS is not installed')

from msdesis_ros.data.stereo_recording import StereoRecording
from msdesis_ros.ros.recorded_pairs import recorded_pairs

START_NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize('compressed', [False, True])
def test_the_pairs_of_a_recording_come_decoded_and_in_order(record_stereo, tmp_path, compressed):
    path = record_stereo(tmp_path / 'r.mcap', count=4, size=(64, 48), compressed=compressed)
    pairs = list(recorded_pairs(StereoRecording(path)))
    assert [pair.stamp_ns for pair in pairs] == [START_NS + n * 50_000_000 for n in range(4)]
    for pair in pairs:
        assert pair.left.shape == pair.right.shape == (48, 64, 3)
        # The right picture is the left one, moved by 8 px.
        np.testing.assert_array_equal(pair.left[:, 8:], pair.right[:, :-8])
    assert not np.array_equal(pairs[0].left, pairs[1].left)


@pytest.mark.parametrize(('every_s', 'kept'), [(0.05, 6), (0.1, 3), (0.12, 2), (10, 1)])
def test_pairs_are_taken_no_more_often_than_wanted(record_stereo, tmp_path, every_s, kept):
    path = record_stereo(tmp_path / 'r.mcap', count=6, size=(64, 48))
    assert len(list(recorded_pairs(StereoRecording(path), every_s=every_s))) == kept


def test_a_recording_that_begins_anew_is_taken_from_there(record_stereo, tmp_path, monkeypatch):
    path = record_stereo(tmp_path / 'r.mcap', count=3, size=(64, 48))
    recording = StereoRecording(path)
    messages = list(recording.messages())
    again = [
        m._replace(time_ns=m.time_ns + 10**10, stamp_ns=m.stamp_ns - 10**12) for m in messages
    ]
    monkeypatch.setattr(recording, 'messages', lambda: iter([*messages, *again]))
    stamps = [pair.stamp_ns for pair in recorded_pairs(recording, every_s=60)]
    assert stamps == [START_NS, START_NS - 10**12]
