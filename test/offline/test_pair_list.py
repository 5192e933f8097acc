from __future__ import annotations

import csv
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.offline.pair_list import (
    SWAPPED_HEADER,
    PairRow,
    read_pair_list,
    require_no_conflicts,
    write_pair_list,
)


def listed(tmp_path: Path, text: str, **roots: str):
    path = tmp_path / 'list.csv'
    path.write_text(text, encoding='utf-8')
    return read_pair_list(path, **roots)


def cells(row: PairRow) -> tuple[str, ...]:
    return (str(row.left), str(row.right), *map(str, row.outputs.values()))


def test_without_a_header_columns_are_left_right_disparity_segmentation(tmp_path):
    (row,) = listed(tmp_path, 'l.png,r.png,d.png,s.png\n').rows
    assert (row.left, row.right) == (Path('l.png'), Path('r.png'))
    assert row.outputs == {'disparity': Path('d.png'), 'segmentation': Path('s.png')}


def test_the_first_line_of_a_list_without_a_header_is_a_pair(tmp_path):
    assert [row.line for row in listed(tmp_path, 'a.png,b.png\nc.png,d.png\n').rows] == [1, 2]


def test_a_header_is_no_pair_and_names_the_columns_in_any_order(tmp_path):
    # The release took its own header for a sample.
    text = 'depth, Segmentation ,RIGHT,left\nz.tiff,s.png,r.png,l.png\n'
    (row,) = listed(tmp_path, text).rows
    assert (row.line, row.left, row.right) == (2, Path('l.png'), Path('r.png'))
    assert row.outputs == {'segmentation': Path('s.png'), 'depth': Path('z.tiff')}


def test_the_swapped_header_of_the_release_is_read_by_name_with_a_warning(tmp_path):
    found = listed(tmp_path, f'{",".join(SWAPPED_HEADER)}\nl.png,r.png,x.png,y.png\n')
    assert found.rows[0].outputs == {'segmentation': Path('x.png'), 'disparity': Path('y.png')}
    assert 'create-io-csv' in found.warnings[0]
    assert not listed(tmp_path, 'left,right,disparity,segmentation\nl,r,x.png,y.png\n').warnings


def test_empty_cells_ask_for_nothing(tmp_path):
    # The release resolved them to the folder of the results itself.
    found = listed(tmp_path, 'l,r,,s.png\nl,r,d.png,\nl,r,,\nl,r\n', output_root='/out')
    assert [dict(row.outputs) for row in found.rows] == [
        {'segmentation': Path('/out/s.png')},
        {'disparity': Path('/out/d.png')},
        {},
        {},
    ]


def test_blank_lines_and_comments_are_passed_over(tmp_path):
    # The release crashed at a blank line.
    text = '\n# a comment, with a comma\nleft,right\n\n   \n,,\n  # another\nl.png,r.png\n\n'
    found = listed(tmp_path, text)
    assert [row.line for row in found.rows] == [8] and not found.bad


def test_a_byte_order_mark_and_other_line_ends_are_taken(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_bytes(b'\xef\xbb\xbfleft,right\r\nl.png,r.png\r\n')
    assert cells(read_pair_list(path).rows[0]) == ('l.png', 'r.png')


def test_relative_paths_begin_at_the_roots_and_absolute_ones_stand_for_themselves(tmp_path):
    text = (
        'left,right,disparity,calibration\n'
        'a/l.png,/abs/r.png,d/0.png,c.json\n'
        'l.png,r.png,/abs/0.png,"L.yaml, /abs/R.yaml"\n'
    )
    first, second = listed(tmp_path, text, input_root='/in', output_root='/out').rows
    assert cells(first) == ('/in/a/l.png', '/abs/r.png', '/out/d/0.png')
    assert cells(second) == ('/in/l.png', '/in/r.png', '/abs/0.png')
    assert first.calibration == '/in/c.json'
    assert second.calibration == '/in/L.yaml,/abs/R.yaml'
    assert second.inputs()[2:] == ('/in/L.yaml', '/abs/R.yaml')


def test_a_calibration_with_a_comma_in_its_name_is_one_file(tmp_path):
    (tmp_path / 'a,b.json').touch()
    text = 'left,right,calibration\nl,r,"a,b.json"\n'
    (row,) = listed(tmp_path, text, input_root=str(tmp_path)).rows
    assert row.inputs()[2:] == (str(tmp_path / 'a,b.json'),)


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('l.png', 'no path of the right'),
        (',r.png', 'no path of the left'),
        ('l.png;r.png', 'no path of the right'),
        ('a,b,c,d,e', '5 cells'),
        ('l.png,"r.png', 'quotation mark'),
        ('l\0.png,r.png', 'zero byte'),
    ],
)
def test_a_line_that_is_no_pair_costs_itself_alone(tmp_path, line, words):
    found = listed(tmp_path, f'x.png,y.png\n{line}\nv.png,w.png\n')
    assert [row.line for row in found.rows] == [1, 3]
    (bad,) = found.bad
    assert bad.line == 2 and words in bad.reason


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', 'holds no pair'),
        (b'left,right\n# nothing\n', 'holds no pair'),
        (b'left,right,colour\na,b,c\n', "'colour' is unknown"),
        (b'left,right,left\na,b,c\n', 'twice'),
        (b'left,disparity\na,b\n', 'no column right'),
        ('left,right\n'.encode('utf-16'), 'UTF-8'),
        (None, 'cannot read the list'),
    ],
)
def test_a_file_that_is_no_list_is_refused_as_a_whole(tmp_path, content, words):
    path = tmp_path / 'list.csv'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileFormatError, match=words):
        read_pair_list(path)


PATHS = st.text(
    st.sampled_from(string.ascii_letters + '0123456789#",;\' ._-äµ日'), min_size=1, max_size=12
).map(lambda name: f'{name.strip()}x')


@given(
    st.lists(
        st.tuples(PATHS, PATHS, st.none() | PATHS, st.none() | PATHS, st.none() | PATHS),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_again(tmp_path_factory, table):
    path = tmp_path_factory.mktemp('lists') / 'list.csv'
    rows = []
    for number, (left, right, disparity, depth, calibration) in enumerate(table, start=2):
        outputs = {'disparity': disparity, 'depth': depth}
        rows.append(
            PairRow(
                number,
                Path(left),
                Path(right),
                {kind: Path(name) for kind, name in outputs.items() if name},
                # A comma would be two files, whose blanks do not count.
                calibration.replace(',', '').strip() if calibration else None,
            )
        )
    write_pair_list(path, rows)
    found = read_pair_list(path)
    assert list(found.rows) == rows and not found.bad


def test_a_written_list_has_the_columns_that_are_needed(tmp_path):
    path = tmp_path / 'list.csv'
    write_pair_list(path, [PairRow(1, Path('l'), Path('r'), {'segmentation': Path('s')})])
    assert list(csv.reader(path.open())) == [['left', 'right', 'segmentation'], ['l', 'r', 's']]


@pytest.mark.parametrize('name', ['a\nb.png', 'a.png ', 'a\udcff.png'])
def test_a_path_that_no_line_can_hold_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match='cannot stand in a list'):
        write_pair_list(tmp_path / 'list.csv', [PairRow(1, Path(name), Path('r'), {})])
    assert not (tmp_path / 'list.csv').exists()


def rows_with(*outputs: dict[str, str], left: str = 'in/l.png') -> list[PairRow]:
    return [
        PairRow(line, Path(left), Path('in/r.png'), {k: Path(v) for k, v in o.items()})
        for line, o in enumerate(outputs, start=1)
    ]


def test_two_results_in_one_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'link').symlink_to('out')
    require_no_conflicts(rows_with({'disparity': 'out/0.png'}, {'disparity': 'out/1.png'}))
    for second in ('out/0.png', 'link/../out/0.png', 'link/0.png', str(tmp_path / 'out/0.png')):
        with pytest.raises(UsageError, match='line 2.*result of line 1'):
            require_no_conflicts(rows_with({'disparity': 'out/0.png'}, {'disparity': second}))
    with pytest.raises(UsageError, match='line 1'):
        require_no_conflicts(rows_with({'disparity': 'out/0.png', 'segmentation': 'out/0.png'}))


def test_a_result_that_would_replace_a_picture_to_read_is_refused():
    with pytest.raises(UsageError, match='would replace'):
        require_no_conflicts(rows_with({'disparity': 'out/0.png'}, {'depth': './in/r.png'}))
