"""Training shards: frames come back within the stated errors, and damage is named."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from msdesis_ros.core.errors import FileFormatError, ImageError, UsageError
from msdesis_ros.data.synth.dataset_plan import DatasetPlan
from msdesis_ros.data.synth.frame_record import (
    decode_crop,
    decode_frame,
    encode_frame,
)
from msdesis_ros.data.synth.shards import (
    ShardReader,
    manifest_details,
    manifest_of_shards,
    write_shards,
)

sys.path.append(str(Path(__file__).parent))
from fake_source import SIZE, fake_frame

FRAMES, PER_SHARD = 7, 3


def make_shards(folder):
    plan = DatasetPlan('shards', 'fake', 3, FRAMES, SIZE, {}, manifest_details(PER_SHARD))
    assert not plan.begin(folder)
    records = (encode_frame(fake_frame(3, index)) for index in range(FRAMES))
    write_shards(folder, records, first=0, frames=FRAMES, per_shard=PER_SHARD)
    plan.finish(folder, shards=manifest_of_shards(folder, 3))
    return folder


@pytest.fixture
def folder(tmp_path):
    return make_shards(tmp_path / 'shards')


def check(found, frame):
    for name in ('parts', 'types', 'occluded'):
        np.testing.assert_array_equal(getattr(found, name), getattr(frame, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(frame, name).dtype
    np.testing.assert_array_equal(np.isnan(found.disparity_px), np.isnan(frame.disparity_px))
    assert found.disparity_px.dtype == np.float32
    assert np.nanmax(np.abs(found.disparity_px - frame.disparity_px)) <= 1 / 256
    for name in ('left', 'right'):
        error = np.abs(getattr(found, name).astype(int) - getattr(frame, name))
        assert getattr(found, name).dtype == np.uint8
        assert error.mean() < 2 and np.percentile(error, 99) < 8, name


@pytest.mark.skipif(
    not hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR'), reason='this OpenCV always halves colours'
)
def test_the_colours_of_a_pixel_are_its_own():
    frame = fake_frame(3, 0)
    frame.left[:] = (180, 90, 90)
    frame.left[:, ::2] = (90, 130, 130)  # almost as bright
    found = decode_frame(encode_frame(frame)).left
    assert np.abs(found.astype(int) - frame.left).max() < 12


def test_every_frame_comes_back_within_the_stated_errors(folder):
    reader = ShardReader(folder)
    assert len(reader) == FRAMES and reader.image_size == SIZE
    for number in (6, 0, 3, 2, 5, 1, 4):
        frame, found = fake_frame(3, number), reader.frame(number)
        check(found, frame)
        assert found.geometry == frame.geometry and found.scene == frame.scene
    assert reader.damaged() == []


def test_a_crop_is_the_same_pixels_with_a_geometry_of_its_own(folder):
    reader = ShardReader(folder)
    frame, whole = fake_frame(3, 4), reader.frame(4)
    crop = reader.crop(4, 10, 20, 30, 64)
    window = np.s_[10:40, 20:84]
    for name in ('left', 'right', 'disparity_px', 'parts', 'types'):
        np.testing.assert_array_equal(getattr(crop, name), getattr(whole, name)[window])
    assert crop.geometry.image_size == crop.image_size == (64, 30)
    assert crop.geometry.cx_px == pytest.approx(frame.geometry.cx_px - 20)
    assert crop.geometry.cy_px == pytest.approx(frame.geometry.cy_px - 10)
    assert crop.geometry.focal_times_baseline == frame.geometry.focal_times_baseline


def test_what_has_its_partner_outside_of_the_crop_is_occluded(folder):
    reader = ShardReader(folder)
    crop, whole = reader.crop(4, 10, 40, 30, 50), reader.frame(4)
    expected = whole.occluded[10:40, 40:90] | (np.arange(50) - crop.disparity_px < 0)
    np.testing.assert_array_equal(crop.occluded, expected)
    assert (crop.occluded & ~whole.occluded[10:40, 40:90]).any()


@pytest.mark.parametrize('crop', [(-1, 0, 8, 8), (0, 0, 65, 8), (0, 90, 8, 7), (0, 0, 0, 8)])
def test_a_crop_outside_of_the_frame_is_refused(folder, crop):
    with pytest.raises(ImageError, match='within the frame'):
        ShardReader(folder).crop(0, *crop)


def test_a_frame_that_is_not_there_is_refused(folder):
    for number in (-1, FRAMES):
        with pytest.raises(UsageError, match='expected 0 to 6'):
            ShardReader(folder).frame(number)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.one_of(st.floats(0, 511.96875, width=32), st.just(np.float32(np.nan))),
    )
)
def test_any_disparity_up_to_512_px_comes_back_within_a_256th(disparity_px):
    height, width = disparity_px.shape
    zeros = np.zeros((height, width), np.uint8)
    frame = replace(
        fake_frame(0, 0),
        left=np.zeros((height, width, 3), np.uint8),
        right=np.zeros((height, width, 3), np.uint8),
        disparity_px=disparity_px,
        parts=zeros,
        types=zeros,
        occluded=zeros > 0,
    )
    found = decode_frame(encode_frame(frame)).disparity_px
    np.testing.assert_allclose(found, disparity_px, rtol=0, atol=1 / 256)


@pytest.mark.parametrize('value', [-0.1, 513.0])
def test_a_disparity_that_does_not_fit_is_refused_and_not_cut(value):
    frame = fake_frame(0, 0)
    frame.disparity_px[3, 3] = value
    with pytest.raises(ImageError, match='a shard holds 0 to 511'):
        encode_frame(frame)


def test_the_same_frames_give_the_same_bytes(tmp_path, folder, monkeypatch):
    import time

    later = time.time() + 86_400
    monkeypatch.setattr(time, 'time', lambda: later)
    again = make_shards(tmp_path / 'again')
    for path in folder.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_other_programs_can_check_a_shard(folder):
    with zipfile.ZipFile(folder / 'shard-00001.zip') as shard:
        assert shard.testzip() is None
        assert shard.namelist() == ['000003', '000004', '000005']


def test_readers_work_in_threads_and_other_processes(folder):
    reader = ShardReader(folder)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(reader.frame, [number % FRAMES for number in range(28)]))
    for number, frame in enumerate(found):
        assert frame.scene['seed'] == [3, number % FRAMES]
    copied = pickle.loads(pickle.dumps(reader))
    assert copied.frame(5).scene['seed'] == [3, 5]
    assert len(os.listdir('/proc/self/fd')) < 200


def place_of(folder, shard, member):
    """Where the bytes of a member begin in the file, and how many they are."""
    with zipfile.ZipFile(folder / shard) as file:
        info = file.getinfo(member)
    head = (folder / shard).read_bytes()[info.header_offset :][:30]
    return info.header_offset + 30 + sum(struct.unpack('<HH', head[26:])), info.file_size


@pytest.mark.parametrize('share', [0.0, 0.3, 0.6, 0.99])
def test_one_damaged_byte_is_found_and_the_other_frames_stay_readable(folder, share):
    path = folder / 'shard-00001.zip'
    begin, size = place_of(folder, 'shard-00001.zip', '000004')
    content = bytearray(path.read_bytes())
    content[begin + int(share * size)] ^= 1
    path.write_bytes(content)
    reader = ShardReader(folder)
    for read in (reader.frame, lambda number: reader.crop(number, 0, 0, 8, 8)):
        with pytest.raises(FileFormatError, match=r'shard-00001.zip, frame 4 is damaged'):
            read(4)
    for number in (3, 5, 6):
        check(reader.frame(number), fake_frame(3, number))
    assert reader.damaged() == ['shard-00001.zip']


def test_a_shard_that_was_cut_is_named(folder):
    path = folder / 'shard-00000.zip'
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FileFormatError, match=r'shard-00000.zip is not a whole shard'):
        ShardReader(folder).frame(0)


def test_a_shard_with_other_frames_or_another_packing_is_named(folder):
    path = folder / 'shard-00000.zip'
    path.write_bytes((folder / 'shard-00001.zip').read_bytes())
    with pytest.raises(FileFormatError, match='not a whole shard'):
        ShardReader(folder).frame(0)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as shard:
        for number in range(3):
            shard.writestr(f'{number:06d}', encode_frame(fake_frame(3, number)))
    with pytest.raises(FileFormatError, match='packed by another program'):
        ShardReader(folder).frame(0)


def test_folders_that_are_no_whole_set_of_shards_are_refused(folder, tmp_path):
    with pytest.raises(FileFormatError, match='holds no manifest.json'):
        ShardReader(tmp_path)
    manifest = folder / 'manifest.json'
    text = manifest.read_text()
    for old, new, reason in (
        ('"format_version": 1', '"format_version": 2', 'of format 2; expected 1'),
        ('"layout": "shards"', '"layout": "frames"', "expected 'shards'"),
        ('"frames": 7', '"frames": 70', 'not in the manifest'),
        ('"frames_per_shard"', '"per_shard"', 'frames_per_shard .* is None; expected'),
        ('"frames_per_shard": 3', '"frames_per_shard": 0', 'is 0; expected'),
        ('"frames": 7', '"frames": "7"', "is '7'; expected"),
        ('"sha256"', '"sha1"', 'is damaged'),
        ('    96,', '    [],', 'is damaged'),
    ):
        assert old in text
        manifest.write_text(text.replace(old, new))
        with pytest.raises(FileFormatError, match=reason):
            ShardReader(folder)
    manifest.write_text(text)
    (folder / 'shard-00002.zip').unlink()
    with pytest.raises(FileFormatError, match=r'lacks shards .shard-00002.zip'):
        ShardReader(folder)
    manifest.rename(folder / 'unfinished.json')
    with pytest.raises(FileFormatError, match='unfinished data set; run the same'):
        ShardReader(folder)


@pytest.mark.parametrize('cut', [0, 3, 50, -1])
def test_bytes_that_are_no_frame_are_refused(cut):
    record = encode_frame(fake_frame(3, 0))
    with pytest.raises(FileFormatError, match='no frame of a shard'):
        decode_frame(record[:cut])


def test_a_crop_of_a_record_needs_no_other_rows():
    record = encode_frame(fake_frame(3, 0))
    crop = decode_crop(record, top=5, left=0, height=1, width=96)
    np.testing.assert_array_equal(crop.parts, fake_frame(3, 0).parts[5:6])
