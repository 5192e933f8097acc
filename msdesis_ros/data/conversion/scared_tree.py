"""Where the pieces of SCARED are: `dataset_N/keyframe_K/` in the form in which it is published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msdesis_ros.core.errors import FileFormatError, UsageError

# The archives of the two sets that the challenge tested with unpack to names with `test_`.
_DATASET = re.compile(r'(?:test_)?dataset_?(\d+)')
_KEY_FRAME = re.compile(r'keyframe_?(\d+)')
CALIBRATION_NAME = 'endoscope_calibration.yaml'
_CLOUDS = ('point_cloud.obj', 'left_point_cloud.obj')


@dataclass(frozen=True, order=True)
class KeyFrame:
    """A key frame of the published tree: dataset, its own number, and its folder."""

    dataset: int
    number: int
    folder: Path

    @property
    def name(self) -> str:
        """`dataset_8/keyframe_0`, wherever the folder lies."""
        return f'dataset_{self.dataset}/keyframe_{self.number}'

    @property
    def short_name(self) -> str:
        """`8_0`, as the files of the training layout are called."""
        return f'{self.dataset}_{self.number}'

    @property
    def calibration(self) -> Path:
        """M1, D1, M2, D2, R, T as an OpenCV YAML."""
        return self.folder / CALIBRATION_NAME

    @property
    def left_image(self) -> Path:
        return self.folder / 'Left_Image.png'

    @property
    def right_image(self) -> Path:
        return self.folder / 'Right_Image.png'

    @property
    def point_map(self) -> Path:
        """X, Y, Z (mm) of every pixel of the left picture."""
        return self.folder / 'left_depth_map.tiff'

    @property
    def video(self) -> Path:
        """Both views of all frames, the left one above the right one."""
        return self.folder / 'data' / 'rgb.mp4'

    @property
    def poses(self) -> Path:
        return self.folder / 'data' / 'frame_data.tar.gz'

    @property
    def frame_points(self) -> Path:
        """X, Y, Z (mm) of the pixels of both views, one above the other, of each frame."""
        return self.folder / 'data' / 'scene_points.tar.gz'

    def cloud(self, name: str | None = None) -> Path:
        """The key frame's cloud: the published one, or the file `name` beside it.

        Raises UsageError for a name that leads out of the folder.
        """
        if name is not None:
            if name in ('', '.', '..') or Path(name).name != name:
                raise UsageError(
                    f'{name!r} is no name of a point cloud; give the name of a file that lies in '
                    'each key frame, such as point_cloud.ply'
                )
            return self.folder / name
        found = (self.folder / cloud for cloud in _CLOUDS)
        return next((path for path in found if path.is_file()), self.folder / _CLOUDS[0])


def find_key_frames(root: Path) -> list[KeyFrame]:
    """The key frames at `root`, sorted: that of all sets, of one set, or one alone.

    Raises:
        FileFormatError: there is none, or two folders have one name.
        UsageError: `root` is no folder, or a key frame whose set cannot be told.
    """
    if not root.is_dir():
        raise UsageError(f'{root} is no folder; give the folder that holds dataset_1, dataset_2 …')
    found = sorted(_below(root.resolve()))
    if not found:
        raise FileFormatError(
            f'{root} holds no key frame; expected dataset_N/keyframe_K in it, or give one '
            'dataset_N or one keyframe_K'
        )
    for one, other in zip(found, found[1:], strict=False):
        if one.name == other.name:
            raise FileFormatError(
                f'{one.folder} and {other.folder} are both {one.name}; leave one of them'
            )
    return found


def _below(root: Path) -> Iterator[KeyFrame]:
    number = _number(_KEY_FRAME, root)
    if number is not None:
        dataset = _number(_DATASET, root.parent)
        if dataset is None:
            raise UsageError(
                f'the set of {root} cannot be told: a key frame lies in a folder dataset_N'
            )
        yield KeyFrame(dataset, number, root)
        return
    dataset = _number(_DATASET, root)
    if dataset is None:
        for folder in root.iterdir():
            if _number(_DATASET, folder) is not None and folder.is_dir():
                yield from _below(folder)
        return
    for folder in root.iterdir():
        number = _number(_KEY_FRAME, folder)
        if number is not None and folder.is_dir():
            yield KeyFrame(dataset, number, folder)


def _number(pattern: re.Pattern[str], folder: Path) -> int | None:
    match = pattern.fullmatch(folder.name)
    return int(match[1]) if match else None
