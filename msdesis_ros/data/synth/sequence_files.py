"""poses.json and points.npz: what a sequence's folder holds beside its frames."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import atomic_write
from msdesis_ros.data.synth.folder import read_json
from msdesis_ros.data.synth.sequence_truth import SequenceTruth

POSES, POINTS = 'poses.json', 'points.npz'


def write_sequence(folder: str | os.PathLike[str], truth: SequenceTruth) -> None:
    """Write both files, each whole or not at all; MsdesisError where that cannot be."""
    folder = Path(folder)
    poses = {
        'world_from_left': 'x_world = T x_left; x right, y down, z forward',
        'length_unit': 'mm',
        'frames': [
            {'frame': number, 'stamp_ns': int(stamp), 'world_from_left': pose.tolist()}
            for number, (stamp, pose) in enumerate(
                zip(truth.stamps_ns, truth.world_from_left, strict=True)
            )
        ],
    }
    with atomic_write(folder / POINTS) as path, path.open('wb') as file:
        np.savez_compressed(
            file, points_mm=truth.points_mm, uv_px=truth.uv_px, visible=truth.visible
        )
    with atomic_write(folder / POSES) as path:
        path.write_text(json.dumps(poses, indent=1) + '\n', encoding='utf-8')


def read_sequence(folder: str | os.PathLike[str]) -> SequenceTruth:
    """Read both files back; FileFormatError where one is missing, damaged, or of another kind."""
    folder = Path(folder)
    content = read_json(folder / POSES)
    try:
        frames = content['frames']
        stamps = np.array([frame['stamp_ns'] for frame in frames], np.int64)
        poses = np.array([frame['world_from_left'] for frame in frames], np.float64)
        with np.load(folder / POINTS, allow_pickle=False) as points:
            return SequenceTruth(
                stamps_ns=stamps,
                world_from_left=poses,
                points_mm=points['points_mm'].astype(np.float64),
                uv_px=points['uv_px'].astype(np.float32),
                visible=points['visible'].astype(bool),
            )
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        what = str(error) if isinstance(error, UsageError) else f'{type(error).__name__}: {error}'
        raise FileFormatError(
            f'{folder}: {POSES} and {POINTS} are not those of a sequence ({what}); make the data '
            'set again, or copy it again'
        ) from error
