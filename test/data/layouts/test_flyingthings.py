"""FlyingThings3D: sides told below the root only, disparities of either sign."""

from __future__ import annotations

import shutil

import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.layouts.catalogue import scan, survey
from msdesis_ros.data.layouts.samples import in_split, load


def problems(found):
    return {str(p.path.relative_to(found.root)): p.what for p in found.problems}


def test_the_splits_are_the_published_folders(flying):
    samples = scan('flyingthings3d', flying.root)
    assert [sample.name for sample in in_split(samples, 'train')] == [
        'train/image_clean/0000000',
        'train/image_clean/0000001',
    ]
    assert [s.name for s in in_split(samples, 'validation')] == ['val/image_clean/0000000']
    assert len(samples) == 3


def test_a_pair_is_loaded_with_positive_disparities(flying):
    loaded = load(scan('flyingthings3d', flying.root)[1])
    assert (loaded.left == 11).all() and (loaded.right == 21).all()
    # -2 is stored.
    assert (loaded.disparity_px == 2.0).all()


@pytest.mark.parametrize('name', ['left_eye_data', 'right', 'copyright', 'left'])
def test_the_name_of_the_root_tells_no_side(flying, tmp_path, name):
    root = tmp_path / name / 'right-left'
    shutil.copytree(flying.root, root)
    samples = scan('flyingthings3d', root)
    assert len(samples) == 3
    for sample in samples:
        assert sample.left.parent.name == 'left' and sample.right.parent.name == 'right'
        assert (load(sample).left < 20).all() and (load(sample).right >= 20).all()


def test_the_full_set_keeps_frames_of_one_number_apart(tree):
    for scene, shift in (('A/0000', 1.0), ('A/0001', 2.0), ('B/0000', 3.0)):
        for split in ('train', 'val'):
            tree.picture(f'{split}/frames_cleanpass/{scene}/left/0006.png')
            tree.picture(f'{split}/frames_cleanpass/{scene}/right/0006.png')
            tree.pfm(f'{split}/disparity/{scene}/left/0006.pfm', [[shift] * 6] * 4, scale='1.0')
            tree.pfm(f'{split}/disparity/{scene}/right/0006.pfm', [[-9.0] * 6] * 4)
    samples = scan('flyingthings3d', tree.root)
    assert [load(sample).disparity_px[0, 0] for sample in samples] == [1, 2, 3, 1, 2, 3]
    assert samples[1].name == 'train/frames_cleanpass/A/0001/0006'


def test_both_renderings_of_a_frame_share_its_disparity(flying):
    for side in ('left', 'right'):
        flying.picture(f'val/image_final/{side}/0000000.png', fill=99)
    samples = in_split(scan('flyingthings3d', flying.root), 'validation')
    assert [s.name for s in samples] == ['val/image_clean/0000000', 'val/image_final/0000000']
    assert samples[0].disparity == samples[1].disparity


def test_other_published_files_are_neither_pictures_nor_disparities(flying):
    flying.grey('train/disparity_occlusions/left/0000000.png', fill=255, bits=8)
    flying.grey('train/motion_boundaries/left/0000000.png', fill=255, bits=8)
    flying.pfm('train/disparity_change/left/into_future/0000000.pfm', [[5.0] * 6] * 4)
    flying.pfm('train/object_segmentation/left/0000000.pfm', [[5.0] * 6] * 4)
    flying.put('train/flow/left/into_past/0000001.flo', b'PIEH')
    samples = scan('flyingthings3d', flying.root)
    assert len(samples) == 3 and (load(samples[0]).disparity_px == 1.0).all()


def test_missing_partners_are_named(flying):
    flying.remove('train/image_clean/right/0000000.png')
    flying.remove('train/disparity/left/0000001.pfm')
    flying.remove('val/image_clean/left/0000000.png')
    found = survey('flyingthings3d', flying.root)
    assert sorted(problems(found)) == [
        'train/disparity/left/0000001.pfm',
        'train/image_clean/right/0000000.png',
        'val/image_clean/left/0000000.png',
    ]
    assert found.samples == ()


def test_files_in_a_wrong_place_or_of_a_wrong_kind_are_named(flying):
    flying.picture('train/image_clean/0000009.png')
    flying.picture('train/left/right/0000009.png')
    flying.picture('train/disparity/left/0000000.png')
    flying.pfm('val/disparity/left/0000007.pfm')
    flying.pfm('val/left/0000000.pfm')
    flying.pfm('train/disparity/left/0000000.pfm', [[1.0] * 5] * 4)
    flying.put('train/disparity/left/0000001.pfm', b'PF\n6 4\n-1\n' + bytes(6 * 4 * 12))
    named = problems(survey('flyingthings3d', flying.root))
    assert 'one folder left or right' in named.pop('train/image_clean/0000009.png')
    assert 'one folder left or right' in named.pop('train/left/right/0000009.png')
    assert 'among the disparities' in named.pop('train/disparity/left/0000000.png')
    assert 'no picture belongs' in named.pop('val/disparity/left/0000007.pfm')
    assert 'second disparity' in named.pop('val/left/0000000.pfm')
    wrong = named.pop('train/disparity/left/0000000.pfm')
    assert wrong == '5x4 px; train/image_clean/left/0000000.png is 6x4 px'
    assert 'floats in one channel' in named.pop('train/disparity/left/0000001.pfm')
    assert not named


def test_the_folders_of_another_version_are_named_beside_the_missing_ones(flying):
    (flying.root / 'train').rename(flying.root / 'TRAIN')
    with pytest.raises(FileFormatError, match='train: no such folder; beside it are TRAIN, val'):
        scan('flyingthings3d', flying.root)


def test_a_cut_disparity_is_named_before_anything_is_loaded(flying):
    path = flying.root / 'train/disparity/left/0000001.pfm'
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FileFormatError, match=r'left/0000001.pfm: has 107 bytes; expected 108'):
        scan('flyingthings3d', flying.root)


def test_linked_folders_are_followed_and_a_circle_ends(flying, tmp_path):
    (flying.root / 'train').rename(tmp_path / 'elsewhere')
    (flying.root / 'train').symlink_to(tmp_path / 'elsewhere', target_is_directory=True)
    (tmp_path / 'elsewhere' / 'again').symlink_to(flying.root / 'train', target_is_directory=True)
    assert len(in_split(scan('flyingthings3d', flying.root), 'train')) == 2
