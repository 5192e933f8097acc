"""Follows the camera_info of both eyes and says which rig, if any, may be used now."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.rig import StereoRig

# How long a change of one eye waits for word of the other one before it is taken as final.
SETTLE_S = 1.0
SIDES = ('left', 'right')
NOTHING_YET = 'no camera_info has arrived from either camera'


class RigTracker:
    """Passes camera_infos through the gate as they come and never lends out a mixed rig.

    `rig` is the one to use for pictures that arrive now, or None; `problem` then says why in a
    sentence. When one eye's calibration changes, there is no rig until the other eye has spoken
    at the same time or later, or has been silent for a second (it may be latched).
    Not thread-safe: one thread feeds it.
    """

    def __init__(self, *, rectified: bool, stamp_tolerance_ns: int = 10_000_000) -> None:
        self._rectified = rectified
        self._stamp_tolerance_ns = stamp_tolerance_ns
        self.reset()

    def reset(self) -> None:
        """Forget both eyes."""
        self.rig: StereoRig | None = None
        self.problem = NOTHING_YET
        self._keys: dict[str, Hashable] = {}
        self._cameras: dict[str, CameraCalibration | CalibrationError] = {}
        # Sides whose word is awaited since the other one changed: stamp of the change, deadline.
        self._awaited: dict[str, tuple[int, float]] = {}
        self._undecided = False

    @property
    def awaits_first(self) -> bool:
        """True until both eyes have spoken for the first time."""
        return len(self._keys) < len(SIDES)

    def update(
        self,
        side: str,
        key: Hashable,
        parse: Callable[[], CameraCalibration],
        *,
        stamp_ns: int,
        now_s: float,
    ) -> bool:
        """Take in one camera_info; True where `rig` or `problem` changed.

        `key` is equal for equal content, so that `parse` (which may raise CalibrationError) runs
        only when something changed. `now_s` is monotonic.
        """
        if side in self._awaited:
            changed_ns, _ = self._awaited[side]
            if stamp_ns == 0 or stamp_ns >= changed_ns - self._stamp_tolerance_ns:
                del self._awaited[side]
        if self._keys.get(side) != key:
            self._keys[side] = key
            try:
                self._cameras[side] = parse()
            except CalibrationError as error:
                self._cameras[side] = error
            if self.rig is not None:
                other = SIDES[side == 'left']
                self._awaited[other] = (stamp_ns, now_s + SETTLE_S)
            self._undecided = True
        return self.tick(now_s=now_s)

    def tick(self, *, now_s: float) -> bool:
        """Let time pass: a change whose partner stays silent becomes final. True on a change."""
        self._awaited = {
            side: (stamp_ns, deadline_s)
            for side, (stamp_ns, deadline_s) in self._awaited.items()
            if now_s < deadline_s
        }
        if not self._undecided:
            return False
        before = (self.rig, self.problem)
        if self._awaited:
            waiting = ' and '.join(self._awaited)
            self.rig = None
            self.problem = (
                f'the calibration changed; waiting for camera_info of the {waiting} camera'
            )
        else:
            self.rig, self.problem = self._decide()
            self._undecided = False
        return before != (self.rig, self.problem)

    def _decide(self) -> tuple[StereoRig | None, str]:
        left, right = (self._cameras.get(side) for side in SIDES)
        for side, camera in zip(SIDES, (left, right), strict=True):
            if isinstance(camera, CalibrationError):
                return None, f'{side} camera_info refused: {camera}'
        if left is None or right is None:
            missing = 'left' if left is None else 'right'
            return None, f'no camera_info has arrived from the {missing} camera'
        assert not isinstance(left, CalibrationError) and not isinstance(right, CalibrationError)
        try:
            return StereoRig.from_cameras(left, right, rectified=self._rectified), ''
        except CalibrationError as error:
            return None, f'calibration refused: {error}'
