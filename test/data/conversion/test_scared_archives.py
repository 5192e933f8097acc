"""Frames out of tar.gz archives: nothing is unpacked, and what is missing is told."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.data.conversion.frame_archives import frame_files, parse_pose, read_poses


def write(path: Path, members: list[tuple[str, bytes]], *others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, 'w:gz') as archive:
        for member in others:
            archive.addfile(member)
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def frames(path: Path, *, max_bytes: int = 1 << 20) -> list[tuple[int, bytes]]:
    found = frame_files(path, suffix='.tiff', max_bytes=max_bytes)
    return [(file.number, file.content) for file in found]


def test_the_number_of_a_frame_is_that_of_its_name_in_the_archives_order(tmp_path):
    members = [('./scene_points000012.tiff', b'a'), ('sub/scene_points000003.tiff', b'bc')]
    members += [
        ('readme.txt', b'no'),
        ('scene_points.tiff', b'no'),
        ('frame_data000001.json', b'{}'),
    ]
    assert frames(write(tmp_path / 'a.tar.gz', members)) == [(12, b'a'), (3, b'bc')]


def test_what_macos_packs_beside_each_file_is_no_frame(tmp_path):
    members = [('._p000001.tiff', b'about it'), ('p000001.tiff', b'a'), ('data/.p2.tiff', b'no')]
    assert frames(write(tmp_path / 'a.tar.gz', members)) == [(1, b'a')]


def test_no_name_in_an_archive_writes_or_reads_outside_of_it(tmp_path):
    inside = tmp_path / 'data'
    inside.mkdir()
    (tmp_path / 'secret000001.tiff').write_bytes(b'secret')
    link = tarfile.TarInfo('scene_points000001.tiff')
    link.type, link.linkname = tarfile.SYMTYPE, '../secret000001.tiff'
    hard = tarfile.TarInfo('scene_points000002.tiff')
    hard.type, hard.linkname = tarfile.LNKTYPE, '../secret000001.tiff'
    device = tarfile.TarInfo('scene_points000003.tiff')
    device.type = tarfile.CHRTYPE
    members = [('../../evil000004.tiff', b'x'), (f'{tmp_path}/evil000005.tiff', b'y')]
    path = write(inside / 'a.tar.gz', members, link, hard, device)
    before = sorted(tmp_path.rglob('*'))
    assert frames(path) == [(4, b'x'), (5, b'y')]
    assert sorted(tmp_path.rglob('*')) == before


def test_an_archive_that_is_cut_off_gives_its_whole_frames_and_says_so(tmp_path):
    contents = [os.urandom(1500) for _ in range(4)]
    names = [(f'p{number:06d}.tiff', content) for number, content in enumerate(contents)]
    whole = write(tmp_path / 'whole.tar.gz', names).read_bytes()
    cut = tmp_path / 'cut.tar.gz'
    for length in range(0, len(whole), 97):
        cut.write_bytes(whole[:length])
        got = []
        with pytest.raises(FileFormatError, match=r'cut\.tar\.gz cannot be read whole'):
            for file in frame_files(cut, suffix='.tiff', max_bytes=1 << 20):
                got.append((file.number, file.content))
        assert got == list(enumerate(contents))[: len(got)]


def test_a_damaged_byte_is_told_even_where_tar_takes_it_for_the_end(tmp_path):
    # Stored, not compressed: the byte damages a header of tar and nothing else.
    path = tmp_path / 'a.tar.gz'
    with tarfile.open(path, 'w:gz', compresslevel=0) as archive:
        for number in range(3):
            member = tarfile.TarInfo(f'p{number:06d}.tiff')
            member.size = 10
            archive.addfile(member, io.BytesIO(bytes(10)))
    content = bytearray(path.read_bytes())
    content[content.index(b'p000001.tiff')] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match='cannot be read whole'):
        frames(path)


def test_a_frame_that_comes_twice_or_is_far_too_large_is_refused(tmp_path):
    twice = write(tmp_path / 'a.tar.gz', [('a/p01.tiff', b'x'), ('b/p1.tiff', b'y')])
    with pytest.raises(FileFormatError, match='frame 1 is in the archive twice'):
        frames(twice)
    large = write(tmp_path / 'b.tar.gz', [('p1.tiff', bytes(5000))])
    with pytest.raises(FileFormatError, match='5000 bytes'):
        frames(large, max_bytes=4999)
    with pytest.raises(FileFormatError, match=r'none\.tar\.gz is missing'):
        frames(tmp_path / 'none.tar.gz')
    (tmp_path / 'c.tar.gz').write_bytes(b'not an archive')
    with pytest.raises(FileFormatError, match='cannot be read whole'):
        frames(tmp_path / 'c.tar.gz')


def test_poses_are_read_and_bad_ones_are_named_one_by_one(tmp_path):
    pose = np.eye(4)
    pose[:3, 3] = [1, -2, 3]
    bent = pose.copy()
    bent[0, 0] = 1.5
    members = [
        ('frame_data000000.json', json.dumps({'camera-pose': np.eye(4).tolist()}).encode()),
        ('frame_data000001.json', json.dumps({'camera-pose': bent.tolist()}).encode()),
        ('frame_data000002.json', b'{"camera-pose": '),
        ('frame_data000003.json', b'{"camera": 1}'),
        ('frame_data000004.json', json.dumps({'camera-pose': [[1, 2], [3, 4]]}).encode()),
        ('frame_data000005.json', json.dumps({'camera-pose': pose.tolist()}).encode()),
        ('frame_data000006.json', b'[' * 100_000),
        ('frame_data000007.json', json.dumps({'camera-pose': pose.T.tolist()}).encode()),
    ]
    poses, errors = read_poses(write(tmp_path / 'a.tar.gz', members))
    assert sorted(poses) == [0, 5] and np.array_equal(poses[5], pose)
    told = [str(error) for error in errors]
    assert len(told) == 6
    for number, reason in ((1, 'no rigid motion'), (2, 'no JSON'), (3, 'named camera-pose')):
        assert any(f'frame_data00000{number}.json' in text and reason in text for text in told)


def test_a_mirrored_pose_is_refused():
    from msdesis_ros.data.conversion.frame_archives import FrameFile

    mirror = np.diag([1.0, 1, -1, 1])
    content = json.dumps({'camera-pose': mirror.tolist()}).encode()
    with pytest.raises(FileFormatError, match='no rigid motion'):
        parse_pose(FrameFile(0, 'a.json', content))
