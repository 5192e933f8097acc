"""The bundled sample: ten raw stereo frames of one rendered, moving scene, with their truth.

left/000000.jpg ...   raw pictures with lens distortion, RGB, JPEG without halved colours
right/000000.jpg ...
calibration.json      OpenCV FileStorage, mm: K1 D1 K2 D2, R T, and R1 R2 P1 P2 of the truth's view
truth/                of the rectified left views: 000000_disparity.png (16 bits, 1/128 px, 0 = no
                      surface), 000000_instrument_mask.png, 000000_occlusion.png
manifest.json         what it was made with, and the SHA-256 of every other file; written last
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from msdesis_ros.core.errors import FileFormatError, MsdesisError, UsageError
from msdesis_ros.data.images import atomic_write, read_rgb
from msdesis_ros.data.synth.dataset_plan import read_manifest
from msdesis_ros.data.synth.folder import read_frame
from msdesis_ros.data.synth.sequence_files import read_sequence

MANIFEST = 'manifest.json'
STEPS_PER_PX = 128
JPEG_QUALITY = 95
# OpenCV's own choice is quick and twice as large.
_SMALLEST_PNG = [
    cv2.IMWRITE_PNG_COMPRESSION,
    9,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
]
_FOLDER = Path(__file__).resolve().parent / 'sample_files'


@dataclass(frozen=True, eq=False)
class SampleTruth:
    """Of the rectified left view of one frame, at the calibration's own P1.

    disparity_px: H x W float32, exact to 1/256 px, NaN where there is no surface.
    instrument_mask, occluded: H x W bool; occluded where the right view does not show the pixel.
    """

    disparity_px: np.ndarray
    instrument_mask: np.ndarray
    occluded: np.ndarray


def sample_folder() -> Path:
    """Where the sample lies; MsdesisError where an installation lacks it."""
    if not (_FOLDER / MANIFEST).is_file():
        raise MsdesisError(
            f'the sample of this installation is missing (expected in {_FOLDER}): install '
            'msdesis_ros again'
        )
    return _FOLDER


def sample_truth(frame: int) -> SampleTruth:
    """The truth of frame 0 to 9; UsageError for any other."""
    stem = sample_folder() / 'truth' / f'{frame:06d}'
    steps, mask, occluded = (
        cv2.imread(f'{stem}_{name}.png', cv2.IMREAD_UNCHANGED)
        if Path(f'{stem}_{name}.png').is_file()
        else None
        for name in ('disparity', 'instrument_mask', 'occlusion')
    )
    if steps is None or mask is None or occluded is None:
        raise UsageError(f'the sample has no frame {frame}; it has 0 to 9')
    disparity_px = steps.astype(np.float32) / STEPS_PER_PX
    disparity_px[steps == 0] = np.nan
    return SampleTruth(disparity_px, mask > 0, occluded > 0)


@contextlib.contextmanager
def sample_loop() -> Iterator[Path]:
    """The sample as a folder to play again and again without a jump.

    Every second frame forwards, then the others backwards: 0 2 4 6 8 9 7 5 3 1. The folder holds
    `left`, `right` (links to the pictures) and calibration.json; it is removed when the block
    ends. MsdesisError where the installation lacks the sample, or no folder can be made.
    """
    sample = sample_folder()
    with contextlib.ExitStack() as stack:
        try:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix='msdesis-sample-'))
            _link_loop(sample, Path(name))
        except OSError as error:
            raise MsdesisError(
                f'cannot lay out the sample in {tempfile.gettempdir()}: '
                f'{error.strerror or error}; let TMPDIR name a folder you may write to'
            ) from error
        yield Path(name)


def make_sample_files(
    dataset: str | os.PathLike[str], folder: str | os.PathLike[str] = _FOLDER
) -> Path:
    """Make the sample's files of a data set; the package's own ones are replaced by default.

    Args:
        dataset: what `msdesis synth --sequence --distorted` wrote.
        folder: replaced where it holds a sample.

    Returns:
        `folder`.

    Raises:
        UsageError: the data set has no raw pictures or is no sequence of two frames or more; the
            folder holds something else.
        FileFormatError: the data set is unfinished or damaged.
        MsdesisError: the folder cannot be written.
    """
    dataset, folder = Path(dataset), Path(folder)
    made_with = read_manifest(dataset, 'frames')
    if not (made_with['options'].get('distorted') and made_with['options'].get('sequence')):
        raise UsageError(f'{dataset} must be made with --sequence --distorted to become a sample')
    if made_with['frames'] < 2:
        raise UsageError(f'{dataset} holds one frame; expected two at least, for a movement')
    stamps_ns = read_sequence(dataset).stamps_ns
    _clear(folder)
    for number in range(made_with['frames']):
        source = dataset / f'{number:06d}'
        for side in ('left', 'right'):
            _write_jpeg(
                folder / side / f'{number:06d}.jpg', read_rgb(source / f'{side}_distorted.png')
            )
        _write_truth(folder / 'truth', source, number)
    with atomic_write(folder / 'calibration.json') as path:
        shutil.copyfile(dataset / '000000' / 'calibration_distorted.json', path)
    manifest = {
        'command': _command(made_with),
        'jpeg_quality': JPEG_QUALITY,
        'frame_rate_hz': round(1e9 / float(np.diff(stamps_ns).mean()), 6),
        'length_unit': 'mm',
        'rectified': False,
        'made_with': {key: value for key, value in made_with.items() if key != 'units'},
        'sha256': {name: _sha256(folder / name) for name in sample_names(folder)},
    }
    with atomic_write(folder / MANIFEST) as path:
        path.write_text(json.dumps(manifest, indent=1) + '\n', encoding='utf-8')
    return folder


def sample_names(folder: Path) -> list[str]:
    """Every file of a sample but its manifest, in order."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and path.name != MANIFEST
    )


def _link_loop(sample: Path, loop: Path) -> None:
    for side in ('left', 'right'):
        pictures = sorted((sample / side).iterdir())
        (loop / side).mkdir()
        # Each picture once a round: forwards and backwards through all of them, a node that drops
        # a pair at a turn would see the same picture twice, which is how a frozen camera looks.
        for turn, picture in enumerate([*pictures[::2], *pictures[1::2][::-1]]):
            (loop / side / f'{turn:06d}{picture.suffix}').symlink_to(picture)
    (loop / 'calibration.json').symlink_to(sample / 'calibration.json')


def _clear(folder: Path) -> None:
    """Remove an older sample; UsageError where removing would delete something else."""
    if folder.is_dir() and any(folder.iterdir()):
        try:
            known = set(json.loads((folder / MANIFEST).read_text(encoding='utf-8'))['sha256'])
        except (OSError, ValueError, KeyError, TypeError):
            known = set()
        if not known or not set(sample_names(folder)) <= known:
            raise UsageError(f'{folder} holds more than a sample; choose another folder')
        shutil.rmtree(folder)


def _write_truth(folder: Path, source: Path, number: int) -> None:
    frame = read_frame(source)
    steps = np.rint(np.nan_to_num(frame.disparity_px, nan=0.0) * STEPS_PER_PX)
    if steps.max() > np.iinfo(np.uint16).max:
        raise FileFormatError(f'{source}: disparities up to {steps.max() / STEPS_PER_PX:.0f} px')
    _write(folder / f'{number:06d}_disparity.png', steps.astype(np.uint16), _SMALLEST_PNG)
    for name, mask in (('instrument_mask', frame.instrument_mask), ('occlusion', frame.occluded)):
        picture = mask.astype(np.uint8) * np.uint8(255)
        _write(folder / f'{number:06d}_{name}.png', picture, _SMALLEST_PNG)


def _write_jpeg(path: Path, picture: np.ndarray) -> None:
    if not hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR'):
        raise MsdesisError(
            f'OpenCV {cv2.__version__} halves the colours of a JPEG; use OpenCV 4.7 or later'
        )
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        cv2.IMWRITE_JPEG_OPTIMIZE,
        1,
    ]
    _write(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)


def _write(path: Path, picture: np.ndarray, options: list[int]) -> None:
    _, encoded = cv2.imencode(path.suffix, picture, options)
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _command(made_with: dict[str, Any]) -> str:
    width, height = made_with['image_size']
    clean = '--clean ' if made_with['options'].get('clean') else ''
    return (
        f'msdesis synth --source {made_with["source"]} {clean}--sequence --distorted '
        f'--size {width}x{height} --frames {made_with["frames"]} --seed {made_with["seed"]}'
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
