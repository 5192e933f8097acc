"""`msdesis synth`: synthetic surgical stereo with its truth, as folders or as training shards."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from msdesis_ros.cli.export import parse_size
from msdesis_ros.cli.progress import progress_bar
from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.synth.generate import generate_folder, generate_shards
from msdesis_ros.data.synth.recipes import SOURCES, SourceRecipe
from msdesis_ros.data.synth.shards import FRAMES_PER_SHARD
from msdesis_ros.data.synth.workers import usable_cores


def synth(
    out: Path = typer.Option(..., '--out', help='Folder for the data set.'),
    frames: int = typer.Option(10, '--frames', min=1, help='Pairs to make.'),
    seed: int = typer.Option(0, '--seed', min=0, help='Decides every pair.'),
    size: str = typer.Option('1280x1024', '--size', help='Width x height in px.'),
    clean: bool = typer.Option(
        False, '--clean', help='No noise, blur, smoke, vignette and view-dependent light.'
    ),
    distorted: bool = typer.Option(
        False, '--distorted', help='Also the unrectified pictures, with their calibration.'
    ),
    sequence: bool = typer.Option(
        False, '--sequence', help='One moving scene, with poses.json and points.npz.'
    ),
    source: str = typer.Option(
        'render', '--source', help=f'{" or ".join(SOURCES)}; layered is quick and needs no OpenGL.'
    ),
    scenes: str | None = typer.Option(
        None,
        '--scenes',
        help='Only layered scenes of this kind: tissue, mixed or anything; default: some of each.',
    ),
    workers: int | None = typer.Option(
        None, '--workers', min=1, help='Processes; default: one for each core.'
    ),
    shards: bool = typer.Option(
        False, '--shards', help='Training shards (few files, JPEG) instead of a folder a pair.'
    ),
    shard_frames: int = typer.Option(
        FRAMES_PER_SHARD, '--shard-frames', min=1, help='Pairs in one shard.'
    ),
) -> None:
    """Make surgical stereo pairs with exact disparity, depth, masks and occlusion.

    The same seed gives the same bytes on one machine. What a run that was ended has finished is
    kept: the same command goes on from there.

    Example: msdesis synth --out out/synth --frames 10 --seed 1 --size 640x512
    """
    recipe = SourceRecipe(source, seed, parse_size(size), clean, sequence, scenes)
    if shards and (distorted or sequence):
        raise UsageError(
            '--shards holds rectified single pairs; leave out --distorted, --sequence'
        )
    workers = min(workers or usable_cores(), frames)
    begin = time.monotonic()
    with progress_bar() as bar:
        task = bar.add_task('pairs', total=frames)
        common = {
            'frames': frames,
            'workers': workers,
            'progress': lambda done: bar.update(task, completed=done),
        }
        if shards:
            made = generate_shards(out, recipe, per_shard=shard_frames, **common)
        else:
            made = generate_folder(out, recipe, distorted=distorted, **common)
    took_s = time.monotonic() - begin
    if not made.made:
        typer.echo(f'{out} holds these {frames} pairs already; nothing was made')
        return
    kept = f', {made.kept} were there already' if made.kept else ''
    typer.echo(
        f'{out}: {made.made} pairs of {size} px made in {took_s:.1f} s, '
        f'{made.made / took_s:.2f} pairs a second ({source}, workers: {workers}){kept}'
    )
