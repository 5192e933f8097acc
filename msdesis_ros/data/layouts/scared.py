"""SCARED as `scared_toolkit` writes it: key frames for training, sequences of two sets as a test.

scared       root/{left_rectified,right_rectified,disparity}/{set}_{key frame}.png
scared_test  root/dataset_{8,9}/keyframe_{0..4}/data/ with the same three folders of *.png
             root/dataset_{8,9}/keyframe_{0..4}/stereo_calib.json

Disparities are 16-bit PNGs of 128 x px, 0 = unknown, or of the scale that `values.json` beside
them says (`msdesis convert`).
"""

from __future__ import annotations

from pathlib import Path

from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.data.layouts.samples import SampleFiles, Split
from msdesis_ros.data.layouts.survey import Listing, planes_in
from msdesis_ros.data.scaled_png import DEFAULT_SCALE
from msdesis_ros.data.value_files import ABOUT_FILE, DISPARITY, agreed_scale

_KEY_FRAMES: dict[Split, dict[int, tuple[int, ...]]] = {
    'train': {1: (1, 2, 3, 5), 2: (1, 2, 4, 5), 3: (2, 3, 4, 5), 7: (1, 2, 3, 4, 5)},
    'validation': {1: (4,), 2: (3,), 3: (1,), 6: (1, 2, 3, 4, 5)},
}
# Published, but calibrated too poorly to learn from.
_UNUSED_KEY_FRAMES = tuple(f'{number}_{frame}' for number in (4, 5) for frame in range(1, 6))
_TEST_SETS, _TEST_KEY_FRAMES = (8, 9), range(5)
_FOLDERS = ('left_rectified', 'right_rectified', 'disparity')


def list_scared(root: Path) -> Listing:
    """List the 25 key frames that are used, each in its split by its own name."""
    listing = Listing(root)
    folders = [root / name for name in _FOLDERS]
    if not listing.folders_are_there(*folders):
        return listing
    splits = {
        f'{number}_{frame}': split
        for split, sets in _KEY_FRAMES.items()
        for number, frames in sets.items()
        for frame in frames
    }
    known = [f'{name}.png' for name in (*splits, *_UNUSED_KEY_FRAMES)]
    listing.names_in(*folders, expected=known, rule='1_1.png to 7_5.png (set_key frame)')
    scale = _scale_of(listing, folders[-1])
    for name, split in sorted(splits.items()):
        listing.files.append(
            _files(folders, f'{name}.png', name=name, split=split, disparity_scale=scale)
        )
    return listing


def list_scared_test(root: Path) -> Listing:
    """List every frame of the ten test key frames; files belong together by their names."""
    listing = Listing(root)
    for number in _TEST_SETS:
        if not listing.folders_are_there(root / f'dataset_{number}'):
            continue
        for key_frame in _TEST_KEY_FRAMES:
            _list_key_frame(listing, root / f'dataset_{number}' / f'keyframe_{key_frame}')
    return listing


def _list_key_frame(listing: Listing, key_frame: Path) -> None:
    folders = [key_frame / 'data' / name for name in _FOLDERS]
    place = next((path for path in (key_frame, key_frame / 'data') if not path.is_dir()), None)
    if not listing.folders_are_there(*([place] if place else folders)):
        return
    calibration = key_frame / 'stereo_calib.json'
    if not calibration.is_file():
        listing.wrong(calibration, 'missing; the depth of this key frame depends on it')
        return
    found = {path.name: path for folder in folders for path in planes_in(folder)}
    if not found:
        listing.wrong(key_frame / 'data', 'no pictures in left_rectified and the other folders')
    scale = _scale_of(listing, folders[-1])
    for name, path in sorted(found.items()):
        if path.suffix != '.png':
            listing.wrong(path, 'wrong name; expected names that end in .png')
            continue
        sample = f'{key_frame.parent.name}/{key_frame.name}/{path.stem}'
        listing.files.append(
            _files(
                folders,
                name,
                name=sample,
                split='test',
                disparity_scale=scale,
                calibration=calibration,
            )
        )


def _scale_of(listing: Listing, folder: Path) -> float:
    """What the disparities of a folder are stored as; the usual scale where nothing says it."""
    try:
        return agreed_scale(folder, quantity=DISPARITY, scale=None)
    except MsdesisError as error:
        listing.wrong(folder / ABOUT_FILE, str(error))
        return DEFAULT_SCALE


def _files(
    folders: list[Path],
    file: str,
    *,
    name: str,
    split: Split,
    disparity_scale: float,
    calibration: Path | None = None,
) -> SampleFiles:
    left, right, disparity = (folder / file for folder in folders)
    return SampleFiles(
        name=name,
        split=split,
        left=left,
        right=right,
        disparity=disparity,
        disparity_scale=disparity_scale,
        calibration=calibration,
    )
