"""The values that go from a source to the player."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SIDES = ('left', 'right')
IMAGE_TOPIC, COMPRESSED_TOPIC, INFO_TOPIC = 'image_raw', 'image_raw/compressed', 'camera_info'


@dataclass(frozen=True, eq=False)
class Played:
    """One message to be sent on `topic` of `side`, as a ROS message or as its CDR bytes.

    time_ns: when, on a clock of the source's own. stamp_ns: the stamp it was recorded with.
    """

    side: str
    topic: str
    time_ns: int
    stamp_ns: int
    message: Any


@dataclass(frozen=True, eq=False)
class Fed:
    """A message and the round (from 0) it belongs to; its time goes on from round to round."""

    played: Played
    round: int
