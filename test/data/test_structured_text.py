"""Every text ends as a tree or as one clear FileFormatError."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.structured_text import (
    MAX_BYTES,
    integer,
    matrix,
    numbers,
    parse_tree,
    read_text,
)

HERE = Path('file.yaml')


def refused(function, *arguments) -> str:
    with pytest.raises(FileFormatError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert '\n' not in message
    return message


@pytest.mark.parametrize(
    'text',
    [
        '{"a": {"rows": 1, "cols": 2, "data": [1.5, 2.0]}, "b": [3]}',
        '{"a": {"rows": 1, "cols": 2, "data": [1.5, 2.]}, "b": [3]}',  # as OpenCV 3 wrote it
        '%YAML:1.0\n---\na: !!opencv-matrix\n   rows: 1\n   cols: 2\n   data: [ 1.5, 2. ]\nb: [3]',
        '%YAML 1.2\n---\na: !!opencv-nd-matrix\n   sizes: [1, 2]\n   data: [1.5, 2.]\nb:\n  - 3\n',
        '<?xml version="1.0"?>\n<!-- a remark --><opencv_storage><a type_id="opencv-matrix">'
        '<rows>1</rows><cols>2</cols><data>\n  1.5 2.</data></a><b>3</b></opencv_storage>',
    ],
)
def test_json_yaml_and_xml_give_the_same_numbers(text):
    tree = parse_tree(text, HERE)
    assert set(tree) == {'a', 'b'}
    np.testing.assert_array_equal(matrix(tree, 'a', (1, 2), HERE), [[1.5, 2.0]])
    assert integer(tree, 'b', HERE) == 3


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert parse_tree(read_text(path), path) == {'a': 1}


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('[1, 2]', 'no named entries'),
        ('just words', 'no named entries'),
        ('{"a": 1', 'cannot be parsed'),
        ('{"a": 1, "a": 2}', "'a' occurs twice"),
        ('a: 1\na: 2\n', "'a' occurs twice"),
        ('<s><a>1</a><a>2</a></s>', "'a' occurs twice"),
        ('a: [1, 2\nb: 3\n', 'line'),
        ('a: &x 1\nb: *x\n', 'aliases'),
        ('a: &x [1]\nb: &y [*x, *x]\nc: [*y, *y]\n', 'aliases'),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 'declarations'),
        ('<a><b></a>', 'cannot be parsed'),
        ('a: 1\n---\nb: 2\n', 'document'),
        ('a: \x07\n', 'cannot be parsed'),
        ('? [1]\n: 2\n', 'cannot be parsed'),
    ],
)
def test_what_cannot_be_parsed_is_told_with_the_reason(text, reason):
    message = refused(parse_tree, text, HERE)
    assert message.startswith('file.yaml')
    assert reason in message


@pytest.mark.parametrize('text', ['[' * 100_000, '{"a":' + '[' * 100_000, '{' * 2_000])
def test_deep_nesting_is_refused(text):
    assert 'nested too deeply' in refused(parse_tree, text, HERE)


def test_deeply_nested_xml_is_survived():
    with pytest.raises(FileFormatError):
        numbers(parse_tree('<a>' * 30_000 + '</a>' * 30_000, HERE), 'a', HERE)


def test_the_time_of_a_text_grows_with_its_length_up_to_the_largest_allowed():
    spent = []
    most = MAX_BYTES // 5 - 2
    for count in (most // 8, most):
        text = 'a: [' + ','.join(['1.25'] * count) + ']'
        assert len(text) <= MAX_BYTES
        began = time.process_time()
        assert numbers(parse_tree(text, HERE), 'a', HERE).size == count
        spent.append(time.process_time() - began)
    # 8 times as long; with the square of its length it would be 64 times.
    assert spent[1] < 24 * spent[0]


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'is empty'),
        (b' \n\t ', 'is empty'),
        (b'\x89PNG\r\n\x1a\n', 'not a UTF-8 text'),
        (b'a: 1\n\x00', 'binary'),
        ('a: ü'.encode('latin-1'), 'not a UTF-8 text'),
        (b'a' * (MAX_BYTES + 1), 'more than 256 kB'),
    ],
)
def test_a_file_that_is_no_small_text_is_refused(tmp_path, content, reason):
    path = tmp_path / 'a.yaml'
    path.write_bytes(content)
    assert reason in refused(read_text, path)


def test_a_path_that_is_no_readable_file_is_refused(tmp_path):
    assert 'No such file' in refused(read_text, tmp_path / 'missing.yaml')
    assert 'not a file' in refused(read_text, tmp_path)
    os.mkfifo(tmp_path / 'pipe')
    assert 'not a file' in refused(read_text, tmp_path / 'pipe')
    assert 'not a file' in refused(read_text, Path('/dev/zero'))
    assert 'cannot read' in refused(read_text, Path('a\0b'))
    assert 'cannot read' in refused(read_text, Path('a' * 5000))


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('value', 'reason'),
    [
        ('1 2 3', 'no matrix'),
        (None, 'no matrix'),
        ({'rows': 1, 'cols': 1, 'data': '$base64$AAAA'}, 'no matrix'),
        ({'rows': 2, 'cols': 2, 'data': [1, 2, 3]}, 'holds 3 numbers but says 2 x 2'),
        ({'rows': 'two', 'cols': 2, 'data': [1]}, "'two'"),
        ({'rows': 1.5, 'cols': 2, 'data': [1]}, 'whole number'),
        ([1, float('nan')], 'nan'),
        ([1, '.Nan'], "'.Nan'"),
        ([1, '1e999'], "'1e999'"),
        ([10**400], '...'),
        ([True], 'True'),
        ([None], 'None'),
        ([[[1]]], '[1]'),
        ([{'a': 1}], "{'a': 1}"),
    ],
)
def test_what_is_not_finite_numbers_is_refused(value, reason):
    assert reason in refused(numbers, {'K1': value}, 'K1', HERE)


@pytest.mark.parametrize(
    ('value', 'shape'),
    [
        ([[1, 2, 3], [4, 5, 6]], (2, 3)),
        ([1, 2, 3, 4, 5, 6], (2, 3)),
        ({'rows': 2, 'cols': 3, 'data': [1, 2, 3, 4, 5, 6]}, (2, 3)),
        ({'rows': 6, 'cols': 1, 'data': [1, 2, 3, 4, 5, 6]}, (1, 6)),
        ({'sizes': [6], 'data': [1, 2, 3, 4, 5, 6]}, (6, 1)),
    ],
)
def test_a_matrix_may_be_written_in_several_ways(value, shape):
    expected = np.arange(1.0, 7.0).reshape(shape)
    np.testing.assert_array_equal(matrix({'P': value}, 'P', shape, HERE), expected)


def test_a_transposed_matrix_is_refused():
    value = {'rows': 4, 'cols': 3, 'data': list(range(12))}
    assert '4 x 3; expected 3 x 4' in refused(matrix, {'P1': value}, 'P1', (3, 4), HERE)


@given(st.text(alphabet=st.sampled_from('{}[]<>!&*%:-,.#|?"\' \n\tab1eE/$'), max_size=80))
def test_any_text_gives_a_tree_or_a_clear_refusal(text):
    try:
        assert isinstance(parse_tree(text, HERE), dict)
    except FileFormatError as error:
        assert str(error).startswith('file.yaml')
        assert '\n' not in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(['rows', 'cols', 'data', 'sizes', 'dt']), children, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_value_gives_finite_numbers_or_a_clear_refusal(value):
    tree = parse_tree(json.dumps({'K1': value}), HERE)
    try:
        assert np.isfinite(numbers(tree, 'K1', HERE)).all()
    except FileFormatError as error:
        assert str(error).startswith('file.yaml: K1')
