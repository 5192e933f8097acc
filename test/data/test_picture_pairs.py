from __future__ import annotations

from pathlib import Path

import pytest

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.picture_pairs import find_pairs


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def test_two_files_are_one_pair(tmp_path: Path) -> None:
    pictures = folder(tmp_path / 'p', 'a.png', 'b.png')
    pair = (pictures / 'a.png', pictures / 'b.png')
    assert find_pairs(left=pair[0], right=str(pair[1])) == (pair,)


def test_folders_are_paired_in_natural_order(tmp_path: Path) -> None:
    left = folder(tmp_path / 'l', 'f_10.png', 'f_9.png', 'f_1.png')
    right = folder(tmp_path / 'r', '0009.jpg', '0001.jpg', '0100.jpg')
    names = [(a.name, b.name) for a, b in find_pairs(left=left, right=right)]
    assert names == [('f_1.png', '0001.jpg'), ('f_9.png', '0009.jpg'), ('f_10.png', '0100.jpg')]


def test_names_that_start_with_digits_and_letters_can_be_sorted(tmp_path: Path) -> None:
    left = folder(tmp_path / 'l', '1.png', 'a.png', '²3.png', 'a1b2.png')
    right = folder(tmp_path / 'r', '1.png', '2.png', '3.png', '4.png')
    assert len(find_pairs(left=left, right=right)) == 4


def test_what_is_no_picture_is_passed_over(tmp_path: Path) -> None:
    left = folder(tmp_path / 'l', 'a.PNG', 'notes.txt', '.b.png', 'manifest.json')
    right = folder(tmp_path / 'r', 'a.tiff')
    assert len(find_pairs(left=left, right=right)) == 1


def test_unequal_counts_are_refused_with_both_counts(tmp_path: Path) -> None:
    left, right = folder(tmp_path / 'l', 'a.png', 'b.png'), folder(tmp_path / 'r', 'a.png')
    with pytest.raises(UsageError, match=r'holds 2 pictures and .* holds 1'):
        find_pairs(left=left, right=right)


def test_a_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    left = folder(tmp_path / 'l', 'a.png')
    with pytest.raises(UsageError, match='is a folder and'):
        find_pairs(left=left, right=left / 'a.png')


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    left, right = folder(tmp_path / 'l'), folder(tmp_path / 'r', 'a.png')
    with pytest.raises(FileFormatError, match='holds no pictures'):
        find_pairs(left=left, right=right)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    left = folder(tmp_path / 'l', 'a.png')
    with pytest.raises(FileFormatError, match=r'none\.png does not exist'):
        find_pairs(left=left / 'a.png', right=left / 'none.png')
