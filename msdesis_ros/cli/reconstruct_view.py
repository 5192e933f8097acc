"""The view of `msdesis reconstruct`: its options, its video, and its progress bar."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import Progress

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.cloud_view.viewer import SurfaceViewer, ViewSettings
from msdesis_ros.data.video_writer import CODECS, DEFAULT_CODEC, VideoWriter
from msdesis_ros.offline.reconstruction import ShowPicture

VIDEO = 'view.mp4'
# A rate is taken as a ratio of small numbers, which a video holds exactly.
_RATE_STEPS = 1001


def _option(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel='View', **more)


VideoOption = Annotated[
    bool, _option('--video', help=f'Also {VIDEO}, of a camera that circles the endoscope.')
]
StillOption = Annotated[bool, _option('--still', help='Also view.png, the first picture of it.')]
RadiusOption = Annotated[float, _option('--radius', '-r', help='Of the circle, m.')]
DistanceOption = Annotated[
    float,
    _option(
        '--distance', '-d', help='Of the circle along the line of sight, m; below 0 = behind.'
    ),
]
FocusOption = Annotated[
    tuple[float, float, float] | None,
    _option('--focus', help='What the camera looks at: x y z, m; default: the median point.'),
]
PeriodOption = Annotated[float, _option('--period', help='Seconds of one round.')]
ResolutionOption = Annotated[str, _option('--resolution', help='Width x height, px.')]
FpsOption = Annotated[float, _option('--fps', help='Pictures a second.')]
AngleOption = Annotated[
    float | None, _option('--view-angle', help='Degrees; default: what shows the surface.')
]
GridOption = Annotated[bool, _option('--grid', help='Draw a grid of a round number of mm.')]
PointSizeOption = Annotated[
    float, _option('--psf', help='Width of a point; 1 = as wide as the pixel it came from.')
]
EndoscopeOption = Annotated[
    bool, _option('--endoscope/--no-endoscope', help='Draw a simple endoscope.')
]
CodecOption = Annotated[str, _option('--codec', help=f'Of the video: {" or ".join(CODECS)}.')]


@dataclass(frozen=True)
class ViewChoice:
    """Whether there is a video, a still, or neither, and how they look."""

    settings: ViewSettings
    video: bool = False
    still: bool = False
    codec: str = DEFAULT_CODEC

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UsageError(f'--codec is {self.codec!r}; choose {" or ".join(CODECS)}')


@dataclass(frozen=True)
class OpenView:
    """viewer: None without a view; show: None without a video."""

    viewer: SurfaceViewer | None = None
    show: ShowPicture | None = None


def parse_resolution(text: str) -> tuple[int, int]:
    """'512x512' -> (width, height); UsageError for anything else."""
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f'--resolution is {text!r}; expected width x height in px, as 512x512')
    return int(width), int(height)


@contextlib.contextmanager
def open_view(choice: ViewChoice, out: Path, bar: Progress) -> Iterator[OpenView]:
    """Open what draws, before any other work; the video gets its name when the block ends well.

    Its pictures are counted in `bar`.

    Raises MissingExtraError where OpenGL or PyAV is missing.
    """
    if not (choice.video or choice.still):
        yield OpenView()
        return
    with contextlib.ExitStack() as held:
        viewer = held.enter_context(SurfaceViewer(choice.settings))
        if not choice.video:
            yield OpenView(viewer)
            return
        rate = Fraction(choice.settings.fps).limit_denominator(_RATE_STEPS)
        size = choice.settings.image_size
        writer = held.enter_context(
            VideoWriter(out / VIDEO, size=size, rate=rate, codec=choice.codec)
        )

        round_of = choice.settings.pictures_a_round
        task = bar.add_task('pictures', total=round_of)

        def show(picture: np.ndarray) -> None:
            writer.write(picture, writer.count / rate)
            bar.update(task, completed=writer.count, total=max(round_of, writer.count))

        yield OpenView(viewer, show)
