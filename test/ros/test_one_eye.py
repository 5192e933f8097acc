"""Models that find instruments, in a real graph: with both eyes, with one, and losing one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS graph to test in')

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter

from msdesis_ros.core.surface import unpack

from .node_graph import FOCAL, HEIGHT, SUCCESS, WIDTH, bright, figures

MS = 1_000_000
BOTH = frozenset({'disparity', 'instrument_mask'})
MASK_ONLY = frozenset({'instrument_mask'})
MASK_TOPICS = ('instrument_mask', 'left/image_rect', 'camera_info', 'overlay', 'status')
STEREO_TOPICS = ('disparity', 'depth', 'points')
LEFT, RIGHT = ('left',), ('right',)
PERIOD_S = 0.06


@pytest.fixture
def graph(node_graph):
    return node_graph


def rgb(message) -> np.ndarray:
    assert message.encoding == 'rgb8'
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def mask_of(message) -> np.ndarray:
    assert message.encoding == 'mono8' and message.step == message.width
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def ready(g) -> int:
    """Send until the first result is there, since pictures may overtake the first calibration."""
    stamp = g.send()
    while g.answer('status', stamp, 1.0) is None:
        stamp = g.send()
    return stamp


def stream(g, sides: tuple[str, ...], duration_s: float) -> list[int]:
    """Send pictures of these eyes for so long by the clock of the test; returns the stamps."""
    stamps = []
    for _ in range(round(duration_s / PERIOD_S)):
        g.pass_time(PERIOD_S)
        stamps.append(g.send(sides=sides))
        g.wait_until_at_work()
    return stamps


# --- Both eyes. ---


def test_the_mask_is_that_of_the_rectified_left_picture_of_its_stamp(graph):
    g = graph(heads=BOTH)
    g.start(topics=('instrument_mask', 'left/image_rect', 'depth', 'status'))
    stamp = ready(g)
    mask, picture = g.answer('instrument_mask', stamp), g.answer('left/image_rect', stamp)
    assert mask.header == picture.header == g.answer('depth', stamp).header
    expected = bright(rgb(picture))
    assert 0.2 < expected.mean() < 0.8
    np.testing.assert_array_equal(mask_of(mask), np.where(expected, 255, 0))


def test_instruments_are_labelled_and_tinted_in_the_cloud_and_the_overlay(graph):
    g = graph(heads=BOTH, tool_color=[10, 200, 30])
    g.start(topics=('points', 'overlay', 'left/image_rect', 'status'))
    ready(g)
    for colour in ((10, 200, 30), (250, 0, 90)):
        changed = g.node.set_parameters([Parameter('tool_color', value=list(colour))])
        assert changed[0].successful
        stamp = g.send()
        picture = rgb(g.answer('left/image_rect', stamp))
        cloud, mask = g.answer('points', stamp), bright(picture)
        packed = np.frombuffer(cloud.data, np.float32).reshape(HEIGHT, WIDTH, 4)
        _, shown, label = unpack(packed)
        np.testing.assert_array_equal(label, mask)
        np.testing.assert_array_equal(shown[~mask], picture[~mask])
        half = (picture[mask].astype(float) + colour) / 2
        assert np.abs(shown[mask] - half).max() <= 0.5
        over = rgb(g.answer('overlay', stamp)).astype(int)
        outlined = (over == colour).all(axis=2)
        assert outlined.any() and mask[outlined].all()
        assert np.abs(over[mask & ~outlined] - shown[mask & ~outlined]).max() <= 1
        # Tissue shows the colours of its disparity instead, but for the columns without any.
        np.testing.assert_array_equal(over[:, :8][~mask[:, :8]], picture[:, :8][~mask[:, :8]])


# --- A model that looks at the left eye only. ---


def test_every_left_picture_is_answered_without_a_right_one(graph):
    g = graph(heads=MASK_ONLY)
    g.start(topics=MASK_TOPICS)
    stamp = g.send(sides=LEFT)
    answers = {topic: g.answer(topic, stamp) for topic in MASK_TOPICS}
    assert None not in answers.values()
    assert {m.header.frame_id for m in answers.values()} == {'left_optical'}
    picture = rgb(answers['left/image_rect'])
    mask = mask_of(answers['instrument_mask'])
    np.testing.assert_array_equal(mask, np.where(bright(picture), 255, 0))
    np.testing.assert_array_equal(g.control.seen[0], picture)
    assert answers['camera_info'].k[0] == FOCAL
    over = rgb(answers['overlay'])
    np.testing.assert_array_equal(over[mask == 0], picture[mask == 0])
    assert (over[mask > 0] != picture[mask > 0]).any(axis=1).all()
    status = figures(answers['status'])
    assert status['verdict'] == 'OK' and status['reasons'] == ''
    assert status['skew_ms'] == 'nan' and 'coverage' not in status
    assert 'stage_ms.decode' in status and float(status['latency_ms']) > 0


def test_the_right_eye_is_neither_heard_nor_missed_and_no_depth_is_offered(graph):
    g = graph(heads=MASK_ONLY)
    g.start(topics=('status',))
    names = {name for name, _ in g.client.get_topic_names_and_types()}
    assert '/instrument_mask' in names
    assert not names & {f'/{topic}' for topic in (*STEREO_TOPICS, 'uncertainty')}
    assert g.send_image['right'].get_subscription_count() == 0
    assert g.send_info['right'].get_subscription_count() == 0
    g.answer('status', g.send(sides=LEFT))
    g.take_clock()
    g.received['/diagnostics'].clear()
    stamps = stream(g, LEFT, 2.2)
    assert g.answer('status', stamps[-1]) is not None
    assert g.stamps('status')[-len(stamps) :] == stamps
    g.tick()
    values = g.values()
    said = [array.status[0] for array in g.received['/diagnostics']]
    assert len(said) >= 2 and {status.level for status in said} == {DiagnosticStatus.OK}
    assert values['alone_left'] == values['received_left'] == values['processed']
    assert values['dropped.unpaired_left'] == '0'
    g.pass_time(1.1)
    g.tick()
    assert g.diagnosis('left image is missing')


def test_the_left_picture_is_rectified_with_its_own_calibration_or_not_at_all(graph):
    barrel = {'d': [-0.3, 0.0, 0.0, 0.0, 0.0]}
    for rectified in (False, True):
        g = graph(heads=MASK_ONLY, rectified=rectified)
        g.start(topics=('left/image_rect', 'camera_info'))
        sent = {}

        def keep(side, message, sent=sent):
            sent[side] = rgb(message)

        stamp = g.send(sides=LEFT, spoil=keep, info_changes={'left': barrel})
        shown = rgb(g.answer('left/image_rect', stamp))
        info = g.answer('camera_info', stamp)
        assert list(info.d) == [0.0] * 5 and info.p[0] == FOCAL and info.p[3] == 0
        expected = sent['left']
        if not rectified:
            lens = np.array([[FOCAL, 0, 48.0], [0, FOCAL, 32.0], [0, 0, 1]])
            expected = cv2.undistort(expected, lens, np.array(barrel['d']))
            assert (expected != sent['left']).any()
        assert np.abs(shown.astype(int) - expected).max() <= 1
        g.close()


UNUSABLE = {
    'K zero': ({'k': [0.0] * 9}, 'left camera_info refused: K is all zero'),
    'P zero': ({'p': [0.0] * 12}, 'P is all zero'),
    'of a right camera': (
        {'p': [FOCAL, 0.0, 48.0, -0.5, 0.0, FOCAL, 32.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
        'P[0,3] of the left camera is -0.5',
    ),
}


@pytest.mark.parametrize(('changes', 'words'), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_uncalibrated_left_eye_is_refused_until_a_good_calibration_comes(graph, changes, words):
    g = graph(heads=MASK_ONLY)
    g.start(topics=('instrument_mask', 'status'))
    bad = g.send(sides=LEFT, info_changes={'left': changes})
    assert g.diagnosis(words)
    assert g.received['status'] == []
    assert g.values()['dropped.no_calibration'] == '1'
    assert g.wait(lambda: g.send(sides=LEFT) and g.received['instrument_mask'])
    assert bad not in g.stamps('instrument_mask')


def test_a_left_picture_waits_for_its_first_calibration(graph):
    g = graph(heads=MASK_ONLY)
    g.start(topics=('status',))
    stamp = g.send(sides=LEFT, infos=False)
    assert g.diagnosis('no camera_info has arrived from the left camera')
    g.send_info['left'].publish(g.info('left', stamp))
    assert g.answer('status', stamp) is not None


def test_repeated_old_and_spoiled_left_pictures_are_counted_and_not_answered(graph):
    g = graph(heads=MASK_ONLY)
    g.start(topics=('instrument_mask', 'status'))
    first = g.send(sides=LEFT)
    assert g.answer('status', first) is not None
    for stamp in (first, first - 20 * MS):
        g.send(sides=LEFT, stamp=stamp)

    def cut(side, message):
        del message.data[100:]

    spoiled = g.send(sides=LEFT, stamp=first + 50 * MS, spoil=cut)
    assert figures(g.answer('status', spoiled))['reasons'] == 'bad_image'
    assert g.diagnosis('left pictures are dropped')
    last = g.send(sides=LEFT, stamp=first + 100 * MS)
    assert g.answer('status', last) is not None
    assert g.answer('instrument_mask', last) is not None
    assert g.stamps('instrument_mask') == [first, last]
    assert g.stamps('status') == [first, spoiled, last]
    values = g.values()
    assert values['dropped.duplicates_left'] == values['dropped.late_left'] == '1'
    assert values['dropped.bad_image'] == '1'


def test_a_model_that_fails_on_a_left_picture_gives_an_invalid_status(graph):
    g = graph(heads=MASK_ONLY)
    g.start(topics=('instrument_mask', 'status'))
    assert g.answer('status', g.send(sides=LEFT)) is not None
    g.control.fail = 1
    stamp = g.send(sides=LEFT)
    status = g.answer('status', stamp)
    assert figures(status)['reasons'] == 'backend_failed'
    assert stamp not in g.stamps('instrument_mask')
    assert g.answer('instrument_mask', g.send(sides=LEFT)) is not None


def test_overload_drops_the_waiting_left_picture_and_counts_it(graph):
    g = graph(heads=MASK_ONLY)
    g.start(topics=('status',))
    assert g.answer('status', g.send(sides=LEFT)) is not None
    g.control.free.clear()
    stamps = [g.send(sides=LEFT)]
    assert g.wait(lambda: g.control.begun == 2)
    stamps += [g.send(sides=LEFT) for _ in range(4)]
    g.control.free.set()
    assert g.answer('status', stamps[-1]) is not None
    assert g.stamps('status')[1:] == [stamps[0], stamps[-1]]
    assert g.values()['dropped.overload'] == '3'


# --- A model that needs both eyes, and loses one. ---


def test_a_lost_right_eye_leaves_the_mask_and_takes_the_depth_until_it_is_back(graph):
    heads = BOTH | {'uncertainty'}
    g = graph(heads=heads)
    g.start(topics=(*MASK_TOPICS, *STEREO_TOPICS, 'uncertainty'))
    assert g.answer('depth', ready(g)) is not None
    g.take_clock()
    whole = stream(g, ('left', 'right'), 0.3)
    assert g.answer('uncertainty', whole[-1]) is not None
    lost = stream(g, LEFT, 2.0)
    status = g.answer('status', lost[-1])
    assert status.status[0].level == DiagnosticStatus.WARN
    assert 'the right image is missing for' in status.status[0].message
    values = figures(status)
    assert (values['verdict'], values['reasons']) == ('DEGRADED', 'one_eye')
    assert '(limit 1)' in values['reason.one_eye']
    assert values['skew_ms'] == 'nan' and 'coverage' not in values
    for topic in MASK_TOPICS:
        assert g.answer(topic, lost[-1]) is not None, topic
    mask, picture = g.answer('instrument_mask', lost[-1]), g.answer('left/image_rect', lost[-1])
    np.testing.assert_array_equal(mask_of(mask), np.where(bright(rgb(picture)), 255, 0))
    g.tick()
    assert g.diagnosis('right image is missing')

    back = stream(g, ('left', 'right'), 0.6)
    status = g.answer('status', back[-1])
    assert figures(status)['verdict'] == 'OK'
    assert g.answer('depth', back[-1]) is not None

    alone = [s for s in g.stamps('status') if s in lost]
    # Nothing goes out in the first second, everything after it.
    assert alone == lost[-len(alone) :]
    assert 1e9 < alone[0] - whole[-1] < 1.1e9
    for topic in (*STEREO_TOPICS, 'uncertainty'):
        assert not set(g.stamps(topic)) & set(lost), topic
        # The picture in which the right eye came back may have gone out alone already.
        assert set(back[1:]) <= set(g.stamps(topic)), topic
    for topic, stamps in ((topic, g.stamps(topic)) for topic in g.received):
        if topic != '/diagnostics':
            assert stamps == sorted(set(stamps)), f'{topic} went back or repeated a stamp'
    assert int(g.values()['alone_left']) in (len(alone), len(alone) + 1)


def test_a_lost_left_eye_leaves_nothing_and_is_named(graph):
    g = graph(heads=BOTH)
    g.start(topics=(*MASK_TOPICS, *STEREO_TOPICS))
    last = ready(g)
    for topic in (*MASK_TOPICS, *STEREO_TOPICS):
        assert g.answer(topic, last) is not None, topic
    before = {topic: len(stamps) for topic, stamps in g.received.items()}
    g.take_clock()
    stream(g, RIGHT, 2.2)
    g.tick()
    assert g.diagnosis('left image is missing')
    for topic in (*MASK_TOPICS, *STEREO_TOPICS):
        assert len(g.received[topic]) == before[topic], topic
    stamp = g.send()
    assert figures(g.answer('status', stamp))['verdict'] == 'OK'


def test_a_model_without_a_mask_gives_nothing_while_the_right_eye_is_lost(graph):
    g = graph()
    g.start(topics=('status', 'left/image_rect'))
    last = ready(g)
    assert g.answer('left/image_rect', last) is not None
    g.take_clock()
    stream(g, LEFT, 2.2)
    g.tick()
    assert g.diagnosis('right image is missing')
    assert g.stamps('status')[-1] == last == g.stamps('left/image_rect')[-1]
    assert g.values()['alone_left'] == '0'


def test_an_eye_that_never_gave_its_calibration_leaves_no_results(graph):
    g = graph(heads=BOTH)
    g.start(topics=('status',))
    g.take_clock()
    stream(g, LEFT, 2.2)
    g.tick()
    assert g.diagnosis('right image is missing')
    assert g.diagnosis('no camera_info has arrived from the right camera')
    assert g.received['status'] == [] and g.values()['alone_left'] == '0'


def test_a_right_eye_that_is_calibrated_but_shows_nothing_is_lost_too(graph):
    g = graph(heads=BOTH)
    g.start(topics=('status',))
    g.send_info['right'].publish(g.info('right', 0))
    # By the clock of the machine: the first answer comes when a second is over.
    first = g.send(sides=LEFT)
    assert g.wait(lambda: g.answer('status', g.send(sides=LEFT), PERIOD_S))
    status = g.received['status'][0]
    assert g.stamps('status')[0] - first > 0.9e9
    assert figures(status)['reasons'] == 'one_eye'


def test_the_node_can_be_left_and_entered_again_while_an_eye_is_lost(graph):
    g = graph(heads=BOTH)
    g.start(topics=('status',))
    ready(g)
    g.take_clock()
    assert g.answer('status', stream(g, LEFT, 1.6)[-1]) is not None
    assert g.node.trigger_deactivate() == SUCCESS
    assert g.node.trigger_activate() == SUCCESS
    g.return_clock()
    g.connect(('status',))
    assert figures(g.answer('status', ready(g)))['verdict'] == 'OK'
