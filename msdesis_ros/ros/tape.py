"""A stand-in for the node of a replay: what is published goes into a recording."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from msdesis_ros.core.errors import UsageError
from msdesis_ros.data.mcap_files import McapRecording
from msdesis_ros.ros import parameters
from msdesis_ros.ros.cdr import serialize
from msdesis_ros.ros.message_definition import message_definition, type_name

_log = logging.getLogger(__name__)


class Tape:
    """Has what the inputs and outputs of the node ask of a node; `now_ns` is the time there.

    settings: the parameters that are not at their defaults; topics: those that have a subscriber.
    Raises UsageError for a parameter that the node does not have.
    """

    def __init__(
        self, output: McapRecording, topics: tuple[str, ...], settings: Mapping[str, Any]
    ) -> None:
        unknown = [name for name in settings if name not in parameters.SPECS]
        if unknown:
            known = ', '.join(parameters.SPECS)
            raise UsageError(f'the node has no parameter {unknown[0]}; it has {known}')
        self.output = output
        self.now_ns = 0
        self._topics = topics
        self._settings = settings
        self._subscribers: dict[str, list[Callable[[Any], None]]] = {}

    def get_parameter(self, name: str) -> Any:
        value = self._settings.get(name, parameters.SPECS[name].default)
        return _Parameter(value)

    def resolve_topic_name(self, topic: str) -> str:
        return f'/{topic.lstrip("/")}'

    def get_logger(self) -> logging.Logger:
        return _log

    def create_subscription(
        self, _: type, topic: str, callback: Callable[[Any], None], *__: Any, **___: Any
    ) -> str:
        self._subscribers.setdefault(self.resolve_topic_name(topic), []).append(callback)
        return topic

    def subscribers(self, topic: str) -> list[Callable[[Any], None]]:
        return self._subscribers.get(self.resolve_topic_name(topic), [])

    def create_publisher(self, kind: type, topic: str, *_: Any, **__: Any) -> TapePublisher:
        return TapePublisher(self, kind, topic, wanted=topic in self._topics)


class _Parameter(NamedTuple):
    value: Any


class TapePublisher:
    """Writes what is published into the recording, under the time of the replay."""

    def __init__(self, tape: Tape, kind: type, topic: str, *, wanted: bool) -> None:
        self._tape = tape
        self._topic = tape.resolve_topic_name(topic)
        self._wanted = wanted
        if wanted:
            tape.output.add_topic(
                self._topic, type_name=type_name(kind), definition=message_definition(kind)
            )

    def get_subscription_count(self) -> int:
        return int(self._wanted)

    def publish(self, message: Any) -> None:
        if self._wanted:
            now_ns = self._tape.now_ns
            self._tape.output.write(
                self._topic, serialize(message), log_time_ns=now_ns, publish_time_ns=now_ns
            )
