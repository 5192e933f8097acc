"""Every way in which pictures and calibrations reach the node, in a real graph."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed: no ROS graph to test in')

from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from msdesis_ros.ros.encodings import INPUT_ENCODINGS
from msdesis_ros.ros.inputs import TRANSPORTS
from msdesis_ros.ros.messages import image_message, make_header, stamp_from_ns
from msdesis_ros.ros.parameters import SPECS

from . import by_hand
from .node_graph import BASELINE, DISPARITY, FOCAL, HEIGHT, SUCCESS, WIDTH, figures, rgb8

SIDES = ('left', 'right')
MS = 1_000_000
S = 1000 * MS


def floats(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


def both(**changes) -> dict:
    """The same changes of the camera_info on both sides."""
    return dict.fromkeys(SIDES, changes)


def of_size(width: int, height: int) -> dict:
    """Changes of camera_info for pictures of another size than the usual one."""
    return both(width=width, height=height)


# --- Encodings. ---


def test_pictures_of_every_encoding_reach_the_model_as_rgb(node_graph):
    g = node_graph()
    g.start(topics=('status',))
    width, height, padding = 32, 17, 5  # odd where the encoding allows it
    for number, encoding in enumerate(INPUT_ENCODINGS):
        shown = {}

        def make(side, picture, header, encoding=encoding, number=number, shown=shown):
            layout = {'width': width, 'height': height}
            step = width * by_hand.bytes_per_pixel(encoding) + padding
            data = by_hand.random_rows(encoding, **layout, padding=padding, seed=number)
            data = data if side == 'left' else bytes(255 - value for value in data)
            shown[side] = by_hand.decode(encoding, data, **layout, step=step)
            message = Image(
                header=header, **layout, encoding=encoding, step=step, is_bigendian=number % 2
            )
            message.data = array.array('B', data)
            return message

        stamp = g.send(make=make, info_changes=of_size(width, height))
        # The camera_info of the first frame may come late; the next frame has the same size.
        assert g.answer('status', stamp) is not None, encoding
        for side, seen in zip(SIDES, g.control.seen, strict=True):
            difference = np.abs(seen.astype(int) - shown[side]).max()
            assert difference <= (1 if encoding in by_hand.YUV else 0), (encoding, side)


def test_every_output_of_an_odd_picture_size_has_that_size(node_graph):
    g = node_graph()
    g.start()
    width, height = 131, 103

    def make(side, picture, header):
        odd = cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)
        return image_message(odd, 'bgr8', header)

    stamp = g.send(make=make, info_changes=of_size(width, height))
    for topic in ('depth', 'left/image_rect', 'points', 'camera_info'):
        answer = g.answer(topic, stamp)
        assert (answer.width, answer.height) == (width, height), topic
    image = g.answer('disparity', stamp).image
    assert (image.width, image.height, len(image.data)) == (width, height, 4 * width * height)


def test_a_picture_that_its_encoding_does_not_allow_is_refused_in_words(node_graph):
    g = node_graph()
    g.start(topics=('depth',))

    def odd_yuv(side, picture, header):
        return Image(
            header=header,
            width=WIDTH - 1,
            height=HEIGHT,
            step=2 * WIDTH,
            encoding='yuv422',
            data=array.array('B', bytes(2 * WIDTH * HEIGHT)),
        )

    g.send(make=odd_yuv)
    assert g.diagnosis('width must be even')
    assert g.answer('depth', g.send()) is not None


# --- Compressed pictures. ---


def compressed(kind: str, format_: str | None = None, *, cut: int | None = None, grey=False):
    def make(side, picture, header) -> CompressedImage:
        bgr = picture[:, :, 0] if grey else picture[:, :, ::-1]
        encoded = cv2.imencode({'jpeg': '.jpg', 'png': '.png'}[kind], bgr)[1].tobytes()
        make.sent[side] = picture
        return CompressedImage(
            header=header, format=format_ or kind, data=array.array('B', encoded[:cut])
        )

    make.sent = {}
    return make


def test_the_choices_of_the_parameter_are_the_transports_there_are():
    assert SPECS['image_transport'].choices == tuple(TRANSPORTS)


@pytest.mark.parametrize('kind', ['jpeg', 'png'])
def test_compressed_pictures_in_colour_and_grey_reach_the_model_as_rgb(node_graph, kind):
    g = node_graph(image_transport='compressed')
    g.start(topics=('depth', 'status'))
    allowed = 0 if kind == 'png' else 20  # JPEG on noise; exchanged channels are 50 apart
    for format_ in (kind, f'rgb8; {kind} compressed bgr8'):
        make = compressed(kind, format_)
        stamp = g.send(make=make)
        assert g.answer('depth', stamp) is not None
        for side, seen in zip(SIDES, g.control.seen, strict=True):
            difference = np.abs(seen.astype(int) - make.sent[side]).mean(axis=(0, 1))
            assert (difference <= allowed).all(), difference
    make = compressed(kind, grey=True)
    assert g.answer('status', g.send(make=make)) is not None
    left = g.control.seen[0]
    assert (left == left[:, :, :1]).all()
    assert np.abs(left[:, :, 0].astype(int) - make.sent['left'][:, :, 0]).mean() <= allowed


SPOILED = {
    'cut short': (compressed('jpeg', cut=-2), 'is not whole'),
    'cut in the middle': (compressed('png', cut=3000), 'is not whole'),
    'empty': (compressed('jpeg', cut=0), 'is empty'),
    '16 bits': (compressed('jpeg', 'mono16; jpeg compressed '), 'more than 8 bits'),
    'another size': (
        lambda side, picture, header: compressed('png')(side, picture[::2], header),
        'the calibration is for 96x64',
    ),
}


def test_spoiled_compressed_pictures_are_refused_in_words_and_good_ones_answered(node_graph):
    g = node_graph(image_transport='compressed')
    g.start(topics=('depth',))
    for cause, (make, words) in SPOILED.items():
        bad = g.send(make=make)
        assert g.diagnosis(words), cause
        assert g.answer('depth', g.send(make=compressed('jpeg'))) is not None, cause
        assert bad not in g.stamps('depth'), cause
        g.received['/diagnostics'].clear()
    values = g.values()
    assert values['dropped.bad_image'] == str(len(SPOILED) - 1)
    assert values['dropped.calibration'] == '1'


def test_a_remapping_of_the_base_topic_is_one_of_the_compressed_topic_too(node_graph):
    g = node_graph(
        image_transport='compressed',
        cli_args=['--ros-args', '-r', 'left/image_raw:=/rig/eye_l/image'],
    )
    g.start(topics=(), connected=False)
    names = {name for name, _ in g.client.get_topic_names_and_types()}
    assert g.wait(lambda: g.client.count_subscribers('/rig/eye_l/image/compressed') == 1), names
    assert g.client.count_subscribers('/right/image_raw/compressed') == 1
    for name in ('/left/image_raw', '/right/image_raw', '/left/image_raw/compressed'):
        assert g.client.count_subscribers(name) == 0


# --- ROI, binning, pictures that arrive rectified. ---

# A camera at full resolution with lens distortion and a rectifying rotation, seen by a driver
# that delivers a part of it.
FULL = (192, 128)
TURN = cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0]
FULL_INFO = {
    'width': FULL[0],
    'height': FULL[1],
    'd': [-0.2, 0.03, 0.001, -0.002, 0.0],
    'k': [150.0, 0.0, 97.0, 0.0, 151.0, 61.0, 0.0, 0.0, 1.0],
    'r': TURN.ravel().tolist(),
}


def full_info(side: str, **changes) -> dict:
    tx = 0.0 if side == 'left' else -140.0 * BASELINE
    projection = [140.0, 0.0, 95.0, tx, 0.0, 140.0, 63.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return {**FULL_INFO, 'p': projection, **changes}


def scene(side: str) -> np.ndarray:
    """A smooth full-resolution picture, so that interpolation does not blur the comparison."""
    seed = SIDES.index(side)
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return cv2.resize(coarse, FULL, interpolation=cv2.INTER_CUBIC)


def test_a_region_of_interest_is_the_same_part_of_the_rectified_picture(node_graph):
    g = node_graph()
    g.start(topics=('disparity', 'camera_info'))
    x, y, width, height = 23, 11, 131, 97
    roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)

    def send(crop, **changes) -> int:
        return g.send(
            make=lambda side, _, header: image_message(crop(scene(side)), 'rgb8', header),
            info_changes={side: full_info(side, **changes) for side in SIDES},
        )

    assert g.answer('disparity', send(lambda full: full)).t == pytest.approx(BASELINE)
    whole = g.control.seen
    # The calibration changes while the node runs, and so does the size.
    stamp = send(lambda full: full[y : y + height, x : x + width].copy(), roi=roi)
    disparity = g.answer('disparity', stamp)
    assert (disparity.f, disparity.t) == pytest.approx((140.0, BASELINE))
    info = g.answer('camera_info', stamp)
    assert (info.width, info.height, info.k[2], info.k[5]) == (width, height, 95 - x, 63 - y)
    for part, full in zip(g.control.seen, whole, strict=True):
        # Away from the border, where both have a source.
        inner = (slice(12, height - 12), slice(12, width - 12))
        difference = np.abs(part.astype(int) - full[y : y + height, x : x + width])[inner]
        assert difference.max() <= 2


def test_binned_pictures_keep_the_depth_of_the_full_ones(node_graph):
    g = node_graph()
    g.start(topics=('disparity', 'depth', 'camera_info'))
    roi = RegionOfInterest(x_offset=20, y_offset=8, width=160, height=100)
    stamp = g.send(
        make=lambda side, _, header: image_message(scene(side)[:50, :80].copy(), 'rgb8', header),
        info_changes={side: full_info(side, roi=roi, binning_x=2, binning_y=2) for side in SIDES},
    )
    disparity = g.answer('disparity', stamp)
    assert (disparity.f, disparity.t) == pytest.approx((70.0, BASELINE))
    info = g.answer('camera_info', stamp)
    assert (info.width, info.height) == (80, 50)
    assert (info.k[2], info.k[5]) == ((95 - 20) / 2, (63 - 8) / 2)
    depth = floats(g.answer('depth', stamp))
    assert np.nanmax(depth) == pytest.approx(70.0 * BASELINE / DISPARITY)


def test_roi_and_binning_that_do_not_fit_the_pictures_are_refused_with_both_sizes(node_graph):
    g = node_graph()
    g.start(topics=('depth',))
    g.send(info_changes=both(binning_x=2, binning_y=2))
    assert g.diagnosis('the pictures are 96x64 px but the calibration is for 48x32 px')
    outside = RegionOfInterest(x_offset=90, y_offset=0, width=10, height=10)
    g.send(info_changes=both(roi=outside))
    assert g.diagnosis('the ROI x=90 y=0 10x10 does not lie inside the calibrated 96x64 px')
    assert g.received['depth'] == []
    assert g.wait(lambda: g.send() and g.received['depth'])


def best_shift(left: np.ndarray, right: np.ndarray) -> float:
    """The one disparity, 0 px or more, at which the two pictures fit best."""
    width = left.shape[1]
    left, right = left.astype(int), right.astype(int)
    errors = [np.abs(left[:, d:] - right[:, : width - d]).mean() for d in range(40)]
    return float(np.argmin(errors))


@pytest.mark.parametrize('offset', [-12, 0, 5])
def test_a_pair_that_arrives_rectified_is_measured_from_both_principal_points(node_graph, offset):
    g = node_graph(rectified=True)
    g.control.match = best_shift
    g.start(topics=('disparity', 'depth'))
    wall = np.random.default_rng(1).integers(0, 256, (HEIGHT, 3 * WIDTH, 3), dtype=np.uint8)

    def make(side, _, header):
        # Equal rays differ by cx_left - cx_right, a wall at this distance by 9 px more.
        shift = 0 if side == 'left' else 9 + offset
        start = WIDTH + shift
        return image_message(wall[:, start : start + WIDTH].copy(), 'rgb8', header)

    tx, cx = -FOCAL * BASELINE, 48.0 - offset
    projection = [FOCAL, 0.0, cx, tx, 0.0, FOCAL, 32.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    # K, D and R describe the raw camera; they must not be applied again.
    raw = {'d': [-0.3, 0.1, 0.0, 0.0, 0.0], 'r': TURN.ravel().tolist()}
    stamp = g.send(make=make, info_changes={'left': raw, 'right': {'p': projection, **raw}})
    depth = floats(g.answer('depth', stamp))
    assert np.isfinite(depth).sum() > 0.5 * depth.size
    np.testing.assert_allclose(depth[np.isfinite(depth)], FOCAL * BASELINE / 9, rtol=1e-6)
    disparity = g.answer('disparity', stamp)
    values = floats(disparity.image)
    assert set(np.unique(values)) <= {np.float32(9), np.float32(disparity.min_disparity - 1)}
    assert disparity.min_disparity <= 9 <= disparity.max_disparity
    assert np.array_equal(g.control.seen[0], wall[:, WIDTH : 2 * WIDTH])
    g.values()
    assert (offset == 0) != g.said('principal points')


# --- Calibrations that come before, after, once, and that change. ---


def test_camera_infos_that_were_latched_before_the_node_came_up_are_used(node_graph):
    g = node_graph()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for side in SIDES:
        publisher = g.driver.create_publisher(CameraInfo, f'{side}/camera_info', latched)
        publisher.publish(g.info(side, 0))
    g.start(topics=('depth',))
    for _ in range(4):
        assert g.answer('depth', g.send(infos=False)) is not None


def test_camera_infos_that_come_once_while_pictures_run_are_used_from_then_on(node_graph):
    g = node_graph()
    g.start(topics=('depth',))
    for _ in range(3):
        g.send(infos=False)
    assert g.figures()['paired'] == '3' and g.received['depth'] == []
    for side in SIDES:
        g.send_info[side].publish(g.info(side, 0))
    assert g.wait(lambda: g.received['depth'])
    for _ in range(3):
        assert g.answer('depth', g.send(infos=False)) is not None


# By how much pictures and camera_infos are late, ms, at 40 ms a frame.
LATE = {
    'camera_infos follow': lambda rng: (0, 10),
    'camera_infos overtake the frame before': lambda rng: (55, 0),
    'as it comes': lambda rng: rng.integers(0, 35, 2),
}


@pytest.mark.parametrize('late_ms', LATE.values(), ids=LATE.keys())
def test_no_result_mixes_the_calibrations_of_two_frames(node_graph, late_ms):
    g = node_graph()
    g.start(topics=('disparity', 'camera_info'))
    rng = np.random.default_rng(4)
    # Each fits the other one's other half, so the gate would pass any mixture. cx of the results
    # comes from the left camera, t from the right one.
    calibrations = [(48.0, 0.005), (46.5, 0.006)]
    sent: dict[int, tuple[float, float]] = {}
    queue = []
    start = g.node.get_clock().now().nanoseconds
    for number in range(45):
        stamp = start + number * 40 * MS
        cx, baseline = sent[stamp] = calibrations[number // 4 % 2]
        for side, offset, tx in (('left', 0, 0.0), ('right', 2 * MS, -FOCAL * baseline)):
            header = make_header(stamp_ns=stamp + offset, frame_id=f'{side}_optical')
            p = [FOCAL, 0.0, cx, tx, 0.0, FOCAL, 32.0, 0.0, 0.0, 0.0, 1.0, 0.0]
            info = g.info(side, stamp + offset, p=p)
            picture_ms, info_ms = late_ms(rng)
            due_ms = number * 40 + offset / MS
            queue.append(
                (due_ms + picture_ms, g.send_image[side], rgb8(side, g.picture(), header))
            )
            queue.append((due_ms + info_ms, g.send_info[side], info))
    queue.sort(key=lambda entry: entry[0])
    g.take_clock()
    now_ms = 0.0
    for due_ms, publisher, message in queue:
        g.pass_time((due_ms - now_ms) / 1000)
        now_ms = due_ms
        publisher.publish(message)
        g.wait_until_taken()
        g.wait_until_at_work()
    for topic in ('disparity', 'camera_info'):
        g.answer(topic, max(sent))
    centres = dict(zip(g.stamps('camera_info'), g.received['camera_info'], strict=True))
    baselines = dict(zip(g.stamps('disparity'), g.received['disparity'], strict=True))
    wrong = [s for s, message in baselines.items() if abs(message.t - sent[s][1]) > 1e-6]
    wrong += [s for s, message in centres.items() if message.k[2] != sent[s][0]]
    assert not wrong, f'{len(wrong)} of {len(baselines)} results have another calibration'
    # A frame or so may be given up at each of the ten changes.
    assert len(baselines) >= 30, g.values()


def test_pictures_go_on_where_the_camera_infos_stop(node_graph):
    g = node_graph()
    g.start(topics=('depth',))
    start = g.node.get_clock().now().nanoseconds
    for number in range(4):
        g.send(stamp=start + number * 40 * MS)
        g.wait_until_at_work()
    stamps = [start + number * 40 * MS for number in range(4, 9)]
    for stamp in stamps:
        g.send(stamp=stamp, infos=False)
        g.wait_until_at_work()
    assert g.answer('depth', stamps[-1]) is not None
    # The first one waited in vain until the second was there, and the newer of two goes first.
    assert set(stamps[1:]) <= set(g.stamps('depth'))


def test_the_last_pair_is_answered_though_its_camera_info_was_lost(node_graph):
    g = node_graph()
    g.start(topics=('depth',))
    start = g.node.get_clock().now().nanoseconds
    for number in range(4):
        g.send(stamp=start + number * 40 * MS)
    last = g.send(stamp=start + 160 * MS, infos=False)
    for _ in range(2):
        assert last not in g.stamps('depth')
        g.tick()
    assert g.answer('depth', last) is not None


# --- Simulated time. ---


class SimulatedTime:
    """A /clock that stands still unless it is told to go on."""

    def __init__(self, graph) -> None:
        self._publisher = graph.driver.create_publisher(Clock, '/clock', 10)
        self._clock = graph.node.get_clock()
        self._graph = graph

    def set(self, now_ns: int) -> None:
        def arrived() -> bool:
            self._publisher.publish(Clock(clock=stamp_from_ns(now_ns)))
            return self._clock.now().nanoseconds == now_ns

        assert self._graph.wait(arrived)


def test_in_simulated_time_latency_and_stamps_are_those_of_the_clock(node_graph):
    g = node_graph(use_sim_time=True)
    g.start(topics=('depth', 'status'))
    simulated = SimulatedTime(g)
    for number in range(5):
        stamp = 100 * S + number * 100 * MS
        simulated.set(stamp + 20 * MS)
        g.send(stamp=stamp)
        status = g.answer('status', stamp)
        assert figures(status)['verdict'] == 'OK'
        assert float(figures(status)['latency_ms']) == pytest.approx(20.0)
    values = g.values()
    assert float(values['latency_ms.p95']) == pytest.approx(20.0)
    assert values['time_resets'] == '0' and values['paired'] == '5'
    newest = g.received['/diagnostics'][-1].header.stamp
    assert newest == stamp_from_ns(stamp + 20 * MS)


def test_a_simulated_clock_that_starts_again_starts_the_stream_anew(node_graph):
    g = node_graph(use_sim_time=True)
    g.start(topics=('depth', 'status'))
    simulated = SimulatedTime(g)
    for run in range(2):
        for number in range(4):
            stamp = 100 * S + number * 300 * MS
            simulated.set(stamp + 10 * MS)
            g.received['status'].clear()
            g.received['depth'].clear()
            g.send(stamp=stamp)
            status = g.answer('status', stamp)
            assert status is not None, (run, number)
            # Equal pictures under new stamps would be frozen ones, had nothing been forgotten.
            assert figures(status)['verdict'] == 'OK'
            assert g.answer('depth', stamp) is not None
    values = g.values()
    assert values['time_resets'] == '1'
    assert float(values['latency_ms.p99']) == pytest.approx(10.0)


def test_diagnostics_go_on_while_the_simulated_clock_stands_still(node_graph):
    g = node_graph(use_sim_time=True)
    g.start(topics=('status',))
    simulated = SimulatedTime(g)
    simulated.set(50 * S)
    g.received['/diagnostics'].clear()
    # The clock is paused and no picture comes: both are said, at the pace of the wall clock.
    assert g.wait(lambda: len(g.received['/diagnostics']) >= 3)
    assert g.diagnosis('left and right images are missing')
    assert g.received['/diagnostics'][-1].header.stamp == stamp_from_ns(50 * S)


def test_without_a_clock_simulated_time_is_named_as_the_reason(node_graph):
    g = node_graph(use_sim_time=True)
    g.start(topics=('depth', 'status'))
    stamp = g.send(stamp=1_700_000_000 * S)
    # Pictures need no clock, so they are answered; how old they are is not known.
    status = g.answer('status', stamp)
    assert figures(status)['verdict'] == 'OK'
    assert figures(status)['latency_ms'] == 'nan'
    assert g.diagnosis('no /clock')
    assert 'latency_ms.p50' not in g.values()
    SimulatedTime(g).set(1_700_000_001 * S)
    status = g.answer('status', g.send(stamp=1_700_000_000 * S + 990 * MS))
    assert float(figures(status)['latency_ms']) == pytest.approx(10.0)
    g.received['/diagnostics'].clear()
    assert g.values()['state'] == 'active' and not g.said('no /clock')


# --- The parameter. ---


def test_an_unknown_transport_is_refused_naming_the_known_ones(node_graph):
    g = node_graph(image_transport='raw')
    g.node.declare_parameter('x', 1)
    assert g.node.trigger_configure() == SUCCESS
    result = g.node.set_parameters([Parameter('image_transport', value='theora')])[0]
    assert not result.successful and 'raw, compressed' in result.reason
