from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.data.stamp_files import read_stamps, stamps_in_names

PICTURES = [Path('l/f_1.png'), Path('l/f_2.png'), Path('l/f_10.png')]
S = 10**9


def stamps(path: Path, text: str, *, unit: str = '') -> tuple[int, ...]:
    file = path / 'stamps.csv'
    file.write_text(text)
    return read_stamps(file, PICTURES, unit=unit)


@pytest.mark.parametrize(
    'text',
    [
        '1.0\n1.5\n2.25\n',
        '# seconds\n\n1.0\n1.5\n2.25',
        'stamp\n1\n1.5\n2.25\n',
        'f_1.png,1.0\nf_2.png,1.5\nf_10.png,2.25\n',
        'name;stamp\nf_10.png;2.25\nf_2;1.5\nl/f_1.png;1.0\nf_99.png;9\n',
        '# timestamp filename\n1.0 l/f_1.png\n1.5 l/f_2.png\n2.25 l/f_10.png\n',
        'f_1\t1.0\nf_2\t1.5\nf_10\t2.25\n',
    ],
)
def test_a_line_is_a_stamp_or_a_name_with_its_stamp(text: str, tmp_path: Path) -> None:
    assert stamps(tmp_path, text) == (S, 3 * S // 2, 9 * S // 4)


@pytest.mark.parametrize(
    ('first', 'unit'),
    [
        ('1700000000.123456789', ''),
        ('1700000000123456789', ''),
        ('1700000000123456.789', ''),
        ('1700000000123.456789', ''),
        ('1700000000123456789', 'ns'),
        ('1700000000123.456789', 'ms'),
    ],
)
def test_a_stamp_of_today_is_exact_to_the_nanosecond_in_every_unit(
    first: str, unit: str, tmp_path: Path
) -> None:
    file = tmp_path / 's.txt'
    file.write_text(first)
    assert read_stamps(file, PICTURES[:1], unit=unit) == (1_700_000_000_123_456_789,)


def test_small_numbers_are_seconds_unless_a_unit_is_given(tmp_path: Path) -> None:
    text = '100\n133\n166\n'
    assert stamps(tmp_path, text) == (100 * S, 133 * S, 166 * S)
    assert stamps(tmp_path, text, unit='ms') == (100_000_000, 133_000_000, 166_000_000)


def test_one_unit_holds_for_the_whole_file(tmp_path: Path) -> None:
    text = '1700000000123456789\n1700000000223456789\n1700000000323456789\n'
    last = stamps(tmp_path, text)[-1]
    assert last == 1_700_000_000_323_456_789


def test_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    file = tmp_path / 's.csv'
    file.write_text('0001.png,5.0\n0002,6.0\n')
    assert read_stamps(file, [Path('0001.png'), Path('0002.png')]) == (5 * S, 6 * S)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('1.0\n2.0\n', '2 stamps for 3 pictures'),
        ('1.0\n2.0\n3.0\n4.0\n', '4 stamps for 3 pictures'),
        ('f_1.png,1.0\nf_2.png,1.5\n', 'no stamp for f_10.png'),
        ('1.0\nnoon\n3.0\n', "f_2.png is 'noon'"),
        ('1.0\n0.5\n3.0\n', 'f_2.png is older than the one before'),
        ('f_1.png,1.0,7\n', 'line 1: 3 columns'),
        ('1.0\n-2.0\n3.0\n', "'-2.0'; expected a number"),
        ('', 'holds no stamps'),
        ('# nothing\n', 'holds no stamps'),
        ('99999999999999999999\n2\n3\n', 'beyond the year 2262'),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=words):
        stamps(tmp_path, text)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match='No such file'):
        read_stamps(tmp_path / 'none.csv', PICTURES)
    with pytest.raises(FileFormatError, match='is not a file'):
        read_stamps(tmp_path, PICTURES)
    (tmp_path / 'b').write_bytes(b'\xff\xfe\x00\x81')
    with pytest.raises(FileFormatError, match='UTF-8'):
        read_stamps(tmp_path / 'b', PICTURES)


def test_an_unknown_unit_is_refused_listing_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='s, ms, us, ns'):
        stamps(tmp_path, '1\n2\n3\n', unit='min')


@given(text=st.text(alphabet='0123456789.,; #ab_f\n\t-"\'', max_size=80))
def test_any_text_is_read_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / 'any.csv'
    file.write_text(text)
    try:
        found = read_stamps(file, PICTURES)
    except MsdesisError:
        return
    assert len(found) == 3 and list(found) == sorted(found)


def test_stamps_stand_in_the_names_as_their_longest_number() -> None:
    names = ['left_1_1700000000123456789.png', 'left_1_1700000000223456789.png']
    assert stamps_in_names([Path(name) for name in names]) == (
        1_700_000_000_123_456_789,
        1_700_000_000_223_456_789,
    )
    assert stamps_in_names([Path('1.5.png'), Path('2.75.png')]) == (1_500_000_000, 2_750_000_000)
    assert stamps_in_names([Path('f0040.png')], unit='ms') == (40_000_000,)


def test_names_without_a_stamp_or_out_of_order_are_refused() -> None:
    with pytest.raises(FileFormatError, match=r'name of l/a\.png holds no number'):
        stamps_in_names([Path('l/a.png')])
    with pytest.raises(FileFormatError, match='older than the one before'):
        stamps_in_names([Path('2.png'), Path('1.png')])
