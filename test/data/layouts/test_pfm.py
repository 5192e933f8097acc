"""PFM: rows, byte order and length, and one clear sentence for everything else."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.layouts.pfm import read_pfm

# The lower row comes first in the file.
LOWER, UPPER = (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)
LITTLE = b'Pf\n3 2\n-1.0\n' + struct.pack('<6f', *LOWER, *UPPER)
BIG = b'Pf\n3 2\n1.0\n' + struct.pack('>6f', *LOWER, *UPPER)
FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize('content', [LITTLE, BIG], ids=['little endian', 'big endian'])
def test_the_last_row_of_the_file_is_the_top_of_the_picture(tree, content):
    numbers = read_pfm(tree.put('a.pfm', content))
    assert numbers.dtype == np.float32 and numbers.flags.c_contiguous
    np.testing.assert_array_equal(numbers, [UPPER, LOWER])


def test_the_numbers_of_a_byte_order_are_those_written_in_it(tree):
    # 1.0 is 3f 80 00 00 in IEEE 754.
    little = read_pfm(tree.put('a.pfm', b'Pf\n1 1\n-1\n\x00\x00\x80\x3f'))
    big = read_pfm(tree.put('b.pfm', b'Pf\n1 1\n1\n\x3f\x80\x00\x00'))
    assert little.item() == big.item() == 1.0


def test_the_size_of_the_scale_changes_no_number(tree):
    content = LITTLE.replace(b'-1.0', b'-0.25')
    np.testing.assert_array_equal(read_pfm(tree.put('a.pfm', content)), [UPPER, LOWER])


def test_negative_and_not_finite_numbers_stay_as_they_are(tree):
    content = b'Pf\n4 1\n-1.0\n' + struct.pack('<4f', -7.5, np.nan, np.inf, -np.inf)
    np.testing.assert_array_equal(
        read_pfm(tree.put('a.pfm', content)), [[-7.5, np.nan, np.inf, -np.inf]]
    )


def test_three_channels_are_the_last_axis(tree):
    content = b'PF\n1 2\n-1.0\n' + struct.pack('<6f', *LOWER, *UPPER)
    np.testing.assert_array_equal(read_pfm(tree.put('a.pfm', content)), [[UPPER], [LOWER]])


def test_a_first_number_that_looks_like_a_line_end_is_a_number(tree):
    content = b'Pf\n1 1\n-1.0\n' + b'\n\n \n'
    assert read_pfm(tree.put('a.pfm', content)).tobytes() == b'\n\n \n'


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'no PFM'),
        (b'P6\n3 2\n255\n' + bytes(18), 'no PFM'),
        (LITTLE.replace(b'3 2', b'3'), 'no PFM'),
        (LITTLE.replace(b'3 2', b'-3 2'), 'no PFM'),
        (LITTLE.replace(b'-1.0', b'0.0'), 'scale other than 0'),
        (LITTLE.replace(b'-1.0', b'1-.0'), 'no PFM'),
        (LITTLE.replace(b'3 2', b'0 2'), '0x2 px; expected 1 to'),
        (LITTLE.replace(b'3 2', b'99999 99999'), '99999x99999 px; expected 1 to'),
        (LITTLE.replace(b'3 2', b'2 2'), '36 bytes; expected 28'),
        (LITTLE[:-1], '35 bytes; expected 36'),
        (LITTLE + b'\n', '37 bytes; expected 36'),
    ],
)
def test_what_is_no_whole_pfm_is_named_with_the_reason(tree, content, reason):
    path = tree.put('a.pfm', content)
    with pytest.raises(FileFormatError, match=reason) as caught:
        read_pfm(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['nothing.pfm', '.'])
def test_a_missing_file_or_a_folder_is_named(tree, name):
    with pytest.raises(FileFormatError, match='cannot read'):
        read_pfm(tree.root / name)


@FUZZ
@given(kept=st.integers(0, len(LITTLE) - 1))
def test_every_cut_is_refused(tree, kept):
    with pytest.raises(FileFormatError, match='a.pfm'):
        read_pfm(tree.put('a.pfm', LITTLE[:kept]))


@FUZZ
@given(head=st.binary(max_size=40), pixels=st.binary(max_size=30))
def test_arbitrary_bytes_are_read_or_refused_by_name(tree, head, pixels):
    path = tree.put('a.pfm', b'Pf\n' + head + pixels)
    try:
        assert read_pfm(path).size > 0
    except FileFormatError as error:
        assert str(path) in str(error)


@FUZZ
@given(values=st.lists(st.floats(width=32), min_size=6, max_size=6), little=st.booleans())
def test_any_float_survives_in_either_byte_order(tree, values, little):
    order, scale = ('<', b'-1') if little else ('>', b'1')
    content = b'Pf\n3 2\n' + scale + b'\n' + struct.pack(f'{order}6f', *values)
    expected = np.array(values, np.float32).reshape(2, 3)[::-1]
    np.testing.assert_array_equal(read_pfm(tree.put('a.pfm', content)), expected)
