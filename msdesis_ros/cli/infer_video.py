"""`msdesis infer video`: the pipeline of the node on every pair of a stereo video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import ProgressColumn, Task
from rich.text import Text

from msdesis_ros.cli import model_options, offline_options, rig_options
from msdesis_ros.cli.option_groups import with_option_groups
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.cli.training_run import end_of
from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.scaled_png import DEFAULT_SCALE
from msdesis_ros.data.video_pairs import VideoPairs
from msdesis_ros.data.video_writer import CODECS, DEFAULT_CODEC
from msdesis_ros.offline.video_account import counted
from msdesis_ros.offline.video_folder import REPORT, TABLE, VIDEO
from msdesis_ros.offline.video_run import (
    DAMAGED,
    INTERRUPTED,
    VideoRun,
    VideoSettings,
    VideoSummary,
)
from msdesis_ros.runtime.pipeline import PerceptionPipeline

# As the release calls it -> where the left view is.
STACKINGS = {'horizontal': 'side_by_side', 'vertical': 'top_bottom'}
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class ViewsChoice(rig_options.RectifyChoice):
    """How the views of a video were taken; --alpha has the names of the release too."""

    alpha: Annotated[
        float,
        typer.Option(
            '--alpha',
            '--rectification-alpha',
            '--rectification_alpha',
            help='-1 as calibrated; 0 only pixels with a source; 1 all source pixels.',
        ),
    ] = -1.0


# The default of a parameter that `option_groups` fills.
UNKNOWN_VIEWS = ViewsChoice()


@with_option_groups
def infer_video(
    video: Path = typer.Argument(..., help='Video with both views, or that of the left eye.'),
    right: Path | None = typer.Argument(None, help='Video of the right eye.'),
    out: Path = typer.Option(..., '--out', help='Folder for the results.'),
    stacking: str | None = typer.Option(
        None,
        '--stacking',
        help='Of one video: horizontal (left half = left view, the default) or vertical (upper '
        'half = left view).',
    ),
    swap: bool = typer.Option(
        False, '--swap', help='The left or upper half of one video is the right view.'
    ),
    save_images: bool = typer.Option(
        False, '--save-images', '--save_images', help='Also a PNG of disparity and mask per pair.'
    ),
    disparity_scale_factor: offline_options.DisparityScaleOption = DEFAULT_SCALE,
    display_scale: float = typer.Option(
        1.0, '--display-scale', help='Grey levels of the result video for one px of disparity.'
    ),
    segmentation_threshold: offline_options.ThresholdOption = 0.5,
    valid_only: offline_options.ValidOnlyOption = False,
    codec: str = typer.Option(
        DEFAULT_CODEC, '--codec', help=f'Of the result video: {" or ".join(CODECS)}.'
    ),
    amp: offline_options.AmpOption = False,
    rigs: ViewsChoice = UNKNOWN_VIEWS,
    choice: model_options.ModelChoice = model_options.UNCHOSEN,
) -> None:
    """Disparities and masks of a stereo video of any size, as a video and as pictures.

    Without a calibration the views are taken as rectified. Everything that decodes is used; exit
    code 1 says that something did not. Ctrl-C keeps the result video up to the pair it came in.

    Example: msdesis infer video stacked.mp4 --stacking vertical --out out/video --save-images
    """
    settings = VideoSettings(
        outputs=offline_options.OutputSettings(
            disparity_scale_factor=disparity_scale_factor,
            segmentation_threshold=segmentation_threshold,
            valid_only=valid_only,
        ),
        display_scale=display_scale,
        save_images=save_images,
        codec=codec,
    )
    if amp:
        choice = offline_options.with_amp(choice)
    videos = _videos(video, right, stacking, swap)
    rig = rigs.rule.rig(None, videos.image_size)
    for sentence in rig.warnings if rig else ():
        typer.echo(f'warning: {sentence}', err=True)
    with choice.opened(videos.image_size) as opened:
        work = VideoRun(videos, PerceptionPipeline(opened, alpha=rigs.alpha), rig, out, settings)
        with end_of(None) as end, _bar(videos.count) as progress:
            summary = work.run(progress=progress, stop=end)
    if rig is None and {'vertical_offset', 'vertical_spread'} & set(summary.reasons):
        typer.echo('warning: without --calibration the views are taken as rectified', err=True)
    _tell(summary, out)


def _videos(video: Path, right: Path | None, stacking: str | None, swap: bool) -> VideoPairs:
    """The videos that the arguments name; a warning where one of them is longer."""
    if right is not None and (stacking is not None or swap):
        raise UsageError(
            '--stacking and --swap say where the views are in one video; leave them out with a '
            'video for each eye'
        )
    stacking = stacking or 'horizontal'
    if stacking not in STACKINGS:
        raise UsageError(f'--stacking is {stacking!r}; choose {" or ".join(STACKINGS)}')
    rig_options.require_files(*(path for path in (video, right) if path is not None))
    videos = VideoPairs(video, right, layout=STACKINGS[stacking], swap=swap, skip_damaged=True)
    counts = [file.count for file in videos.files if file.count_is_exact]
    if len(set(counts)) > 1:
        typer.echo(
            f'warning: {video} has {counts[0]} pictures and {right} {counts[1]}; what has no '
            'partner is left out',
            err=True,
        )
    return videos


class _Rate(ProgressColumn):
    """Pairs a second, of late."""

    def render(self, task: Task) -> Text:
        return Text('' if task.speed is None else f'{task.speed:.1f} fps')


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar with rate and remaining time, quiet when not a terminal."""
    with progress_bar(_Rate()) as bar:
        task = bar.add_task('pairs', total=total)
        yield lambda done: bar.update(task, completed=done)


def _tell(summary: VideoSummary, out: Path) -> None:
    """Say how it ended; raises where the video was not whole or somebody stopped the run."""
    account = summary.account
    for state in ('INVALID', 'DEGRADED'):
        if summary.verdicts.get(state):
            typer.echo(
                f'warning: the verdict on {counted(summary.verdicts[state], "pair")} is {state}',
                err=True,
            )
    for sentence in (*summary.reasons.values(), *account.unpaired()):
        typer.echo(f'warning: {sentence}', err=True)
    if summary.too_large:
        typer.echo(
            f'warning: {summary.too_large} disparities are too large for 16 bits and stored as '
            'the largest; a smaller --disparity-scale-factor holds them',
            err=True,
        )
    typer.echo(
        f'{counted(account.decoded, "picture")} decoded, {account.lost} lost; '
        f'{counted(summary.processed, "pair")} processed; wrote {VIDEO}, {TABLE} and {REPORT} to '
        f'{out}'
    )
    if summary.status == INTERRUPTED:
        typer.echo(f'interrupted: {VIDEO} ends with the pair {summary.processed - 1}', err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if summary.status == DAMAGED:
        raise MsdesisError('; '.join(account.problems()))
