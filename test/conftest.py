"""Fixtures and checks shared by all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# The same examples in every run, so that a change is what breaks a test; HYPOTHESIS_PROFILE=search
# looks for new ones. A slow machine is no failure.
settings.register_profile('fixed', derandomize=True, deadline=None)
settings.register_profile('search', max_examples=1000, deadline=None)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'fixed'))

# A shell starts what it leaves in the background with Ctrl-C ignored; every process that a test
# starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def project_root() -> Path:
    """Return the folder of the checkout."""
    return ROOT


@pytest.fixture(scope='session')
def test_data() -> Path:
    """Return the folder of real pictures named by MSDESIS_TEST_DATA; skip where there is none."""
    named = os.environ.get('MSDESIS_TEST_DATA', '')
    if not named:
        pytest.skip('MSDESIS_TEST_DATA is not set: no real pictures to test with')
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f'MSDESIS_TEST_DATA names {folder}, which is no folder')
    return folder


def stereo_picture(number: int, *, size: tuple[int, int] = (128, 96)) -> np.ndarray:
    """A left picture with texture; shifted by 8 px it is the right one of a wall."""
    width, height = size
    coarse = np.random.default_rng(number).integers(
        20, 230, (height // 3, (width + 8) // 3, 3), np.uint8
    )
    return cv2.resize(coarse, (width + 8, height), interpolation=cv2.INTER_CUBIC)


def record_stereo_pictures(
    path: Path,
    *,
    count: int = 5,
    size: tuple[int, int] = (128, 96),
    period_ns: int = 50_000_000,
    skew_ns: int = 2_000_000,
    start_ns: int = 1_700_000_000_000_000_000,
    namespace: str = '/rig',
    compressed: bool = False,
    infos: bool = True,
    first: int = 0,
) -> Path:
    """Record a camera that sends each camera_info with its picture, as an MCAP file."""
    from sensor_msgs.msg import CompressedImage

    from msdesis_ros.core.rig import StereoRig
    from msdesis_ros.data.mcap_files import McapRecording
    from msdesis_ros.ros.cdr import serialize
    from msdesis_ros.ros.message_definition import message_definition, type_name
    from msdesis_ros.ros.messages import camera_info_from_camera, image_message, make_header

    rig = StereoRig.from_focal_and_baseline(image_size=size, focal_px=100.0, baseline_m=0.004)
    with McapRecording(path) as recording:

        def write(topic: str, message: object, time_ns: int) -> None:
            kind = type(message)
            recording.add_topic(
                topic, type_name=type_name(kind), definition=message_definition(kind)
            )
            recording.write(
                topic, serialize(message), log_time_ns=time_ns, publish_time_ns=time_ns
            )

        for number in range(count):
            wide = stereo_picture(first + number, size=size)
            pictures = {'left': wide[:, :-8], 'right': wide[:, 8:]}
            for side, camera, late_ns in (
                ('left', rig.left, 0),
                ('right', rig.right, skew_ns),
            ):
                stamp_ns = start_ns + number * period_ns + late_ns
                header = make_header(stamp_ns=stamp_ns, frame_id=f'{side}_lens')
                base, time_ns = f'{namespace}/{side}', stamp_ns + 500_000
                if infos:
                    info = camera_info_from_camera(camera, header)
                    write(f'{base}/camera_info', info, time_ns)
                if compressed:
                    _, png = cv2.imencode('.png', pictures[side][..., ::-1])
                    packed = CompressedImage(header=header, format='rgb8; png compressed bgr8')
                    packed.data.frombytes(png.tobytes())
                    write(f'{base}/image_raw/compressed', packed, time_ns + 1)
                else:
                    picture = np.ascontiguousarray(pictures[side])
                    write(f'{base}/image_raw', image_message(picture, 'rgb8', header), time_ns + 1)
    return path


@pytest.fixture(scope='session')
def record_stereo() -> Callable[..., Path]:
    """Return `record_stereo_pictures`; skips where the ROS messages are not installed."""
    pytest.importorskip('sensor_msgs', reason='the ROS messages are not installed')
    pytest.importorskip('mcap', reason='mcap is not installed')
    return record_stereo_pictures
