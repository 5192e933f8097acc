"""The pictures of a recording, as the player sends them: byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.stereo_recording import CAMERA_INFO, COMPRESSED, StereoRecording
from msdesis_ros.ros.messages import rgb_from_compressed_image
from msdesis_ros.ros.played import COMPRESSED_TOPIC, IMAGE_TOPIC, INFO_TOPIC, SIDES, Played


def look_at(recording: StereoRecording) -> tuple[tuple[int, int], tuple[str, str]]:
    """(width, height) of the first left picture, and the frames of the first left and right one.

    Raises FileFormatError where one side has no picture, ImageError for one that is damaged.
    """
    compressed = recording.image_type == COMPRESSED
    first: dict[str, Any] = {}
    for message in recording.messages():
        if message.kind != CAMERA_INFO and message.side not in first:
            first[message.side] = deserialize_message(
                message.cdr, CompressedImage if compressed else Image
            )
        if len(first) == len(SIDES):
            break
    else:
        raise FileFormatError(f'nothing can be played: {recording.sentence()}')
    left = first['left']
    if compressed:
        height, width = rgb_from_compressed_image(left).shape[:2]
    else:
        height, width = left.height, left.width
    return (width, height), (left.header.frame_id, first['right'].header.frame_id)


class RecordedPictures:
    """The pictures of a recording, byte by byte, and its camera_infos with `own_infos`."""

    ready = True
    period_ns: int | None = None

    def __init__(self, recording: StereoRecording, *, own_infos: bool) -> None:
        self._recording = recording
        self._kinds = {recording.image_type} | ({CAMERA_INFO} if own_infos else set())
        compressed = recording.image_type == COMPRESSED
        self.image_topic = COMPRESSED_TOPIC if compressed else IMAGE_TOPIC
        self.image_type = CompressedImage if compressed else Image
        self.pairs = recording.pairs
        if not self.pairs:
            raise FileFormatError(f'nothing can be played: {recording.sentence()}')
        self.infos: dict[str, Played] = {}
        if own_infos:
            self.infos = {
                side: Played(side, INFO_TOPIC, info.time_ns, info.stamp_ns, info.cdr)
                for side, info in recording.first_infos().items()
            }
            missing = [side for side in SIDES if side not in self.infos]
            if missing:
                raise UsageError(
                    f'{recording.reader.path} holds no camera_info of the '
                    f'{" and the ".join(missing)} camera; set the parameter calibration'
                )
        self.image_size, self.frame_ids = look_at(recording)

    def play(self) -> Iterator[Played]:
        for message in self._recording.messages():
            if message.kind in self._kinds:
                topic = INFO_TOPIC if message.kind == CAMERA_INFO else self.image_topic
                yield Played(message.side, topic, message.time_ns, message.stamp_ns, message.cdr)

    def sentence(self) -> str:
        return self._recording.sentence()

    def facts(self) -> dict[str, Any]:
        reader = self._recording.reader
        facts: dict[str, Any] = {
            'recording': str(reader.path),
            'complete': reader.finished,
            'file_bytes': reader.file_bytes,
            'whole_bytes': reader.whole_bytes,
            'pairs_available': self.pairs,
        }
        facts['left_available'], facts['right_available'] = self._recording.pictures
        return facts

    def close(self) -> None:
        """Nothing stays open."""
