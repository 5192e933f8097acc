"""True disparities from files: scales, what is no truth, and files that are not what they say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.evaluation.truth_files import read_disparity_truth, read_mask_truth

NAN = np.nan
TRUTH = np.array([[1.5, 20.25, NAN], [300.0, 7.0, 0.25]], np.float32)


def write_pfm(path: Path, rows: np.ndarray, *, order: str = '<', kind: str = 'Pf') -> None:
    height, width = rows.shape[:2]
    scale = -1.0 if order == '<' else 1.0
    body = rows[::-1].astype(f'{order}f4').tobytes()
    path.write_bytes(f'{kind}\n{width} {height}\n{scale}\n'.encode() + body)


def test_a_tiff_holds_pixels_and_what_is_not_positive_and_finite_is_no_truth(tmp_path) -> None:
    stored = np.where(np.isnan(TRUTH), -1.0, TRUTH).astype(np.float32)
    stored[1, 1] = np.inf
    cv2.imwrite(str(tmp_path / 't.tiff'), stored)
    found = read_disparity_truth(tmp_path / 't.tiff')
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.where(stored == np.inf, NAN, TRUTH))


def test_a_png_is_divided_by_its_scale_and_zero_is_no_truth(tmp_path) -> None:
    stored = np.nan_to_num(TRUTH * 100).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 't.png'), stored)
    np.testing.assert_allclose(read_disparity_truth(tmp_path / 't.png', scale=100.0), TRUTH)


@pytest.mark.parametrize('order', ['<', '>'])
def test_a_pfm_is_read_from_the_bottom_in_its_own_order_of_bytes(tmp_path, order) -> None:
    write_pfm(tmp_path / 't.pfm', np.where(np.isnan(TRUTH), np.inf, TRUTH), order=order)
    np.testing.assert_array_equal(read_disparity_truth(tmp_path / 't.pfm'), TRUTH)


def test_a_negative_scale_turns_the_sign(tmp_path) -> None:
    write_pfm(tmp_path / 't.pfm', -TRUTH)
    np.testing.assert_array_equal(read_disparity_truth(tmp_path / 't.pfm', scale=-1.0), TRUTH)
    with pytest.raises(FileFormatError, match='no disparity above 0'):
        read_disparity_truth(tmp_path / 't.pfm')


def test_files_that_hold_no_disparity_are_refused_by_name(tmp_path) -> None:
    whole = cv2.imencode('.png', np.ones((40, 40), np.uint16))[1].tobytes()
    colours = cv2.imencode('.png', np.ones((4, 4, 3), np.uint8))[1].tobytes()
    write_pfm(tmp_path / 'colour.pfm', np.ones((2, 3, 3)), kind='PF')
    write_pfm(tmp_path / 'whole.pfm', np.ones((2, 3)))
    files = {
        'cut.png': (whole[:60], 'not a whole picture'),
        'colours.png': (colours, '3 channels'),
        'empty.tiff': (b'', 'not a whole picture'),
        'colour.pfm': ((tmp_path / 'colour.pfm').read_bytes(), '3 channels'),
        'cut.pfm': ((tmp_path / 'whole.pfm').read_bytes()[:-1], '35 bytes; expected 36'),
        'text.pfm': (b'hello', 'is no PFM file'),
        'zero.pfm': (b'Pf\n3 2\n0\n' + bytes(24), 'is no PFM file'),
        'flat.pfm': (b'Pf\n0 2\n-1\n', 'PFM of 0x2 px'),
    }
    for name, (content, words) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError, match=words) as refused:
            read_disparity_truth(tmp_path / name)
        assert name in str(refused.value)
    with pytest.raises(FileFormatError, match='none.png'):
        read_disparity_truth(tmp_path / 'none.png')


def test_other_suffixes_and_scales_are_wrong_use(tmp_path) -> None:
    with pytest.raises(UsageError, match=r'ends in \.tif, \.tiff, \.png, \.pfm'):
        read_disparity_truth(tmp_path / 't.npy')
    for scale in (0.0, NAN, np.inf):
        with pytest.raises(UsageError, match='--truth-scale'):
            read_disparity_truth(tmp_path / 't.png', scale=scale)


@given(content=st.binary(max_size=60), head=st.sampled_from([b'', b'Pf\n2 2\n-1\n', b'Pf 2 ']))
def test_no_bytes_make_the_reader_of_pfm_fall(tmp_path_factory, content, head) -> None:
    path = tmp_path_factory.getbasetemp() / 'any.pfm'
    path.write_bytes(head + content)
    try:
        found = read_disparity_truth(path)
    except MsdesisError:
        return
    assert found.ndim == 2 and np.isfinite(found).any()


def test_a_mask_is_where_any_channel_is_above_zero(tmp_path) -> None:
    grey = np.array([[0, 1, 255]], np.uint8)
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    assert read_mask_truth(tmp_path / 'grey.png').tolist() == [[False, True, True]]
    colour = np.zeros((1, 3, 3), np.uint8)
    colour[0, 2, 1] = 7
    cv2.imwrite(str(tmp_path / 'colour.png'), colour)
    assert read_mask_truth(tmp_path / 'colour.png').tolist() == [[False, False, True]]
    opaque = np.dstack([colour, np.full((1, 3), 255, np.uint8)])
    cv2.imwrite(str(tmp_path / 'alpha.png'), opaque)
    assert read_mask_truth(tmp_path / 'alpha.png').tolist() == [[False, False, True]]
    (tmp_path / 'bad.png').write_bytes(b'x')
    with pytest.raises(FileFormatError, match='bad.png'):
        read_mask_truth(tmp_path / 'bad.png')
