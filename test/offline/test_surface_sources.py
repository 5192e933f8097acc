"""Frames out of pairs, lists and folders; what fails says so and leaves the others alone."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.images import read_rgb, write_image
from msdesis_ros.data.surface_folders import surface_folders
from msdesis_ros.offline.pair_list import PairRow
from msdesis_ros.offline.surface_sources import (
    FolderSource,
    MaskFiles,
    NamedPair,
    PairSource,
    pairs_below,
    pairs_of_folders,
    pairs_of_rows,
)


def rig_of(calibration, image_size) -> StereoRig:
    return StereoRig.from_focal_and_baseline(
        image_size=image_size, focal_px=100.0, baseline_m=0.004
    )


@pytest.fixture
def open_source(fake_backend):
    """A source over rows with the fake model; counts how often the model is opened."""
    opened = []

    @contextlib.contextmanager
    def open_backend(image_size):
        opened.append(image_size)
        yield fake_backend
        fake_backend.close()

    def make(rows, **options) -> PairSource:
        source = PairSource(
            pairs_of_rows(rows), open_backend=open_backend, rig_of=rig_of, **options
        )
        source.opened = opened
        return source

    return make


def test_a_pair_becomes_its_depth_its_picture_and_its_tool(open_source, pair_rows, fake_backend):
    rows = pair_rows(2)
    with open_source(rows) as source:
        assert source.names == ['000', '001'] and not source.opened
        frame = source.frame(1)
        source.frame(0)
        assert source.opened == [(64, 48)] and not fake_backend.closed
    assert fake_backend.closed
    left = read_rgb(rows[1].left)
    tool = left[..., 0] % 2 == 1
    disparity = left[..., 0].astype(float) / 16
    inside = disparity <= np.arange(64)
    np.testing.assert_array_equal(np.isfinite(frame.depth_m), inside)
    np.testing.assert_allclose(frame.depth_m[inside], 0.4 / disparity[inside], rtol=1e-5)
    np.testing.assert_array_equal(frame.labels, tool)
    np.testing.assert_array_equal(frame.colours[~tool], left[~tool])
    assert frame.geometry.focal_px == 100.0 and frame.model.name == 'fake'


def test_masks_by_name_stand_for_those_of_the_model(open_source, pair_rows, tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[:5] = 255
    write_image(tmp_path / 'masks' / '000.png', mask)
    with open_source(pair_rows(2), masks=MaskFiles(tmp_path / 'masks')) as source:
        np.testing.assert_array_equal(source.frame(0).labels, mask > 0)
        with pytest.raises(FileFormatError, match='no mask of the name 001'):
            source.frame(1)


def test_one_mask_file_is_that_of_any_frame(tmp_path):
    write_image(tmp_path / 'm.png', np.full((3, 4), 7, np.uint8))
    assert MaskFiles(tmp_path / 'm.png').of('whatever').all()


def test_a_pair_whose_depth_is_withheld_says_why(open_source, pair_rows):
    rows = pair_rows(2)
    write_image(rows[0].left, np.zeros((48, 64, 3), np.uint8))
    with open_source(rows) as source:
        with pytest.raises(MsdesisError, match=r'000 has no depth: the left picture is black'):
            source.frame(0)
        assert np.isfinite(source.frame(1).depth_m).any()


def test_a_model_without_disparity_makes_no_surface(pair_rows, fake_backend_with):
    backend = fake_backend_with(('instrument_mask',))
    source = PairSource(
        pairs_of_rows(pair_rows(1)),
        open_backend=lambda size: contextlib.nullcontext(backend),
        rig_of=rig_of,
    )
    with source, pytest.raises(MsdesisError, match='fake gives no disparity'):
        source.frame(0)


def test_pictures_of_unknown_geometry_are_wrong_use(pair_rows, fake_backend):
    source = PairSource(
        pairs_of_rows(pair_rows(1)),
        open_backend=lambda size: contextlib.nullcontext(fake_backend),
        rig_of=lambda calibration, size: None,
    )
    with source, pytest.raises(UsageError, match='needs metres'):
        source.frame(0)


def test_rows_that_share_a_name_are_told_apart_by_folder_or_line(tmp_path):
    rows = [
        PairRow(line, tmp_path / folder / name, tmp_path / 'r' / name, {}, calibration)
        for line, folder, name, calibration in (
            (2, 'a', '1.png', None),
            (3, 'b', '1.png', 'c.json'),
            (5, 'b', '2.png', None),
            (6, '000012', 'left.png', None),
            (7, '000013', 'left.png', None),
            (8, 'x/000012', 'right.png', None),
            (9, 'y/000012', 'right.png', None),
        )
    ]
    pairs = pairs_of_rows(rows)
    # The last number of a name is that of its pose: not the line's, where another one is known.
    names = ['a_1', 'b_1', '2', '000012_left', '000013_left']
    names += ['000008_000012_right', '000009_000012_right']
    assert [pair.name for pair in pairs] == names
    assert [pair.calibration for pair in pairs] == [None, 'c.json', *[None] * 5]


def test_a_folder_with_left_and_right_in_it_is_paired_by_name(pair_rows, tmp_path):
    pair_rows(2)
    below = pairs_below(tmp_path)
    assert below == pairs_of_folders(tmp_path / 'left', tmp_path / 'right')
    assert [pair.name for pair in below] == ['000', '001']
    (tmp_path / 'right' / '001.png').unlink()
    with pytest.raises(UsageError, match=r'001\.png only in'):
        pairs_below(tmp_path)


def test_pairs_are_found_by_the_words_in_their_names(tmp_path):
    for name in ('left_10.png', 'right_10.png', 'left_9.png', 'right_9.png'):
        write_image(tmp_path / name, np.zeros((2, 2, 3), np.uint8))
    assert pairs_below(tmp_path) == [
        NamedPair('left_9', tmp_path / 'left_9.png', tmp_path / 'right_9.png'),
        NamedPair('left_10', tmp_path / 'left_10.png', tmp_path / 'right_10.png'),
    ]


@pytest.mark.parametrize('name', [None, 'picture.png'])
def test_a_folder_without_pairs_says_what_is_expected(tmp_path, name):
    if name:
        write_image(tmp_path / name, np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(FileFormatError, match=r'expected depth\.tiff'):
        pairs_below(tmp_path)


def test_folders_with_depth_are_frames_by_their_names(tmp_path):
    for name in ('000000', '000001'):
        write_image(tmp_path / name / 'depth.tiff', np.full((6, 8), 0.1, np.float32))
        write_image(tmp_path / name / 'left.png', np.full((6, 8, 3), 9, np.uint8))
    source = FolderSource(
        [tmp_path / '000000', tmp_path / '000001'], rig_of=rig_of, masks=None, alpha=-1.0
    )
    assert source.names == ['000000', '000001']
    frame = source.frame(1)
    assert frame.name == '000001' and (frame.colours == 9).all()


def test_links_to_folders_of_one_name_are_frames_of_their_own(tmp_path):
    for run in ('run_1', 'run_2'):
        write_image(tmp_path / run / 'pair' / 'depth.tiff', np.full((6, 8), 0.1, np.float32))
        (tmp_path / 'all').mkdir(exist_ok=True)
        (tmp_path / 'all' / run).symlink_to(tmp_path / run / 'pair')
    source = FolderSource(surface_folders(tmp_path / 'all'), rig_of=rig_of)
    assert source.names == ['run_1', 'run_2']


def test_names_that_differ_in_folders_alone_stay_apart(tmp_path):
    for side in ('left', 'right'):
        for folder, name in (('a', f'b_{side}'), ('a_b', side)):
            write_image(tmp_path / folder / f'{name}.png', np.zeros((2, 2, 3), np.uint8))
    assert [pair.name for pair in pairs_below(tmp_path)] == ['000000_a_b_left', '000001_a_b_left']
