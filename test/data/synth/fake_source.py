"""A source of tiny frames for the tests, in a module that worker processes can import."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import numpy as np

from msdesis_ros.core.errors import MissingExtraError
from msdesis_ros.core.rig import StereoGeometry
from msdesis_ros.data.synth.stereo_frame import Part, StereoFrame, ToolType
from msdesis_ros.data.synth.truth import occlusion

SIZE = (96, 64)


def fake_frame(seed: int, index: int, image_size: tuple[int, int] = SIZE) -> StereoFrame:
    """A slanted plane with a tool before it and a hole in it, painted with smooth noise."""
    rng = np.random.default_rng([seed, index])
    width, height = image_size
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height))

    def view(shift):
        disparity = (12 + 0.02 * x + 0.03 * y) / (1 - 0.02 * shift)
        start = width / 2 - shift * 20
        tool = (x >= start) & (x < start + width / 5) & (y > height / 2)
        return np.where(tool, 20.0, disparity).astype(np.float32), tool

    (left_px, tool), (right_px, _) = view(0), view(1)
    hidden = occlusion(left_px, right_px)
    left_px[2:6, 30:40] = np.nan
    hidden[2:6, 30:40] = False
    parts = np.where(tool, np.where(x % 2, Part.SHAFT, Part.JAWS), Part.BACKGROUND)
    coarse = rng.uniform(40, 220, 3)
    picture = coarse + 30 * np.sin(x / 7 + index)[..., None] + rng.normal(0, 2, (*x.shape, 3))
    return StereoFrame(
        left=picture.clip(0, 255).astype(np.uint8),
        right=np.roll(picture, -12, axis=1).clip(0, 255).astype(np.uint8),
        disparity_px=left_px,
        parts=parts.astype(np.uint8),
        types=np.where(tool, ToolType.CLIP, 0).astype(np.uint8),
        occluded=hidden,
        geometry=StereoGeometry(
            image_size=image_size,
            focal_px=90.3,
            focal_y_px=90.3,
            cx_px=width / 2 - 1.7,
            cy_px=height / 2 + 0.9,
            baseline_m=0.00437,
        ),
        scene={'seed': [seed, index], 'bodies': ['plane', 'tool']},
    )


class FakeSource:
    """Frames of one size; `trouble` is what happens at frame `at`."""

    name = 'fake'

    def __init__(self, recipe: FakeRecipe) -> None:
        self._recipe = recipe
        self._points_mm = np.random.default_rng(recipe.seed).uniform(-8, 8, (40, 3)) + [0, 0, 29]

    def frame(self, index: int) -> StereoFrame:
        recipe = self._recipe
        if index == recipe.at and recipe.trouble == 'die':
            os.kill(os.getpid(), signal.SIGKILL)
        if index == recipe.at and recipe.trouble == 'fault':
            raise ZeroDivisionError('no such organ')
        if recipe.trouble == 'slow first' and index == 0:
            time.sleep(0.5)
        if recipe.trouble == 'slow':
            time.sleep(0.2)
        return fake_frame(recipe.seed, index, recipe.image_size)

    @property
    def points_mm(self) -> np.ndarray:
        return self._points_mm

    def world_from_left(self, index: int) -> np.ndarray:
        pose = np.eye(4)
        pose[0, 3] = 0.5 * index
        return pose

    def stamp_ns(self, index: int) -> int:
        return 1_000 + 40_000_000 * index

    def close(self) -> None:
        if self._recipe.farewell:
            with open(self._recipe.farewell, 'a', encoding='utf-8') as file:
                file.write(f'{os.environ["LP_NUM_THREADS"]} ')


@dataclass(frozen=True)
class FakeRecipe:
    """Like `SourceRecipe`, for a FakeSource."""

    seed: int = 3
    image_size: tuple[int, int] = SIZE
    clean: bool = False
    sequence: bool = False
    trouble: str = ''
    at: int = -1
    farewell: str = ''
    kind: str = 'fake'

    @property
    def options(self) -> dict[str, bool | str]:
        return {'clean': self.clean}

    def open(self) -> FakeSource:
        if self.trouble == 'missing':
            raise MissingExtraError(self.farewell or 'install the extra synth')
        return FakeSource(self)
