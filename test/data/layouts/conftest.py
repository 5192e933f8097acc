"""Miniature data sets in exactly the published layouts."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

SIZE = (6, 4)  # width, height px
_K = [100.0, 0.0, 3.0, 0.0, 100.0, 2.0, 0.0, 0.0, 1.0]
_R = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def _matrix(rows: int, cols: int, data: list[float]) -> dict:
    return {'type_id': 'opencv-matrix', 'rows': rows, 'cols': cols, 'dt': 'd', 'data': data}


CALIBRATION = json.dumps(
    {
        'K1': _matrix(3, 3, _K),
        'D1': _matrix(1, 4, [0.0] * 4),
        'K2': _matrix(3, 3, _K),
        'D2': _matrix(1, 4, [0.0] * 4),
        'R': _matrix(3, 3, _R),
        'T': _matrix(3, 1, [-4.0, 0.0, 0.0]),
        'image_size': _matrix(2, 1, [4.0, 6.0]),  # rows first, as published
    }
)


class Tree:
    """Files below one folder, written by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def array(self, name: str, array: np.ndarray) -> Path:
        """Any picture; colours in the order of OpenCV."""
        return self.put(name, cv2.imencode(Path(name).suffix, array)[1].tobytes())

    def picture(self, name: str, *, fill: int = 7, size: tuple[int, int] = SIZE) -> Path:
        return self.array(name, np.full((size[1], size[0], 3), fill, np.uint8))

    def grey(self, name: str, *, fill: int, bits: int, size: tuple[int, int] = SIZE) -> Path:
        kind = {8: np.uint8, 16: np.uint16}[bits]
        return self.array(name, np.full((size[1], size[0]), fill, kind))

    def pfm(
        self,
        name: str,
        rows: Sequence[Sequence[float]] = ((3.0,) * SIZE[0],) * SIZE[1],
        *,
        scale: str = '-1.0',
    ) -> Path:
        """A PFM with rows from top to bottom; they are written from the bottom to the top."""
        order = '<' if scale.startswith('-') else '>'
        numbers = [number for row in reversed(rows) for number in row]
        head = f'Pf\n{len(rows[0])} {len(rows)}\n{scale}\n'.encode()
        return self.put(name, head + struct.pack(f'{order}{len(numbers)}f', *numbers))

    def remove(self, name: str) -> None:
        path = self.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return an empty tree."""
    (tmp_path / 'set').mkdir()
    return Tree(tmp_path / 'set')


@pytest.fixture
def flying(tree: Tree) -> Tree:
    """Two pairs to train with and one to validate with."""
    for number, frame in enumerate(('train/{}/0000000', 'train/{}/0000001', 'val/{}/0000000')):
        tree.picture(frame.format('image_clean/left') + '.png', fill=10 + number)
        tree.picture(frame.format('image_clean/right') + '.png', fill=20 + number)
        rows = ((-1.0 - number,) * SIZE[0],) * SIZE[1]
        tree.pfm(frame.format('disparity/left') + '.pfm', rows)
    return tree


@pytest.fixture
def scared(tree: Tree) -> Tree:
    """All 35 key frames; the left picture of set s and key frame k is filled with 10 s + k."""
    for number in range(1, 8):
        for frame in range(1, 6):
            name = f'{number}_{frame}.png'
            tree.picture(f'left_rectified/{name}', fill=10 * number + frame)
            tree.picture(f'right_rectified/{name}', fill=100 + 10 * number + frame)
            tree.grey(f'disparity/{name}', fill=128 * number + frame, bits=16)
    return tree


@pytest.fixture
def scared_test(tree: Tree) -> Tree:
    """Ten key frames of three frames; frame f is filled with f, f + 100 and f + 128 * 2."""
    for number in (8, 9):
        for key_frame in range(5):
            folder = f'dataset_{number}/keyframe_{key_frame}'
            tree.put(f'{folder}/stereo_calib.json', CALIBRATION.encode())
            for frame in range(3):
                tree.picture(f'{folder}/data/left_rectified/{frame:06d}.png', fill=frame)
                tree.picture(f'{folder}/data/right_rectified/{frame:06d}.png', fill=frame + 100)
                tree.grey(f'{folder}/data/disparity/{frame:06d}.png', fill=256 + frame, bits=16)
    return tree


class Ris:
    """RIS 2017 sets in a tree: the same picture for every frame."""

    def __init__(self, tree: Tree) -> None:
        self.tree, self.root = tree, tree.root

    def add(self, number: int, frames: range, *, stereo: bool) -> None:
        folder = self.root / f'instrument_dataset_{number}'
        sides = ['left_frame', 'right_frame'] if stereo else ['left_frame']
        sample = self.tree.picture(f'{folder.name}/mappings.png', fill=number)
        contents = dict.fromkeys(sides, sample.read_bytes())
        sample.unlink()
        sample = self.tree.grey(f'{folder.name}/mappings.png', fill=255, bits=8)
        contents['ground_truth/binary'] = sample.read_bytes()
        sample.unlink()
        for name, content in contents.items():
            (folder / name).mkdir(parents=True)
            for frame in frames:
                (folder / name / f'frame{frame:03d}.png').write_bytes(content)


@pytest.fixture
def ris(tree: Tree) -> Ris:
    """Return an empty tree to add sets to."""
    return Ris(tree)
