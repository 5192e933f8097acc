"""What the doctor finds installed: Python, this package and what it needs."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping

from msdesis_ros import __version__
from msdesis_ros.cli.findings import Finding, State, ok, one_line
from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.core.resources import share_dir

# Module -> what setup.py asks for.
REQUIREMENTS = {
    'numpy': 'numpy>=1.26,<3',
    'cv2': 'opencv-python-headless>=4.5,<6',
    'onnxruntime': 'onnxruntime>=1.16',
    'typer': 'typer>=0.12',
    'rich': 'rich>=13',
    'yaml': 'PyYAML>=5.4',
    'mcap': 'mcap>=1.1',
    'mcap_ros2': 'mcap-ros2-support>=0.5',
}
OLDEST_PYTHON = (3, 10)


def system_findings() -> Iterator[Finding]:
    """Python, the machine, this package."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = '.'.join(map(str, OLDEST_PYTHON))
        yield Finding(
            'python', State.FAIL, f'Python {version} is too old; {wanted} or newer is needed'
        )
    else:
        yield ok('python', f'Python {version} ({sys.executable})')
    system = _system()
    if sys.platform == 'linux':
        yield ok('system', system)
    else:
        yield Finding('system', State.WARN, f'{system}: only Linux has been tried')
    yield package_finding()


def package_finding() -> Finding:
    """This package and the files that ship beside it."""
    try:
        folder = share_dir()
    except FileFormatError as error:
        return Finding('msdesis_ros', State.FAIL, one_line(error), 'pip install msdesis_ros')
    return ok('msdesis_ros', f'msdesis_ros {__version__}, shared files in {folder}')


def requirement_findings(requirements: Mapping[str, str] = REQUIREMENTS) -> Iterator[Finding]:
    """Every package that must be there: imported, and its version against the range."""
    for module, requirement in requirements.items():
        name = re.split('[<>=]', requirement, maxsplit=1)[0]
        try:
            imported = importlib.import_module(module)
        except Exception as error:  # a broken library raises anything
            yield Finding(
                name,
                State.FAIL,
                f'{name} cannot be imported: {one_line(error)}',
                f"pip install --force-reinstall '{requirement}'",
            )
            continue
        version = _version(imported, name)
        if version and not satisfies(version, requirement):
            yield Finding(
                name,
                State.FAIL,
                f'{name} {version} is not the version needed: {requirement}',
                f"pip install '{requirement}'",
            )
        else:
            yield ok(name, f'{name} {version or "of unknown version"}')


def torch_finding() -> Finding:
    """PyTorch, which the networks as Python modules need and the node does not."""
    if importlib.util.find_spec('torch') is not None:
        return ok(
            'torch', f'torch {_metadata_version("torch")}, for the networks in msdesis_ros.nets'
        )
    return ok(
        'torch',
        'torch is not installed; the networks in msdesis_ros.nets need it, the node does not: '
        + install_command('torch'),
    )


def install_command(extra: str, *options: str) -> str:
    """The command that adds one of the extras of setup.py to this Python."""
    try:
        is_checkout = (share_dir() / 'setup.py').is_file()
    except FileFormatError:
        is_checkout = False
    words = ['pip', 'install', *options]
    if is_checkout:
        return ' '.join([*words, f"'.[{extra}]'", '  # in the checkout'])
    return ' '.join([*words, f"'msdesis_ros[{extra}]'"])


def satisfies(version: str, requirement: str) -> bool:
    """Whether a version lies in the range of a requirement like 'numpy>=1.26,<3'."""
    have = _numbers(version)
    for sign, bound in re.findall(r'(>=|<)([\d.]+)', requirement):
        limit = _numbers(bound)
        if (sign == '>=' and have < limit) or (sign == '<' and have >= limit):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; zeros at the end say nothing."""
    match = re.match(r'\d+(\.\d+)*', version)
    numbers = [int(part) for part in match[0].split('.')] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _version(module: object, name: str) -> str:
    return str(getattr(module, '__version__', '')) or _metadata_version(name)


def _metadata_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ''


def _system() -> str:
    try:
        name = platform.freedesktop_os_release().get('PRETTY_NAME', platform.system())
    except OSError:
        name = platform.system()
    return f'{name}, {platform.machine()}, {os.cpu_count()} processors'
