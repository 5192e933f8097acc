"""Pictures survive their files, and a file is whole or absent."""

from __future__ import annotations

import os
import stat

import cv2
import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.data.images import (
    atomic_write,
    is_cut_png,
    read_plane,
    read_rgb,
    write_image,
)


@pytest.fixture()
def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (21, 33, 3), np.uint8)


def test_a_written_png_reads_back_as_the_same_rgb(tmp_path, picture):
    path = tmp_path / 'a.png'
    write_image(path, picture)
    np.testing.assert_array_equal(read_rgb(path), picture)


def test_red_is_stored_as_red(tmp_path):
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    write_image(tmp_path / 'red.png', red)
    stored_bgr = cv2.imread(str(tmp_path / 'red.png'))
    np.testing.assert_array_equal(stored_bgr[0, 0], [0, 0, 255])


def test_the_result_is_contiguous(tmp_path, picture):
    write_image(tmp_path / 'a.png', picture)
    assert read_rgb(tmp_path / 'a.png').flags.c_contiguous


def test_a_grey_picture_is_repeated_into_three_channels(tmp_path, picture):
    write_image(tmp_path / 'grey.png', picture[..., 0])
    expected = np.repeat(picture[..., :1], 3, axis=2)
    np.testing.assert_array_equal(read_rgb(tmp_path / 'grey.png'), expected)


def test_the_alpha_channel_is_dropped(tmp_path, picture):
    rgba = np.dstack([picture, np.full(picture.shape[:2], 9, np.uint8)])
    cv2.imwrite(str(tmp_path / 'alpha.png'), cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA))
    np.testing.assert_array_equal(read_rgb(tmp_path / 'alpha.png'), picture)


def test_a_16_bit_picture_is_refused_with_the_reason(tmp_path):
    write_image(tmp_path / 'deep.png', np.full((4, 5), 1023, np.uint16))
    with pytest.raises(FileFormatError, match='uint16 samples, expected 8 bits'):
        read_rgb(tmp_path / 'deep.png')


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(FileFormatError, match='nothing.png'):
        read_rgb(tmp_path / 'nothing.png')


def test_a_folder_is_not_a_picture(tmp_path):
    with pytest.raises(FileFormatError, match='cannot read the picture'):
        read_rgb(tmp_path)


@pytest.mark.parametrize('content', [b'', b'not a picture', b'\x89PNG\r\n\x1a\n'])
def test_bytes_that_are_no_picture_are_refused(tmp_path, content):
    (tmp_path / 'bad.png').write_bytes(content)
    with pytest.raises(FileFormatError, match='not a whole picture'):
        read_rgb(tmp_path / 'bad.png')


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.tiff'])
@pytest.mark.parametrize('kept', [0.3, 0.9])
def test_a_truncated_picture_is_refused_and_the_whole_one_read(tmp_path, picture, suffix, kept):
    path = tmp_path / f'cut{suffix}'
    _, encoded = cv2.imencode(suffix, np.tile(picture, (5, 5, 1)))
    path.write_bytes(encoded.tobytes())
    assert read_rgb(path).shape == (105, 165, 3)
    path.write_bytes(encoded.tobytes()[: int(len(encoded) * kept)])
    with pytest.raises(FileFormatError, match='not a whole picture'):
        read_rgb(path)


def test_a_png_whose_chunk_claims_more_than_is_there_is_known_before_it_is_decoded(picture):
    png = cv2.imencode('.png', picture)[1].tobytes()
    assert not is_cut_png(png)
    assert not is_cut_png(png + b'more')
    assert not is_cut_png(cv2.imencode('.jpg', picture)[1].tobytes())
    begin = png.index(b'IDAT') - 4
    # OpenCV would ask for 2 GB here.
    assert is_cut_png(png[:begin] + b'\x7f' + png[begin + 1 :])
    assert all(is_cut_png(png[:kept]) for kept in range(8, len(png)))


@pytest.mark.parametrize('suffix', ['.tiff', '.tif'])
def test_a_float_tiff_keeps_every_value_and_nan(tmp_path, suffix):
    values = np.random.default_rng(2).normal(size=(17, 19)).astype(np.float32) * 1e3
    values[3, 4] = np.nan
    values[5, 6] = np.float32(1e-30)
    write_image(tmp_path / f'd{suffix}', values)
    stored = cv2.imread(str(tmp_path / f'd{suffix}'), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, values)


def test_a_16_bit_png_keeps_every_value(tmp_path):
    values = np.arange(300 * 256, dtype=np.uint16).reshape(300, 256)
    write_image(tmp_path / 'deep.png', values)
    stored = cv2.imread(str(tmp_path / 'deep.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize(
    ('name', 'dtype'), [('m.png', np.uint8), ('d.png', np.uint16), ('d.tiff', np.float32)]
)
def test_a_plane_is_read_as_it_was_stored(tmp_path, name, dtype):
    values = np.arange(6 * 7).reshape(6, 7).astype(dtype)
    write_image(tmp_path / name, values)
    plane = read_plane(tmp_path / name)
    assert plane.dtype == dtype
    np.testing.assert_array_equal(plane, values)


@pytest.mark.parametrize('content', [b'', b'not a picture', b'\x89PNG\r\n\x1a\n', b'II*\0abc'])
def test_a_plane_that_is_not_whole_is_refused_with_what_to_do(tmp_path, content):
    path = tmp_path / 'bad.tiff'
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r'bad\.tiff .*not a whole .*; ask for it again$'):
        read_plane(path, remedy='ask for it again')
    with pytest.raises(FileFormatError, match=r'cannot read .*none\.png: .*; ask for it again$'):
        read_plane(tmp_path / 'none.png', remedy='ask for it again')


def test_a_view_that_is_not_contiguous_is_written_as_it_looks(tmp_path, picture):
    write_image(tmp_path / 'a.png', picture[::2, ::-1])
    np.testing.assert_array_equal(read_rgb(tmp_path / 'a.png'), picture[::2, ::-1])


@pytest.mark.parametrize(
    ('name', 'array'),
    [
        ('a.png', np.zeros((4, 4), np.float32)),
        ('a.png', np.zeros((4, 4), bool)),
        ('a.png', np.zeros((4, 4, 2), np.uint8)),
        ('a.png', np.zeros((0, 4), np.uint8)),
        ('a.tiff', np.zeros((4, 4), np.float64)),
        ('a.tiff', np.zeros((4, 4, 3), np.float32)),
        ('a.jpg', np.zeros((4, 4, 3), np.uint8)),
    ],
)
def test_an_array_its_suffix_cannot_hold_is_refused(tmp_path, name, array):
    with pytest.raises(UsageError, match='cannot write'):
        write_image(tmp_path / name, array)
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text('half')
        raise ZeroDivisionError
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / 'deep' / 'a.txt'
    with atomic_write(path) as temporary:
        temporary.write_text('new')
        assert not path.exists()
        assert temporary.suffix == '.txt'
        assert temporary.parent == path.parent
    assert path.read_text() == 'new'
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_has_the_ordinary_permissions(tmp_path):
    previous = os.umask(0o022)
    try:
        write_image(tmp_path / 'a.png', np.zeros((4, 4), np.uint8))
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / 'a.png').stat().st_mode) == 0o644


def test_a_place_that_cannot_be_written_is_one_clear_sentence(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(MsdesisError, match='cannot write .*choose a folder'):
        write_image(tmp_path / 'file' / 'a.png', np.zeros((4, 4), np.uint8))
