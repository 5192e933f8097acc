"""Where the predictions for SCARED's frames come from: a model that runs now, or saved files.

Saved files lie in DIR/dataset_8/keyframe_0/frame000012.png, where evaluate_scared puts them; the
places of scared_toolkit (.../keyframe_0/data/disparity/000012.png) are read as well, and float
TIFFs in place of PNGs. `DIR/values.json` says what they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.value_files import (
    ABOUT_FILE,
    DEPTH,
    DISPARITY,
    SUFFIXES,
    agreed_scale,
    read_about,
    read_values,
    write_about,
    write_values,
)
from msdesis_ros.evaluation.scared_tree import (
    LEFT,
    RIGHT,
    Frame,
    FrameDoesNotCountError,
    KeyFrame,
)
from msdesis_ros.runtime.backend import Backend
from msdesis_ros.runtime.pipeline import PerceptionPipeline

NO_PICTURES = 'no usable pictures'
FOLDERS = {DISPARITY: 'disparity', DEPTH: 'depthmap'}


class FramePredictions(Protocol):
    """What gives the prediction of a frame.

    quantity: DISPARITY of the rectified left view (px), or DEPTH of the original one (mm).
    every_frame: frames that do not count are wanted too.
    """

    quantity: str
    every_frame: bool

    def predict(self, frame: Frame) -> np.ndarray | None:
        """H x W float, NaN = unknown; None where there is no prediction of this frame.

        Raises FrameDoesNotCountError for a frame whose pictures cannot be used.
        """


class ModelPredictions:
    """Runs a model through the pipeline; its number at every pixel counts, trusted or not.

    save_to: folder that every frame with pictures is written into, whether it counts or not; what
    an earlier run left there is removed, for it may have another scale. about: what its
    `values.json` says of the model. Raises UsageError for a model without a disparity.
    """

    quantity = DISPARITY

    def __init__(
        self, backend: Backend, *, save_to: Path | None = None, scale: float, about: dict[str, Any]
    ) -> None:
        if 'disparity' not in backend.heads:
            raise UsageError(
                f'{backend.identity.name} gives no disparity; choose a model with that head'
            )
        self._backend, self._save_to, self._scale = backend, save_to, scale
        self.every_frame = save_to is not None
        self.verdicts: dict[str, int] = {}
        self.too_large = 0
        if save_to is not None:
            for old in save_to.glob('dataset_*/keyframe_*/frame*.png'):
                old.unlink()
            write_about(save_to, quantity=DISPARITY, scale=scale, **about)

    def predict(self, frame: Frame) -> np.ndarray | None:
        """As `FramePredictions`; raises BackendError where the model fails."""
        left, right = (_picture(frame, side) for side in (LEFT, RIGHT))
        if left.shape != right.shape:
            detail = f'the pictures of {frame.full_name} differ in size'
            raise FrameDoesNotCountError(NO_PICTURES, detail)
        # A pipeline remembers the pair before; frames that were chosen are no stream. Without a
        # rig the pictures are taken as rectified, and the disparity as left x minus right x.
        result = PerceptionPipeline(self._backend).process(
            RawPair(left, right, stamp_ns=0, right_stamp_ns=0), None
        )
        state = result.verdict.state.value
        self.verdicts[state] = self.verdicts.get(state, 0) + 1
        disparity_px = result.prediction.disparity_px
        if self._save_to is not None:
            path = self._save_to / Path(frame.full_name).parent / f'frame{frame.name}.png'
            self.too_large += write_values(path, disparity_px, self._scale)
        return disparity_px


class SavedPredictions:
    """Reads what a model, msdesis or not, said before; by names, whatever else lies there.

    scale: of PNGs, None = what values.json says. Raises UsageError where neither says it, where a
    frame has two files, and where no file belongs to any frame.
    """

    every_frame = False

    def __init__(
        self,
        folder: Path,
        key_frames: Sequence[KeyFrame],
        *,
        quantity: str | None = None,
        scale: float | None = None,
    ) -> None:
        about = read_about(folder)
        self.quantity = quantity or about.get('quantity', DISPARITY)
        self.about = about
        self.scale = agreed_scale(
            folder, quantity=self.quantity, scale=scale, option='--scale-factor'
        )
        found = _find_files(folder, FOLDERS[self.quantity])
        stated = bool(about) or scale is not None
        if not stated and any(path.suffix.lower() == '.png' for path in found.values()):
            raise UsageError(
                f'{folder} holds PNGs and no {ABOUT_FILE} that says their scale; give '
                '--scale-factor, usually 128'
            )
        names = {frame.full_name for key_frame in key_frames for frame in key_frame.frames}
        self._files = {name: path for name, path in found.items() if name in names}
        self.strangers = [path for name, path in found.items() if name not in names]
        if not self._files:
            raise UsageError(
                f'{folder} holds no prediction of any frame; expected files such as '
                f'{folder}/{_an_example(names)}'
            )

    def predict(self, frame: Frame) -> np.ndarray | None:
        """As `FramePredictions`; raises FileFormatError for a damaged prediction."""
        path = self._files.get(frame.full_name)
        return None if path is None else read_values(path, self.scale, self.quantity)


def _picture(frame: Frame, side: str) -> np.ndarray:
    if side not in frame.files:
        raise FrameDoesNotCountError(NO_PICTURES, f'{frame.full_name} has no picture in {side}')
    try:
        return read_rgb(frame.files[side])
    except FileFormatError as error:
        raise FrameDoesNotCountError(NO_PICTURES, str(error)) from error


def _find_files(folder: Path, domain: str) -> dict[str, Path]:
    """The files of a folder of predictions by the full names of their frames."""
    found: dict[str, Path] = {}
    for key_frame in sorted(folder.glob('dataset_*/keyframe_*')):
        for place in (key_frame, key_frame / domain, key_frame / 'data' / domain):
            for path in sorted(place.iterdir()) if place.is_dir() else ():
                if path.suffix.lower() not in SUFFIXES or path.name.startswith('.'):
                    continue
                stem = re.sub(r'^frame(?=\d)', '', path.stem)
                name = f'{key_frame.parent.name}/{key_frame.name}/{stem}'
                if (other := found.setdefault(name, path)) is not path:
                    raise UsageError(
                        f'{other} and {path} are both predictions of {name}; remove one of them'
                    )
    return found


def _an_example(names: set[str]) -> str:
    name = Path(min(names, default='dataset_8/keyframe_0/000000'))
    return str(name.parent / f'frame{name.name}.png')
