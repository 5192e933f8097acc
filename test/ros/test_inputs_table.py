"""docs/results/inputs.md: made here, and compared with the committed one.

MSDESIS_WRITE_TABLES=1 writes it anew.
"""

from __future__ import annotations

import array
import functools
import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('sensor_msgs.msg', reason='the ROS message packages are not installed')

from sensor_msgs.msg import CompressedImage, Image

from msdesis_ros.core.errors import ImageError
from msdesis_ros.ros.encodings import INPUT_ENCODINGS
from msdesis_ros.ros.messages import rgb_from_compressed_image, rgb_from_image

from . import by_hand

TABLE = Path('docs', 'results', 'inputs.md')
SIZES = ((131, 31), (64, 48), (5, 3))
PADDINGS = (0, 1, 7, 64)
BYTE_ORDERS = ('little', 'big')
REFERENCES = {
    **dict.fromkeys(by_hand.PACKED, 'by hand'),
    **dict.fromkeys(by_hand.BAYER, 'by hand, linear; OpenCV'),
    **dict.fromkeys(by_hand.YUV, 'by hand, BT.601; OpenCV'),
}
# What OpenCV calls the conversion, by the letters of its names.
OPENCV = {
    'bayer_rggb8': cv2.COLOR_BayerBG2RGB,
    'bayer_bggr8': cv2.COLOR_BayerRG2RGB,
    'bayer_gbrg8': cv2.COLOR_BayerGR2RGB,
    'bayer_grbg8': cv2.COLOR_BayerGB2RGB,
    'yuv422': cv2.COLOR_YUV2RGB_UYVY,
    'uyvy': cv2.COLOR_YUV2RGB_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2RGB_YUY2,
    'yuyv': cv2.COLOR_YUV2RGB_YUY2,
}

INTRODUCTION = """\
# Pictures in, measured

Made by `test/ros/test_inputs_table.py`, which compares it at every run with what the code does
(`MSDESIS_WRITE_TABLES=1` writes it anew).

## Encodings of sensor_msgs/Image

Random bytes in pictures of {sizes} px (YUV: one column more where the width is odd), with so many
bytes of padding behind each row, and with both values of `is_bigendian`. The figure is the largest
difference of any sample, 0 to 255, from a picture that was decoded one pixel at a time, by the
definition of the encoding: 0 is the same to the bit. Mosaics and YUV are compared with OpenCV's
conversion too, from which there is no difference at all.

"""
COMPRESSED = """
## Formats of sensor_msgs/CompressedImage

PNG from the picture before it was compressed; JPEG from what OpenCV decodes, since it is lossy.
`format` is what the publisher fills in; image_transport's own comes with a semicolon.

"""
REFUSED = """
## What is refused

The pair is dropped and counted (`dropped.bad_image`); the sentence is logged once, and stands in
`/diagnostics` until a good pair comes.

"""


def encoded(encoding: str, size: tuple[int, int], padding: int, big_endian: bool) -> Image:
    width, height = size
    width += encoding in by_hand.YUV and width % 2
    message = Image(width=width, height=height, encoding=encoding, is_bigendian=int(big_endian))
    message.step = width * by_hand.bytes_per_pixel(encoding) + padding
    data = by_hand.random_rows(encoding, width=width, height=height, padding=padding)
    message.data = array.array('B', data)
    return message


def largest_difference(ours: np.ndarray, reference: np.ndarray) -> int:
    assert ours.shape == reference.shape
    return int(np.abs(ours.astype(int) - reference).max())


def shown_by_hand(message: Image) -> np.ndarray:
    size = message.width, message.height
    return decode_by_hand(message.encoding, bytes(message.data), *size, message.step)


@functools.cache
def decode_by_hand(encoding: str, data: bytes, width: int, height: int, step: int) -> np.ndarray:
    return by_hand.decode(encoding, data, width=width, height=height, step=step)


def shown_by_opencv(message: Image) -> np.ndarray:
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    samples = by_hand.bytes_per_pixel(message.encoding)
    rows = np.ascontiguousarray(rows[:, : message.width * samples])
    if samples > 1:
        rows = rows.reshape(message.height, message.width, samples)
    return cv2.cvtColor(rows, OPENCV[message.encoding])


def encoding_rows() -> Iterator[str]:
    yield '| encoding | bytes a pixel | compared with | padding | ' + ' | '.join(
        f'{order} endian' for order in BYTE_ORDERS
    )
    yield '|---' * 6
    for encoding in INPUT_ENCODINGS:
        for padding in PADDINGS:
            worst = []
            for order in BYTE_ORDERS:
                differences = [0]
                for size in SIZES:
                    message = encoded(encoding, size, padding, order == 'big')
                    ours = rgb_from_image(message)
                    differences.append(largest_difference(ours, shown_by_hand(message)))
                    if encoding in OPENCV:
                        assert largest_difference(ours, shown_by_opencv(message)) == 0
                worst.append(max(differences))
            assert max(worst) <= (1 if encoding in by_hand.YUV else 0), encoding
            yield (
                f'| `{encoding}` | {by_hand.bytes_per_pixel(encoding)} | {REFERENCES[encoding]} '
                f'| {padding} | {worst[0]} | {worst[1]}'
            )


# --- Compressed. ---

RGB = np.random.default_rng(7).integers(0, 256, (103, 131, 3), np.uint8)
BGR = np.ascontiguousarray(RGB[:, :, ::-1])
GREY = np.ascontiguousarray(RGB[:, :, 0])
FORMATS: dict[str, np.ndarray] = {
    '{kind}': BGR,
    'rgb8; {kind} compressed bgr8': BGR,
    'bgr8; {kind} compressed bgr8': BGR,
    'rgb8; {kind} compressed ': RGB,
    'mono8; {kind} compressed ': GREY,
    'bayer_rggb8; {kind} compressed ': GREY,
}


def compress(kind: str, samples: np.ndarray, format_: str) -> CompressedImage:
    data = cv2.imencode({'jpeg': '.jpg', 'png': '.png'}[kind], samples)[1].tobytes()
    return CompressedImage(format=format_, data=array.array('B', data))


def decoded_by_opencv(message: CompressedImage) -> np.ndarray:
    """What image_transport's own decoder gives, as RGB."""
    samples = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if message.format.startswith('bayer_rggb8'):
        return cv2.cvtColor(samples, OPENCV['bayer_rggb8'])
    if samples.ndim == 2:
        return cv2.cvtColor(samples, cv2.COLOR_GRAY2RGB)
    exchanged = ';' in message.format and 'compressed bgr' not in message.format
    return samples if exchanged else samples[:, :, ::-1]


def compressed_rows() -> Iterator[str]:
    yield '| format | samples in the file | compared with | largest difference'
    yield '|---' * 4
    for kind in ('png', 'jpeg'):
        for template, samples in FORMATS.items():
            message = compress(kind, samples, template.format(kind=kind))
            ours = rgb_from_compressed_image(message)
            difference = largest_difference(ours, decoded_by_opencv(message))
            assert difference == 0
            reference = 'OpenCV'
            if kind == 'png' and not template.startswith('bayer'):
                original = RGB if samples.ndim == 3 else np.dstack([GREY] * 3)
                assert np.array_equal(ours, original)
                reference = 'the original; OpenCV'
            names = {id(BGR): 'blue, green, red', id(RGB): 'red, green, blue', id(GREY): 'one'}
            yield f'| `{message.format}` | {names[id(samples)]} | {reference} | {difference}'


# --- Refused. ---


def image(**changes: object) -> Callable[[], np.ndarray]:
    fields = {'width': 6, 'height': 4, 'encoding': 'rgb8', 'step': 18} | changes
    size = fields.pop('bytes', fields['step'] * fields['height'])
    data = array.array('B', bytes(size))
    return lambda: rgb_from_image(Image(**fields, data=data))


def picture(data: bytes, format_: str) -> Callable[[], np.ndarray]:
    message = CompressedImage(format=format_, data=array.array('B', data))
    return lambda: rgb_from_compressed_image(message)


def file(suffix: str, samples: np.ndarray = BGR) -> bytes:
    return cv2.imencode(suffix, samples)[1].tobytes()


def giant_png() -> bytes:
    png = bytearray(file('.png'))
    png[16:24] = struct.pack('>II', 100_000, 100_000)
    return bytes(png)


def refusals() -> dict[str, Callable[[], np.ndarray]]:
    return {
        'another encoding: `rgb16`, `bayer_rggb16`, `16UC1`, `8UC3`, `nv12`': image(
            encoding='rgb16'
        ),
        '`yuv422` of odd width': image(width=5, encoding='yuv422', step=10),
        '`yuv422_yuy2` of odd width': image(width=5, encoding='yuv422_yuy2', step=10),
        'a mosaic of 2x2': image(width=2, height=2, encoding='bayer_rggb8', step=2),
        'no pixels': image(width=0, step=0),
        'a step shorter than a row': image(step=17),
        'data cut short': image(bytes=71),
        'JPEG cut short': picture(file('.jpg')[:-2], 'jpeg'),
        'PNG cut short': picture(file('.png')[:-1], 'png'),
        'PNG of 16 bits': picture(file('.png', GREY.astype(np.uint16)), 'mono16; png compressed '),
        '8 bits made of 16': picture(file('.jpg', GREY), 'mono16; jpeg compressed '),
        'compressed depth': picture(
            bytes(12) + file('.png', GREY.astype(np.uint16)), '16UC1; compressedDepth png'
        ),
        'another format': picture(b'GIF89a' + bytes(20), 'gif'),
        'a header that claims a giant': picture(giant_png(), 'png'),
        'no data': picture(b'', 'jpeg'),
    }


def refused_rows() -> Iterator[str]:
    yield '| what | the sentence'
    yield '|---' * 2
    for what, attempt in refusals().items():
        with pytest.raises(ImageError) as refusal:
            attempt()
        # The size of a compressed file depends on the version of OpenCV.
        yield f'| {what} | ' + re.sub(
            r'picture \(\d+ bytes', 'picture (... bytes', str(refusal.value)
        )


def made_now() -> str:
    sizes = ', '.join(f'{width}x{height}' for width, height in SIZES)
    parts = [INTRODUCTION.format(sizes=sizes)]
    parts += [f'{row} |\n' for row in encoding_rows()]
    parts += [COMPRESSED, *(f'{row} |\n' for row in compressed_rows())]
    parts += [REFUSED, *(f'{row} |\n' for row in refused_rows())]
    return ''.join(parts)


def test_the_table_of_inputs_is_what_the_code_does(project_root):
    table = project_root / TABLE
    made = made_now()
    if os.environ.get('MSDESIS_WRITE_TABLES'):
        table.parent.mkdir(exist_ok=True)
        table.write_text(made)
    assert table.read_text() == made, 'MSDESIS_WRITE_TABLES=1 writes it anew'


def test_the_table_of_inputs_names_every_encoding(project_root):
    table = (project_root / TABLE).read_text()
    for encoding in INPUT_ENCODINGS:
        assert table.count(f'\n| `{encoding}` |') == len(PADDINGS)
