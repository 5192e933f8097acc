"""The three processes of the demo: started, watched, stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.progress import Progress

from msdesis_ros.cli.child_processes import (
    START_LIMIT_S,
    Child,
    GraphView,
    enter_private_domain,
    wait_for_player,
    wait_until,
)
from msdesis_ros.cli.node_account import EndOfStream, values_of
from msdesis_ros.cli.player_options import PlayerOptions
from msdesis_ros.core.errors import MsdesisError

FINISH_LIMIT_S = 60.0
RESULT_TOPICS = ('disparity', 'depth', 'camera_info', 'points', 'left/image_rect', 'status')


class DemoGraph:
    """Node and recorder come up, the player sends, all stop in order. `run` does it once."""

    def __init__(
        self,
        out: Path,
        player: PlayerOptions,
        *,
        model: str,
        models_dir: Path | None = None,
        backend: str | None,
        frozen_timeout_s: float,
        record_inputs: bool = False,
    ) -> None:
        self._out = out
        self._player = player
        transport = player.image_transport
        self._node_parameters = {
            'autostart': True,
            'model': model,
            'models_dir': str(models_dir.resolve()) if models_dir else '',
            'backend': backend or '',
            'frozen_timeout_s': frozen_timeout_s,
            'image_transport': transport,
        }
        self._recorder_parameters = {
            'output': str(out / 'demo.mcap'),
            'compression': 'zstd',
            'inputs': transport if record_inputs else 'none',
        }
        suffix = '/compressed' if player.compressed else ''
        self._image_topics = tuple(f'{side}/image_raw{suffix}' for side in ('left', 'right'))

    def run(self) -> dict[str, Any]:
        """Returns the player's report; raises MsdesisError where a process fails."""
        logs = self._out / 'logs'
        logs.mkdir(exist_ok=True)
        environment = enter_private_domain('the demo')
        sent = logs / 'player.json'
        sent.unlink(missing_ok=True)
        children: list[Child] = []

        def start(module: str, parameters: dict[str, Any]) -> Child:
            name = module.rsplit('.', 1)[-1]
            child = Child(module, parameters, log=logs / f'{name}.log', environment=environment)
            children.append(child)
            return child

        try:
            start('msdesis_ros.ros.recorder', self._recorder_parameters)
            start('msdesis_ros.ros.stereo_endoscope', self._node_parameters)
            with _Watcher(self._image_topics) as watcher:
                watcher.wait_for_graph(children)
                running = tuple(children)
                player = start('msdesis_ros.ros.player', self._player.parameters(sent))
                self._follow(player, running, watcher)
        finally:
            # The recorder last, so that it hears everything.
            for child in reversed(children):
                child.stop()
        return json.loads(sent.read_text(encoding='utf-8'))

    def _follow(self, player: Child, running: tuple[Child, ...], watcher: _Watcher) -> None:
        frames = self._player.frames
        with Progress(disable=not sys.stdout.isatty(), transient=True) as progress:
            bar = progress.add_task('pairs', total=frames)

            def spin() -> None:
                watcher.spin()
                progress.update(bar, completed=watcher.results)

            wait_for_player(
                player, frames=frames, rate_hz=self._player.rate_hz, spin=spin, children=running
            )
        end = watcher.end
        end.begin_to_wait()
        wait_until(
            lambda: end.reached, spin=watcher.spin, children=running, limit_s=FINISH_LIMIT_S
        )


class _Watcher(GraphView):
    """Looks at the graph from the demo's own process, and counts results."""

    def __init__(self, image_topics: tuple[str, ...]) -> None:
        super().__init__()
        self._image_topics = image_topics
        self.results = 0
        self.end = EndOfStream()

    def __enter__(self) -> _Watcher:
        super().__enter__()
        from diagnostic_msgs.msg import DiagnosticArray

        self._node = self.make_node('demo_watcher')
        self._node.create_subscription(DiagnosticArray, 'status', self._count, 10)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self.serve(self._node)
        return self

    def wait_for_graph(self, children: list[Child]) -> None:
        """Until all have found each other; MsdesisError where they do not."""
        ready = wait_until(
            self._graph_is_ready, spin=self.spin, children=children, limit_s=START_LIMIT_S
        )
        if not ready:
            words = '; '.join(f'{child.name}: {child.last_words()}' for child in children)
            raise MsdesisError(
                f'the nodes did not find each other within {START_LIMIT_S:.0f} s: {words}'
            )

    def _count(self, _: object) -> None:
        self.results += 1
        self.end.see_result()

    def _hear(self, message: Any) -> None:
        self.end.hear(values_of(message))

    def _graph_is_ready(self) -> bool:
        """The node listens, and the recorder hears every result."""
        return all(self._node.count_subscribers(topic) for topic in self._image_topics) and all(
            self._node.count_publishers(topic) and self._node.count_subscribers(topic)
            for topic in RESULT_TOPICS
        )
