"""The pictures and calibrations of a stereo camera in a recording, whatever it calls them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.core.pairing import StampPairer
from msdesis_ros.data.mcap_reader import RecordedTopic
from msdesis_ros.data.recordings import open_recording, stamp_of

SIDES = ('left', 'right')
IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
# The rate is measured on so many.
RATE_MESSAGES = 60
# Of several topics of one side these names are the pictures of a camera, the first before others.
_USUAL = (
    r'{side}/image_raw',
    r'{side}/image_raw/compressed',
    r'{side}/image(_color|_mono)?',
    r'{side}/image(_color|_mono)?/compressed',
    r'[^/]*{side}[^/]*/image_raw',
    r'[^/]*{side}[^/]*/image_raw/compressed',
    r'.*{side}.*',
)


class StereoMessage(NamedTuple):
    """One recorded message. kind: IMAGE, COMPRESSED or CAMERA_INFO; times in nanoseconds."""

    side: str
    kind: str
    time_ns: int
    stamp_ns: int
    cdr: bytes


@dataclass(frozen=True)
class HeldPictures:
    """What a recording holds: pictures of each side, and how many of them are pairs.

    pairs: by the rules of the node, so at most the number of either side.
    """

    left: int
    right: int
    pairs: int


class StereoRecording:
    """The two image topics of a recording, and the camera_info topics beside them.

    Topics that are not named are found by their names; UsageError where that is not possible,
    which lists the image topics there are. `image_topics` and `info_topics` (absent where there
    is none) by side; `image_type`: IMAGE or COMPRESSED. FileFormatError for what is no recording.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        left_topic: str = '',
        right_topic: str = '',
    ) -> None:
        self.reader = open_recording(path)
        topics = self.reader.topics()
        self.image_topics = {
            side: _image_topic(str(self.reader.path), topics, side, named)
            for side, named in zip(SIDES, (left_topic, right_topic), strict=True)
        }
        types = {topics[name].type_name for name in self.image_topics.values()}
        if len(types) > 1:
            raise UsageError(
                f'{self.image_topics["left"]} and {self.image_topics["right"]} are of different '
                'types; name the topics of both sides'
            )
        (self.image_type,) = types
        self._counts = {side: topics[name].count for side, name in self.image_topics.items()}
        self.info_topics = {
            side: info
            for side, name in self.image_topics.items()
            if (info := _info_topic(topics, name)) is not None
        }

    def messages(self) -> Iterator[StereoMessage]:
        """All pictures and camera_infos, in the order in which they were recorded."""
        places = {name: (side, self.image_type) for side, name in self.image_topics.items()}
        places.update({name: (side, CAMERA_INFO) for side, name in self.info_topics.items()})
        for message in self.reader.messages(list(places)):
            side, kind = places[message.topic]
            yield StereoMessage(
                side, kind, message.log_time_ns, stamp_of(message.cdr), message.cdr
            )

    def first_infos(self) -> dict[str, StereoMessage]:
        """The first camera_info of each side that has one."""
        found: dict[str, StereoMessage] = {}
        sides = {name: side for side, name in self.info_topics.items()}
        for message in self.reader.messages(list(sides)) if sides else ():
            side = sides[message.topic]
            if side not in found:
                cdr = message.cdr
                found[side] = StereoMessage(
                    side, CAMERA_INFO, message.log_time_ns, stamp_of(cdr), cdr
                )
            if len(found) == len(sides):
                break
        return found

    @property
    def pictures(self) -> tuple[int, int]:
        """How many pictures of the left and of the right side it holds."""
        left, right = self._counts['left'], self._counts['right']
        if left is None or right is None:
            return self.held.left, self.held.right
        return left, right

    @property
    def pairs(self) -> int:
        """How many pairs it holds, at most; exactly where it ends early."""
        return min(self.pictures) if self.reader.finished else self.held.pairs

    @cached_property
    def rate_hz(self) -> float:
        """How many left pictures came in a second, usually; 10 where that cannot be told."""
        names = [self.image_topics['left']]
        first = itertools.islice(self.reader.messages(names), RATE_MESSAGES)
        times_ns = [message.log_time_ns for message in first]
        gaps_ns = sorted(b - a for a, b in zip(times_ns, times_ns[1:], strict=False) if b > a)
        return 1e9 / gaps_ns[len(gaps_ns) // 2] if gaps_ns else 10.0

    @cached_property
    def held(self) -> HeldPictures:
        """What it holds, counted; this reads all of it."""
        pairer: StampPairer[None] = StampPairer()
        add = {'left': pairer.add_left, 'right': pairer.add_right}
        names = {name: side for side, name in self.image_topics.items()}
        for message in self.reader.messages(list(names)):
            add[names[message.topic]](stamp_of(message.cdr), None, arrival_ns=message.log_time_ns)
        counters = pairer.counters
        return HeldPictures(counters.received_left, counters.received_right, counters.paired)

    def sentence(self) -> str:
        """What is played of it, in words; of one that ends early the exact figures."""
        if self.reader.finished:
            left, right = self.pictures
            return f'{left} left and {right} right pictures in {self.reader.path}'
        held = self.held
        return (
            f'{self.reader.path} ends early: {held.pairs} whole pairs ({held.left} left and '
            f'{held.right} right pictures) in {self.reader.whole_bytes} whole bytes of '
            f'{self.reader.file_bytes}'
        )


def _image_topic(path: str, topics: Mapping[str, RecordedTopic], side: str, named: str) -> str:
    images = sorted(t.name for t in topics.values() if t.type_name in (IMAGE, COMPRESSED))
    listing = ', '.join(images) or 'none'
    if not images:
        raise FileFormatError(f'{path} holds no pictures ({len(topics)} topics, none with images)')
    if named:
        for name in (named, f'/{named}'):
            if name in images:
                return name
        raise UsageError(f'{path} has no image topic {named}; its image topics: {listing}')
    for pattern in _USUAL:
        expression = re.compile(f'(.*/)?{pattern.format(side=side)}')
        found = [name for name in images if expression.fullmatch(name)]
        if len(found) == 1:
            return found[0]
        if found:
            break
    raise UsageError(
        f'{path}: which image topic is the {side} one cannot be told; name it with '
        f'{side}_topic. Image topics: {listing}'
    )


def _info_topic(topics: Mapping[str, RecordedTopic], image_topic: str) -> str | None:
    """The camera_info beside an image topic, which image_transport puts one level up or two."""
    parts = image_topic.split('/')
    for depth in (1, 2):
        name = '/'.join([*parts[:-depth], 'camera_info'])
        if name in topics and topics[name].type_name == CAMERA_INFO:
            return name
    return None
