"""Pairs made of a wall and a box before it, right to the last pixel, and shards of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.dataset_plan import DatasetPlan
from msdesis_ros.data.synth.frame_record import encode_frame
from msdesis_ros.data.synth.shards import manifest_details, manifest_of_shards, write_shards
from msdesis_ros.data.synth.stereo_frame import StereoFrame

SIZE = (128, 96)


def boxed_wall(index: int, size: tuple[int, int] = SIZE) -> StereoFrame:
    """Whole-number disparities: pixel x of the left view is pixel x - d of the right one."""
    rng = np.random.default_rng([9, index])
    width, height = size
    wall_px, box_px = (int(value) for value in rng.integers((4, 18), (12, 30)))
    top, left = int(rng.integers(height // 2)), int(rng.integers(32, width // 2))
    bottom, right = top + height // 3, left + width // 3

    def texture(colour):
        coarse = rng.normal(0, 25, (-(-height // 4), -(-(width + 64) // 4), 3))
        coarse = coarse.repeat(4, axis=0).repeat(4, axis=1)[:height, : width + 64]
        return np.clip(coarse + rng.normal(0, 15, coarse.shape) + colour, 0, 255).astype(np.uint8)

    wall, box = texture((150, 70, 60)), texture((130, 130, 140))
    views, boxes = [], []
    for wall_shift, box_shift in ((0, 0), (wall_px, box_px)):
        view = wall[:, wall_shift : wall_shift + width].copy()
        where = np.zeros((height, width), bool)
        where[top:bottom, left - box_shift : right - box_shift] = True
        view[where] = box[:, box_shift : box_shift + width][where]
        views.append(view)
        boxes.append(where)
    disparity_px = np.where(boxes[0], box_px, wall_px).astype(np.float32)
    column = np.arange(width) - disparity_px.astype(int)
    behind = np.take_along_axis(boxes[1], column.clip(0), axis=1) & ~boxes[0]
    parts = boxes[0].astype(np.uint8)
    return StereoFrame(
        left=views[0],
        right=views[1],
        disparity_px=disparity_px,
        parts=parts,
        types=parts,
        occluded=behind | (column < 0),
        geometry=StereoGeometry(
            image_size=size,
            focal_px=100.0,
            focal_y_px=100.0,
            cx_px=width / 2,
            cy_px=height / 2,
            baseline_m=0.005,
        ),
        scene={'index': index},
    )


def write_boxed_walls(folder: Path, frames: int, *, size=SIZE, first: int = 0) -> Path:
    """A folder of shards of 4 frames each."""
    plan = DatasetPlan('shards', 'boxes', first, frames, size, {}, manifest_details(4))
    assert not plan.begin(folder)
    records = (encode_frame(boxed_wall(first + index, size)) for index in range(frames))
    write_shards(folder, records, first=0, frames=frames, per_shard=4)
    plan.finish(folder, shards=manifest_of_shards(folder, -(-frames // 4)))
    return folder


def break_record(folder: Path, number: int) -> None:
    """Change bytes in the middle of one record of a folder of shards."""
    path = folder / f'shard-{number // 4:05d}.zip'
    content = bytearray(path.read_bytes())
    at = content.find(b'%06d' % number) + 2000
    content[at : at + 4] = b'oops'
    path.write_bytes(bytes(content))
