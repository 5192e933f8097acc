"""What the inputs hand to the worker: picture messages and the rig that they were taken with."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from msdesis_ros.core.pairing import StampPair
from msdesis_ros.core.prediction import RawPair
from msdesis_ros.core.quality import Reason
from msdesis_ros.core.rig import AnyRig, StereoRig
from msdesis_ros.ros.messages import rgb_from_compressed_image, rgb_from_image
from msdesis_ros.runtime.pipeline import PerceptionPipeline, PerceptionResult


class Transport(NamedTuple):
    """How pictures come: message type, what the topic's name ends with, the way to RGB."""

    message_type: type
    suffix: str
    decode: Callable[[Any], np.ndarray]


# By the names that image_transport gives them; the choices of the parameter `image_transport`.
TRANSPORTS = {
    'raw': Transport(Image, '', rgb_from_image),
    'compressed': Transport(CompressedImage, '/compressed', rgb_from_compressed_image),
}


class Job(ABC):
    """One result to make, for the thread that processes."""

    # What is lost where it fails, for sentences.
    noun: ClassVar[str]
    rig: AnyRig

    @property
    @abstractmethod
    def stamp_ns(self) -> int:
        """The left stamp, which every result carries."""

    @property
    @abstractmethod
    def skew_ms(self) -> float:
        """How far the stamps of left and right are apart; NaN where there is no right one."""

    @abstractmethod
    def process(self, pipeline: PerceptionPipeline) -> PerceptionResult:
        """Decode and process; raises ImageError and whatever the pipeline raises."""


@dataclass(frozen=True, eq=False)
class PairJob(Job):
    """A pair of picture messages."""

    noun: ClassVar[str] = 'pair'
    pair: StampPair[Any]
    transport: Transport
    rig: StereoRig

    @property
    def stamp_ns(self) -> int:
        return self.pair.left_stamp_ns

    @property
    def skew_ms(self) -> float:
        return self.pair.skew_ns / 1e6

    def process(self, pipeline: PerceptionPipeline) -> PerceptionResult:
        start_s = time.perf_counter()
        decode, pair = self.transport.decode, self.pair
        pictures = RawPair(
            decode(pair.left), decode(pair.right), pair.left_stamp_ns, pair.right_stamp_ns
        )
        decoded_ms = (time.perf_counter() - start_s) * 1e3
        result = pipeline.process(pictures, self.rig)
        result.stages_ms['decode'] = decoded_ms
        return result


@dataclass(frozen=True, eq=False)
class LeftJob(Job):
    """A left picture message alone; `reasons` say why, where it should not be."""

    noun: ClassVar[str] = 'left picture'
    message: Any
    left_stamp_ns: int
    reasons: tuple[Reason, ...]
    transport: Transport
    rig: AnyRig

    @property
    def stamp_ns(self) -> int:
        return self.left_stamp_ns

    @property
    def skew_ms(self) -> float:
        return math.nan

    def process(self, pipeline: PerceptionPipeline) -> PerceptionResult:
        start_s = time.perf_counter()
        picture = self.transport.decode(self.message)
        decoded_ms = (time.perf_counter() - start_s) * 1e3
        result = pipeline.process_left(picture, self.left_stamp_ns, self.rig, *self.reasons)
        result.stages_ms['decode'] = decoded_ms
        return result
