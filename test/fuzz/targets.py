"""What is fuzzed: for each target malformed inputs, and a function that takes one.

A function returns 'valid', or raises an error of `core/errors.py`; anything else is a defect.
"""

from __future__ import annotations

import array
import itertools
import json
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
from hypothesis import strategies as st
from mutations import BINARY, TEXT, changes, mutated

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.resources import resource
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.mcap_files import COMPRESSIONS, McapRecording
from msdesis_ros.data.recordings import open_recording, stamp_of
from msdesis_ros.data.stamp_files import UNITS_NS, read_stamps
from msdesis_ros.ros.compressed import rgb_from_compressed
from msdesis_ros.ros.encodings import INPUT_ENCODINGS
from msdesis_ros.runtime.cards import load_card

SIZE = (40, 32)
UINT32 = st.one_of(st.integers(0, 9), st.sampled_from([2**15, 2**16, 2**31, 2**32 - 1]))


class Target(NamedTuple):
    """`inputs(folder)` makes a strategy; `take(value, folder)` hands a value to the product."""

    inputs: Callable[[Path], st.SearchStrategy[Any]]
    take: Callable[[Any, Path], None]


# --- sensor_msgs/Image ------------------------------------------------------------------------


@st.composite
def images(draw: Any) -> Any:
    """Image messages whose fields contradict each other in about every second one."""
    encoding = draw(st.one_of(st.sampled_from(INPUT_ENCODINGS), st.text(max_size=12)))
    width, height = draw(UINT32), draw(UINT32)
    row = min(width * draw(st.integers(0, 5)), 2**32 - 1)
    step = draw(st.one_of(st.just(row), st.integers(0, 64), UINT32))
    whole = min(step * height, 4096)
    length = draw(st.one_of(st.just(whole), st.integers(0, 4096)))
    fill = draw(st.integers(0, 255))
    return SimpleNamespace(
        encoding=encoding,
        width=width,
        height=height,
        step=step,
        is_bigendian=draw(st.integers(0, 255)),
        data=array.array('B', [fill]) * length,
    )


def take_image(message: Any, folder: Path) -> None:
    from msdesis_ros.ros.messages import rgb_from_image

    picture = rgb_from_image(message)
    assert picture.shape == (message.height, message.width, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous


# --- sensor_msgs/CameraInfo, the gate and the maps --------------------------------------------

SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-320,
    1e-9,
    0.5,
    1e9,
    1e154,
    1.7e308,
    math.inf,
    -math.inf,
    math.nan,
)
NUMBERS = st.one_of(st.sampled_from(SPECIAL), st.floats(), st.floats(-100, 100))
SIZES = st.one_of(st.integers(0, 70), UINT32)
MODELS = st.sampled_from(
    ('plumb_bob', 'rational_polynomial', 'equidistant', '', 'thin_prism', 'ä')
)


def camera_info(*, right: bool) -> SimpleNamespace:
    """A good CameraInfo of a small rig."""
    width, height = SIZE
    focal, cx, cy = 30.0, 19.5, 15.5
    return SimpleNamespace(
        header=SimpleNamespace(frame_id='/left'),
        width=width,
        height=height,
        distortion_model='plumb_bob',
        d=[-0.1, 0.02, 0.0, 0.0, 0.0],
        k=[focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[focal, 0.0, cx, -0.15 if right else 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False),
    )


def _set_number(info: Any, field: str, index: int, value: float) -> None:
    numbers = getattr(info, field)
    if numbers:
        numbers[index % len(numbers)] = value


def _scale(info: Any, field: str, index: int, value: float) -> None:
    with np.errstate(all='ignore'):
        setattr(info, field, (np.array(getattr(info, field)) * value).tolist())


def _set_roi(info: Any, field: str, index: int, value: int) -> None:
    names = ('x_offset', 'y_offset', 'width', 'height')
    setattr(info.roi, names[index % 4], value)


def _set(info: Any, field: str, index: int, value: Any) -> None:
    setattr(info, field, value)


MATRICES = st.sampled_from('krp')
INDEX = st.integers(0, 11)
EDIT = st.one_of(
    st.tuples(st.just(_set_number), st.sampled_from('krpd'), INDEX, NUMBERS),
    st.tuples(st.just(_scale), st.sampled_from('kpd'), INDEX, NUMBERS),
    st.tuples(st.just(_set_roi), st.just('roi'), INDEX, SIZES),
    st.tuples(st.just(_set), st.sampled_from(('width', 'height')), INDEX, SIZES),
    st.tuples(st.just(_set), st.sampled_from(('binning_x', 'binning_y')), INDEX, UINT32),
    st.tuples(st.just(_set), st.just('distortion_model'), INDEX, MODELS),
    st.tuples(st.just(_set), st.just('d'), INDEX, st.lists(NUMBERS, max_size=15)),
    st.tuples(st.just(_set), st.just('r'), INDEX, st.just([0.0] * 9)),
)


@st.composite
def camera_info_pairs(draw: Any) -> Any:
    """Two CameraInfos, edited in one to four places, often in the same one on both sides."""
    infos = [camera_info(right=False), camera_info(right=True)]
    for _ in range(draw(st.integers(1, 4))):
        edit, *arguments = draw(EDIT)
        for side in draw(st.sampled_from(((0,), (1,), (0, 1)))):
            edit(infos[side], *arguments)
    return (*infos, draw(st.booleans()), draw(st.sampled_from((-1.0, 0.0, 0.5, 1.0, 2.0))))


def take_camera_infos(pair: Any, folder: Path) -> None:
    from msdesis_ros.ros.messages import camera_from_camera_info

    left, right, rectified, alpha = pair
    cameras = camera_from_camera_info(left), camera_from_camera_info(right)
    require_usable(*cameras, rectified=rectified, alpha=alpha)


def require_usable(
    left: CameraCalibration, right: CameraCalibration, *, rectified: bool, alpha: float
) -> None:
    """Two cameras that were read either fail at the gate, or give pictures and finite geometry."""
    rig = StereoRig.from_cameras(left, right, rectified=rectified)
    assert len(rig.fingerprint) == 64
    assert all(sentence and '\n' not in sentence for sentence in rig.warnings)
    if rig.image_size[0] * rig.image_size[1] > 1 << 20:
        return  # the maps of a big picture take long, not another way
    rectifier = Rectifier(rig, alpha=alpha)
    assert math.isfinite(rectifier.geometry.focal_times_baseline)
    assert math.isfinite(rectifier.disparity_offset_px)
    width, height = rig.image_size
    picture = np.zeros((height, width, 3), np.uint8)
    for view in rectifier.rectify(picture, picture):
        assert view.shape == picture.shape
    x, y, w, h = rectifier.valid_window
    assert x >= 0 and y >= 0 and x + w <= width and y + h <= height


# --- calibration files ------------------------------------------------------------------------

K1 = np.array([[30.0, 0, 19], [0, 31, 16], [0, 0, 1]])
D1 = np.array([-0.1, 0.05, 0.001, -0.002, 0.01])
R = cv2.Rodrigues(np.array([0.01, -0.02, 0.015]))[0]
T_MM = np.array([-4.2, 0.05, 0.1])


def calibrations(folder: Path) -> dict[str, bytes]:
    """One good file of every format: its name and its content."""
    entries = {'K1': K1, 'D1': D1, 'K2': K1, 'D2': D1, 'R': R, 'T': T_MM}
    stereo = cv2.stereoRectify(
        K1, D1, K1, D1, SIZE, R, T_MM.reshape(3, 1), flags=cv2.CALIB_ZERO_DISPARITY, alpha=-1
    )
    rectification = dict(zip(('R1', 'R2', 'P1', 'P2'), stereo, strict=False))
    found = {}
    for name in ('plain.json', 'rectified.yaml', 'rectified.xml'):
        storage = cv2.FileStorage(str(folder / name), cv2.FILE_STORAGE_WRITE)
        for key, value in {**entries, **(rectification if 'rect' in name else {})}.items():
            storage.write(key, value)
        storage.write('image_size', np.array([float(side) for side in SIZE]))
        storage.release()
        found[name] = (folder / name).read_bytes()
    lists = {name: value.tolist() for name, value in entries.items()}
    found['lists.json'] = json.dumps({**lists, 'image_size': SIZE}, indent=1).encode()
    found['endovis.txt'] = endovis().encode()
    found['ros.yaml'] = ros_yaml(camera_info(right=True)).encode()
    return found


def endovis() -> str:
    """A camera_calibration.txt of EndoVis 2018."""
    lines = [f'Width: {SIZE[0]}', f'Height: {SIZE[1]}']
    for camera in ('Camera-0', 'Camera-1'):
        lines += [f'{camera}-F: 30 31', f'{camera}-C: 19 16 // centre', f'{camera}-Alpha: 0']
        lines.append(f'{camera}-K: -0.1 0.05 0.001 -0.002 0.01')
    return '\n'.join([*lines, 'Extrinsic-Omega: 0.01 -0.02 0.015', 'Extrinsic-T: -4.2 0.05 0.1\n'])


def ros_yaml(info: Any) -> str:
    """A camera_info YAML as the ROS camera calibration writes it."""
    shapes = {
        'camera_matrix': (3, 3, info.k),
        'distortion_coefficients': (1, 5, info.d),
        'rectification_matrix': (3, 3, info.r),
        'projection_matrix': (3, 4, info.p),
    }
    lines = [f'image_width: {info.width}', f'image_height: {info.height}', 'camera_name: eye']
    lines.append('distortion_model: plumb_bob')
    for name, (rows, cols, data) in shapes.items():
        lines += [f'{name}:', f'  rows: {rows}', f'  cols: {cols}', f'  data: {data}']
    return '\n'.join(lines) + '\n'


def calibration_inputs(folder: Path) -> st.SearchStrategy[Any]:
    good = calibrations(folder)
    (folder / 'left.yaml').write_text(ros_yaml(camera_info(right=False)))
    options = st.tuples(
        st.sampled_from((None, SIZE, (SIZE[1], SIZE[0]))), st.sampled_from((None, 'mm', 'm'))
    )

    def build(name: str, wanted: Any, options: Any) -> tuple[str, bytes, Any]:
        return name, mutated(good[name], wanted), options

    return st.builds(build, st.sampled_from(sorted(good)), changes(TEXT), options)


def take_calibration(value: Any, folder: Path) -> None:
    name, content, (image_size, unit) = value
    path = folder / f'broken{Path(name).suffix}'
    path.write_bytes(content)
    source = f'{folder / "left.yaml"},{path}' if name == 'ros.yaml' else path
    left, right = read_calibration(source, image_size=image_size, unit=unit)
    require_usable(left, right, rectified=False, alpha=-1.0)


# --- picture files ----------------------------------------------------------------------------


def pictures() -> dict[str, bytes]:
    """One good file of every format that this OpenCV writes: its suffix and its content."""
    rng = np.random.default_rng(0)
    colour = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (24, 16))
    samples = {
        **dict.fromkeys(('.png', '.jpg', '.bmp', '.tiff', '.webp', '.ppm'), colour),
        **dict.fromkeys(('.jp2', '.gif', '.avif', '.hdr', '.exr', '.ras', '.pam'), colour),
        '.16.png': (colour.astype(np.uint16) * 257),
        '.alpha.png': np.dstack([colour, colour[..., :1]]),
        '.grey.jpg': colour[..., 0],
        '.float.tiff': colour[..., 0].astype(np.float32),
        '.pgm': colour[..., 0],
    }
    found = {}
    for name, sample in samples.items():
        suffix = '.' + name.rsplit('.', 1)[1]
        try:
            if suffix in ('.hdr', '.exr'):
                sample = sample.astype(np.float32)
            written, encoded = cv2.imencode(suffix, sample)
        except cv2.error:
            continue  # not built in
        if written:
            found[name] = encoded.tobytes()
    return found


def picture_inputs(folder: Path) -> st.SearchStrategy[Any]:
    good = pictures()
    assert {'.png', '.jpg', '.tiff', '.bmp'} <= set(good)

    def build(name: str, wanted: Any) -> tuple[str, bytes]:
        return name, mutated(good[name], wanted)

    return st.builds(build, st.sampled_from(sorted(good)), changes(BINARY))


def take_picture(value: Any, folder: Path) -> None:
    name, content = value
    path = folder / f'broken{name}'
    path.write_bytes(content)
    require_picture(read_rgb(path))


def require_picture(picture: np.ndarray) -> None:
    assert picture.dtype == np.uint8
    assert picture.ndim == 3 and picture.shape[2] == 3 and picture.size > 0
    assert picture.flags.c_contiguous


# --- sensor_msgs/CompressedImage --------------------------------------------------------------

FORMATS = (
    *('jpeg', 'png', '', 'rgb8; jpeg compressed bgr8', 'bgr8; png compressed bgr8', 'tiff', ';'),
    *(
        'bayer_rggb8; png compressed bayer_rggb8',
        'rgba8; png compressed ',
        '16UC1; png compressed ',
    ),
)


def compressed_inputs(folder: Path) -> st.SearchStrategy[Any]:
    good = {name: content for name, content in pictures().items() if name[-3:] in ('png', 'jpg')}

    def build(name: str, wanted: Any, format_: str) -> tuple[bytes, str]:
        return mutated(good[name], wanted), format_

    names = st.sampled_from(sorted(good))
    formats = st.one_of(st.sampled_from(FORMATS), st.text(max_size=20))
    return st.builds(build, names, changes(BINARY), formats)


def take_compressed(value: Any, folder: Path) -> None:
    require_picture(rgb_from_compressed(*value))


# --- model cards ------------------------------------------------------------------------------

NETWORK_CARD = (
    b"""
name = 'broken'
family = 'network'
summary = 'a network'
heads = ['disparity', 'instrument_mask']
licence = 'MIT'
min_disparity_px = 0
max_disparity_px = 191.5
intended_use = 'tests'
known_failures = []
measured = []

[input]
multiple_of = 32
sizes = [[640, 512], [1280, 1024]]
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]

[[outputs]]
name = 'disparity'
shape = '1 x 1 x H x W'
unit = 'px'
meaning = 'left x minus right x'

[[files]]
path = 'network.onnx'
format = 'onnx'
sha256 = '%064d'

[training]
data = 'rendered'
seed = 3
commit = 'abc'
"""
    % 0
)


def card_inputs(folder: Path) -> st.SearchStrategy[Any]:
    shipped = resource('models', 'opencv_sgbm.toml').read_bytes()
    good = (NETWORK_CARD, shipped.replace(b"name = 'opencv_sgbm'", b"name = 'broken'", 1))

    return st.builds(mutated, st.sampled_from(good), changes(TEXT))


def take_card(content: bytes, folder: Path) -> None:
    (folder / 'broken.toml').write_bytes(content)
    card = load_card('broken', folder)
    assert 0 <= card.min_disparity_px < card.max_disparity_px < math.inf
    assert card.heads and card.name == 'broken'
    for sentence in card.verify():
        assert '\n' not in sentence


# --- recordings and lists of stamps -----------------------------------------------------------

DEFINITION = 'int32 sec\nuint32 nanosec\nstring text\n'


def recordings(folder: Path) -> dict[str, bytes]:
    """One good MCAP file of every compression, and one that was never finished."""
    found = {}
    for compression in COMPRESSIONS:
        path = folder / 'good.mcap'
        with McapRecording(path, compression=compression) as recording:
            for topic in ('/left', '/right'):
                recording.add_topic(topic, type_name='some/msg/Text', definition=DEFINITION)
            for k in range(6):
                cdr = struct.pack('<4siII4s', b'\0\1\0\0', k, 5, 4, b'abc')
                recording.write(
                    '/left' if k % 2 else '/right', cdr, log_time_ns=k, publish_time_ns=k
                )
        found[compression] = path.read_bytes()
        found[f'{compression} unfinished'] = found[compression][: len(found[compression]) // 2]
    return found


def recording_inputs(folder: Path) -> st.SearchStrategy[Any]:
    good = recordings(folder)
    return st.builds(
        lambda name, wanted: mutated(good[name], wanted),
        st.sampled_from(sorted(good)),
        changes(BINARY),
    )


def take_recording(content: bytes, folder: Path) -> None:
    path = folder / 'broken.mcap'
    path.write_bytes(content)
    reader = open_recording(path)
    assert 0 <= reader.whole_bytes <= reader.file_bytes
    assert all(topic.count is None or topic.count >= 0 for topic in reader.topics().values())
    for message in reader.messages():
        assert isinstance(stamp_of(message.cdr), int)


PICTURES = tuple(Path(f'frame_{k:03}.png') for k in range(4))
STAMP_LISTS = (
    b'0.0\n0.033\n0.066\n0.100\n',
    b'# taken at\nname, stamp\nframe_000.png, 1700000000000000000\nframe_001.png, '
    b'1700000000033000000\nframe_002, 1700000000066000000\na/frame_003.png, 1700000000100000000\n',
)


def stamp_inputs(folder: Path) -> st.SearchStrategy[Any]:
    units = st.sampled_from(('', *UNITS_NS, 'h'))
    lists = st.builds(mutated, st.sampled_from(STAMP_LISTS), changes(TEXT))
    return st.tuples(lists, units)


def take_stamps(value: Any, folder: Path) -> None:
    path = folder / 'stamps.csv'
    path.write_bytes(value[0])
    stamps_ns = read_stamps(path, PICTURES, unit=value[1])
    assert len(stamps_ns) == len(PICTURES)
    assert all(0 <= a <= b < 2**63 for a, b in itertools.pairwise(stamps_ns))


# --- controls: what the harness must see ------------------------------------------------------


def _leak(value: int, folder: Path, kept: list[bytearray] = []) -> None:  # noqa: B006 - it is meant to grow
    kept.append(bytearray(b'x' * 200_000))
    if value % 2:
        raise UsageError('refused')


def _hang(value: int, folder: Path) -> None:
    while value > 40:
        np.zeros(10)


def _crash(value: int, folder: Path) -> None:
    if value > 40:
        os.abort()


def _raise(value: int, folder: Path) -> None:
    if value > 40:
        raise KeyError(value)


def _mumble(value: int, folder: Path) -> None:
    raise UsageError('two\nlines')


def _allocate(value: int, folder: Path) -> None:
    if value > 40:
        np.ones(1 << 40, np.uint8)


def _numbers(folder: Path) -> st.SearchStrategy[Any]:
    return st.integers(0, 100)


TARGETS: dict[str, Target] = {
    'images': Target(lambda folder: images(), take_image),
    'camera_infos': Target(lambda folder: camera_info_pairs(), take_camera_infos),
    'calibration_files': Target(calibration_inputs, take_calibration),
    'picture_files': Target(picture_inputs, take_picture),
    'compressed_images': Target(compressed_inputs, take_compressed),
    'model_cards': Target(card_inputs, take_card),
    'recordings': Target(recording_inputs, take_recording),
    'stamp_files': Target(stamp_inputs, take_stamps),
    'control_leak': Target(_numbers, _leak),
    'control_hang': Target(_numbers, _hang),
    'control_crash': Target(_numbers, _crash),
    'control_error': Target(_numbers, _raise),
    'control_words': Target(_numbers, _mumble),
    'control_allocation': Target(_numbers, _allocate),
}
