"""Other processes on this machine that use Fast DDS without the transport settings.

Fast DDS keeps a lock file open for the shared-memory segment of its participant: the process that
holds `fastrtps_<id>_el` owns `fastrtps_<id>`. The default segment of 512 KB cannot hold one image,
so its owner loses most of them; see `transport`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

PROC = Path('/proc')
# Fast DDS 2 and 3 begin the names differently; ports have another form.
LOCK = re.compile(r'(/dev/shm/(?:fastrtps|fastdds)_[0-9a-f]{16})_el')
# One rgb8 image of 1280x1024.
IMAGE_BYTES = 1280 * 1024 * 3
# It carries no images, and nobody starts it with settings.
DAEMON = '_ros2_daemon'


@dataclass(frozen=True)
class Peer:
    """A process with a Fast DDS participant; segment_bytes: its largest segment."""

    pid: int
    command: str
    segment_bytes: int

    @property
    def holds_an_image(self) -> bool:
        """Whether an image fits into the segment at all."""
        return self.segment_bytes >= IMAGE_BYTES


def find_peers(proc: Path = PROC) -> list[Peer]:
    """Every readable process but this one that owns a Fast DDS segment, by process id."""
    peers = []
    for folder in proc.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        sizes = _segment_sizes(folder)
        command = _command(folder)
        # Nothing but 0: a segment that is only just being made.
        if any(sizes) and DAEMON not in command:
            peers.append(Peer(int(folder.name), command, max(sizes)))
    return sorted(peers, key=lambda peer: peer.pid)


def _segment_sizes(folder: Path) -> list[int]:
    sizes = []
    try:
        descriptors = list((folder / 'fd').iterdir())
    except OSError:  # another user's, or it has just ended
        return []
    for descriptor in descriptors:
        try:
            lock = LOCK.fullmatch(os.readlink(descriptor))
            if lock:
                # Seen from its own root: a container has a /dev/shm of its own.
                sizes.append(os.stat(f'{folder}/root{lock[1]}').st_size)
        except OSError:
            continue
    return sizes


def _command(folder: Path) -> str:
    try:
        words = (folder / 'cmdline').read_bytes().split(b'\0')
    except OSError:
        return ''
    return ' '.join(word.decode(errors='replace') for word in words if word)
