"""A small raw stereo sequence of our own, for demo, tests and first steps without data.

left/000000.png ...   raw pictures with lens distortion, RGB
right/000000.png ...
calibration.json      OpenCV FileStorage: image_size, K1 D1 K2 D2, R T (X_right = R X_left + T)
manifest.json         what it was made with; written last
"""

from __future__ import annotations

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.images import write_image
from msdesis_ros.data.scene import Scene
from msdesis_ros.data.scene_picture import Painter, RawCamera, photograph

GENERATOR, GENERATOR_VERSION = 'msdesis_ros sample', 1
FRAME_RATE_HZ = 10.0
SMALLEST_SIZE = (64, 48)
WORKERS = 2


def generate_sample(
    out_dir: str | os.PathLike[str],
    *,
    frames: int = 20,
    seed: int = 0,
    size: tuple[int, int] = (640, 512),
) -> Path:
    """Write the sample sequence into `out_dir`, or keep the whole one that is there already.

    The folder appears under its name only when it is whole. The same arguments give the same
    bytes on one machine. A sample made with other arguments is replaced.

    Args:
        out_dir: the folder to make.
        frames: pairs, at FRAME_RATE_HZ.
        seed: decides shapes, texture, movement and noise; not negative.
        size: (width, height) of the raw pictures, px.

    Returns:
        `out_dir`.

    Raises:
        UsageError: an argument is out of range, or the folder holds something else.
        MsdesisError: the folder cannot be written.
    """
    out_dir, manifest = Path(out_dir), _manifest(frames=frames, seed=seed, size=size)
    if _is_whole(out_dir, manifest):
        return out_dir
    _require_replaceable(out_dir)
    try:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f'.{out_dir.name}-', dir=out_dir.parent) as folder:
            made = Path(folder, out_dir.name)
            _write_frames(made, frames=frames, seed=seed, size=size)
            _write_calibration(made / 'calibration.json', *sample_cameras(size))
            (made / 'manifest.json').write_text(json.dumps(manifest, indent=2) + '\n')
            _swap_in(made, out_dir, manifest, replaced=Path(folder, 'replaced'))
    except OSError as error:
        raise MsdesisError(
            f'cannot write the sample to {out_dir}: {error.strerror or error}; choose a folder '
            'you may write to, with free space'
        ) from error
    return out_dir


def sample_cameras(size: tuple[int, int] = (640, 512)) -> tuple[RawCamera, RawCamera]:
    """The left and right raw camera of the sample: unlike lenses, 1.4 degrees, 4.5 mm."""
    width, height = size
    scale = np.diag([width / 640, height / 512, 1.0])
    rotation, _ = cv2.Rodrigues(np.array([0.009, -0.017, 0.014]))
    left = RawCamera(
        image_size=size,
        camera_matrix=scale @ [[522.0, 0, 325.0], [0, 520.0, 250.0], [0, 0, 1]],
        distortion=np.array([-0.17, 0.04, 0.0008, -0.0006, 0.0]),
        rotation=np.eye(3),
        translation_mm=np.zeros(3),
    )
    right = RawCamera(
        image_size=size,
        camera_matrix=scale @ [[516.0, 0, 312.0], [0, 514.0, 262.0], [0, 0, 1]],
        distortion=np.array([-0.15, 0.03, -0.0005, 0.0009, 0.0]),
        rotation=rotation,
        translation_mm=np.array([-4.5, 0.06, 0.1]),
    )
    return left, right


def _write_frames(folder: Path, *, frames: int, seed: int, size: tuple[int, int]) -> None:
    scene, painter, cameras = Scene(seed), Painter(seed), sample_cameras(size)

    def write_frame(frame: int) -> None:
        moment = scene.at(frame / FRAME_RATE_HZ)
        for side, (name, camera) in enumerate(zip(('left', 'right'), cameras, strict=True)):
            noise = np.random.default_rng([seed, 3, frame, side])
            picture = photograph(painter.render(moment, camera), noise)
            write_image(folder / name / f'{frame:06d}.png', picture)

    # NumPy and OpenCV let other threads run while they work; each frame has its own noise.
    with ThreadPoolExecutor(WORKERS) as workers:
        for _ in workers.map(write_frame, range(frames)):
            pass


def _swap_in(made: Path, out_dir: Path, manifest: dict[str, object], *, replaced: Path) -> None:
    """Give the finished folder its name, unless another process was faster with the same one."""
    if _is_whole(out_dir, manifest):
        return
    if out_dir.exists():
        out_dir.rename(replaced)
    try:
        made.rename(out_dir)
    except OSError:
        if not _is_whole(out_dir, manifest):
            raise


def _write_calibration(path: Path, left: RawCamera, right: RawCamera) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.startWriteStruct('image_size', cv2.FILE_NODE_SEQ)
    for length in left.image_size:
        storage.write('', length)
    storage.endWriteStruct()
    for number, camera in enumerate((left, right), start=1):
        storage.write(f'K{number}', camera.camera_matrix)
        storage.write(f'D{number}', camera.distortion.reshape(1, -1))
    storage.write('R', right.rotation)
    storage.write('T', right.translation_mm.reshape(3, 1))
    storage.release()


def _manifest(*, frames: int, seed: int, size: tuple[int, int]) -> dict[str, object]:
    if frames < 1:
        raise UsageError(f'a sample of {frames} frames was asked for; expected at least 1')
    if seed < 0:
        raise UsageError(f'the seed is {seed}; expected 0 or more')
    if size[0] < SMALLEST_SIZE[0] or size[1] < SMALLEST_SIZE[1]:
        raise UsageError(
            f'the sample size {size[0]}x{size[1]} is too small; expected at least '
            f'{SMALLEST_SIZE[0]}x{SMALLEST_SIZE[1]} px'
        )
    return {
        'generator': GENERATOR,
        'generator_version': GENERATOR_VERSION,
        'seed': seed,
        'frames': frames,
        'image_size': list(size),
        'frame_rate_hz': FRAME_RATE_HZ,
        'rectified': False,
        'length_unit': 'mm',
    }


def _is_whole(folder: Path, manifest: dict[str, object]) -> bool:
    """Whether the folder holds the sample of this manifest, every file of it."""
    if _read_manifest(folder) != manifest or not (folder / 'calibration.json').is_file():
        return False
    names = [f'{frame:06d}.png' for frame in range(int(str(manifest['frames'])))]
    return all(
        (folder / side).is_dir() and sorted(os.listdir(folder / side)) == names
        for side in ('left', 'right')
    )


def _require_replaceable(folder: Path) -> None:
    """Raise UsageError where replacing the folder would delete what is not a sample of ours."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() and _read_manifest(folder).get('generator') != GENERATOR:
        raise UsageError(
            f'{folder} exists and is not a sample of this program; choose another folder, or '
            'remove it first'
        )


def _read_manifest(folder: Path) -> dict[str, object]:
    try:
        manifest = json.loads((folder / 'manifest.json').read_text())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
