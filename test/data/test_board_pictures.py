from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.boards import BoardPair, BoardView, Checkerboard
from msdesis_ros.core.errors import FileFormatError, ImageError, UsageError
from msdesis_ros.data.board_pictures import (
    Pictures,
    board_pictures,
    find_boards,
    has_moved,
    read_pictures,
)
from msdesis_ros.data.images import write_image

sys.path.append(str(Path(__file__).parents[1]))
import board_scenes as scenes

BLANK = np.full((64, 80, 3), 90, np.uint8)


def folder(path: Path, *names: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name in names:
        (path / name).touch()
    return path


def named(files) -> list[tuple[str | None, str | None]]:
    return [(f.left and f.left.name, f.right and f.right.name) for f in files]


def test_equal_names_belong_together_and_the_others_stay_alone(tmp_path):
    left = folder(tmp_path / 'a', '1.png', '2.png', '10.png', 'notes.txt')
    right = folder(tmp_path / 'b', '10.png', '2.png', '3.png')
    found = board_pictures(left, right)
    assert named(found) == [
        ('1.png', None),
        ('2.png', '2.png'),
        ('10.png', '10.png'),
        (None, '3.png'),
    ]
    assert [file.name for file in found] == ['1.png', '2.png', '10.png', '3.png']


@pytest.mark.parametrize(
    ('lefts', 'rights', 'pairs'),
    [
        (('left_1.png', 'left_2.png'), ('right_2.png', 'right_1.png'), 2),
        (('frame_07.png',), ('img-0007.jpg',), 1),
        (('camA.png', 'camB.png'), ('camB.png', 'camC.png'), 1),
        (('l-3.png',), ('r-3.png', 'r-4.png'), 1),
    ],
)
def test_names_are_paired_by_what_they_say_and_never_by_order(tmp_path, lefts, rights, pairs):
    found = board_pictures(folder(tmp_path / 'x', *lefts), folder(tmp_path / 'y', *rights))
    both = [(left, right) for left, right in named(found) if left and right]
    assert len(both) == pairs
    for left, right in both:
        digits = [''.join(filter(str.isdigit, name)).lstrip('0') for name in (left, right)]
        assert digits[0] == digits[1]


def test_one_folder_may_hold_both_sides(tmp_path):
    one = folder(tmp_path / 'one', 'left-0001.png', 'right-0001.png', 'left-0002.png', 'seal.png')
    assert named(board_pictures(one)) == [
        ('left-0001.png', 'right-0001.png'),
        ('left-0002.png', None),
    ]
    assert board_pictures(one, one) == board_pictures(one)
    folder(tmp_path / 'two' / 'left', '5.png')
    folder(tmp_path / 'two' / 'right', '5.png')
    assert named(board_pictures(tmp_path / 'two')) == [('5.png', '5.png')]


def test_names_that_say_nothing_are_refused(tmp_path):
    left, right = folder(tmp_path / 'a', 'x.png'), folder(tmp_path / 'b', 'y.png')
    with pytest.raises(UsageError, match=r'such as x\.png and y\.png'):
        board_pictures(left, right)
    # 01 and 1 are one number: which of them belongs to the right 1 cannot be told.
    with pytest.raises(UsageError, match='cannot|can be paired'):
        board_pictures(folder(tmp_path / 'c', '01.png', '1.png'), folder(tmp_path / 'd', '1.png'))


def test_missing_folders_and_sides_are_named(tmp_path):
    with pytest.raises(FileFormatError, match='is no folder'):
        board_pictures(tmp_path / 'missing', tmp_path)
    with pytest.raises(FileFormatError, match='holds no pictures'):
        board_pictures(folder(tmp_path / 'empty'))
    with pytest.raises(UsageError, match='no pictures of the right eye'):
        board_pictures(folder(tmp_path / 'half', 'left-1.png'))


def test_boards_are_looked_for_in_every_picture_that_is_there(tmp_path):
    pictures = scenes.checkerboard_pictures()
    for number in (0, 1):
        write_image(tmp_path / 'left' / f'{number}.png', pictures[number][0])
    write_image(tmp_path / 'right' / '1.png', pictures[1][1])
    write_image(tmp_path / 'right' / '2.png', pictures[2][1])
    counted = []
    board = Checkerboard(8, 5, 3.0)
    found = find_boards(read_pictures(board_pictures(tmp_path)), board, on_pair=counted.append)
    assert found.image_size == scenes.SIZE
    assert counted == [1, 2, 3]
    seen = {p.name: (p.left is not None, p.right is not None) for p in found.pairs}
    assert seen == {'0.png': (True, False), '1.png': (True, True), '2.png': (False, True)}


def test_pictures_of_two_sizes_are_refused_by_name():
    other = np.full((64, 82, 3), 90, np.uint8)
    board = Checkerboard(8, 5, 3.0)
    with pytest.raises(ImageError, match='right picture b is 82x64 px and the first one 80x64'):
        find_boards([Pictures('a', BLANK, BLANK), Pictures('b', BLANK, other)], board)
    with pytest.raises(FileFormatError, match='no pictures'):
        find_boards([], board)


def test_a_board_has_moved_where_its_corners_have():
    ids = np.arange(12)
    here = BoardView(ids, np.random.default_rng(0).uniform(0, 100, (12, 2)))
    near, far = (BoardView(ids, here.points_px + [by, 0]) for by in (3.0, 9.0))
    elsewhere = BoardView(ids + 20, here.points_px)
    earlier = [BoardPair('a', here, here)]
    assert not has_moved(BoardPair('b', near, near), earlier, by_px=5)
    assert has_moved(BoardPair('b', far, far), earlier, by_px=5)
    assert has_moved(BoardPair('b', elsewhere, None), earlier, by_px=5)
    assert has_moved(BoardPair('b', here, here), [], by_px=5)
    assert not has_moved(BoardPair('b', None, None), [], by_px=5)
