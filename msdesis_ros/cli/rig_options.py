"""The options that say how two pictures were taken, as several commands share them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from msdesis_ros.core.errors import UsageError
from msdesis_ros.core.rig import StereoRig
from msdesis_ros.offline.rigs import RigRule

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


AlphaOption = Annotated[
    float,
    typer.Option(
        '--alpha', help='-1 as calibrated; 0 only pixels with a source; 1 all source pixels.'
    ),
]


def require_alpha(alpha: float) -> None:
    """Raise UsageError for what cv2.stereoRectify takes for no alpha."""
    if alpha != -1 and not 0 <= alpha <= 1:
        raise UsageError(f'--alpha is {alpha:g}; expected -1, or a number from 0 to 1')


@dataclass(frozen=True, kw_only=True)
class RigChoice:
    """What these options say, a group for `option_groups`. UsageError for a contradiction."""

    calibration: CalibrationOption = None
    focal_px: FocalOption = None
    baseline_mm: BaselineOption = None
    rectified: RectifiedOption = False
    unit: UnitOption = None

    def __post_init__(self) -> None:
        if (self.focal_px is None) != (self.baseline_mm is None):
            raise UsageError('--focal-px and --baseline-mm go together; give both')
        if self.calibration is not None and self.focal_px is not None:
            raise UsageError('give either --calibration or --focal-px and --baseline-mm, not both')
        for name, value in (('--focal-px', self.focal_px), ('--baseline-mm', self.baseline_mm)):
            if value is not None and not value > 0:
                raise UsageError(f'{name} is {value:g}; it must be positive')
        if self.unit not in (None, 'mm', 'm'):
            raise UsageError(f'--unit is {self.unit!r}; choose mm or m')

    @property
    def rule(self) -> RigRule:
        """The same for many pictures, some with a calibration of their own.

        Pictures without any are taken as rectified, whatever --rectified says.
        """
        return RigRule(
            calibration=self.calibration,
            focal_px=self.focal_px,
            baseline_m=None if self.baseline_mm is None else self.baseline_mm / 1000,
            rectified=self.rectified,
            unit=self.unit,
        )

    def rig(self, calibration: str | None, image_size: tuple[int, int]) -> StereoRig | None:
        """The rig of pictures of (width, height), by their own calibration where they have one.

        None for rectified pictures of unknown geometry. Raises UsageError where it is open how
        they were taken, and as `RigRule.rig`.
        """
        if calibration is None and self.calibration is None and not self.rectified:
            raise UsageError(
                'how the pictures were taken is not known: give --calibration FILE to rectify '
                'them, or --rectified if they are rectified already (then with --focal-px and '
                '--baseline-mm for metric depth)'
            )
        return self.rule.rig(calibration, image_size)


@dataclass(frozen=True, kw_only=True)
class RectifyChoice(RigChoice):
    """The same, and how the pictures are rectified."""

    alpha: AlphaOption = -1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_alpha(self.alpha)


# The default of a parameter that `option_groups` fills.
UNKNOWN = RectifyChoice()


def rig_from_options(*, image_size: tuple[int, int], **given: Any) -> StereoRig | None:
    """The rig for options that are given one by one; raises as `RigChoice` and its `rig`."""
    return RigChoice(**given).rig(None, image_size)


def require_files(*paths: Path) -> None:
    """Raise UsageError naming the first path that is not there."""
    for path in paths:
        if not path.exists():
            raise UsageError(f'{path} does not exist')
