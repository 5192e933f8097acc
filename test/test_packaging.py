"""What pip and colcon install: metadata, requirements, constraints, and the wheel itself."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from catkin_pkg.package import InvalidPackage, parse_package
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import msdesis_ros

NODES = ('stereo_endoscope', 'stereo_player', 'stereo_recorder')
# Wheels that tests build: the weights take seconds to compress.
UNCOMPRESSED = '--compression=stored'
# Import name -> distribution, where the two differ.
DISTRIBUTIONS = {
    'cv2': 'opencv-python-headless',
    'mcap_ros2': 'mcap-ros2-support',
    'yaml': 'pyyaml',
}
# Imported by torch on our behalf: to write a graph, and TensorBoard's files.
INDIRECT = {'onnxscript', 'tensorboard'}
# What a ROS distribution brings; package.xml names these, the extra `ros` brings them as wheels.
ROS_MODULES = {
    'ament_index_python': None,  # comes with rclpy and launch
    'builtin_interfaces': None,  # comes with every message package
    'rcl_interfaces': None,  # comes with rclpy
    'rpyutils': None,  # comes with rclpy
    'rosgraph_msgs': None,  # comes with rclpy
    'rosidl_runtime_py': None,
    'std_msgs': 'std_msgs',
    'diagnostic_msgs': 'diagnostic_msgs',
    'geometry_msgs': 'geometry_msgs',
    'launch': 'launch',
    'launch_ros': 'launch_ros',
    'lifecycle_msgs': 'lifecycle_msgs',
    'message_filters': 'message_filters',
    'rclpy': 'rclpy',
    'sensor_msgs': 'sensor_msgs',
    'std_srvs': 'std_srvs',
    'stereo_msgs': 'stereo_msgs',
    'tf2_msgs': 'tf2_msgs',
    'visualization_msgs': 'visualization_msgs',
}


@pytest.fixture(scope='module')
def setup_arguments(project_root) -> dict:
    """What setup.py hands to setuptools, without running a build."""
    captured = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project_root)
        patch.setattr('setuptools.setup', lambda **arguments: captured.update(arguments))
        runpy.run_path('setup.py')
    return captured


@pytest.fixture(scope='module')
def constraints(project_root) -> dict[str, list[Requirement]]:
    """The lines of constraints.txt by canonical name."""
    found: dict[str, list[Requirement]] = {}
    for line in (project_root / 'constraints.txt').read_text().splitlines():
        if line and not line.startswith('#'):
            requirement = Requirement(line)
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def _closure(requirements: list[str]) -> set[str]:
    """Names of the distributions that `requirements` bring into this environment."""
    seen: set[str] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        extras = requirement.extras or {''}
        marker = requirement.marker
        if marker and not any(marker.evaluate({'extra': extra}) for extra in extras):
            continue
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        seen.add(name)
        try:
            further = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [Requirement(text) for text in further]
    return seen


def _imported_modules(folder: Path) -> set[str]:
    found = set()
    for source in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(source.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split('.')[0])
    return found - set(sys.stdlib_module_names) - {'msdesis_ros'}


def test_package_xml_is_valid(project_root):
    warnings: list[str] = []
    package = parse_package(str(project_root / 'package.xml'), warnings=warnings)
    assert warnings == []
    assert (package.name, package.package_format) == ('msdesis_ros', 3)
    assert package.licenses == ['MIT']
    maintainer = package.maintainers[0]
    assert maintainer.name == 'msdesis_ros maintainers'
    assert maintainer.email == 'maintainers@msdesis-ros.invalid'
    assert package.get_build_type() == 'ament_python'


def test_the_check_of_package_xml_refuses_a_bad_address(project_root, tmp_path):
    text = (project_root / 'package.xml').read_text()
    (tmp_path / 'package.xml').write_text(
        text.replace('maintainers@msdesis-ros.invalid', 'nobody')
    )
    with pytest.raises(InvalidPackage, match='[Ee]mail'):
        parse_package(str(tmp_path / 'package.xml'))


def test_one_version_stands_everywhere(project_root, setup_arguments):
    version = msdesis_ros.__version__
    assert setup_arguments['version'] == version
    assert parse_package(str(project_root / 'package.xml')).version == version
    assert f'## [{version}]' in (project_root / 'CHANGELOG.md').read_text()


def test_setup_py_says_the_same_through_a_link(
    project_root, setup_arguments, tmp_path, monkeypatch
):
    # `colcon build --symlink-install` runs it so, in a folder without README.md.
    (tmp_path / 'setup.py').symlink_to(project_root / 'setup.py')
    (tmp_path / 'msdesis_ros').symlink_to(project_root / 'msdesis_ros')
    captured = {}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('setuptools.setup', lambda **arguments: captured.update(arguments))
    runpy.run_path('setup.py')
    assert captured == setup_arguments


def test_every_import_of_the_package_is_declared(project_root, setup_arguments):
    declared = {
        canonicalize_name(Requirement(text).name) for text in setup_arguments['install_requires']
    }
    imported = _imported_modules(project_root / 'msdesis_ros')
    plain = {canonicalize_name(DISTRIBUTIONS.get(m, m)) for m in imported - set(ROS_MODULES)}
    extras = setup_arguments['extras_require']
    optional = {
        canonicalize_name(Requirement(text).name)
        for extra in extras.keys() - {'ros', 'dev'}
        for text in extras[extra]
    }
    assert plain - declared - optional == set(), 'imported, but no requirement in setup.py'
    assert optional - plain - INDIRECT == set(), 'in an extra of setup.py, but never imported'
    assert declared - plain - {'tomli'} == set(), 'required in setup.py, but never imported'


def test_every_ros_import_is_a_dependency_of_package_xml(project_root):
    package = parse_package(str(project_root / 'package.xml'))
    named = {depend.name for depend in package.exec_depends}
    folders = (project_root / 'msdesis_ros', project_root / 'launch')
    imported = set().union(*map(_imported_modules, folders))
    wanted = {ROS_MODULES[module] for module in imported & set(ROS_MODULES)} - {None}
    assert wanted - named == set()


def test_the_scan_of_imports_sees_late_and_dotted_ones(tmp_path):
    (tmp_path / 'a.py').write_text(
        'def f():\n    import torch.nn\n    from yaml.reader import x\n'
    )
    assert _imported_modules(tmp_path) == {'torch', 'yaml'}


def test_requirements_are_ranges_and_constraints_are_exact_versions_within_them(
    setup_arguments, constraints
):
    extras = setup_arguments['extras_require']
    asked = [*setup_arguments['install_requires'], *sum(extras.values(), [])]
    for requirement in map(Requirement, asked):
        assert '==' not in str(requirement.specifier), 'a pin belongs into constraints.txt'
        for pin in constraints.get(canonicalize_name(requirement.name), []):
            (exact,) = pin.specifier
            assert exact.operator == '==' and requirement.specifier.contains(exact.version)


@pytest.mark.skipif(sys.version_info < (3, 11), reason='constraints.txt is for 3.11 to 3.13')
def test_everything_that_gets_installed_has_an_exact_version(setup_arguments, constraints):
    extras = setup_arguments['extras_require']
    asked = [*setup_arguments['install_requires'], *extras['ros'], *extras['dev']]
    pinned = {
        name
        for name, pins in constraints.items()
        if any(not pin.marker or pin.marker.evaluate() for pin in pins)
    }
    assert _closure(asked) - pinned == set(), 'add these to constraints.txt'


def test_constraints_name_no_place_to_download_from(project_root):
    text = (project_root / 'constraints.txt').read_text()
    assert '://' not in text and not re.search(r'^\s*-', text, re.MULTILINE)


def test_no_licence_at_run_time_is_gpl(setup_arguments):
    asked = [*setup_arguments['install_requires'], *setup_arguments['extras_require']['ros']]
    for name in _closure(asked):
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        words = [metadata.get('License-Expression', ''), *metadata.get_all('Classifier', [])]
        words.append((metadata.get('License') or '').split('\n', 1)[0])
        stated = ' '.join(word for word in words if word)
        assert not re.search(r'(?<!L)(?<!Lesser )\bA?GPL|GNU (Affero )?General', stated), name


def test_the_scripts_of_the_nodes_are_executable_files(project_root):
    for node in NODES:
        script = project_root / 'scripts' / node
        assert script.stat().st_mode & stat.S_IXUSR, f'chmod +x {script}'
        assert script.read_text().startswith('#!/usr/bin/env python3\n')


# --- The wheel, built once from a copy so that no build folder is left in the checkout. ---


@pytest.fixture(scope='module')
def source_copy(project_root, tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp('source') / 'msdesis_ros'
    leftovers = shutil.ignore_patterns('.*', 'out', 'build', 'dist', '*.egg-info', '__pycache__')
    shutil.copytree(project_root, copy, ignore=leftovers)
    return copy


@pytest.fixture(scope='module')
def wheel(source_copy, tmp_path_factory) -> Path:
    if int(importlib.metadata.version('setuptools').split('.')[0]) < 71:
        pytest.skip('this setuptools cannot build a wheel by itself: install setuptools>=71')
    place = tmp_path_factory.mktemp('wheel')
    options = ('--no-deps', '--no-build-isolation', '--no-index', '--quiet')
    quickly = f'--config-settings=--build-option={UNCOMPRESSED}'
    _pip('wheel', *options, quickly, '--wheel-dir', str(place), str(source_copy))
    (built,) = place.glob('msdesis_ros-*.whl')
    return built


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Path:
    prefix = tmp_path_factory.mktemp('prefix')
    # Whatever is installed in this environment stays as it is.
    options = ('--no-deps', '--no-index', '--ignore-installed', '--quiet')
    _pip('install', *options, '--prefix', str(prefix), str(wheel))
    return prefix


def _pip(*arguments: str) -> None:
    # --no-index with --no-deps: nothing is looked up, so this passes without a network as well.
    done = subprocess.run(
        [sys.executable, '-m', 'pip', *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _build(kind: str, place: Path, source: Path, **settings: str) -> None:
    code = (
        f'from setuptools import build_meta; build_meta.build_{kind}({str(place)!r}, {settings})'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _site_packages(prefix: Path) -> Path:
    (package,) = prefix.rglob('msdesis_ros/core/resources.py')
    return package.parents[2]


def test_the_wheel_holds_every_module_and_every_shared_file(wheel, source_copy):
    names = set(zipfile.ZipFile(wheel).namelist())
    data = f'{wheel.name.rsplit("-", 3)[0]}.data/data'
    modules = {
        path.relative_to(source_copy) for path in (source_copy / 'msdesis_ros').rglob('*.py')
    }
    assert {path.as_posix() for path in modules} <= names
    sample = source_copy / 'msdesis_ros' / 'data' / 'sample_files'
    files = {
        path.relative_to(source_copy).as_posix() for path in sample.rglob('*') if path.is_file()
    }
    assert len(files) > 20 and files <= names
    shared = {'package.xml', 'LICENSE'}
    for folder in ('config', 'launch', 'models'):
        files = [path for path in (source_copy / folder).rglob('*') if path.is_file()]
        assert files or folder == 'models', f'{folder} is empty'
        shared |= {path.relative_to(source_copy).as_posix() for path in files}
    assert {f'{data}/share/msdesis_ros/{name}' for name in shared} <= names
    assert f'{data}/share/ament_index/resource_index/packages/msdesis_ros' in names
    assert {f'{data}/lib/msdesis_ros/{node}' for node in NODES} <= names
    assert not any('test' in Path(name).parts for name in names)


def test_an_installed_wheel_finds_its_own_shared_files(installed, tmp_path):
    code = (
        'from msdesis_ros.core.resources import resource, share_dir;'
        "print(share_dir()); print(resource('config', 'stereo_endoscope.yaml'))"
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(_site_packages(installed))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    share, parameters = done.stdout.split()
    assert Path(share) == (installed / 'share' / 'msdesis_ros').resolve()
    assert Path(parameters).is_file()


def test_an_installed_wheel_plays_its_own_sample(installed, tmp_path):
    code = (
        'from msdesis_ros.data.sample import sample_folder, sample_loop, sample_truth;'
        'print(sample_folder()); print(sample_truth(9).disparity_px.shape)\n'
        'with sample_loop() as loop: print(len(list((loop / "right").iterdir())))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(_site_packages(installed))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder, shape, count = done.stdout.splitlines()
    assert folder.startswith(str(installed.resolve()))
    assert (shape, count) == ('(512, 640)', '10')


def test_an_installed_wheel_has_executables_where_ros2_run_looks_for_them(installed):
    for node in NODES:
        script = installed / 'lib' / 'msdesis_ros' / node
        assert script.stat().st_mode & stat.S_IXUSR, 'not executable'
    assert {'msdesis', *NODES} <= {path.name for path in (installed / 'bin').iterdir()}


def test_an_installed_node_executable_starts_the_code_of_its_installation(installed, tmp_path):
    # `--help` of rclpy's kind does not exist; importing the target without running it is enough.
    scripts = [str(installed / 'lib' / 'msdesis_ros' / node) for node in NODES]
    code = (
        'import runpy, sys\n'
        f'for script in {scripts!r}:\n'
        "    main = runpy.run_path(script)['main']\n"
        '    print(main.__module__, sys.modules[main.__module__].__file__)'
    )
    pytest.importorskip('rclpy', reason='needs ROS')
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(_site_packages(installed))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules, files = zip(*map(str.split, done.stdout.splitlines()), strict=True)
    assert len(set(modules)) == len(NODES)
    assert all(module.startswith('msdesis_ros.ros.') for module in modules)
    assert all(file.startswith(str(installed)) for file in files)


def test_the_source_archive_builds_the_same_wheel(source_copy, wheel, tmp_path):
    # What pip calls, in processes of their own like pip's.
    _build('sdist', tmp_path, source_copy)
    (archive,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(archive) as file:
        # Python 3.11.3 and before have no filter, and need none for our own archive.
        safely = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
        file.extractall(tmp_path / 'unpacked', **safely)
    (unpacked,) = (tmp_path / 'unpacked').iterdir()
    _build('wheel', tmp_path, unpacked, **{'--build-option': UNCOMPRESSED})
    (again,) = tmp_path.glob('*.whl')
    assert set(zipfile.ZipFile(again).namelist()) == set(zipfile.ZipFile(wheel).namelist())
