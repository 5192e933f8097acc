"""`msdesis create-io-csv`: what it writes is what `msdesis infer csv` reads."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from msdesis_ros.offline.pair_list import read_pair_list


@pytest.fixture
def create(run_command, tmp_path, monkeypatch):
    """Run the command in a folder with left/ and right/, of two pictures each."""
    monkeypatch.chdir(tmp_path)
    for side in ('left', 'right'):
        (tmp_path / side).mkdir()
        for name in ('b.png', 'a.png'):
            (tmp_path / side / name).touch()
    return run_command('create-io-csv')


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_a_list_has_absolute_paths_in_order_and_goes_to_paths_csv(create, tmp_path):
    code, out, _ = create('left', 'right')
    assert code == 0 and '2 pairs' in out
    expected = [
        {'left': f'{tmp_path}/left/{name}', 'right': f'{tmp_path}/right/{name}'}
        for name in ('a.png', 'b.png')
    ]
    assert table(tmp_path / 'paths.csv') == expected


# The release crashed with the first, wrote two empty columns with the second, and swapped the
# names of the third.
@pytest.mark.parametrize(
    'kinds', [('disparity',), ('segmentation',), ('disparity', 'segmentation')]
)
@pytest.mark.parametrize('dash', ['-', '_'])
def test_each_folder_of_results_is_a_column_of_its_own(create, tmp_path, kinds, dash):
    options = []
    for kind in kinds:
        options += [f'--{kind}{dash}out{dash}dir', f'out/{kind}']
    assert create('left', 'right', f'--out{dash}path', 'lists/l.csv', *options)[0] == 0
    (first, _) = table(tmp_path / 'lists' / 'l.csv')
    assert list(first) == ['left', 'right', *kinds]
    for kind in kinds:
        assert first[kind] == f'{tmp_path}/out/{kind}/a.png'
    rows = read_pair_list(tmp_path / 'lists' / 'l.csv').rows
    assert len(rows) == 2, 'the header is no sample'
    assert {k: str(p) for k, p in rows[1].outputs.items()} == {
        kind: f'{tmp_path}/out/{kind}/b.png' for kind in kinds
    }


def test_names_that_differ_are_named_and_nothing_is_written(create, tmp_path):
    (tmp_path / 'right' / 'b.png').rename(tmp_path / 'right' / 'c.png')
    code, _, err = create('left', 'right')
    assert code == 2 and 'b.png only in' in err and 'c.png only in' in err
    (tmp_path / 'right' / 'c.png').unlink()
    code, _, err = create('left', 'right')
    assert code == 2 and 'b.png only in' in err, 'the longer list is not cut off'
    assert not (tmp_path / 'paths.csv').exists()


@pytest.mark.parametrize(
    ('options', 'code', 'words'),
    [
        (['--disparity-out-dir', 'left'], 2, 'would replace'),
        (['--disparity-out-dir', 'o', '--segmentation-out-dir', 'o'], 2, 'a file of its own'),
        (['--out-path', 'left/a.png/x.csv'], 1, 'cannot write'),
    ],
)
def test_lists_that_would_do_harm_are_not_written(create, tmp_path, options, code, words):
    found, _, err = create('left', 'right', *options)
    assert found == code and words in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / 'paths.csv').exists()


def test_a_folder_that_is_missing_is_one_sentence(create):
    code, _, err = create('left', 'nowhere')
    assert code == 1 and 'nowhere is no folder' in err
