"""The package as a workspace on a robot builds it: `colcon build`, then what `ros2 run` finds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NODES = ('stereo_endoscope', 'stereo_player', 'stereo_recorder')
# Of Ubuntu 24.04: newer ones lack the command that `--symlink-install` needs.
TOOLS = ('colcon-common-extensions', 'colcon-ros', 'setuptools==68.1.2')

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope='module')
def colcon(tmp_path_factory):
    """Return a way to run colcon in a folder; skip where it cannot be installed."""
    tools = tmp_path_factory.mktemp('colcon')
    done = _run(
        *(sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'),
        *('--target', str(tools), *TOOLS),
        cwd=tools,
    )
    if done.returncode:
        pytest.skip(f'colcon cannot be installed: {done.stderr.strip().splitlines()[-1]}')

    def colcon(*arguments: str, cwd: Path) -> str:
        done = _run(sys.executable, '-m', 'colcon', *arguments, cwd=cwd, PYTHONPATH=str(tools))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return colcon


@pytest.fixture(scope='module')
def workspace(project_root, tmp_path_factory) -> Path:
    """A workspace with a copy of this package."""
    folder = tmp_path_factory.mktemp('workspace')
    leftovers = shutil.ignore_patterns('.*', 'out', 'build', 'dist', '*.egg-info', '__pycache__')
    shutil.copytree(project_root, folder / 'src' / 'msdesis_ros', ignore=leftovers)
    return folder


@pytest.fixture(scope='module', params=['copied', 'linked'])
def environment(request, colcon, workspace) -> dict[str, str]:
    """What a shell has after `source install/setup.bash`, and INSTALL, the installed package."""
    if shutil.which('bash') is None:
        pytest.skip('there is no bash to source setup.bash with')
    bases = ('--build-base', f'build-{request.param}', '--install-base', request.param)
    links = ('--symlink-install',) if request.param == 'linked' else ()
    colcon('build', *bases, *links, cwd=workspace)
    script = f'source {workspace / request.param}/setup.bash && env -0'
    done = _run('bash', '-c', script, cwd=workspace)
    assert done.returncode == 0, done.stderr
    found = dict(line.split('=', 1) for line in done.stdout.split('\0') if line)
    return {**found, 'INSTALL': str(workspace / request.param / 'msdesis_ros')}


def _clean() -> dict[str, str]:
    """The environment without what points to this checkout; its Python comes first in PATH."""
    ours = ('PYTHONPATH', 'AMENT_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'ROS_DOMAIN_ID')
    kept = {name: text for name, text in os.environ.items() if name not in ours}
    return {**kept, 'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'}


def _run(*command: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**_clean(), **changes},
        capture_output=True,
        text=True,
        check=False,
    )


def test_colcon_takes_it_for_a_ros_package(colcon, workspace):
    assert colcon('list', cwd=workspace).split()[-1] == '(ros.ament_python)'


def test_colcon_would_not_say_a_word_about_an_invalid_package_xml(colcon, workspace, tmp_path):
    shutil.copytree(workspace / 'src', tmp_path / 'src')
    file = tmp_path / 'src' / 'msdesis_ros' / 'package.xml'
    file.write_text(file.read_text().replace('maintainers@msdesis-ros.invalid', 'nobody'))
    assert colcon('list', cwd=tmp_path).split()[-1] == '(python)'


def test_the_executables_are_where_ros2_run_looks_for_them(environment):
    folder = Path(environment['INSTALL']) / 'lib' / 'msdesis_ros'
    assert {path.name for path in folder.iterdir()} == set(NODES)
    for node in NODES:
        assert (folder / node).is_file() and os.access(folder / node, os.X_OK)


def test_the_index_of_ros_leads_to_the_package(environment):
    pytest.importorskip('ament_index_python', reason='comes with ROS')
    code = (
        'from ament_index_python.packages import *;'
        "print(get_package_prefix('msdesis_ros'));"
        "print(get_package_share_directory('msdesis_ros'))"
    )
    done = _run(sys.executable, '-c', code, cwd=Path('/'), **environment)
    assert done.returncode == 0, done.stderr
    install = environment['INSTALL']
    assert done.stdout.split() == [install, f'{install}/share/msdesis_ros']


def test_everything_that_is_shared_is_there(environment, workspace):
    share = Path(environment['INSTALL']) / 'share' / 'msdesis_ros'
    source = workspace / 'src' / 'msdesis_ros'
    files = [source / 'package.xml', source / 'LICENSE']
    for folder in ('config', 'launch', 'models'):
        files += [path for path in (source / folder).rglob('*') if path.is_file()]
    assert len(files) > 8
    for file in files:
        installed = share / file.relative_to(source)
        assert installed.read_bytes() == file.read_bytes()


def test_the_code_that_runs_is_the_installed_one_with_all_rooms(environment, workspace, tmp_path):
    code = (
        'import pkgutil, msdesis_ros; from msdesis_ros.core.resources import share_dir;'
        'print(msdesis_ros.__file__); print(share_dir());'
        'print(*sorted(m.name for m in pkgutil.walk_packages(msdesis_ros.__path__)))'
    )
    done = _run(sys.executable, '-c', code, cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    file, share, rooms = done.stdout.splitlines()
    assert Path(file).is_relative_to(workspace)
    installed = Path(environment['INSTALL'], 'share', 'msdesis_ros')
    # Linked code lies in the workspace, and so does then what is shared.
    source = workspace / 'src' / 'msdesis_ros'
    assert Path(share) in (installed.resolve(), source.resolve())
    source /= 'msdesis_ros'
    assert set(rooms.split()) >= {path.parent.name for path in source.glob('*/__init__.py')}


def test_the_command_is_on_the_path(environment, tmp_path):
    command = shutil.which('msdesis', path=environment['PATH'])
    assert command == f'{environment["INSTALL"]}/bin/msdesis'
    done = _run(command, 'models', 'list', cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert 'opencv_sgbm' in done.stdout


@pytest.fixture
def own_domain() -> dict[str, str]:
    """A ROS domain of this test alone."""
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from msdesis_ros.ros.domain import private_domain_id

    domain = str(private_domain_id())
    return {'ROS_DOMAIN_ID': domain, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}


@pytest.mark.parametrize(
    ('node', 'options'),
    [
        ('stereo_endoscope', ('autostart:=true',)),
        ('stereo_recorder', ('output:=out.mcap',)),
    ],
)
def test_an_executable_runs_until_it_is_interrupted(
    environment, own_domain, node, options, tmp_path
):
    log = tmp_path / 'log'
    given = [word for option in options for word in ('-p', option)]
    with log.open('w') as output:
        process = subprocess.Popen(
            [f'{environment["INSTALL"]}/lib/msdesis_ros/{node}', '--ros-args', *given],
            cwd=tmp_path,
            env={**_clean(), **environment, **own_domain},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            end = time.monotonic() + 30
            while process.poll() is None and '[INFO]' not in log.read_text():
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()
    if node == 'stereo_endoscope':
        assert '[stereo_endoscope]: active' in log.read_text()


def test_an_executable_that_lacks_a_parameter_names_it(environment, own_domain, tmp_path):
    player = f'{environment["INSTALL"]}/lib/msdesis_ros/stereo_player'
    done = _run(player, cwd=tmp_path, **environment, **own_domain)
    assert done.returncode == 2
    assert 'parameter left is missing' in done.stdout + done.stderr
