"""What `stereo_player` is to send, for the commands that start it as a process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PlayerOptions:
    """What the player is to send, as the command line gave it.

    Either `left` and `right`, in a loop at `rate_hz`, or `recording`, once at `speed`. frames:
    how many pairs that makes; rate_hz: how many of them in a second; whole: all of the recording.
    """

    frames: int
    rate_hz: float
    left: Path | None = None
    right: Path | None = None
    calibration: str | None = None
    unit: str | None = None
    rectified: bool = False
    focal_px: float | None = None
    baseline_mm: float | None = None
    recording: Path | None = None
    speed: float = 1.0
    compressed: bool = False
    whole: bool = False

    @property
    def image_transport(self) -> str:
        """What the node is to listen to."""
        return 'compressed' if self.compressed else 'raw'

    def parameters(self, report: Path) -> dict[str, Any]:
        """The parameters of `stereo_player`."""
        chosen = {
            'left': self.left and str(self.left),
            'right': self.right and str(self.right),
            'recording': self.recording and str(self.recording),
            'calibration': self.calibration,
            'unit': self.unit,
            'rectified': self.rectified,
            'focal_px': self.focal_px,
            'baseline_mm': self.baseline_mm,
            'frames': 0 if self.whole else self.frames,
            'loop': self.recording is None,
            'wait_for_subscribers': 1,
            'report': str(report),
        }
        if self.recording is None:
            chosen['rate_hz'] = float(self.rate_hz)
        else:
            chosen['speed'] = float(self.speed)
        return {name: value for name, value in chosen.items() if value is not None}
