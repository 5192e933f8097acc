"""One set of RIS 2017: how its frames become pictures, labels and a calibration."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msdesis_ros.core.camera import MAX_SIDE_PX
from msdesis_ros.core.errors import FileFormatError, UsageError, shown
from msdesis_ros.core.rectification import Rectifier
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.conversion.ris2017_calibration import (
    INTRINSICS,
    read_ris_calibration,
    rectified_labels_at,
    stereo_calibration,
    write_stereo_calib,
)
from msdesis_ros.data.conversion.ris2017_frame import (
    PICTURE_SIZE,
    FrameGeometry,
    LabelSampler,
)
from msdesis_ros.data.conversion.ris2017_tree import BINARY, RawFrame, RawSet
from msdesis_ros.data.images import atomic_write, read_plane, read_rgb, write_image
from msdesis_ros.data.layouts.headers import read_header

FORMS = ('monocular', 'stereo')
_SMALLEST_SIDE_PX = 32


@dataclass(frozen=True, kw_only=True)
class RisOptions:
    """How to convert.

    form: of FORMS. alpha: of the rectification, -1 or 0 to 1 as in cv2.stereoRectify. size:
    (width, height) px of the pictures. intrinsics: of INTRINSICS. Raises UsageError for others.
    """

    form: str = 'monocular'
    alpha: float = 0.0
    size: tuple[int, int] = PICTURE_SIZE
    intrinsics: str = 'adapted'

    def __post_init__(self) -> None:
        for name, known in (('form', FORMS), ('intrinsics', INTRINSICS)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f'{name} is {shown(value)}; known are {", ".join(known)}')
        if self.alpha != -1 and not 0 <= self.alpha <= 1:
            raise UsageError(f'alpha is {self.alpha:g}; expected -1 (OpenCV decides) or 0 to 1')
        if not _SMALLEST_SIDE_PX <= min(self.size) <= max(self.size) <= MAX_SIDE_PX:
            raise UsageError(
                f'the size is {self.size[0]}x{self.size[1]} px; expected {_SMALLEST_SIDE_PX} to '
                f'{MAX_SIDE_PX} px a side'
            )

    @property
    def stereo(self) -> bool:
        return self.form == 'stereo'


class SetConversion:
    """What the frames of one set share, and how one of them is converted.

    folder: where its files go. Raises FileFormatError or CalibrationError where the set cannot be
    converted, UsageError where the folder holds another calibration.
    """

    def __init__(self, raw: RawSet, folder: Path, options: RisOptions) -> None:
        self.folder, self.options = folder, options
        self.geometry = _geometry_of(raw, options.size)
        self.rectifier: Rectifier | None = None
        self.labels = LabelSampler(self.geometry)
        if options.stereo:
            calibration = stereo_calibration(
                read_ris_calibration(raw.calibration),
                self.geometry,
                alpha=options.alpha,
                intrinsics=options.intrinsics,
            )
            self.rectifier = Rectifier(StereoRig.from_cameras(*calibration.cameras))
            self.labels = LabelSampler(self.geometry, rectified_labels_at(calibration))
            write_stereo_calib(folder / 'stereo_calib.json', calibration)
        self.notes = _copy_mappings(raw, folder)

    def outputs(self, frame: RawFrame) -> dict[str, Path]:
        """The files of a converted frame, by eye or label."""
        file = f'{frame.name}.png'
        eyes = ('left', 'right') if self.options.stereo else ('left',)
        labels = [*frame.labels, *([BINARY] if frame.labels else [])]
        return {
            **{eye: self.folder / f'{eye}_frame' / file for eye in eyes},
            **{label: self.folder / 'ground_truth' / label / file for label in labels},
        }

    def convert(self, frame: RawFrame) -> bool:
        """Make the files of a frame; False where all are there. Raises FileFormatError."""
        outputs = self.outputs(frame)
        if all(path.is_file() for path in outputs.values()):
            return False
        # All of it is read before anything is written: no frame is there in part.
        planes = self._pictures(frame)
        binary: np.ndarray | None = None
        for label, path in frame.labels.items():
            planes[label] = _named(path, self.labels.sample, _read_labels(path))
            tool = planes[label] > 0
            binary = tool if binary is None else binary | tool
        if binary is not None:
            planes[BINARY] = binary.astype(np.uint8) * np.uint8(255)
        for name, path in outputs.items():
            write_image(path, planes[name])
        return True

    def _pictures(self, frame: RawFrame) -> dict[str, np.ndarray]:
        left = _named(frame.left, self.geometry.picture, read_rgb(frame.left))
        if self.rectifier is None or frame.right is None:
            return {'left': left}
        right = _named(frame.right, self.geometry.picture, read_rgb(frame.right))
        left, right = self.rectifier.rectify(left, right)
        return {'left': left, 'right': right}


def _copy_mappings(raw: RawSet, folder: Path) -> list[str]:
    """Copy `mappings.json`; returns what is worth knowing about the labels of a set."""
    notes = []
    if raw.mappings is not None:
        with atomic_write(folder / 'mappings.json') as temporary:
            shutil.copyfile(raw.mappings, temporary)
    else:
        notes.append(f'{raw.name} has no mappings.json: what its label values mean is not copied')
    if not any(frame.labels for frame in raw.frames):
        notes.append(f'{raw.name} has no ground_truth: only pictures are converted')
    return notes


def _geometry_of(raw: RawSet, size: tuple[int, int]) -> FrameGeometry:
    """From the first frame that says a size with a known window; FileFormatError where none."""
    first: FileFormatError | None = None
    for frame in raw.frames:
        try:
            header = read_header(frame.left)
            return _named(frame.left, FrameGeometry.of_frames, header.image_size, size)
        except FileFormatError as error:
            first = first or error
    raise first or FileFormatError(f'{raw.folder} has no frame of which every file is there')


def _read_labels(path: Path) -> np.ndarray:
    """H x W uint8 from a grey picture, or from one whose channels are equal."""
    plane = read_plane(path, remedy='download or copy it again')
    if plane.ndim == 3:
        if not (plane[..., :1] == plane[..., :3]).all():
            raise FileFormatError(f'{path} is in colour; expected labels, grey')
        plane = np.ascontiguousarray(plane[..., 0])
    if plane.dtype != np.uint8:
        raise FileFormatError(f'{path} holds {plane.dtype}; expected labels of 8 bits')
    return plane


def _named(path: Path, make: Callable, *arguments: object):
    """Call `make` for a file, whose name then is in the message of what is wrong with it."""
    try:
        return make(*arguments)
    except FileFormatError as error:
        raise FileFormatError(f'{path}: {error}') from error
