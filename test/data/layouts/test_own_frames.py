"""Own frames: pairs by their names, whatever the folders, and never by their order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.data.layouts.catalogue import scan, survey
from msdesis_ros.data.layouts.samples import load


def problems(found):
    return {str(p.path.relative_to(found.root)): p.what for p in found.problems}


@pytest.mark.parametrize(
    ('left', 'right'),
    [
        ('left/0001.png', 'right/0001.png'),
        ('left_rectified/0001.png', 'right_rectified/0001.png'),
        ('Left/0001.PNG', 'Right/0001.PNG'),
        ('left/left_0001.jpg', 'right/right_0001.jpg'),
        ('0001_left.png', '0001_right.png'),
        ('left0001.jpg', 'right0001.jpg'),
        ('Left_Image.png', 'Right_Image.png'),
        ('take 3/LEFT/0001.bmp', 'take 3/RIGHT/0001.bmp'),
        ('0001_L.png', '0001_R.png'),
        ('0001L.png', '0001R.png'),
        ('L/0001.tiff', 'R/0001.tiff'),
        ('l_eye/bright/0001.png', 'r_eye/bright/0001.png'),
        ('left/0001.png', 'right/0001.jpg'),
    ],
)
def test_sides_are_told_by_folder_or_name(tree, left, right):
    tree.picture(left, fill=0)
    tree.picture(right, fill=255)
    (sample,) = scan('own_frames', tree.root)
    assert (sample.left, sample.right) == (tree.root / left, tree.root / right)
    assert sample.split is None and sample.truth == ()
    loaded = load(sample)
    assert (loaded.left < 9).all() and (loaded.right > 246).all()
    assert loaded.disparity_px is None and loaded.instrument_mask is None


@pytest.mark.parametrize('root', ['left', 'my_right', 'L'])
def test_the_name_of_the_root_tells_no_side(tree, root):
    tree.picture(f'{root}/left/1.png')
    tree.picture(f'{root}/right/1.png')
    (sample,) = scan('own_frames', tree.root / root)
    assert sample.right.parent.name == 'right'


def test_several_takes_stay_apart_and_frames_come_in_natural_order(tree):
    for take in ('a', 'b'):
        for frame in (9, 10, 1):
            for number, side in enumerate(('left', 'right')):
                tree.picture(f'{take}/{side}/{frame}.png', fill=frame + 100 * number)
    samples = scan('own_frames', tree.root)
    assert [sample.name for sample in samples] == [
        f'{take}/left/{frame}' for take in ('a', 'b') for frame in (1, 9, 10)
    ]
    assert all((load(s).right == load(s).left + 100).all() for s in samples)


def test_a_lost_frame_is_named_and_the_later_ones_keep_their_partners(tree):
    for frame in range(5):
        tree.picture(f'left/{frame}.png', fill=frame)
        if frame != 2:
            tree.picture(f'right/{frame}.png', fill=100 + frame)
    found = survey('own_frames', tree.root)
    assert list(problems(found)) == ['right/2.png']
    # By order the pairs after the lost one would be 3 with 4's picture, and the last one lost.
    loaded = [load(sample) for sample in found.samples]
    assert [int(one.left[0, 0, 0]) for one in loaded] == [0, 1, 3, 4]
    assert [int(one.right[0, 0, 0]) for one in loaded] == [100, 101, 103, 104]


@pytest.mark.parametrize(
    ('present', 'missing'),
    [
        ('right/1.png', 'left/1.png'),
        ('Left_1.png', 'Right_1.png'),
        ('a/RIGHT/right.bmp', 'a/LEFT/left.bmp'),
        ('1L.png', '1R.png'),
        ('1_r.png', '1_l.png'),
    ],
)
def test_the_missing_partner_is_named_as_it_should_be_called(tree, present, missing):
    tree.picture(present)
    assert list(problems(survey('own_frames', tree.root))) == [missing]


def test_names_without_or_with_both_sides_are_named_with_the_reason(tree):
    tree.picture('left/1.png')
    tree.picture('right/1.png')
    tree.picture('overview.png')
    tree.picture('bright/leftover.png')
    tree.picture('left/right_2.png')
    tree.picture('left/1.bmp')
    tree.put('left/notes.txt', b'')
    tree.put('left/.hidden.png', b'')
    named = problems(survey('own_frames', tree.root))
    assert 'neither left nor right' in named.pop('overview.png')
    assert 'neither left nor right' in named.pop('bright/leftover.png')
    assert 'both left and right' in named.pop('left/right_2.png')
    assert 'but for the suffix' in named.pop('left/1.png')
    assert not named


def test_pictures_of_different_size_or_depth_are_named(tree):
    tree.picture('left/1.png')
    tree.picture('right/1.png', size=(8, 4))
    tree.picture('left/2.png')
    tree.grey('right/2.png', fill=1, bits=16)
    assert problems(survey('own_frames', tree.root)) == {
        'right/1.png': '8x4 px; left/1.png is 6x4 px',
        'right/2.png': '16 bits in one grey channel; expected 8 bits per channel',
    }


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lefts=st.sets(st.integers(0, 12), max_size=6),
    rights=st.sets(st.integers(0, 12), max_size=6),
    pattern=st.sampled_from(['{}/{:03d}.png', '{1:d}_{0}.png', '{0}{1:04d}.png']),
)
def test_each_file_is_in_a_pair_or_has_its_partner_named(
    tmp_path_factory, tree, lefts, rights, pattern
):
    root = tmp_path_factory.mktemp('own')
    content = tree.picture('any.png').read_bytes()
    for side, frames in (('left', lefts), ('right', rights)):
        for frame in frames:
            path = root / pattern.format(side, frame)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    found = survey('own_frames', root)
    expected = {root / pattern.format('left', frame) for frame in lefts & rights}
    assert {sample.left for sample in found.samples} == expected
    missing = {root / pattern.format('right', frame) for frame in lefts - rights}
    missing |= {root / pattern.format('left', frame) for frame in rights - lefts}
    assert {problem.path for problem in found.problems} == missing
