"""Follows the camera_infos of the eyes and says which rig, if any, may be used now."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum

from msdesis_ros.core.camera import CameraCalibration
from msdesis_ros.core.errors import CalibrationError
from msdesis_ros.core.left_rig import LeftRig
from msdesis_ros.core.rig import AnyRig, StereoRig

# How long a change of one eye waits for word of the other one before it is taken as final.
SETTLE_S = 1.0
# A camera_info that is older than the last one by less was overtaken on its way (there are two
# subscriptions of each topic); by more, the clock was set back.
OVERTAKEN_NS = 500_000_000
SIDES = ('left', 'right')
NOTHING_YET = 'no camera_info has arrived from either camera'


class Standing(Enum):
    """What is known of the calibration that a pair of pictures was taken with."""

    USABLE = 'it is that of the rig'
    EXPECTED = 'probably that of the rig; the camera_info with the stamp of a picture is due'
    OPEN = 'word of one camera is missing, so that there is no rig yet'
    OUTDATED = 'it is an older one than that of the rig'
    REFUSED = 'it did not pass the gate'


@dataclass
class _Stamps:
    """What the stamps of one side tell of which camera_info belongs to which picture."""

    info_ns: int | None = None
    picture_ns: int | None = None
    # Whether each picture has a camera_info of its own, with the same stamp, that comes before the
    # next picture.
    accompanied: bool = False
    # Small messages overtake large ones by some frames.
    recent_infos_ns: deque[int] = field(default_factory=lambda: deque(maxlen=16))
    # The first picture that the present calibration belongs to.
    changed_ns: int | None = None

    def see_info(self, stamp_ns: int) -> None:
        self.info_ns = stamp_ns
        self.recent_infos_ns.append(stamp_ns)
        self.accompanied |= stamp_ns == self.picture_ns

    def see_picture(self, stamp_ns: int) -> None:
        self.picture_ns = stamp_ns
        self.accompanied |= stamp_ns in self.recent_infos_ns

    def expects(self, picture_ns: int) -> bool:
        return self.accompanied and (self.info_ns is None or self.info_ns < picture_ns)

    def outdates(self, picture_ns: int) -> bool:
        return self.accompanied and self.changed_ns is not None and picture_ns < self.changed_ns

    def set_back(self, latest_ns: int) -> None:
        if self.info_ns is not None and self.info_ns > latest_ns:
            self.info_ns = None
        if self.changed_ns is not None and self.changed_ns > latest_ns:
            self.changed_ns = None


class RigTracker:
    """Passes camera_infos through the gate as they come and never lends out a mixed rig.

    `rig` is the one to use for pictures that arrive now, or None; `problem` then says why in a
    sentence. When one eye's calibration changes, there is no rig until the other eye has spoken
    at the same time or later, or has been silent for a second (it may be latched).

    Pictures and camera_infos overtake one another. Where each picture has a camera_info with its
    stamp, `standing` tells whether the rig is the one that a pair was taken with; where they come
    without such stamps, or only once, the order of arrival is all there is.
    `left_alone`: the rig is a `LeftRig`, and the right eye is never heard nor waited for.
    Not thread-safe: one thread feeds it.
    """

    def __init__(
        self,
        *,
        rectified: bool,
        stamp_tolerance_ns: int = 10_000_000,
        left_alone: bool = False,
    ) -> None:
        self._sides = SIDES[:1] if left_alone else SIDES
        self._rectified = rectified
        self._stamp_tolerance_ns = stamp_tolerance_ns
        self.reset()

    def reset(self) -> None:
        """Forget every eye."""
        self.rig: AnyRig | None = None
        self.problem = NOTHING_YET if len(self._sides) > 1 else _nothing_from('left')
        self._keys: dict[str, Hashable] = {}
        self._cameras: dict[str, CameraCalibration | CalibrationError] = {}
        # Sides whose word is awaited since the other one changed: stamp of the change, deadline.
        self._awaited: dict[str, tuple[int, float]] = {}
        self._undecided = False
        self._stamps = {side: _Stamps() for side in self._sides}

    def set_time_back(self, stamp_ns: int) -> None:
        """Pictures begin anew at `stamp_ns`: later stamps are void, the calibrations are not."""
        for stamps in self._stamps.values():
            stamps.set_back(stamp_ns + OVERTAKEN_NS)

    @property
    def awaits_first(self) -> bool:
        """True until every eye has spoken for the first time."""
        return len(self._keys) < len(self._sides)

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
        if self._was_overtaken(side, stamp_ns):
            return False
        if side in self._awaited:
            changed_ns, _ = self._awaited[side]
            if stamp_ns == 0 or stamp_ns >= changed_ns - self._stamp_tolerance_ns:
                del self._awaited[side]
        if self._keys.get(side) != key:
            if side in self._keys and not self.awaits_first:
                self._change(side, stamp_ns, now_s)
            self._keys[side] = key
            try:
                self._cameras[side] = parse()
            except CalibrationError as error:
                self._cameras[side] = error
            self._undecided = True
        return self.tick(now_s=now_s)

    def _change(self, side: str, stamp_ns: int, now_s: float) -> None:
        """The calibration of one eye is another one from `stamp_ns` on; is that of the other?"""
        self._stamps[side].changed_ns = stamp_ns
        for other in self._sides:
            spoken_ns = self._stamps[other].info_ns
            late = spoken_ns is None or spoken_ns < max(stamp_ns - self._stamp_tolerance_ns, 1)
            if other != side and late:
                self._awaited[other] = (stamp_ns, now_s + SETTLE_S)

    def see_picture(self, side: str, stamp_ns: int) -> None:
        """Take notice of the stamp of a picture."""
        self._stamps[side].see_picture(stamp_ns)

    def standing(self, *, left_ns: int, right_ns: int | None = None) -> Standing:
        """Whether the rig is the one of pictures with these stamps.

        right_ns None: of a left picture alone, which only its own camera_info can outdate.
        """
        pictures = self._pictures(left_ns, right_ns)
        if self.awaits_first or self._awaited:
            return Standing.OPEN
        if any(stamps.outdates(picture_ns) for stamps, picture_ns in pictures):
            return Standing.OUTDATED
        if any(stamps.expects(picture_ns) for stamps, picture_ns in pictures):
            return Standing.EXPECTED
        return Standing.REFUSED if self.rig is None else Standing.USABLE

    def give_up_waiting(self, *, left_ns: int, right_ns: int | None = None) -> None:
        """The camera_info of these pictures did not come: do not expect that of the next ones."""
        for stamps, picture_ns in self._pictures(left_ns, right_ns):
            if stamps.expects(picture_ns):
                stamps.accompanied = False

    def _pictures(self, left_ns: int, right_ns: int | None) -> list[tuple[_Stamps, int]]:
        pictures = [(self._stamps['left'], left_ns)]
        return pictures if right_ns is None else [*pictures, (self._stamps['right'], right_ns)]

    def _was_overtaken(self, side: str, stamp_ns: int) -> bool:
        stamps = self._stamps[side]
        if stamps.info_ns is not None and 0 < stamps.info_ns - stamp_ns <= OVERTAKEN_NS:
            return True
        stamps.see_info(stamp_ns)
        return False

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

    def _decide(self) -> tuple[AnyRig | None, str]:
        known: list[CameraCalibration] = []
        for side, camera in ((side, self._cameras.get(side)) for side in self._sides):
            if isinstance(camera, CalibrationError):
                return None, f'{side} camera_info refused: {camera}'
            if camera is not None:
                known.append(camera)
        if len(known) < len(self._sides):
            missing = next(side for side in self._sides if side not in self._cameras)
            return None, _nothing_from(missing)
        try:
            if len(known) == 1:
                return LeftRig(known[0], rectified=self._rectified), ''
            return StereoRig.from_cameras(*known, rectified=self._rectified), ''
        except CalibrationError as error:
            return None, f'calibration refused: {error}'


def _nothing_from(side: str) -> str:
    return f'no camera_info has arrived from the {side} camera'
