"""What the player can play, as one stream of messages: picture files, videos, recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.picture_pairs import find_pairs
from msdesis_ros.data.stamp_files import read_stamps, stamps_in_names
from msdesis_ros.data.stereo_recording import StereoRecording
from msdesis_ros.data.video_pairs import VideoPairs, is_video
from msdesis_ros.ros.messages import image_message
from msdesis_ros.ros.picture_source import ENCODERS, PictureSource
from msdesis_ros.ros.played import IMAGE_TOPIC, SIDES, Played
from msdesis_ros.ros.player_parameters import DEFAULT_RATE_HZ
from msdesis_ros.ros.recorded_pictures import RecordedPictures

SECOND_NS = 1_000_000_000


class PlayedSource(Protocol):
    """image_size: (width, height); image_topic and image_type: what the pictures are sent as.

    frame_ids: of the pictures, empty where they have none. infos: the first camera_info of each
    side where the source has its own, else empty. pairs: how many it holds (of a recording at
    most), None where that is not known. period_ns: from pair to pair, None where it is not steady.
    `play` gives everything once, in order.
    """

    @property
    def image_size(self) -> tuple[int, int]: ...
    @property
    def image_topic(self) -> str: ...
    @property
    def image_type(self) -> type: ...
    @property
    def frame_ids(self) -> tuple[str, str]: ...
    @property
    def infos(self) -> Mapping[str, Played]: ...
    @property
    def pairs(self) -> int | None: ...
    @property
    def period_ns(self) -> int | None: ...
    @property
    def ready(self) -> bool: ...

    def play(self) -> Iterator[Played]: ...

    def sentence(self) -> str: ...

    def facts(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


def make_source(settings: Mapping[str, Any]) -> PlayedSource:
    """The source that consistent parameters name; raises MsdesisError for what cannot be used."""
    if settings['recording']:
        return RecordedPictures(
            StereoRecording(
                settings['recording'],
                left_topic=settings['left_topic'],
                right_topic=settings['right_topic'],
            ),
            own_infos=not (settings['calibration'] or settings['focal_px']),
        )
    encoding, rate_hz = settings['encoding'], settings['rate_hz']
    videos = _videos(settings)
    if videos is not None:
        return VideoPictures(videos, encoding=encoding, rate_hz=rate_hz)
    pairs = find_pairs(left=settings['left'], right=settings['right'])
    return PictureFiles(
        pairs,
        PictureSource(pairs, encoding=encoding),
        stamps_ns=_stamps(pairs, settings),
        rate_hz=rate_hz,
    )


class PictureFiles:
    """Pairs of picture files, at a steady rate or when their stamps say."""

    image_topic, image_type, frame_ids = IMAGE_TOPIC, Image, ('', '')

    def __init__(
        self,
        pairs: Sequence[tuple[Path, Path]],
        source: PictureSource,
        *,
        stamps_ns: tuple[Sequence[int], Sequence[int]] | None,
        rate_hz: float,
    ) -> None:
        self._source = source
        self._place = f'{pairs[0][0].parent} and {pairs[0][1].parent}'
        assert source.image_size is not None
        self.image_size = source.image_size
        self.infos: dict[str, Played] = {}
        self.pairs = len(pairs)
        self.period_ns: int | None = None
        if rate_hz or stamps_ns is None:
            self.period_ns = round(SECOND_NS / (rate_hz or DEFAULT_RATE_HZ))
        self._stamps_ns = stamps_ns

    @property
    def ready(self) -> bool:
        return self._source.ready

    def play(self) -> Iterator[Played]:
        for index in range(self.pairs):
            messages = self._source.messages(index)
            turns = []
            for number, side in enumerate(SIDES):
                stamp_ns = self._stamps_ns[number][index] if self._stamps_ns else None
                steady_ns = index * self.period_ns if self.period_ns else stamp_ns
                assert steady_ns is not None
                recorded_ns = steady_ns if stamp_ns is None else stamp_ns
                turns.append(Played(side, IMAGE_TOPIC, steady_ns, recorded_ns, messages[number]))
            # Of two clocks the right one may be ahead.
            yield from sorted(turns, key=lambda played: played.time_ns)

    def sentence(self) -> str:
        timing = 'as stamped' if self.period_ns is None else _at(self.period_ns)
        return f'{self.pairs} pair(s) {timing} from {self._place}'

    def facts(self) -> dict[str, Any]:
        return {'pairs_available': self.pairs}

    def close(self) -> None:
        self._source.close()


class VideoPictures:
    """The pairs of a video or of two, those that decode whole.

    Of a damaged picture the decoder fills in what it lacks, from older ones perhaps: no camera
    would send that under a new stamp. `play` raises FileFormatError where nothing is left.
    """

    image_topic, image_type, frame_ids = IMAGE_TOPIC, Image, ('', '')
    ready = True

    def __init__(self, videos: VideoPairs, *, encoding: str, rate_hz: float) -> None:
        self._videos = videos
        self._encoding = encoding
        self.image_size = videos.image_size
        self.infos: dict[str, Played] = {}
        self.pairs = videos.count
        self._override = bool(rate_hz)
        self.period_ns = round(SECOND_NS / (rate_hz or videos.rate_hz))

    def play(self) -> Iterator[Played]:
        whole = 0
        for number, pair in enumerate(self._videos):
            if pair.damaged:
                continue
            whole += 1
            time_ns = number * self.period_ns if self._override else pair.time_ns
            for side, picture in zip(SIDES, (pair.left, pair.right), strict=True):
                yield Played(side, IMAGE_TOPIC, time_ns, pair.time_ns, self._image(picture))
        if not whole:
            raise FileFormatError(
                f'{self._videos.files[0].path}: not one pair of pictures decodes; copy or export '
                'it again'
            )

    def _image(self, picture: np.ndarray) -> Image:
        return image_message(ENCODERS[self._encoding](picture), self._encoding, Header())

    def sentence(self) -> str:
        count = 'pairs' if self.pairs is None else f'{self.pairs} pair(s)'
        return f'{count} {_at(self.period_ns)} of video'

    def facts(self) -> dict[str, Any]:
        accounts = self._videos.accounts
        bad = sum(account.lost + account.damaged for account in accounts)
        return {'pairs_available': self.pairs, 'pictures_damaged': bad}

    def close(self) -> None:
        """Nothing stays open."""


def _videos(settings: Mapping[str, Any]) -> VideoPairs | None:
    if settings['video']:
        return VideoPairs(
            Path(settings['video']),
            layout=settings['layout'],
            swap=settings['swap'],
            skip_damaged=True,
        )
    left, right = Path(settings['left']), Path(settings['right'])
    if is_video(left) != is_video(right):
        raise UsageError(f'{left} and {right} must both be videos, or none of them')
    return VideoPairs(left, right, skip_damaged=True) if is_video(left) else None


def _stamps(
    pairs: Sequence[tuple[Path, Path]], settings: Mapping[str, Any]
) -> tuple[Sequence[int], Sequence[int]] | None:
    unit = settings['stamp_unit']
    lefts, rights = zip(*pairs, strict=True)
    if settings['stamps_in_names']:
        return stamps_in_names(lefts, unit=unit), stamps_in_names(rights, unit=unit)
    if not settings['stamp_file']:
        return None
    files = [Path(name) for name in settings['stamp_file'].split(',')]
    if len(files) > 2:
        raise UsageError('stamp_file names more than two files; give one, or LEFT.csv,RIGHT.csv')
    left_stamps = read_stamps(files[0], lefts, unit=unit)
    if len(files) == 1:
        return left_stamps, left_stamps
    return left_stamps, read_stamps(files[1], rights, unit=unit)


def _at(period_ns: int) -> str:
    return f'at {SECOND_NS / period_ns:g} Hz'
