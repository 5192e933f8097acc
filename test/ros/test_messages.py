from __future__ import annotations

import array
import math
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip('sensor_msgs.msg', reason='the ROS message packages are not installed')

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointField, RegionOfInterest
from std_msgs.msg import Header

from msdesis_ros.core.errors import CalibrationError, ImageError, UsageError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.core.surface import SurfaceBuilder
from msdesis_ros.ros import messages
from msdesis_ros.ros.encodings import INPUT_ENCODINGS
from msdesis_ros.ros.message_buffers import cloud_buffer, disparity_buffer, image_buffer

from . import by_hand

STAMP_NS = 1_700_000_000_123_456_789


def header() -> Header:
    return messages.make_header(stamp_ns=STAMP_NS, frame_id='left_optical')


WIDTH, HEIGHT = 10, 7


def image(encoding: str, *, padding: int = 0, is_bigendian: int = 0) -> Image:
    """Return an Image of random bytes."""
    step = WIDTH * by_hand.bytes_per_pixel(encoding) + padding
    message = Image(
        height=HEIGHT, width=WIDTH, encoding=encoding, step=step, is_bigendian=is_bigendian
    )
    data = by_hand.random_rows(encoding, width=WIDTH, height=HEIGHT, padding=padding)
    message.data = array.array('B', data)
    return message


def shown(message: Any) -> np.ndarray:
    """Return what an Image shows, decoded by hand, as int16."""
    rgb = by_hand.decode(
        message.encoding,
        bytes(message.data),
        width=message.width,
        height=message.height,
        step=message.step,
    )
    return rgb.astype(np.int16)


@pytest.mark.parametrize('encoding', INPUT_ENCODINGS)
@pytest.mark.parametrize('is_bigendian', [0, 1, 255])
def test_an_image_arrives_as_rgb_whatever_byte_order_it_claims(
    encoding: str, is_bigendian: int
) -> None:
    message = image(encoding, padding=5, is_bigendian=is_bigendian)

    rgb = messages.rgb_from_image(message)

    assert (rgb.dtype, rgb.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
    assert rgb.flags.c_contiguous
    allowed = 1 if encoding in by_hand.YUV else 0
    assert np.abs(rgb - shown(message)).max() <= allowed


def test_an_rgb8_image_without_padding_is_not_copied() -> None:
    message = image('rgb8')
    assert np.shares_memory(messages.rgb_from_image(message), np.frombuffer(message.data, 'B'))


def test_an_image_decoded_from_a_file_with_bytes_or_an_array_as_data_is_read_too() -> None:
    message = image('bgr8')
    expected = messages.rgb_from_image(message)

    class FromFile:
        height, width, encoding, step = HEIGHT, WIDTH, 'bgr8', message.step

    from_file: Any = FromFile()
    for data in (bytes(message.data), np.frombuffer(message.data, np.uint8)):
        from_file.data = data
        assert np.array_equal(messages.rgb_from_image(from_file), expected)


def test_what_cannot_be_read_is_refused_by_name() -> None:
    message = image('rgb8')
    message.encoding = '16UC1'
    with pytest.raises(ImageError, match="'16UC1' is not supported; publish one of rgb8, bgr8"):
        messages.rgb_from_image(message)
    message.encoding = 'rgb8'
    message.data = message.data[:-1]
    with pytest.raises(ImageError, match=r'209 bytes of data, expected 210'):
        messages.rgb_from_image(message)


@pytest.mark.parametrize('encoding', INPUT_ENCODINGS)
def test_images_are_read_as_cv_bridge_reads_them(encoding: str) -> None:
    bridge = pytest.importorskip('cv_bridge', reason='cv_bridge is not installed').CvBridge()
    message = image(encoding)
    expected = bridge.imgmsg_to_cv2(message, 'rgb8')
    assert np.array_equal(messages.rgb_from_image(message), expected)


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_a_compressed_image_arrives_as_rgb(suffix: str) -> None:
    red_wall = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red_wall[:, :, 2] = 200  # OpenCV compresses blue, green, red
    encoded = cv2.imencode(f'.{suffix}', red_wall)[1].tobytes()
    message = CompressedImage(format=suffix, data=array.array('B', encoded))
    rgb = messages.rgb_from_compressed_image(message)
    assert (rgb.dtype, rgb.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
    assert np.abs(rgb.astype(int) - [200, 0, 0]).max() <= 2


def test_a_compressed_image_that_was_cut_short_is_refused() -> None:
    encoded = cv2.imencode('.jpg', np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()
    message = CompressedImage(format='jpeg', data=array.array('B', encoded[:-2]))
    with pytest.raises(ImageError, match='cut short'):
        messages.rgb_from_compressed_image(message)


@given(st.integers(0, 2**31 * messages.NANOSECONDS - 1))
def test_a_stamp_survives_to_the_nanosecond(nanoseconds: int) -> None:
    stamp = messages.stamp_from_ns(nanoseconds)
    assert 0 <= stamp.nanosec < 10**9
    assert messages.stamp_ns(stamp) == nanoseconds


def camera_info() -> CameraInfo:
    return CameraInfo(
        header=Header(frame_id='/left_optical'),
        width=640,
        height=512,
        distortion_model='plumb_bob',
        d=[-0.1, 0.01, 0.001, -0.002, 0.0],
        k=[500.0, 0.0, 320.0, 0.0, 505.0, 256.0, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[480.0, 0.0, 310.0, -2.4, 0.0, 480.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def test_a_camera_info_becomes_a_calibration_without_the_leading_slash() -> None:
    camera = messages.camera_from_camera_info(camera_info())
    assert camera.image_size == (640, 512)
    assert camera.frame_id == 'left_optical'
    assert camera.distortion.tolist() == [-0.1, 0.01, 0.001, -0.002, 0.0]
    assert camera.camera_matrix.tolist() == [[500, 0, 320], [0, 505, 256], [0, 0, 1]]
    assert camera.projection[0].tolist() == [480, 0, 310, -2.4]


def test_region_of_interest_and_binning_reach_the_calibration() -> None:
    message = camera_info()
    message.roi = RegionOfInterest(x_offset=40, y_offset=12, width=400, height=200)
    message.binning_x = message.binning_y = 2
    camera = messages.camera_from_camera_info(message)
    assert camera.image_size == (200, 100)
    assert camera.camera_matrix[0].tolist() == [250, 0, (320 - 40) / 2]
    assert camera.camera_matrix[1].tolist() == [0, 252.5, (256 - 12) / 2]


def test_a_camera_info_of_zeros_is_refused() -> None:
    with pytest.raises(CalibrationError):
        messages.camera_from_camera_info(CameraInfo(width=640, height=512))


def test_a_calibration_survives_the_way_through_a_camera_info() -> None:
    camera = messages.camera_from_camera_info(camera_info())
    back = messages.camera_from_camera_info(messages.camera_info_from_camera(camera, header()))
    assert back.frame_id == 'left_optical'
    assert (back.image_size, back.distortion_model) == (camera.image_size, 'plumb_bob')
    for name in ('camera_matrix', 'distortion', 'rectification', 'projection'):
        assert np.array_equal(getattr(back, name), getattr(camera, name)), name


def geometry() -> StereoGeometry:
    return StereoGeometry(
        image_size=(6, 4), focal_px=500.5, focal_y_px=501.5, cx_px=2.5, cy_px=1.5, baseline_m=0.004
    )


def test_the_rectified_camera_info_has_no_distortion_and_no_rotation() -> None:
    info = messages.camera_info_from_geometry(geometry(), header())
    assert (info.width, info.height, info.distortion_model) == (6, 4, 'plumb_bob')
    assert list(info.d) == [0.0] * 5
    assert np.array_equal(np.reshape(info.r, (3, 3)), np.eye(3))
    assert list(info.k) == [500.5, 0, 2.5, 0, 501.5, 1.5, 0, 0, 1]
    projection = np.reshape(info.p, (3, 4))
    assert np.array_equal(projection[:, :3], np.reshape(info.k, (3, 3)))
    assert not projection[:, 3].any()
    assert info.header == header()


DISPARITY_PX = np.linspace(10, 33, 24, dtype=np.float32).reshape(4, 6)
VALID = np.arange(24).reshape(4, 6) % 3 != 0


def disparity(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        'geometry': geometry(),
        'min_disparity_px': -2.0,
        'max_disparity_px': 253.0,
        'delta_px': 1 / 16,
    }
    return messages.disparity_message(DISPARITY_PX, VALID, header(), **{**arguments, **changes})


def floats(message: Any) -> list[float]:
    """Unpack little-endian float32 samples by hand."""
    return list(struct.unpack(f'<{len(message.data) // 4}f', bytes(message.data)))


def test_a_disparity_message_says_all_that_depth_needs() -> None:
    message = disparity(valid_window=(1, 0, 5, 4))
    assert message.header == message.image.header == header()
    assert message.f == pytest.approx(500.5)
    assert message.t == pytest.approx(0.004)
    assert (message.min_disparity, message.max_disparity) == (-2.0, 253.0)
    assert message.delta_d == 0.0625
    window = message.valid_window
    assert (window.x_offset, window.y_offset, window.width, window.height) == (1, 0, 5, 4)
    picture = message.image
    assert (picture.height, picture.width, picture.step) == (4, 6, 24)
    assert (picture.encoding, picture.is_bigendian) == ('32FC1', 0)


def test_invalid_disparities_are_one_below_the_minimum() -> None:
    expected = [
        value if valid else -3.0
        for value, valid in zip(DISPARITY_PX.ravel().tolist(), VALID.ravel(), strict=True)
    ]
    assert floats(disparity().image) == expected


def test_invalid_disparities_are_nan_on_request() -> None:
    values = floats(disparity(invalid='nan').image)
    assert [not math.isnan(value) for value in values] == VALID.ravel().tolist()


def test_an_unknown_mark_for_invalid_disparities_is_refused() -> None:
    with pytest.raises(UsageError, match='min_minus_one, nan'):
        disparity(invalid='zero')


def test_without_geometry_focal_length_and_baseline_are_zero() -> None:
    message = disparity(geometry=None)
    assert (message.f, message.t) == (0.0, 0.0)


def test_a_disparity_buffer_is_filled_anew_each_time() -> None:
    buffer = disparity_buffer(height=4, width=6)
    disparity(buffer=buffer)
    second = disparity(buffer=buffer, invalid='nan')
    assert second is buffer.message
    assert sum(math.isnan(value) for value in floats(second.image)) == np.count_nonzero(~VALID)


def test_depth_keeps_its_metres_and_its_nans() -> None:
    depth_m = np.array([[0.1, np.nan, 0.25], [np.nan, 0.0625, 1.0]], np.float32)
    message = messages.depth_message(depth_m, header())
    assert (message.encoding, message.step) == ('32FC1', 12)
    assert floats(message) == pytest.approx(depth_m.ravel().tolist(), nan_ok=True)


def test_a_mask_is_255_where_it_is_true() -> None:
    message = messages.mask_message(np.array([[True, False, True]]), header())
    assert (message.encoding, message.height, message.width, message.step) == ('mono8', 1, 3, 3)
    assert bytes(message.data) == b'\xff\x00\xff'


def test_a_picture_that_is_a_slice_is_written_as_its_own_rows() -> None:
    big = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    message = messages.image_message(big[1:4, ::2], 'rgb8', header())
    assert (message.height, message.width, message.step) == (3, 3, 9)
    assert np.array_equal(messages.rgb_from_image(message), big[1:4, ::2])


@pytest.mark.parametrize(
    ('pixels', 'encoding', 'said'),
    [
        (np.zeros((2, 2), np.uint8), 'rgb8', 'height x width x 3 uint8'),
        (np.zeros((2, 2, 3), np.float32), 'rgb8', 'height x width x 3 uint8'),
        (np.zeros((2, 2, 1), np.float32), '32FC1', 'height x width float32'),
        (np.zeros((0, 2), np.uint8), 'mono8', 'height x width uint8'),
        (np.zeros((2, 2), np.uint8), 'yuv422', 'rgb8, bgr8, mono8, 32FC1'),
    ],
)
def test_an_array_that_is_no_such_image_is_refused(
    pixels: np.ndarray, encoding: str, said: str
) -> None:
    with pytest.raises(ImageError, match=said):
        messages.image_message(pixels, encoding, header())


def packed_cloud() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a packed cloud and the depth, colour and mask that it is made of."""
    rng = np.random.default_rng(3)
    depth_m = rng.uniform(0.05, 0.2, (4, 6)).astype(np.float32)
    depth_m[1, 2] = np.nan
    colour = rng.integers(0, 256, (4, 6, 3), np.uint8)
    mask = rng.random((4, 6)) < 0.4
    packed = SurfaceBuilder(geometry()).pack(
        depth_m, colour, instrument_mask=mask, tool_colour=(0, 255, 255)
    )
    return packed, depth_m, colour, mask


def test_a_cloud_can_be_unpacked_by_hand() -> None:
    packed, depth_m, colour, mask = packed_cloud()
    message = messages.cloud_message(packed, header())

    assert (message.height, message.width, message.point_step, message.row_step) == (4, 6, 16, 96)
    assert message.is_dense is False
    assert message.is_bigendian is False
    layout = [(f.name, f.offset, f.datatype, f.count) for f in message.fields]
    assert layout == [
        ('x', 0, PointField.FLOAT32, 1),
        ('y', 4, PointField.FLOAT32, 1),
        ('z', 8, PointField.FLOAT32, 1),
        ('rgb', 12, PointField.FLOAT32, 1),
        ('label', 15, PointField.UINT8, 1),
    ]
    for row in range(4):
        for column in range(6):
            x, y, z, b, g, r, label = struct.unpack_from(
                '<3f4B', bytes(message.data), row * 96 + column * 16
            )
            depth = depth_m[row, column]
            assert label == mask[row, column]
            if not mask[row, column]:
                assert (r, g, b) == tuple(colour[row, column])
            if math.isnan(depth):
                assert math.isnan(x) and math.isnan(y) and math.isnan(z)
            else:
                assert (x, y, z) == pytest.approx(
                    ((column - 2.5) * depth / 500.5, (row - 1.5) * depth / 501.5, depth)
                )


def test_a_cloud_given_as_bytes_is_the_same_cloud() -> None:
    packed, *_ = packed_cloud()
    as_bytes = np.ascontiguousarray(packed).view(np.uint8).reshape(4, 6, 16)
    first = messages.cloud_message(packed, header())
    assert messages.cloud_message(as_bytes, header()) == first


@pytest.mark.parametrize(
    'packed',
    [
        np.zeros((2, 2, 3), np.float32),
        np.zeros((2, 2, 4), np.float64),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((2, 2), np.float32),
    ],
)
def test_an_array_that_is_no_packed_cloud_is_refused(packed: np.ndarray) -> None:
    with pytest.raises(ImageError, match='no packed cloud'):
        messages.cloud_message(packed, header())


def test_a_cloud_is_read_by_the_standard_tool() -> None:
    tool = pytest.importorskip(
        'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py is not installed'
    )
    packed, depth_m, *_ = packed_cloud()
    points = tool.read_points(messages.cloud_message(packed, header()), field_names=['z'])
    assert np.array_equal(points['z'].reshape(4, 6), depth_m, equal_nan=True)


def test_what_is_written_into_a_buffer_is_what_gets_serialised() -> None:
    serialization = pytest.importorskip('rclpy.serialization', reason='rclpy is not installed')
    packed, *_ = packed_cloud()
    buffer = cloud_buffer(height=4, width=6)
    for content in (packed, packed[::-1]):
        buffer.pixels[...] = content
        expected = messages.cloud_message(content, header())
        sent = serialization.serialize_message(buffer.stamped(header()))
        assert sent == serialization.serialize_message(expected)


@pytest.mark.parametrize(
    ('encoding', 'shape', 'dtype'),
    [('rgb8', (4, 6, 3), np.uint8), ('mono8', (4, 6), np.uint8), ('32FC1', (4, 6), np.float32)],
)
def test_an_image_buffer_equals_the_message_made_at_once(
    encoding: str, shape: tuple[int, ...], dtype: type
) -> None:
    content = np.arange(math.prod(shape), dtype=dtype).reshape(shape)
    buffer = image_buffer(height=4, width=6, encoding=encoding)
    buffer.pixels[...] = content
    assert buffer.stamped(header()) == messages.image_message(content, encoding, header())


def test_a_buffer_lives_in_the_message_so_that_nothing_is_copied() -> None:
    buffer = image_buffer(height=4, width=6, encoding='32FC1')
    message = buffer.stamped(header())
    assert np.shares_memory(buffer.pixels, np.frombuffer(message.data, np.uint8))


def test_diagnostics_carry_their_values_as_text() -> None:
    status = messages.diagnostic_status(
        level=DiagnosticStatus.WARN,
        name='stereo_endoscope: pairing',
        message='the right image is missing',
        hardware_id='rig',
        values={'missing_s': 2.5, 'pairs': 7},
    )
    message = messages.diagnostic_array([status], header())
    assert message.header == header()
    (only,) = message.status
    assert (only.level, only.name, only.hardware_id) == (
        DiagnosticStatus.WARN,
        'stereo_endoscope: pairing',
        'rig',
    )
    assert [(pair.key, pair.value) for pair in only.values] == [
        ('missing_s', '2.5'),
        ('pairs', '7'),
    ]
