"""The node in a real graph: a driver made here on one side, subscribers on the other."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS graph to test in')

from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from .node_graph import (  # needs rclpy, so it stands below the check for it
    BASELINE,
    DISPARITY,
    FAILURE,
    FOCAL,
    HEIGHT,
    SUCCESS,
    TOPICS,
    WIDTH,
    figures,
)


@pytest.fixture
def graph(node_graph):
    return node_graph


def test_a_pair_is_answered_on_every_topic_under_its_left_stamp_and_frame(graph):
    g = graph()
    g.start()
    stamp = g.send()
    answers = {topic: g.answer(topic, stamp) for topic in TOPICS}
    assert None not in answers.values()
    assert {m.header.frame_id for m in answers.values()} == {'left_optical'}
    disparity = answers['disparity']
    assert disparity.image.header == disparity.header
    assert (disparity.f, disparity.t) == pytest.approx((FOCAL, BASELINE))
    depth = np.frombuffer(answers['depth'].data, np.float32).reshape(HEIGHT, WIDTH)
    # Left of the column 8 the match would lie outside of the right picture.
    assert np.isnan(depth[:, :8]).all()
    np.testing.assert_allclose(depth[:, 8:], FOCAL * BASELINE / DISPARITY, rtol=1e-6)
    values = np.frombuffer(disparity.image.data, np.float32).reshape(HEIGHT, WIDTH)
    assert (values[:, :8] == disparity.min_disparity - 1).all() and (values[:, 8:] == 8).all()
    assert answers['camera_info'].k[0] == FOCAL
    assert (answers['points'].height, answers['points'].width) == (HEIGHT, WIDTH)
    status = figures(answers['status'])
    assert status['verdict'] == 'OK'
    assert status['model'] == 'replay' and status['model_sha256'] == 'ab' * 32
    assert float(status['skew_ms']) == pytest.approx(1.0)
    assert answers['status'].status[0].level == DiagnosticStatus.OK


def test_only_what_has_a_subscriber_is_published(graph):
    g = graph()
    g.start(topics=('depth', 'status'))
    stamp = g.send()
    assert g.answer('status', stamp) is not None
    values = g.values()
    assert values['published.depth'] == '1'
    assert 'published.points' not in values and 'published.disparity' not in values


def test_topics_that_need_a_head_the_model_lacks_are_not_advertised(graph):
    g = graph()
    g.start(topics=('status',))
    names = [name for name, _ in g.client.get_topic_names_and_types()]
    assert '/depth' in names
    assert not {'/uncertainty', '/instrument_mask'} & set(names)


# What a driver may get wrong, and what the diagnostics must say of it.
def _cut(side, message):
    if side == 'right':
        del message.data[100:]


def _encoding(side, message):
    message.encoding = '16UC1'


def _other_size(side, message):
    if side == 'right':
        message.height //= 2
        del message.data[message.height * message.step :]


def _smaller(side, message):
    _other_size('right', message)


SPOILED = {
    'truncated data': (_cut, 'cut short'),
    'unsupported encoding': (_encoding, "'16UC1' is not supported"),
    'eyes of different sizes': (_other_size, 'one size'),
    'another size than calibrated': (_smaller, 'the calibration is for 96x64'),
}


@pytest.mark.parametrize(('spoil', 'words'), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_picture_is_refused_in_words_and_the_next_pair_is_answered(graph, spoil, words):
    g = graph()
    g.start(topics=('depth',))
    bad = g.send(spoil=spoil)
    assert g.diagnosis(words)
    good = g.send()
    assert g.answer('depth', good) is not None
    assert bad not in g.stamps('depth')


REFUSED = {
    'K zero': ({'left': {'k': [0.0] * 9}}, 'not calibrated'),
    'NaN in K': ({'left': {'k': [float('nan')] + [0.0] * 8}}, 'NaN'),
    'mono calibration': (
        {'right': {'p': [FOCAL, 0.0, 48.0, 0.0, 0.0, FOCAL, 32.0, 0.0, 0.0, 0.0, 1.0, 0.0]}},
        'zero baseline',
    ),
    'unknown distortion': ({'right': {'distortion_model': 'x', 'd': [0.1]}}, 'plumb_bob'),
    'R not a rotation': ({'left': {'r': [2.0] + [0.0] * 8}}, 'not a rotation'),
}


@pytest.mark.parametrize(('changes', 'words'), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_calibration_stops_the_results_until_a_good_one_comes(graph, changes, words):
    g = graph()
    g.start(topics=('depth', 'status'))
    bad = g.send(info_changes=changes)
    assert g.diagnosis(words)
    assert g.received['depth'] == [] and g.received['status'] == []
    assert g.values()['dropped.no_calibration'] == '1'
    # The driver repeats its calibration; pictures that overtake the first good one are dropped.
    assert g.wait(lambda: g.send() and g.received['depth'])
    assert bad not in g.stamps('depth')


def test_without_camera_info_nothing_is_published_and_the_reason_is_said(graph):
    g = graph()
    g.start(topics=('depth',))
    stamp = g.send(infos=False)
    assert g.diagnosis('no camera_info has arrived from either camera')
    assert g.answer('depth', stamp, 0.3) is None


def test_a_pair_that_overtook_the_first_camera_infos_is_answered_when_they_come(graph):
    g = graph()
    g.start(topics=('depth',))
    dropped = g.send(infos=False)
    stamp = g.send(infos=False, stamp=dropped + 50_000_000)
    assert g.figures()['paired'] == '2' and g.received['depth'] == []
    for side in ('left', 'right'):
        g.send_info[side].publish(g.info(side, stamp))
    assert g.answer('depth', stamp) is not None
    assert dropped not in g.stamps('depth')
    assert g.values()['dropped.no_calibration'] == '1'


def test_a_missing_eye_is_named_after_a_second(graph):
    g = graph()
    g.start(topics=('depth',))
    g.send()

    def is_named() -> bool:
        g.send(sides=('left',))
        return g.wait(lambda: g.said('right image is missing'), 0.1)

    assert g.wait(is_named)
    worst = max(a.status[0].level for a in g.received['/diagnostics'])
    assert worst == DiagnosticStatus.ERROR


def test_a_failing_backend_gives_an_invalid_status_and_is_restarted_once(graph):
    g = graph(max_backend_failures=2)
    g.start(topics=('depth', 'status'))
    g.control.fail = 2
    for _ in range(2):
        stamp = g.send()
        status = g.answer('status', stamp)
        assert figures(status)['verdict'] == 'INVALID'
        assert 'out of memory' in status.status[0].message
        assert stamp not in g.stamps('depth')
    assert g.control.made == 2
    good = g.send()
    assert g.answer('depth', good) is not None
    assert g.diagnosis('restarted 1x')
    assert g.values()['dropped.backend'] == '2'


def test_a_backend_that_fails_for_good_is_an_error_and_the_node_stays_alive(graph):
    g = graph(max_backend_failures=1)
    g.start(topics=('status',))
    g.control.fail = 1000
    for _ in range(3):
        assert g.answer('status', g.send()) is not None
    assert g.diagnosis('out of use')
    g.control.fail = 0
    assert g.node.trigger_deactivate() == SUCCESS
    assert g.node.trigger_cleanup() == SUCCESS
    assert g.node.trigger_configure() == SUCCESS
    assert g.node.trigger_activate() == SUCCESS
    g.connect(('status',))
    status = g.answer('status', g.send())
    assert status is not None and figures(status)['verdict'] == 'OK'


def test_time_that_goes_backwards_starts_the_stream_anew(graph):
    g = graph()
    g.start(topics=('depth',))
    now = g.node.get_clock().now().nanoseconds
    for stamp in (now, now + 50_000_000, now - 3_600_000_000_000):
        assert g.answer('depth', g.send(stamp=stamp)) is not None
    assert g.values()['time_resets'] == '1'


def test_overload_drops_the_waiting_pair_and_counts_it(graph):
    g = graph()
    g.start(topics=('depth',))
    g.control.free.clear()
    first = g.send()
    assert g.wait(lambda: g.control.begun)
    *_, last = (g.send() for _ in range(4))
    assert g.figures()['dropped.overload'] == '3'
    g.control.free.set()
    assert g.answer('depth', last) is not None
    assert g.stamps('depth') == [first, last]
    assert g.values()['dropped.overload'] == '3'


def test_a_node_that_leaves_in_the_midst_of_a_frame_says_so_until_it_is_done(graph, monkeypatch):
    monkeypatch.setattr('msdesis_ros.ros.worker.STOP_TIMEOUT_S', 0.05)
    g = graph()
    g.start(topics=('depth',))
    assert not g.node.held_up
    g.control.free.clear()
    g.send()
    assert g.wait(lambda: g.control.begun)
    assert g.node.trigger_deactivate() == SUCCESS
    assert g.node.held_up
    g.control.free.set()
    assert g.wait(lambda: not g.node.held_up)
    assert g.received['depth'] == []


def is_well(g) -> bool:
    """Whether the newest diagnostics that have arrived say so; the next ones are on their way."""
    g.tick()
    return g.received['/diagnostics'][-1].status[0].level == DiagnosticStatus.OK


def test_a_node_does_not_come_back_while_a_frame_of_before_is_in_the_backend(graph, monkeypatch):
    monkeypatch.setattr('msdesis_ros.ros.worker.STOP_TIMEOUT_S', 0.05)
    g = graph()
    g.start(topics=('depth', 'status'))
    g.control.free.clear()
    old = g.send()
    assert g.wait(lambda: g.control.begun)
    assert g.node.trigger_deactivate() == SUCCESS
    assert g.node.trigger_activate() == FAILURE
    g.control.free.set()
    assert g.wait(lambda: not g.node.held_up)
    assert g.node.trigger_activate() == SUCCESS
    g.connect(('depth', 'status'))
    new = g.send()
    assert g.answer('depth', new) is not None
    # Nothing of the old frame went out, and nothing is said against a node that is well.
    assert old not in g.stamps('depth') + g.stamps('status')
    assert g.wait(lambda: is_well(g))


def test_an_activation_that_fails_can_be_tried_again(graph, monkeypatch):
    g = graph()
    assert g.node.trigger_configure() == SUCCESS
    subscriptions = len(list(g.node.subscriptions))
    with monkeypatch.context() as patch:
        patch.setattr('msdesis_ros.ros.inputs.latched_camera_info_qos', lambda: 1 / 0)
        assert g.node.trigger_activate() == FAILURE
    assert len(list(g.node.subscriptions)) == subscriptions
    names = [publisher.topic_name for publisher in g.node.publishers]
    assert '/depth' not in names
    assert g.node.trigger_activate() == SUCCESS


def test_a_damaged_picture_gets_a_status_of_its_own(graph):
    g = graph()
    g.start(topics=('depth', 'status'))

    def cut(side, message):
        message.step = 1

    stamp = g.send(spoil=cut)
    found = figures(g.answer('status', stamp))
    assert (found['verdict'], found['reasons']) == ('INVALID', 'bad_image')
    assert stamp not in g.stamps('depth')
    good = g.send()
    assert figures(g.answer('status', good))['verdict'] == 'OK'


def test_an_internal_error_is_forgotten_when_all_is_well_again(graph):
    g = graph()
    g.start(topics=('depth',))
    g.node._outputs._makers['depth'], depth = lambda *_: 1 / 0, g.node._outputs._makers['depth']
    g.send()
    assert g.diagnosis('a pair was dropped: ZeroDivisionError')
    g.node._outputs._makers['depth'] = depth
    assert g.answer('depth', g.send()) is not None
    assert g.wait(lambda: is_well(g))


def test_a_black_picture_withholds_all_depth(graph):
    g = graph()
    g.start(topics=('depth', 'status'))

    def black(side, message):
        message.data[:] = type(message.data)('B', bytes(len(message.data)))

    stamp = g.send(spoil=black)
    depth = g.answer('depth', stamp)
    assert np.isnan(np.frombuffer(depth.data, np.float32)).all()
    status = g.answer('status', stamp)
    assert figures(status)['verdict'] == 'INVALID' and 'black_left' in figures(status)['reasons']


def test_a_rectification_that_turns_the_view_gets_a_frame_of_its_own(graph):
    g = graph()
    g.start(topics=('depth',))
    c, s = np.cos(np.radians(1.0)), np.sin(np.radians(1.0))
    turned = {'r': [c, 0.0, s, 0.0, 1.0, 0.0, -s, 0.0, c]}
    stamp = g.send(info_changes={'left': turned})
    assert g.answer('depth', stamp).header.frame_id == 'left_optical_rect_optical'


def test_the_frame_can_be_overridden(graph):
    g = graph(frame_id='/ecm')
    g.start(topics=('depth',))
    assert g.answer('depth', g.send()).header.frame_id == 'ecm'


def test_a_frame_of_the_operators_own_gets_no_second_parent(graph):
    g = graph(frame_id='ecm')
    g.start(topics=('depth',))
    c, s = np.cos(np.radians(1.0)), np.sin(np.radians(1.0))
    turned = {'r': [c, 0.0, s, 0.0, 1.0, 0.0, -s, 0.0, c]}
    stamp = g.send(info_changes={'left': turned})
    assert g.answer('depth', stamp).header.frame_id == 'ecm'
    assert g.diagnosis('1.00 degrees against left_optical; the name comes from the parameter')


def test_configure_fails_in_words_when_the_model_cannot_be_loaded(graph):
    g = graph()
    g.node._make_backend = lambda *_, **__: 1 / 0
    assert g.node.trigger_configure() == FAILURE
    g.node._make_backend = g._make_backend
    assert g.node.trigger_configure() == SUCCESS


@pytest.mark.parametrize(
    'wrong',
    [{'point_stride': 0}, {'alpha': -0.5}, {'disparity_invalid': 'zero'}, {'tool_color': [1]}],
)
def test_a_start_value_out_of_range_makes_configure_fail_each_time(graph, wrong):
    g = graph(**wrong)
    assert g.node.trigger_configure() == FAILURE
    assert g.node.trigger_configure() == FAILURE


def test_parameters_out_of_range_are_refused_and_change_nothing(graph):
    g = graph()
    g.start(topics=('points',))
    client = g.client.create_client(SetParameters, '/stereo_endoscope/set_parameters')
    assert client.wait_for_service(60.0)

    def change(name: str, value) -> tuple[bool, str]:
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        future = client.call_async(request)
        assert g.wait(future.done)
        result = future.result().results[0]
        return result.successful, result.reason

    ok, reason = change('point_stride', 65)
    assert not ok and '64' in reason
    ok, reason = change('tool_color', [0, 0, 256])
    assert not ok and '3 numbers' in reason
    assert not change('tool_color', [0, 0])[0]
    ok, reason = change('disparity_invalid', 'zero')
    assert not ok and 'min_minus_one, nan' in reason
    ok, reason = change('model', 'other')
    assert not ok and 'deactivate' in reason
    assert g.answer('points', g.send()).width == WIDTH
    assert change('point_stride', 2) == (True, '')
    assert g.answer('points', g.send()).width == WIDTH // 2


def test_deactivating_leaves_the_graph_and_activating_comes_back(graph):
    g = graph()
    g.start(topics=('depth',))
    for _ in range(2):
        assert g.answer('depth', g.send()) is not None
        assert g.node.trigger_deactivate() == SUCCESS
        assert g.wait(lambda: g.send_image['left'].get_subscription_count() == 0)
        silent = g.send()
        assert g.answer('depth', silent, 0.3) is None
        assert g.node.trigger_activate() == SUCCESS
        g.connect(('depth',))
    assert g.control.made == 1
    assert g.node.trigger_deactivate() == SUCCESS
    assert g.node.trigger_cleanup() == SUCCESS
    assert g.control.closed == 1
