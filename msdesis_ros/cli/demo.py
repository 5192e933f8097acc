"""`msdesis demo`: player, node and recorder as separate processes in a ROS domain of their own."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from msdesis_ros.cli import model_options, rig_options
from msdesis_ros.cli.player_options import PlayerOptions
from msdesis_ros.core.errors import FileFormatError, MissingExtraError, UsageError
from msdesis_ros.core.prediction import require_equal_size
from msdesis_ros.data.images import atomic_write, read_rgb
from msdesis_ros.data.sample import sample_loop
from msdesis_ros.runtime.cards import DEFAULT_MODEL, load_card
from msdesis_ros.runtime.factory import require_usable
from msdesis_ros.runtime.model_card import SGBM_FAMILY

if TYPE_CHECKING:
    from msdesis_ros.runtime.model_card import ModelCard

OUTPUT_FILES = ('report.json', 'demo.mcap', 'overview.png', 'points.ply')
# What a CPU keeps up with at 640x512: block matching without a network is the slower one.
DEFAULT_RATE_HZ, SGBM_RATE_HZ = 10.0, 5.0
DEFAULT_FRAMES = 60
# A recording that is no faster than this part of the usual rate plays as it was recorded.
SAME_RATE = 1.05


def demo(
    left: Path | None = typer.Option(None, '--left', help='Left picture, or a folder of them.'),
    right: Path | None = typer.Option(None, '--right', help='Right picture, or a folder.'),
    recording: Path | None = typer.Option(
        None, '--input', help='MCAP file or rosbag2 folder with pictures, instead of the above.'
    ),
    calibration: rig_options.CalibrationOption = None,
    focal_px: rig_options.FocalOption = None,
    baseline_mm: rig_options.BaselineOption = None,
    rectified: rig_options.RectifiedOption = False,
    unit: rig_options.UnitOption = None,
    model: str = typer.Option(DEFAULT_MODEL, '--model', help='Model card (msdesis models list).'),
    models_dir: model_options.ModelsDirOption = None,
    backend: model_options.BackendOption = None,
    frames: int | None = typer.Option(
        None, '--frames', min=1, help='Pairs to send; default 60, or all of the recording.'
    ),
    rate: float | None = typer.Option(
        None,
        '--rate',
        min=0.1,
        max=200,
        help='Pairs a second; default 10, opencv_sgbm 5, and no more than were recorded.',
    ),
    with_inputs: bool = typer.Option(
        False, '--with-inputs', help='Record the pictures too, for --input and msdesis replay.'
    ),
    out: Path = typer.Option(Path('out/demo'), '--out', help='Folder for the results.'),
) -> None:
    """Run the whole system on the project's own sample, your pictures, or a recording.

    Example: msdesis demo --left left.png --right right.png --calibration stereo.json
    """
    from msdesis_ros.cli.demo_graph import DemoGraph
    from msdesis_ros.cli.demo_report import write_results

    card = load_card(model, models_dir)
    _require_packages(card, backend)
    usual_hz = SGBM_RATE_HZ if card.family == SGBM_FAMILY else DEFAULT_RATE_HZ
    geometry = {
        'calibration': calibration,
        'unit': unit,
        'rectified': rectified,
        'focal_px': focal_px,
        'baseline_mm': baseline_mm,
    }
    if recording is not None and recording.resolve() in {
        out.resolve(),
        (out / 'demo.mcap').resolve(),
    }:
        raise UsageError(f'{recording} would be overwritten; choose another folder with --out')
    with contextlib.ExitStack() as held:
        if recording is not None:
            if left is not None or right is not None:
                raise UsageError('give either --input, or --left and --right')
            player, still = _play_recording(recording, frames, rate, usual_hz, geometry), False
        else:
            if left is None and right is None:
                if any((calibration, focal_px, baseline_mm, rectified)):
                    raise UsageError('give --left and --right with a calibration, or none of them')
                sample = held.enter_context(sample_loop())
                left, right = sample / 'left', sample / 'right'
                geometry['calibration'] = str(sample / 'calibration.json')
            if left is None or right is None:
                raise UsageError('--left and --right go together; give both')
            still = _check_pictures(left, right, **geometry)
            player = PlayerOptions(
                frames=frames or DEFAULT_FRAMES,
                rate_hz=rate or usual_hz,
                left=left,
                right=right,
                **geometry,
            )
        out.mkdir(parents=True, exist_ok=True)
        for name in OUTPUT_FILES:
            (out / name).unlink(missing_ok=True)
        graph = DemoGraph(
            out,
            player,
            model=model,
            models_dir=models_dir,
            backend=backend,
            # A still pair does not change; withholding its depth for that would show nothing.
            frozen_timeout_s=0.0 if still else 2.0,
            record_inputs=with_inputs,
        )
        sent = graph.run()
    report = write_results(out, sent)
    with atomic_write(out / 'report.json') as path:
        path.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    _say(report, out, still=still)


def _require_packages(card: ModelCard, backend: str | None) -> None:
    """Say what is missing before any process starts. Nothing else runs in its place unasked."""
    try:
        require_usable(card, backend)
    except MissingExtraError as error:
        raise MissingExtraError(
            f'{error}; or see the demo without a network: msdesis demo --model {SGBM_FAMILY}'
        ) from error


def _say(report: dict[str, Any], out: Path, *, still: bool) -> None:
    latency = report['latency_ms']
    typer.echo(
        f'{report["pairs_processed"]} of {report["pairs_sent"]} pairs processed at '
        f'{report["fps"]:.1f} a second, latency p50 {latency["p50"]:.0f} ms p95 '
        f'{latency["p95"]:.0f} ms; verdicts {report["verdicts"]}'
    )
    if still:
        typer.echo(
            'The same still pair was sent each time, so all but the first are DEGRADED (frozen).'
        )
    typer.echo(f'results in {out}: {", ".join(OUTPUT_FILES)}')


def _play_recording(
    path: Path,
    frames: int | None,
    rate_hz: float | None,
    usual_hz: float,
    geometry: dict[str, Any],
) -> PlayerOptions:
    """How the recording is played: at the rate asked for, or as recorded if that can be kept."""
    from msdesis_ros.data.stereo_recording import COMPRESSED, StereoRecording

    recording = StereoRecording(path)
    if not recording.reader.finished:
        typer.echo(f'warning: {recording.sentence()}', err=True)
    if not any((geometry['calibration'], geometry['focal_px'])) and len(recording.info_topics) < 2:
        raise UsageError(
            f'{path} does not hold the camera_info of both cameras; give --calibration, or '
            '--rectified with --focal-px and --baseline-mm'
        )
    held = recording.pairs
    if not held:
        raise FileFormatError(f'nothing can be played: {recording.sentence()}')
    recorded_hz = recording.rate_hz
    wanted_hz = rate_hz or usual_hz
    if rate_hz is None and recorded_hz < SAME_RATE * usual_hz:
        wanted_hz = recorded_hz
    return PlayerOptions(
        frames=min(frames or held, held),
        whole=frames is None,
        rate_hz=wanted_hz,
        recording=path,
        speed=wanted_hz / recorded_hz,
        compressed=recording.image_type == COMPRESSED,
        **geometry,
    )


def _check_pictures(
    left: Path,
    right: Path,
    *,
    calibration: str | None,
    focal_px: float | None,
    baseline_mm: float | None,
    rectified: bool,
    unit: str | None,
) -> bool:
    """Refuse what cannot work before any process starts; True for a single still pair."""
    from msdesis_ros.data.picture_pairs import find_pairs

    rig_options.require_files(left, right)
    pairs = find_pairs(left=str(left), right=str(right))
    first_left, first_right = (read_rgb(path) for path in pairs[0])
    require_equal_size(first_left, first_right)
    rig = rig_options.rig_from_options(
        image_size=(first_left.shape[1], first_left.shape[0]),
        calibration=calibration,
        focal_px=focal_px,
        baseline_mm=baseline_mm,
        rectified=rectified,
        unit=unit,
    )
    if rig is None:
        raise UsageError(
            'the node publishes metric depth: give --focal-px and --baseline-mm with --rectified'
        )
    return len(pairs) == 1
