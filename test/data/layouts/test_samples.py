"""Samples as arrays: units, signs, what is unknown, and files that hold something else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.layouts.samples import (
    Sample,
    SampleFiles,
    in_split,
    load,
    read_disparity,
    read_mask,
)

NAN = np.nan
FUZZ = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sample_of(tree, **files):
    left = tree.picture('left.png')
    return Sample(name='one', split='train', left=left, image_size=(6, 4), **files)


def test_a_16_bit_disparity_is_its_value_over_128_and_0_is_unknown(tree):
    path = tree.array('d.png', np.array([[0, 1, 64], [128, 320, 65535]], np.uint16))
    disparity_px = read_disparity(path)
    assert disparity_px.dtype == np.float32
    np.testing.assert_array_equal(disparity_px, [[NAN, 0.0078125, 0.5], [1.0, 2.5, 511.9921875]])


def test_another_scale_is_used_as_given(tree):
    path = tree.array('d.png', np.array([[640]], np.uint16))
    assert read_disparity(path, scale=256.0).item() == 2.5


def test_8_bit_disparities_are_refused_since_their_unit_is_unknown(tree):
    path = tree.grey('d.png', fill=3, bits=8)
    with pytest.raises(FileFormatError, match='uint8 .*expected one grey channel of uint16'):
        read_disparity(path)


@pytest.mark.parametrize('sign', [1.0, -1.0], ids=['as stored in the full set', 'in the subset'])
def test_a_pfm_of_either_sign_gives_positive_disparities(tree, sign):
    path = tree.pfm('d.pfm', [[sign * 2.5, sign * 40.0], [sign * 0.25, sign * 7.0]])
    np.testing.assert_array_equal(read_disparity(path), [[2.5, 40.0], [0.25, 7.0]])


def test_what_is_no_disparity_in_front_of_the_cameras_is_unknown(tree):
    # The absolute value would make a disparity of 3 px out of a place behind the cameras.
    path = tree.pfm('d.pfm', [[-2.5, -4.0, 3.0], [0.0, NAN, -np.inf]])
    np.testing.assert_array_equal(read_disparity(path), [[2.5, 4.0, NAN], [NAN, NAN, NAN]])


def test_a_disparity_without_any_known_pixel_is_all_unknown(tree):
    assert np.isnan(read_disparity(tree.pfm('d.pfm', [[0.0, NAN]]))).all()


def test_a_pfm_of_three_channels_is_no_disparity(tree):
    with pytest.raises(FileFormatError, match='three channels'):
        read_disparity(tree.put('d.pfm', b'PF\n1 1\n-1\n' + bytes(12)))


def test_a_mask_is_true_where_it_is_255(tree):
    mask = read_mask(tree.array('m.png', np.array([[0, 255], [255, 0]], np.uint8)))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, [[False, True], [True, False]])


@pytest.mark.parametrize('value', [1, 20, 127, 254])
def test_a_mask_with_values_between_or_labels_is_refused(tree, value):
    path = tree.array('m.png', np.array([[0, value, 255]], np.uint8))
    with pytest.raises(FileFormatError, match=f'the value {value}; expected 0 and 255'):
        read_mask(path)


@pytest.mark.parametrize(
    ('array', 'reason'),
    [
        (np.zeros((4, 6, 3), np.uint8), 'shape'),
        (np.zeros((4, 6), np.uint16), 'uint16'),
    ],
)
def test_a_mask_of_other_samples_is_refused(tree, array, reason):
    with pytest.raises(FileFormatError, match=reason):
        read_mask(tree.array('m.png', array))


def test_everything_a_sample_has_is_loaded_and_the_rest_is_none(tree):
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 2] = 200  # OpenCV's order
    tree.array('right.png', red)
    tree.array('d.png', np.array([[0, 128, 256, 0, 0, 0]] * 4, np.uint16))
    tree.grey('m.png', fill=255, bits=8)
    sample = sample_of(
        tree,
        right=tree.root / 'right.png',
        disparity=tree.root / 'd.png',
        instrument_mask=tree.root / 'm.png',
    )
    assert sample.truth == ('disparity', 'instrument_mask')
    loaded = load(sample)
    assert loaded.left.shape == (4, 6, 3) and loaded.left.dtype == np.uint8
    np.testing.assert_array_equal(loaded.right[0, 0], [200, 0, 0])
    np.testing.assert_array_equal(loaded.disparity_px[0], [NAN, 1, 2, NAN, NAN, NAN])
    np.testing.assert_array_equal(loaded.disparity_valid[0], [0, 1, 1, 0, 0, 0])
    assert loaded.instrument_mask.all()

    alone = sample_of(tree)
    assert alone.truth == ()
    loaded = load(alone)
    assert loaded.right is None and loaded.disparity_px is None and loaded.instrument_mask is None
    assert loaded.disparity_valid is None


@pytest.mark.parametrize('role', ['right', 'disparity', 'instrument_mask'])
def test_a_file_that_changed_its_size_since_the_check_is_named(tree, role):
    if role == 'right':
        path = tree.picture('b.png', size=(5, 4))
    else:
        path = tree.grey('b.png', fill=0, bits=16 if role == 'disparity' else 8, size=(5, 4))
    with pytest.raises(FileFormatError, match='b.png is 5x4 px; expected 6x4 px'):
        load(sample_of(tree, **{role: path}))


@FUZZ
@given(
    role=st.sampled_from(['right', 'disparity', 'instrument_mask']),
    kept=st.floats(0, 0.999),
)
def test_a_cut_file_is_one_sentence_that_names_it(tree, role, kept):
    if role == 'right':
        path = tree.picture('b.png')
    else:
        path = tree.grey('b.png', fill=255, bits=16 if role == 'disparity' else 8)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(FileFormatError) as caught:
        load(sample_of(tree, **{role: path}))
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


@FUZZ
@given(at=st.integers(8, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_never_changes_a_truth_unseen(tree, at, bit):
    values = np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000
    content = bytearray(cv2.imencode('.png', values)[1].tobytes())
    content[at % len(content)] ^= 1 << bit
    path = tree.put('d.png', bytes(content))
    try:
        disparity_px = read_disparity(path)
    except FileFormatError as error:
        assert str(path) in str(error)
        return
    np.testing.assert_array_equal(np.nan_to_num(disparity_px) * 128, values)


def test_a_sample_with_an_unknown_split_or_scale_is_refused(tree):
    with pytest.raises(UsageError, match="'dev' is unknown; known are train, validation, test"):
        SampleFiles(name='one', split='dev', left=tree.root / 'a.png')
    for scale in (0.0, -1.0, NAN):
        with pytest.raises(UsageError, match='disparity_scale'):
            SampleFiles(name='one', split=None, left=tree.root / 'a.png', disparity_scale=scale)


def test_an_unknown_split_is_refused_rather_than_empty(tree):
    sample = sample_of(tree)
    assert in_split([sample], 'train') == [sample] and in_split([sample], 'test') == []
    with pytest.raises(UsageError, match="'val' is unknown"):
        in_split([sample], 'val')
