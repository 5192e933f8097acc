from __future__ import annotations

import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.offline.pair_folders import pair_by_name
from msdesis_ros.offline.pair_list import require_no_conflicts


@pytest.fixture
def folders(tmp_path):
    def make(left, right):
        for side, names in (('l', left), ('r', right)):
            (tmp_path / side).mkdir()
            for name in names:
                (tmp_path / side / name).touch()
        return tmp_path / 'l', tmp_path / 'r'

    return make


def test_pairs_have_one_name_and_come_in_natural_order(folders):
    left, right = folders(['10.png', '9.png'], ['9.png', '10.png', 'notes.txt', '.8.png'])
    rows = pair_by_name(left, right, {'disparity': 'out'})
    assert [(row.left, row.right) for row in rows] == [
        (left / name, right / name) for name in ('9.png', '10.png')
    ]
    assert [row.outputs['disparity'].name for row in rows] == ['9.png', '10.png']
    assert all(path.is_absolute() for row in rows for path in row.outputs.values())


def test_names_that_differ_are_named(folders):
    # The release cut the longer list off, and paired the rest by position.
    left, right = folders(['a.png', 'b.png', 'c.png'], ['a.png', 'd.png'])
    with pytest.raises(UsageError) as refused:
        pair_by_name(left, right, {})
    assert 'b.png, c.png only in' in str(refused.value)
    assert f'd.png only in {right}' in str(refused.value)


def test_many_names_that_differ_are_counted(folders):
    left, right = folders([f'{i}.png' for i in range(9)], ['0.png'])
    with pytest.raises(UsageError, match='1.png, 2.png, 3.png, 4.png, 5.png and 3 more only in'):
        pair_by_name(left, right, {})


def test_one_folder_for_both_eyes_is_refused(folders, tmp_path):
    left, _ = folders(['a.png'], [])
    (tmp_path / 'link').symlink_to(left)
    with pytest.raises(UsageError, match='both eyes'):
        pair_by_name(left, tmp_path / 'link', {})


def test_a_folder_that_is_missing_or_empty_is_named(folders, tmp_path):
    left, right = folders(['a.png'], ['a.txt'])
    with pytest.raises(FileFormatError, match='no pictures'):
        pair_by_name(left, right, {})
    with pytest.raises(FileFormatError, match='is no folder'):
        pair_by_name(left, tmp_path / 'none', {})


def test_two_pictures_whose_results_would_share_a_name_are_noticed(folders):
    rows = pair_by_name(*folders(['a.png', 'a.jpg'], ['a.png', 'a.jpg']), {'disparity': 'out'})
    with pytest.raises(UsageError, match='a file of its own'):
        require_no_conflicts(rows)
