"""The parameters of the `stereo_player` node, and which of them go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.stamp_faults import StampFaults
from msdesis_ros.data.stamp_files import UNITS_NS
from msdesis_ros.data.video_pairs import LAYOUTS
from msdesis_ros.ros.declared import Spec
from msdesis_ros.ros.picture_source import ENCODERS

# Of pictures that do not say when they were taken.
DEFAULT_RATE_HZ = 10.0
_SEED_MAX = 2**31 - 1

SPECS: dict[str, Spec] = {
    'left': Spec('', 'Left picture, folder of left pictures, or left video.'),
    'right': Spec('', 'Right picture, folder with equally many right pictures, or right video.'),
    'video': Spec('', 'Video that shows both views, instead of left and right.'),
    'layout': Spec('side_by_side', 'Where the views are in that video.', choices=LAYOUTS),
    'swap': Spec(False, 'The first view of that video, left or upper, is the right one.'),
    'recording': Spec('', 'MCAP file or rosbag2 folder, instead of left and right.'),
    'left_topic': Spec('', 'Left image topic in the recording; empty = found by its name.'),
    'right_topic': Spec('', 'Right image topic in the recording; empty = found by its name.'),
    'calibration': Spec(
        '',
        'Calibration file, or LEFT.yaml,RIGHT.yaml (ROS camera_info files); of a recording it '
        'replaces the recorded camera_infos.',
    ),
    'unit': Spec('', 'Unit of the calibration; empty = as usual.', choices=('', 'mm', 'm')),
    'rectified': Spec(False, 'The pictures are rectified; needed with focal_px and baseline_mm.'),
    'focal_px': Spec(0.0, 'Focal length of rectified pictures without calibration.', 0.0, 1e6),
    'baseline_mm': Spec(0.0, 'Baseline of rectified pictures without calibration.', 0.0, 1e5),
    'rate_hz': Spec(
        0.0,
        f'Pairs a second; 0 = as the video or the stamps say, else {DEFAULT_RATE_HZ:g}.',
        0.0,
        1000.0,
    ),
    'speed': Spec(1.0, 'Speed of the play; 0.5 = half as fast.', 0.001, 1000.0),
    'stamps': Spec(
        'now',
        'Stamps of the messages: the time now, or those of the recording, video or pictures.',
        choices=('now', 'recorded'),
    ),
    'stamp_file': Spec(
        '',
        'CSV or TXT file that says when each picture of the folders was taken: a stamp, or name '
        'and stamp, in each line; LEFT.csv,RIGHT.csv for two clocks.',
    ),
    'stamps_in_names': Spec(False, 'The names of the pictures say when they were taken.'),
    'stamp_unit': Spec(
        '', 'Unit of these stamps; empty = by their size.', choices=('', *UNITS_NS)
    ),
    'loop': Spec(True, 'Start again after the last pair.'),
    'frames': Spec(0, 'End after so many pictures of each side; 0 = no limit.', 0, 2**31 - 1),
    'autoplay': Spec(True, 'Start by itself; otherwise the service ~/play starts.'),
    'encoding': Spec(
        'rgb8', 'Encoding of the images (but of a recording).', choices=tuple(ENCODERS)
    ),
    'skew_ms': Spec(0.0, 'Fault: added to the right stamps.', -1e4, 1e4),
    'drift_ppm': Spec(0.0, 'Fault: how much faster the right clock runs.', -1e5, 1e5),
    'jitter_ms': Spec(0.0, 'Fault: each stamp is later by 0 to this, at random.', 0.0, 1e4),
    'drop_left': Spec(0.0, 'Fault: share of the left pictures that are lost.', 0.0, 1.0),
    'drop_right': Spec(0.0, 'Fault: share of the right pictures that are lost.', 0.0, 1.0),
    'duplicate': Spec(0.0, 'Fault: share of the pictures that are sent twice.', 0.0, 1.0),
    'reorder': Spec(0.0, 'Fault: share of the pictures that follow their successor.', 0.0, 1.0),
    'seed': Spec(0, 'Seed of the faults.', 0, _SEED_MAX),
    'left_frame_id': Spec(
        '', 'Left frame; empty = as in the calibration, or left_optical; not for a recording.'
    ),
    'right_frame_id': Spec(
        '', 'Right frame; empty = as in the calibration, or right_optical; not for a recording.'
    ),
    'wait_for_subscribers': Spec(0, 'Start when each image topic has so many.', 0, 100),
    'wait_limit_s': Spec(30.0, 'Give up when they have not come by then.', 0.1, 3600.0),
    'report': Spec('', 'File for a JSON report of what was sent; empty = none.'),
}


def faults_from(settings: Mapping[str, Any]) -> StampFaults:
    """The faults that the parameters ask for."""
    return StampFaults(
        skew_ns=round(settings['skew_ms'] * 1e6),
        drift_ppm=settings['drift_ppm'],
        jitter_ns=round(settings['jitter_ms'] * 1e6),
        **{
            name: settings[name]
            for name in ('drop_left', 'drop_right', 'duplicate', 'reorder', 'seed')
        },
    )


def require_consistent(settings: Mapping[str, Any]) -> None:
    """Raise UsageError for parameters that are missing or contradict each other."""
    _require_one_source(settings)
    recording = bool(settings['recording'])
    if settings['stamp_file'] and settings['stamps_in_names']:
        raise UsageError('give either stamp_file or stamps_in_names, not both')
    _refuse(
        settings,
        ('left_topic', 'right_topic'),
        unless=recording,
        why='names a topic of a recording; set recording too',
    )
    _refuse(
        settings,
        ('rate_hz', 'left_frame_id', 'right_frame_id', 'stamp_file', 'stamps_in_names'),
        unless=not recording,
        why='is not for a recording, which has its own timing (see speed) and frames',
    )
    _refuse(
        settings,
        ('swap',),
        unless=bool(settings['video']),
        why='exchanges the views of one video; set video too',
    )
    _require_geometry(settings)


def _require_one_source(settings: Mapping[str, Any]) -> None:
    given = [name for name in ('video', 'recording') if settings[name]]
    sides = [name for name in ('left', 'right') if settings[name]]
    if len(given) > 1 or (given and sides):
        raise UsageError(
            f'{" and ".join(given + sides)} are given; play either left and right, or a video, or '
            'a recording'
        )
    if not given and len(sides) < 2:
        missing = 'right' if sides == ['left'] else 'left'
        raise UsageError(
            f'parameter {missing} is missing: name a picture, a folder of pictures or a video '
            '(or set video or recording instead of left and right)'
        )


def _refuse(
    settings: Mapping[str, Any], names: tuple[str, ...], *, unless: bool, why: str
) -> None:
    for name in names:
        if settings[name] and not unless:
            raise UsageError(f'parameter {name} {why}')


def _require_geometry(settings: Mapping[str, Any]) -> None:
    metric = settings['focal_px'] > 0, settings['baseline_mm'] > 0
    if settings['calibration'] and any(metric):
        raise UsageError('give either calibration, or focal_px and baseline_mm, not both')
    # The recording may hold it; that is known when it is open.
    if settings['calibration'] or (settings['recording'] and not any(metric)):
        return
    if not all(metric):
        raise UsageError(
            'the geometry is missing: set the parameter calibration, or for rectified pictures '
            'rectified, focal_px and baseline_mm'
        )
    if not settings['rectified']:
        raise UsageError(
            'focal_px and baseline_mm describe rectified pictures only: set rectified:=true, or '
            'give a calibration'
        )
