"""SCARED's converted test sets as key frames and frames, every file found by its name.

root/dataset_{8,9}/keyframe_{0..4}/data/{left,left_rectified,right_rectified,disparity,depthmap}/
NNNNNN.png with stereo_calib.json (and valid.csv) beside data/. Files of one frame have one stem.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.layouts.survey import planes_in
from msdesis_ros.data.picture_pairs import natural_order

DATASETS, KEY_FRAMES = (8, 9), range(5)
CALIBRATION, VALID_LIST = 'stereo_calib.json', 'valid.csv'
LEFT, RIGHT = 'left_rectified', 'right_rectified'
ORIGINAL_LEFT = 'left'
# A frame is known by any of these; the original left picture is only looked at.
_FRAME_FOLDERS = (LEFT, RIGHT, 'disparity', 'depthmap')


class FrameDoesNotCountError(Exception):
    """Why a frame is left out: a short reason to count by, and what is wrong with which file."""

    def __init__(self, reason: str, detail: str = '') -> None:
        super().__init__(detail or reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Frame:
    """One frame. name: its stem, e.g. 000012. files: what there is of it, by folder."""

    dataset: int
    key_frame: int
    name: str
    files: dict[str, Path]

    @property
    def full_name(self) -> str:
        """dataset_8/keyframe_0/000012."""
        return f'dataset_{self.dataset}/keyframe_{self.key_frame}/{self.name}'


@dataclass(frozen=True)
class KeyFrame:
    """A key frame with its frames in natural order; fault: why it has none, empty otherwise.

    calibration: None where the file is missing. listed: the frame numbers of valid.csv, None
    without that file.
    """

    dataset: int
    number: int
    frames: tuple[Frame, ...] = ()
    calibration: Path | None = None
    listed: frozenset[int] | None = None
    fault: str = field(default='')

    @property
    def name(self) -> str:
        """dataset_8/keyframe_0."""
        return f'dataset_{self.dataset}/keyframe_{self.number}'


def list_key_frames(root: Path) -> list[KeyFrame]:
    """All ten key frames of the two sets; those that are not there say so.

    Raises UsageError where there is no such set at all, FileFormatError where two files of a
    folder claim to be one frame.
    """
    if not any((root / f'dataset_{dataset}').is_dir() for dataset in DATASETS):
        raise UsageError(
            f'{root} has no folder dataset_8 or dataset_9; give the root of the converted test '
            'sets (msdesis convert scared makes them)'
        )
    return [_key_frame(root, dataset, number) for dataset in DATASETS for number in KEY_FRAMES]


def files_by_stem(folder: Path) -> dict[str, Path]:
    """The planes of a folder by their stems, natural order; FileFormatError for a stem twice."""
    found: dict[str, Path] = {}
    for path in planes_in(folder):
        if (other := found.setdefault(path.stem, path)) is not path:
            raise FileFormatError(f'{other} and {path} are one frame twice; remove one of them')
    return found


def _key_frame(root: Path, dataset: int, number: int) -> KeyFrame:
    folder = root / f'dataset_{dataset}' / f'keyframe_{number}'
    if not folder.is_dir():
        return KeyFrame(dataset, number, fault=f'{folder} is missing')
    folders = {name: files_by_stem(folder / 'data' / name) for name in _FRAME_FOLDERS}
    names = {stem for files in folders.values() for stem in files}
    folders[ORIGINAL_LEFT] = files_by_stem(folder / 'data' / ORIGINAL_LEFT)
    frames = tuple(
        Frame(
            dataset,
            number,
            name,
            {where: files[name] for where, files in folders.items() if name in files},
        )
        for name in sorted(names, key=natural_order)
    )
    fault = '' if frames else f'{folder / "data"} holds no frame'
    calibration = folder / CALIBRATION
    return KeyFrame(
        dataset,
        number,
        frames,
        calibration if calibration.is_file() else None,
        _listed_frames(folder / VALID_LIST),
        fault,
    )


def _listed_frames(path: Path) -> frozenset[int] | None:
    """Frame numbers, one a line, as whole numbers or as the floats that NumPy writes."""
    try:
        return frozenset(int(float(word)) for word in path.read_text(encoding='utf-8').split())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, OverflowError) as error:
        raise FileFormatError(
            f'{path} cannot be read as frame numbers ({error}); remove it: the depth maps say '
            'which frames count'
        ) from error
