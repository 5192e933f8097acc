"""The options that say how two pictures were taken, as `infer` and `demo` share them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.data.calibration_files import read_calibration

CALIBRATION_HELP = (
    'OpenCV JSON/YAML (K1 D1 K2 D2 R T ...), or two ROS camera_info files: LEFT.yaml,RIGHT.yaml.'
)
CalibrationOption = Annotated[str | None, typer.Option('--calibration', help=CALIBRATION_HELP)]
FocalOption = Annotated[
    float | None,
    typer.Option(
        '--focal-px',
        help='Focal length of rectified pictures, px; goes with --baseline-mm and --rectified.',
    ),
]
BaselineOption = Annotated[
    float | None, typer.Option('--baseline-mm', help='Baseline of rectified pictures, mm.')
]
RectifiedOption = Annotated[
    bool, typer.Option('--rectified', help='The pictures are rectified already.')
]
UnitOption = Annotated[
    str | None,
    typer.Option(
        '--unit',
        help='Unit of T in the calibration: mm or m (default: mm in OpenCV files, m in ROS '
        'files).',
    ),
]


def rig_from_options(
    *,
    image_size: tuple[int, int],
    calibration: str | None,
    focal_px: float | None,
    baseline_mm: float | None,
    rectified: bool,
    unit: str | None,
) -> StereoRig | None:
    """The rig that the options describe; None for rectified pictures of unknown geometry.

    Raises UsageError for options that contradict each other or leave the rectification open.
    """
    if (focal_px is None) != (baseline_mm is None):
        raise UsageError('--focal-px and --baseline-mm go together; give both')
    if calibration is not None and focal_px is not None:
        raise UsageError('give either --calibration or --focal-px and --baseline-mm, not both')
    if unit not in (None, 'mm', 'm'):
        raise UsageError(f'--unit is {unit!r}; choose mm or m')
    if calibration is not None:
        left, right = read_calibration(calibration, image_size=image_size, unit=unit)
        rig = StereoRig.from_cameras(left, right, rectified=rectified)
        rig.require_image_size(image_size)
        return rig
    if not rectified:
        raise UsageError(
            'how the pictures were taken is not known: give --calibration FILE to rectify them, '
            'or --rectified if they are rectified already (then with --focal-px and --baseline-mm '
            'for metric depth)'
        )
    if focal_px is None or baseline_mm is None:
        return None
    for name, value in (('--focal-px', focal_px), ('--baseline-mm', baseline_mm)):
        if not value > 0:
            raise UsageError(f'{name} is {value:g}; it must be positive')
    return StereoRig.from_focal_and_baseline(
        image_size=image_size, focal_px=focal_px, baseline_m=baseline_mm / 1000
    )


def require_alpha(alpha: float) -> None:
    """Raise UsageError for what cv2.stereoRectify takes for no alpha."""
    if alpha != -1 and not 0 <= alpha <= 1:
        raise UsageError(f'--alpha is {alpha:g}; expected -1, or a number from 0 to 1')


def require_files(*paths: Path) -> None:
    """Raise UsageError naming the first path that is not there."""
    for path in paths:
        if not path.exists():
            raise UsageError(f'{path} does not exist')
