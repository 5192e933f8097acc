"""Pairs of a look that no training has: another camera in fog. Makes them, for measurements.

    python test/training/other_look.py SHARDS OUT

takes the scenes of a folder of shards (`msdesis synth --shards`) and writes OUT/frames
(left/000000.png, right/000000.png: own frames, for `msdesis finetune`) and OUT/truth (the same
pictures as shards with their truth, for `msdesis evaluate synth`).

What makes the look is none of the effects of the generator and lies outside of the augmentations
of the trainings: the colours are mixed into a greenish grey, the tone curve is darker, a veil of
light lies over both views, the eyes are focused differently, the right one is darker and of
another tint, and both are noisy.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.data.images import write_image
from msdesis_ros.data.synth.dataset_plan import DatasetPlan
from msdesis_ros.data.synth.frame_record import encode_frame
from msdesis_ros.data.synth.shards import (
    LAYOUT,
    ShardReader,
    manifest_details,
    manifest_of_shards,
    write_shards,
)
from msdesis_ros.data.synth.stereo_frame import StereoFrame

# Of the noise.
SEED = 930_001
# Rows: what red, green and blue become of red, green and blue.
MIXED = np.array([[0.30, 0.50, 0.10], [0.55, 0.35, 0.15], [0.40, 0.20, 0.50]], np.float32)
GAMMA, VEIL, VEIL_LIGHT = 1.5, 0.35, 0.75
BLUR_PX = {'left': 1.3, 'right': 1.8}
GAIN = {'left': (1.0, 1.0, 1.0), 'right': (0.85, 0.78, 0.74)}
NOISE = 6 / 255
PER_SHARD = 25


def in_another_look(frame: StereoFrame, seed: tuple[int, ...]) -> StereoFrame:
    """The same scene, H x W x 3 uint8 views as another camera would show them."""
    rng = np.random.default_rng([*seed, 77])
    views = {}
    for side in ('left', 'right'):
        light = (getattr(frame, side).astype(np.float32) / 255) @ MIXED.T
        light = np.clip(light, 0, 1) ** GAMMA
        light = (1 - VEIL) * light + VEIL * VEIL_LIGHT
        light = cv2.GaussianBlur(light, (0, 0), BLUR_PX[side]) * np.float32(GAIN[side])
        light += rng.normal(0, NOISE, light.shape).astype(np.float32)
        views[side] = np.clip(np.rint(light * 255), 0, 255).astype(np.uint8)
    return replace(frame, **views)


def make(scenes: Path, out: Path) -> None:
    """Write both folders; the frames hold exactly the pictures of the shards."""
    reader, truth = ShardReader(scenes), out / 'truth'
    frames, size = len(reader), reader.frame(0).image_size
    per_shard = min(PER_SHARD, frames)
    details = manifest_details(per_shard)
    plan = DatasetPlan(LAYOUT, 'layered', SEED, frames, size, {'clean': False}, details)
    if not plan.begin(truth):
        records = (
            encode_frame(in_another_look(reader.frame(index), (SEED, index)))
            for index in range(frames)
        )
        write_shards(truth, records, first=0, frames=frames, per_shard=per_shard)
        plan.finish(truth, shards=manifest_of_shards(truth, -(-frames // per_shard)))
    changed = ShardReader(truth)
    for index in range(frames):
        frame = changed.frame(index)
        for side in ('left', 'right'):
            write_image(out / 'frames' / side / f'{index:06d}.png', getattr(frame, side))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('scenes', type=Path)
    parser.add_argument('out', type=Path)
    given = parser.parse_args()
    make(given.scenes, given.out)


if __name__ == '__main__':
    main()
