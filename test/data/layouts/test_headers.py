"""Headers say what decoding would, and a file that ends too early is found without decoding."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.layouts.headers import PictureHeader, read_header

FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
COLOUR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
FILES = {suffix: cv2.imencode(suffix, COLOUR)[1].tobytes() for suffix in ('.png', '.jpg', '.bmp')}


@pytest.mark.parametrize(
    ('name', 'array', 'bits', 'grey'),
    [
        ('a.png', COLOUR, 8, False),
        ('a.png', COLOUR[..., 0], 8, True),
        ('a.png', COLOUR[..., 0].astype(np.uint16), 16, True),
        ('a.png', COLOUR.astype(np.uint16), 16, False),
        ('a.png', np.dstack([COLOUR, COLOUR[..., :1]]), 8, False),
        ('a.jpg', COLOUR, 8, False),
        ('a.jpg', COLOUR[..., 0], 8, True),
        ('a.jpeg', COLOUR, 8, False),
        ('a.bmp', COLOUR, 8, False),
        ('a.tiff', COLOUR, 8, False),
        ('a.ppm', COLOUR, 8, False),
    ],
)
def test_size_and_samples_are_those_of_the_picture(tree, name, array, bits, grey):
    assert read_header(tree.array(name, array)) == PictureHeader((6, 4), bits=bits, grey=grey)


def test_a_jpeg_with_a_thumbnail_and_restart_tables_has_the_size_of_its_own_frame(tree):
    whole = cv2.imencode('.jpg', np.zeros((40, 50, 3), np.uint8))[1].tobytes()
    thumbnail = FILES['.jpg']
    segment = b'\xff\xe1' + struct.pack('>H', 2 + len(thumbnail)) + thumbnail
    path = tree.put('a.jpg', whole[:2] + segment + b'\xff' + whole[2:])
    assert read_header(path).image_size == (50, 40)


def test_a_pfm_has_floats(tree):
    header = read_header(tree.pfm('a.pfm'))
    assert header == PictureHeader((6, 4), bits=32, grey=True, floating=True)


def test_the_content_tells_the_format_of_pictures_and_the_name_that_of_pfm(tree):
    assert read_header(tree.put('a.png', FILES['.jpg'])).image_size == (6, 4)
    with pytest.raises(FileFormatError, match='no PFM'):
        read_header(tree.put('a.pfm', FILES['.png']))


def test_debris_behind_a_whole_png_is_no_fault(tree):
    assert read_header(tree.put('a.png', FILES['.png'] + b'more')).image_size == (6, 4)


@pytest.mark.parametrize(('width', 'height'), [(0, 4), (6, 0), (1 << 20, 4)])
def test_a_size_that_no_picture_has_is_refused(tree, width, height):
    png = FILES['.png']
    path = tree.put('a.png', png[:16] + struct.pack('>II', width, height) + png[24:])
    with pytest.raises(FileFormatError, match=f'{width}x{height} px'):
        read_header(path)


@pytest.mark.parametrize(
    'content', [b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n', b'text', b'\xff\xd8\xff']
)
def test_bytes_that_are_no_picture_are_named(tree, content):
    path = tree.put('a.png', content)
    with pytest.raises(FileFormatError, match='a.png'):
        read_header(path)


def test_a_missing_file_and_a_folder_are_named(tree):
    for name in ('nothing.png', '.'):
        with pytest.raises(FileFormatError, match='cannot read'):
            read_header(tree.root / name)


@FUZZ
@given(suffix=st.sampled_from(sorted(FILES)), kept=st.floats(0, 0.999))
def test_every_cut_is_found(tree, suffix, kept):
    path = tree.put(f'cut{suffix}', FILES[suffix][: int(kept * len(FILES[suffix]))])
    with pytest.raises(FileFormatError, match='cut'):
        read_header(path)


@FUZZ
@given(
    suffix=st.sampled_from(['.png', '.jpg']),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
)
def test_changed_bytes_give_a_header_or_an_error_that_names_the_file(tree, suffix, changes):
    content = bytearray(FILES[suffix])
    for at, value in changes:
        content[at % len(content)] = value
    path = tree.put(f'bad{suffix}', bytes(content))
    try:
        assert min(read_header(path).image_size) > 0
    except FileFormatError as error:
        assert str(path) in str(error)
