"""`msdesis convert scared` and `msdesis convert keyframes`: SCARED as it is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.data.conversion.places import Tell
from msdesis_ros.data.conversion.records import Outcome, Settings
from msdesis_ros.data.conversion.scared_flow import convert_flow
from msdesis_ros.data.conversion.scared_key_frames import convert_key_frames
from msdesis_ros.data.conversion.scared_sequences import convert_sequence
from msdesis_ros.data.conversion.scared_tree import KeyFrame, find_key_frames
from msdesis_ros.data.scaled_png import DEFAULT_SCALE

TRAINING_SETS = range(1, 8)
_SHOWN_SENTENCES = 20

Root = Annotated[
    Path, typer.Argument(help='Folder with dataset_N in it, or one dataset_N, or one keyframe_K.')
]
Out = Annotated[Path, typer.Option('--out', help='Folder for the results.')]
Depth = Annotated[
    bool, typer.Option('--depth', help='Depth and picture as the left camera saw them.')
]
Undistort = Annotated[
    bool, typer.Option('--undistort', help='Left picture and depth without lens distortion.')
]
Disparity = Annotated[
    bool, typer.Option('--disparity', help='Rectified pictures, their depth and disparity.')
]
ScaleFactor = Annotated[
    float,
    typer.Option('--scale-factor', help='A 16-bit sample is the value (mm, px) times this.'),
]
Cloud = Annotated[
    str | None,
    typer.Option(
        '--cloud', help='File in each key frame that replaces point_cloud.obj; OBJ or PLY.'
    ),
]
Strict = Annotated[
    bool, typer.Option('--strict', help='Stop at the first missing or broken piece.')
]
Overwrite = Annotated[
    bool, typer.Option('--overwrite', help='Remove what is there, and make it again.')
]
_ALPHA_HELP = 'Of the rectification: -1 OpenCV decides; 0 only pixels with a source; 1 all pixels.'


def scared(
    root: Root,
    out: Out,
    depth: Depth = False,
    undistort: Undistort = False,
    disparity: Disparity = False,
    alpha: float = typer.Option(-1.0, '--alpha', help=_ALPHA_HELP),
    scale_factor: ScaleFactor = DEFAULT_SCALE,
    from_poses: bool = typer.Option(
        False,
        '--from-poses',
        help="Truth from the key frame's cloud, moved by each pose: denser, for training only.",
    ),
    cloud: Cloud = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn SCARED's sequences into pictures with depth and disparity, frame by frame.

    Without --depth, --undistort and --disparity it makes --depth and --disparity, what
    evaluation reads. The same command goes on where an earlier run ended.

    Example: msdesis convert scared SCARED/dataset_8 --out out/scared
    """
    if cloud is not None and not from_poses:
        raise UsageError('--cloud has a use with --from-poses only; sequences have their points')
    chosen = _products(depth, undistort, disparity) or ('depth', 'disparity')
    settings = Settings(chosen, alpha, scale_factor, cloud)
    outcome = Outcome()
    keys = find_key_frames(root)
    with _progress(len(keys)) as (tell, advance):
        for key in keys:
            outcome.add(
                convert_sequence(
                    key,
                    out,
                    settings,
                    from_poses=from_poses,
                    strict=strict,
                    overwrite=overwrite,
                    tell=tell,
                )
            )
            advance()
    _report(out, outcome, 'frames')


def keyframes(
    root: Root,
    out: Out,
    depth: Depth = False,
    undistort: Undistort = False,
    disparity: Disparity = False,
    alpha: float = typer.Option(0.0, '--alpha', help=_ALPHA_HELP),
    scale_factor: ScaleFactor = DEFAULT_SCALE,
    cloud: Cloud = None,
    tree: bool = typer.Option(
        False, '--tree', help='dataset_N/keyframe_K/NAME.png instead of NAME/N_K.png.'
    ),
    test_sets: bool = typer.Option(
        False, '--test-sets', help='Also sets 8 and 9, which training must not see.'
    ),
    strict: Strict = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn SCARED's key frames into the layout that training reads, without the videos.

    Without --depth, --undistort and --disparity it makes --disparity. The same command goes on
    where an earlier run ended.

    Example: msdesis convert keyframes SCARED --out out/keyframes
    """
    chosen = _products(depth, undistort, disparity) or ('disparity',)
    settings = Settings(chosen, alpha, scale_factor, cloud)
    found = find_key_frames(root)
    keys = [key for key in found if test_sets or key.dataset in TRAINING_SETS]
    if not keys:
        raise UsageError(f'{root} holds test sets only; --test-sets takes them as well')
    with _progress(len(keys)) as (tell, advance):

        def told(name: str, frame: int) -> None:
            tell(name, frame)
            advance()

        outcome = convert_key_frames(
            keys, out, settings, tree=tree, strict=strict, overwrite=overwrite, tell=told
        )
    outcome.notes += _left_out(found, keys)
    _report(out, outcome, 'key frames')


def scared_flow(
    root: Root,
    out: Out,
    cloud: Cloud = None,
    strict: Strict = False,
    overwrite: Overwrite = False,
) -> None:
    """Make the optical flow from each frame of SCARED's sequences to the next, as KITTI stores it.

    It is that of the key frame's cloud, moved by the poses, in the left picture as it was taken.
    The same command goes on where an earlier run ended.

    Example: msdesis convert scared-flow SCARED/dataset_1 --out out/flow
    """
    outcome = Outcome()
    keys = find_key_frames(root)
    with _progress(len(keys)) as (tell, advance):
        for key in keys:
            if key.video.is_file():
                options = {'cloud': cloud, 'strict': strict, 'overwrite': overwrite}
                outcome.add(convert_flow(key, out, tell=tell, **options))
            else:
                outcome.notes.append(f'{key.name} has no video, hence no flow')
            advance()
    _report(out, outcome, 'frames')


def _products(depth: bool, undistort: bool, disparity: bool) -> tuple[str, ...]:
    wanted = {'depth': depth, 'undistort': undistort, 'disparity': disparity}
    return tuple(name for name, chosen in wanted.items() if chosen)


def _left_out(found: list[KeyFrame], keys: list[KeyFrame]) -> list[str]:
    names = [key.short_name for key in found if key not in keys]
    if not names:
        return []
    return [f'test sets are left out ({", ".join(names)}); --test-sets takes them as well']


def _report(out: Path, outcome: Outcome, what: str) -> None:
    """Say what was done; MsdesisError where something is missing of it."""
    for sentences, kind in ((outcome.notes, 'note'), (outcome.problems, 'left out')):
        for sentence in sentences[:_SHOWN_SENTENCES]:
            typer.echo(f'{kind}: {sentence}', err=True)
        if len(sentences) > _SHOWN_SENTENCES:
            typer.echo(f'... and {len(sentences) - _SHOWN_SENTENCES} more', err=True)
    kept = f', {outcome.kept} were there already' if outcome.kept else ''
    typer.echo(f'{out}: {outcome.made} {what} made{kept}')
    if outcome.problems:
        raise MsdesisError(
            f'{len(outcome.problems)} pieces of the data are missing or broken: see above; with '
            'them in place, the same command makes the rest'
        )


@contextmanager
def _progress(total: int) -> Iterator[tuple[Tell, Callable[[], None]]]:
    with progress_bar() as bar:
        task = bar.add_task('key frames', total=total)
        yield (
            lambda name, frame: bar.update(task, description=f'{name}, frame {frame}'),
            lambda: bar.advance(task),
        )
