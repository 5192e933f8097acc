from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import ImageError
from msdesis_ros.ros.compressed import MAX_PIXELS, rgb_from_compressed
from msdesis_ros.ros.encodings import rgb_from_rows

HEIGHT, WIDTH = 67, 131
SUFFIX = {'jpeg': '.jpg', 'png': '.png'}


def picture() -> np.ndarray:
    """A smooth picture, which JPEG keeps to a few grey levels: red rises, green falls, blue 40."""
    across, down = np.linspace(30, 220, WIDTH), np.linspace(200, 60, HEIGHT)
    red, green = np.meshgrid(across, down)
    return np.stack([red, green, np.full_like(red, 40)], axis=2).round().astype(np.uint8)


def encode(kind: str, pixels: np.ndarray, *options: int) -> bytes:
    """Compress samples as they are, as OpenCV does: blue first."""
    done, encoded = cv2.imencode(SUFFIX[kind], pixels, options)
    assert done
    return encoded.tobytes()


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack('>I', len(content))
        + name
        + content
        + struct.pack('>I', zlib.crc32(name + content))
    )


RGB = picture()
BGR = RGB[:, :, ::-1].copy()
# What a full format says, the samples that the transport then compresses, what they show.
FORMATS = {
    '{kind}': BGR,
    'rgb8; {kind} compressed bgr8': BGR,
    'bgr8; {kind} compressed bgr8': BGR,
    'rgba8; {kind} compressed bgr8': BGR,
    'yuv422; {kind} compressed bgr8': BGR,
    'bayer_rggb8; {kind} compressed bgr8': BGR,
    '': BGR,
    # Without "compressed bgr" the raw samples of a colour picture were compressed as they were.
    'rgb8; {kind} compressed ': RGB,
    'bgr8; {kind} compressed rgb8': RGB,
}


@pytest.mark.parametrize('kind', SUFFIX)
@pytest.mark.parametrize('format_', FORMATS)
def test_colours_are_those_that_the_format_promises(kind, format_):
    rgb = rgb_from_compressed(encode(kind, FORMATS[format_]), format_.format(kind=kind))
    assert rgb.dtype == np.uint8 and rgb.flags.c_contiguous
    assert rgb.shape == RGB.shape
    assert np.abs(rgb.astype(int) - RGB).max() <= (0 if kind == 'png' else 6)


@pytest.mark.parametrize('kind', SUFFIX)
@pytest.mark.parametrize('format_', ['{kind}', 'mono8; {kind} compressed '])
def test_grey_pictures_become_three_equal_channels(kind, format_):
    grey = RGB[:, :, 0]
    rgb = rgb_from_compressed(encode(kind, grey), format_.format(kind=kind))
    assert rgb.shape == RGB.shape
    assert (rgb == rgb[:, :, :1]).all()
    assert np.abs(rgb[:, :, 0].astype(int) - grey).max() <= (0 if kind == 'png' else 3)


@pytest.mark.parametrize(
    ('format_', 'order'),
    [('png', (2, 1, 0)), ('rgba8; png compressed bgr8', (2, 1, 0)), ('rgba8; png ', (0, 1, 2))],
)
def test_an_alpha_channel_is_dropped(format_, order):
    four = np.dstack([RGB[:, :, list(order)], np.full((HEIGHT, WIDTH), 7, np.uint8)])
    assert np.array_equal(rgb_from_compressed(encode('png', four), format_), RGB)


@pytest.mark.parametrize('encoding', ['bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8'])
def test_a_compressed_mosaic_is_interpolated_as_the_raw_one(encoding):
    mosaic = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    rgb = rgb_from_compressed(encode('png', mosaic), f'{encoding}; png compressed ')
    raw = rgb_from_rows(mosaic, encoding, width=WIDTH, height=HEIGHT, step=WIDTH)
    assert np.array_equal(rgb, raw)
    assert not np.array_equal(rgb[:, :, 0], rgb[:, :, 2])


@pytest.mark.parametrize('progressive', [0, 1])
def test_a_jpeg_is_decoded_to_the_same_samples_as_by_opencv(progressive):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    encoded = encode('jpeg', noise, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    opencv = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert np.array_equal(rgb_from_compressed(encoded, 'jpeg'), opencv)


def test_a_format_that_names_the_wrong_kind_does_no_harm():
    assert np.array_equal(rgb_from_compressed(encode('png', BGR), 'jpeg'), RGB)


@pytest.mark.parametrize('kind', SUFFIX)
@pytest.mark.parametrize('colour', [True, False])
def test_a_picture_that_was_cut_anywhere_is_refused(kind, colour, capfd):
    encoded = encode(kind, BGR if colour else BGR[:, :, 0])
    for length in range(1, len(encoded), 1 if kind == 'jpeg' else 3):
        with pytest.raises(ImageError) as refusal:
            rgb_from_compressed(encoded[:length], kind)
        # Below that the beginning itself is not recognised.
        assert length < 8 or f'({length} bytes' in str(refusal.value)
        assert length < 8 or 'cut short or damaged' in str(refusal.value)
    # A decoder that complains on its own would do so at every picture.
    assert capfd.readouterr().err == ''


def test_a_progressive_jpeg_that_was_cut_is_refused():
    encoded = encode('jpeg', BGR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    for length in range(8, len(encoded)):
        with pytest.raises(ImageError, match='cut short or damaged'):
            rgb_from_compressed(encoded[:length], 'jpeg')


def test_every_changed_byte_of_a_png_is_found():
    encoded = encode('png', BGR[:20, :20])
    for at in range(len(encoded)):
        damaged = bytearray(encoded)
        damaged[at] ^= 0x5A
        try:
            rgb = rgb_from_compressed(bytes(damaged), 'png')
        except ImageError:
            continue
        # Chunks that say nothing of the samples may be damaged without harm.
        assert np.array_equal(rgb, RGB[:20, :20]), at


def test_padding_behind_a_whole_picture_is_ignored():
    for kind in SUFFIX:
        encoded = encode(kind, BGR)
        padded = rgb_from_compressed(encoded + bytes(100), kind)
        assert np.array_equal(padded, rgb_from_compressed(encoded, kind))


@pytest.mark.parametrize('format_', ['png', 'mono16; png compressed ', 'rgb16; png compressed'])
def test_more_than_8_bits_are_refused(format_):
    deep = encode('png', RGB[:, :, 0].astype(np.uint16) * 257)
    with pytest.raises(ImageError, match=f"'{format_}' .16 bits. has more than 8 bits"):
        rgb_from_compressed(deep, format_)


def test_8_bits_that_were_made_of_16_are_refused():
    with pytest.raises(ImageError, match='more than 8 bits'):
        rgb_from_compressed(encode('jpeg', BGR[:, :, 0]), 'mono16; jpeg compressed ')


def test_a_jpeg_of_12_bits_is_refused():
    encoded = bytearray(encode('jpeg', BGR))
    start_of_frame = encoded.index(b'\xff\xc0')
    encoded[start_of_frame + 4] = 12
    with pytest.raises(ImageError, match='12 bits'):
        rgb_from_compressed(bytes(encoded), 'jpeg')


@pytest.mark.parametrize('suffix', ['.bmp', '.webp', '.tiff'])
def test_another_kind_of_picture_is_refused_naming_its_format(suffix):
    encoded = cv2.imencode(suffix, BGR)[1].tobytes()
    with pytest.raises(ImageError, match=f"format '{suffix[1:]}' is no JPEG and no PNG"):
        rgb_from_compressed(encoded, suffix[1:])


def test_compressed_depth_is_refused():
    # The depth transport puts a header of its own before the PNG.
    depth = bytes(12) + encode('png', RGB[:, :, 0].astype(np.uint16))
    with pytest.raises(ImageError, match='compressedDepth'):
        rgb_from_compressed(depth, '16UC1; compressedDepth png')


def test_an_empty_picture_is_refused():
    with pytest.raises(ImageError, match='empty'):
        rgb_from_compressed(b'', 'jpeg')


def test_a_header_that_claims_a_giant_picture_is_refused_before_memory_is_taken():
    side = int(MAX_PIXELS**0.5) + 1
    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    giant = (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(bytes(99)))
        + chunk(b'IEND', b'')
    )
    with pytest.raises(ImageError, match=f'{side}x{side} px, more than 64 million'):
        rgb_from_compressed(giant, 'png')
    jpeg = bytearray(encode('jpeg', BGR))
    start_of_frame = jpeg.index(b'\xff\xc0')
    jpeg[start_of_frame + 5 : start_of_frame + 9] = b'\xff' * 4
    with pytest.raises(ImageError, match='65535x65535 px'):
        rgb_from_compressed(bytes(jpeg), 'jpeg')


@given(
    start=st.sampled_from(
        [b'', b'\xff\xd8\xff', b'\xff\xd8\xff\xe0\x00\x00', b'\x89PNG\r\n\x1a\n']
    ),
    rest=st.binary(max_size=80),
    end=st.sampled_from([b'', b'\xff\xd9', b'IEND\xaeB`\x82']),
    format_=st.text(max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_bytes_that_are_no_picture_are_refused(start, rest, end, format_):
    with pytest.raises(ImageError) as refusal:
        rgb_from_compressed(start + rest + end, format_)
    assert len(str(refusal.value)) > 20
