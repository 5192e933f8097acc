"""The processes of `msdesis benchmark node`: a node for each backend, a player for each run."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from msdesis_ros.cli.benchmark_node_rates import NodeRun
from msdesis_ros.cli.child_processes import (
    Child,
    GraphView,
    enter_private_domain,
    wait_for_player,
    wait_until,
)
from msdesis_ros.cli.node_account import (
    EndOfStream,
    figures,
    is_of_pairs,
    pairs_begun,
    values_of,
)
from msdesis_ros.cli.player_options import PlayerOptions
from msdesis_ros.core.errors import MsdesisError
from msdesis_ros.data.recordings import stamp_of
from msdesis_ros.runtime.model_card import ModelCard

# Some backends compile the model when it is loaded, others when the first pictures come.
LOAD_LIMIT_S = 600.0
FINISH_LIMIT_S = 300.0
WARM_UP_PAIRS, WARM_UP_HZ = 6, 2.0
# Of the subscriber; what it has not taken by then is lost, and counted so.
QUEUE_DEPTH = 20
NODE_NAME = 'stereo_endoscope'
STATUS = 'status'


class NodeBench:
    """Nodes of one model that stay up, each in a namespace, and the subscriber of their results.

    Only the one that is measured is sent pictures, and only its results are waited for. An idle
    node speaks once a second. MsdesisError where a process fails.
    """

    def __init__(self, card: ModelCard, *, models_dir: Path | None, logs: Path) -> None:
        self._card = card
        self._models_dir = str(models_dir.resolve()) if models_dir else ''
        self._logs = logs
        self._environment: dict[str, str] = {}
        self._view = GraphView()
        self._nodes: dict[str, _Subscriber] = {}
        self._children: list[Child] = []
        self._held = contextlib.ExitStack()

    def __enter__(self) -> NodeBench:
        self._environment = enter_private_domain('msdesis benchmark node')
        with contextlib.ExitStack() as entered:
            entered.enter_context(self._view)
            entered.callback(self._stop_all)
            self._held = entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def start(self, backend: str, sample: Path) -> None:
        """Load the model into a node, and let it see a few pairs that are not counted."""
        parameters = {
            'autostart': True,
            'model': self._card.name,
            'models_dir': self._models_dir,
            'backend': backend,
            # The sample repeats itself; a node that drops pairs may see one twice in a row.
            'frozen_timeout_s': 0.0,
        }
        child = self._child('msdesis_ros.ros.stereo_endoscope', parameters, backend)
        self._children.append(child)
        subscriber = _Subscriber(self._view, backend, self._card.heads)
        self._view.serve(subscriber.node)

        def is_up() -> bool:
            # It stays alive when it cannot be configured.
            if error := child.first_error():
                raise MsdesisError(f'{child.name} does not start: {error}')
            return subscriber.is_connected()

        if not self._wait_until(is_up, LOAD_LIMIT_S):
            raise MsdesisError(
                f'{child.name} was not found within {LOAD_LIMIT_S:.0f} s: {child.last_words()}'
            )
        self._nodes[backend] = subscriber
        run = self.measure(backend, WARM_UP_HZ, pairs=WARM_UP_PAIRS, sample=sample)
        if not run.arrived:
            raise MsdesisError(
                f'{child.name} gave no result for {run.sent} pairs, dropped {dict(run.dropped)}; '
                f'it says: {subscriber.sentence}'
            )

    def measure(self, backend: str, rate_hz: float, *, pairs: int, sample: Path) -> NodeRun:
        """Send pairs of the sample to one node, and wait until it is done with them."""
        subscriber = self._nodes[backend]
        self._view.serve(subscriber.node)
        subscriber.begin()
        sent = self._logs / 'player.json'
        sent.unlink(missing_ok=True)
        options = PlayerOptions(
            frames=pairs,
            rate_hz=rate_hz,
            left=sample / 'left',
            right=sample / 'right',
            calibration=str(sample / 'calibration.json'),
        )
        player = self._child('msdesis_ros.ros.player', options.parameters(sent), backend)
        try:
            wait_for_player(
                player,
                frames=pairs,
                rate_hz=rate_hz,
                spin=self._view.spin,
                children=self._children,
            )
        finally:
            player.stop()
        subscriber.end.begin_to_wait()
        if not self._wait_until(lambda: subscriber.end.reached, FINISH_LIMIT_S):
            raise MsdesisError(
                f'{NODE_NAME} with {backend} was not done with {pairs} pairs {FINISH_LIMIT_S:.0f} '
                f's after the last; it says: {subscriber.sentence}'
            )
        return subscriber.run(json.loads(sent.read_text(encoding='utf-8')), rate_hz)

    def _child(self, module: str, parameters: dict[str, Any], backend: str) -> Child:
        log = self._logs / f'{backend}.{module.rsplit(".", 1)[-1]}.log'
        return Child(
            module, parameters, log=log, environment=self._environment, namespace=f'/{backend}'
        )

    def _wait_until(self, condition: Any, limit_s: float) -> bool:
        return wait_until(
            condition, spin=self._view.spin, children=self._children, limit_s=limit_s
        )

    def _stop_all(self) -> None:
        for child in self._children:
            child.stop()


class _Subscriber:
    """Hears all results of one node, as bytes but for the status, and the node's own account."""

    def __init__(self, view: GraphView, backend: str, heads: frozenset[str]) -> None:
        from diagnostic_msgs.msg import DiagnosticArray

        from msdesis_ros.ros.outputs import NEEDED_HEADS, TOPICS
        from msdesis_ros.ros.qos import recorder_qos

        self.node = view.make_node('benchmark_subscriber', namespace=f'/{backend}')
        self.end = EndOfStream()
        self.sentence = 'nothing yet'
        self._node_name = f'/{backend}/{NODE_NAME}'
        needed = {topic: NEEDED_HEADS.get(topic) for topic in TOPICS}
        self._topics = [t for t, head in needed.items() if head is None or head in heads]
        qos = recorder_qos(depth=QUEUE_DEPTH)
        for topic in self._topics:
            note = functools.partial(self._note, topic) if topic != STATUS else self._read_status
            self.node.create_subscription(TOPICS[topic], topic, note, qos, raw=topic != STATUS)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self._said: dict[str, str] = {}
        self._said_before: dict[str, str] = {}
        self._arrived_ns: dict[int, dict[str, int]] = defaultdict(dict)
        self._latency_ms: dict[int, float] = {}

    def is_connected(self) -> bool:
        """Every result has its publisher, and the node has given its first account."""
        return 'paired' in self._said and all(
            self.node.count_publishers(topic) for topic in self._topics
        )

    def begin(self) -> None:
        """Forget what came; the counters of the node go on from here."""
        self._said_before = self._said
        self._arrived_ns.clear()
        self._latency_ms.clear()

    def run(self, sent: dict[str, Any], rate_hz: float) -> NodeRun:
        """What became of the pairs that the player's report lists."""
        stamps = sent['sent_left_stamps_ns']
        whole = [
            stamp for stamp in stamps if len(self._arrived_ns.get(stamp, ())) == len(self._topics)
        ]
        changes = {
            cause: count - int(self._said_before.get(f'dropped.{cause}', 0))
            for cause, count in figures(self._said, 'dropped.', int).items()
        }
        begun = pairs_begun(self._said) - pairs_begun(self._said_before)
        processed = int(self._said['processed']) - int(self._said_before['processed'])
        causes = {
            'not_received': sent['pairs_sent'] - begun,
            **{cause: count for cause, count in changes.items() if is_of_pairs(cause)},
            'not_arrived': processed - len(whole),
        }
        return NodeRun(
            rate_hz=rate_hz,
            sent_hz=sent['rate_achieved_hz'],
            sent=sent['pairs_sent'],
            arrived=len(whole),
            dropped={cause: count for cause, count in causes.items() if count},
            single_pictures={c: n for c, n in changes.items() if n and not is_of_pairs(c)},
            latency_ms=tuple(self._latency_ms[stamp] for stamp in whole),
            arrival_ms=tuple(
                (max(self._arrived_ns[stamp].values()) - stamp) / 1e6 for stamp in whole
            ),
        )

    def _note(self, topic: str, cdr: bytes) -> None:
        # Stamps are of the clock of the system, so this is too.
        self._arrived_ns[stamp_of(cdr)][topic] = time.time_ns()

    def _read_status(self, message: Any) -> None:
        stamp = message.header.stamp
        stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
        self._arrived_ns[stamp_ns][STATUS] = time.time_ns()
        self._latency_ms[stamp_ns] = float(values_of(message)['latency_ms'])
        self.end.see_result()

    def _hear(self, message: Any) -> None:
        if message.status[0].name != self._node_name:
            return
        self._said = values_of(message)
        self.sentence = message.status[0].message
        self.end.hear(self._said)
