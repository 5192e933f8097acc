"""The Makefile's own decisions: which Python, which environment, which real pictures."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which('make') is None, reason='make is not installed')
TOOLS = ('make', 'sh', 'cksum', 'cut', 'grep', 'sed', 'expand', 'env')


@pytest.fixture
def scratch(project_root, tmp_path) -> Path:
    """A folder with the Makefile alone, and `bin` with the tools it needs but no Python."""
    folder = tmp_path / 'main'
    folder.mkdir()
    for name in ('Makefile', 'constraints.txt', 'setup.py'):
        shutil.copy(project_root / name, folder)
    (tmp_path / 'bin').mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, f'{tool} is missing on this machine'
        (tmp_path / 'bin' / tool).symlink_to(found)
    return folder


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # What an outer make passes on would become settings of this one.
    outer = ('MAKE', 'MFLAGS', 'PYTHON', 'ARGS', 'MSDESIS_TEST_DATA', 'ROS_DISTRO')
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(outer)}
    return subprocess.run(
        ['make', *arguments],
        cwd=folder,
        env={**inherited, 'PATH': str(folder.parent / 'bin'), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def python_that(folder: Path, answers: str) -> None:
    """Put a `python3` into `bin` that exits as `answers` says, by what it is asked."""
    fake = folder.parent / 'bin' / 'python3'
    fake.write_text(f'#!/bin/sh\ncase "$2" in {answers} esac\n')
    fake.chmod(0o755)


def test_make_alone_lists_what_can_be_made(scratch):
    done = make(scratch)
    assert done.returncode == 0
    for target in ('demo', 'test', 'test-slow', 'lint', 'clean'):
        assert f'make {target}' in done.stdout


@pytest.mark.parametrize('target', ['demo', 'test', 'test-slow', 'lint'])
def test_without_a_suitable_python_one_sentence_says_so(scratch, target):
    done = make(scratch, target)
    assert done.returncode != 0
    assert 'No Python 3.11, 3.12 or 3.13 was found' in done.stderr
    assert not (scratch / '.venv').exists()


def test_a_python_that_is_too_old_is_not_taken(scratch):
    python_that(scratch, '*version_info*) exit 1;;')
    assert 'No Python 3.11, 3.12 or 3.13 was found' in make(scratch, 'test').stderr


def test_a_python_without_venv_is_named_with_the_package_to_install(scratch):
    python_that(scratch, '*version_info*) exit 0;; *ensurepip*) exit 1;;')
    done = make(scratch, 'test')
    assert done.returncode != 0 and 'apt-get install python3-venv' in done.stderr


def test_a_failed_installation_leaves_no_stamp_and_says_how_to_go_on(scratch):
    # The fake makes an "environment" whose Python fails at everything.
    create = 'mkdir -p .venv/bin; printf "#!/bin/sh\\nexit 1\\n" > .venv/bin/python'
    python_that(scratch, f'venv) {create}; chmod +x .venv/bin/python;; *) exit 0;;')
    for tool in ('mkdir', 'chmod', 'touch'):
        (scratch.parent / 'bin' / tool).symlink_to(shutil.which(tool))
    done = make(scratch, 'test')
    assert done.returncode != 0 and 'the same command starts it again' in done.stderr
    assert not list((scratch / '.venv').glob('.ready*'))


SHOW = ('--eval', 'show: ; @env', 'show')


def test_real_pictures_beside_the_checkout_are_found_unless_named(scratch):
    assert 'MSDESIS_TEST_DATA' not in make(scratch, *SHOW).stdout
    (scratch.parent / 'shared' / 'data').mkdir(parents=True)
    found = make(scratch, *SHOW).stdout
    assert f'MSDESIS_TEST_DATA={scratch.parent}/shared/data\n' in found
    named = make(scratch, *SHOW, MSDESIS_TEST_DATA='/mine').stdout
    assert 'MSDESIS_TEST_DATA=/mine\n' in named


def test_a_sourced_ros_distribution_is_kept_out(scratch):
    sourced = {
        'AMENT_PREFIX_PATH': '/opt/ros/jazzy',
        'LD_LIBRARY_PATH': '/opt/ros/jazzy/lib',
        'PYTHONPATH': '/opt/ros/jazzy/lib/python3.12/site-packages',
        'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp',
        'ROS_DISTRO': 'jazzy',
    }
    shown = make(scratch, *SHOW, **sourced).stdout
    assert not [name for name in sourced if f'{name}=' in shown]
    kept = make(scratch, *SHOW, LD_LIBRARY_PATH='/opt/cuda/lib', ROS_DOMAIN_ID='7').stdout
    assert 'LD_LIBRARY_PATH=/opt/cuda/lib' in kept and 'ROS_DOMAIN_ID=7' in kept
