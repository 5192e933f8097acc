from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from msdesis_ros.ros import peers

# A node that waits for the end of its input; its argument says whether with the settings.
NODE = """
import sys
if sys.argv[1] == 'prepared':
    from msdesis_ros.ros.transport import prepare_process
    prepare_process()
import rclpy
rclpy.init()
node = rclpy.create_node('peer')
print('ready', flush=True)
sys.stdin.read()
"""


def process(proc: Path, pid: int, command: str, segment: str | None, size: int = 0) -> None:
    """Write what the kernel would show of a process."""
    folder = proc / str(pid)
    (folder / 'fd').mkdir(parents=True)
    (folder / 'cmdline').write_bytes(command.replace(' ', '\0').encode() + b'\0')
    (folder / 'fd' / '0').symlink_to('/dev/null')
    if segment is not None:
        (folder / 'fd' / '1').symlink_to(f'/dev/shm/{segment}_el')
        shared = folder / 'root' / 'dev' / 'shm'
        shared.mkdir(parents=True)
        with (shared / segment).open('wb') as file:
            file.truncate(size)


def test_owners_of_a_segment_are_found_with_its_size(tmp_path):
    process(tmp_path, 11, 'camera driver', 'fastrtps_0af221b27fbcffb4', 549408)
    process(tmp_path, 9, 'node', 'fastdds_0af221b27fbcffb5', 140509728)
    process(tmp_path, 12, 'editor', None)
    process(tmp_path, 13, 'port holder', 'fastrtps_port7411', 52400)
    (tmp_path / 'self').mkdir()
    node, camera = peers.find_peers(tmp_path)
    assert (node.pid, node.holds_an_image) == (9, True)
    assert (camera.pid, camera.command) == (11, 'camera driver')
    assert (camera.segment_bytes, camera.holds_an_image) == (549408, False)


def test_this_process_and_the_ros_daemon_are_left_out(tmp_path):
    process(tmp_path, os.getpid(), 'doctor', 'fastrtps_0af221b27fbcffb4', 549408)
    process(tmp_path, 21, 'python _ros2_daemon', 'fastrtps_0af221b27fbcffb5', 549408)
    assert peers.find_peers(tmp_path) == []


def test_a_process_that_ends_while_it_is_looked_at_is_left_out(tmp_path):
    process(tmp_path, 31, 'node', 'fastrtps_0af221b27fbcffb4', 549408)
    (tmp_path / '31' / 'root' / 'dev' / 'shm' / 'fastrtps_0af221b27fbcffb4').unlink()
    (tmp_path / '32').mkdir()
    process(tmp_path, 33, 'just starting', 'fastrtps_0af221b27fbcffb6', 0)
    assert peers.find_peers(tmp_path) == []


@pytest.mark.skipif(
    os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp') != 'rmw_fastrtps_cpp',
    reason='only Fast DDS has these segments',
)
@pytest.mark.parametrize('settings', ['prepared', 'plain'])
def test_a_real_node_is_told_by_its_settings(settings, ros_domain, project_root):
    from msdesis_ros.ros.transport_probe import probe_environment

    environment = probe_environment(os.environ, domain=ros_domain, prepared=False)
    with subprocess.Popen(
        [sys.executable, '-c', NODE, settings],
        cwd=project_root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as node:
        assert node.stdout.readline() == b'ready\n'
        found = [peer for peer in peers.find_peers() if peer.pid == node.pid]
        node.stdin.close()
    assert [peer.holds_an_image for peer in found] == [settings == 'prepared']
