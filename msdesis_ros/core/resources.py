"""Find the files that ship beside the code: model cards, configuration, launch files.

They live in `<checkout>/` while developing and in `<prefix>/share/msdesis_ros/` once installed, by
pip (virtual environment, `--user`, `--target`, Debian's `/usr/local`) or by colcon alike. All of
those put the package somewhere below the prefix, so walking up from it finds the folder without
asking pip, ament or the environment; a process started in any way finds the files of the very
installation its code comes from.
"""

from __future__ import annotations

from pathlib import Path

from msdesis_ros.core.errors import FileFormatError

PACKAGE_NAME = 'msdesis_ros'


def share_dir(*, package_dir: Path | None = None) -> Path:
    """Return the folder that holds `package.xml`, `config/`, `launch/` and `models/`.

    `package_dir` is the folder of the Python package to start from (default: this installation;
    tests give another). Links are followed first, so a colcon `--symlink-install` leads to the
    checkout and an edit there counts at once. Raises FileFormatError where no such folder exists.
    """
    package = (package_dir or Path(__file__).parents[1]).resolve()
    checkout = package.parent
    if (checkout / 'package.xml').is_file() and (checkout / 'setup.py').is_file():
        return checkout
    for prefix in package.parents:
        share = prefix / 'share' / PACKAGE_NAME
        if (share / 'package.xml').is_file():
            return share
    raise FileFormatError(
        f'The shared files of {PACKAGE_NAME} are missing: expected share/{PACKAGE_NAME}/ in a'
        f' folder above {package}. Install the package again (pip install, or colcon build and'
        ' source the workspace).'
    )


def resource(*parts: str, package_dir: Path | None = None) -> Path:
    """Return the path of one shipped file or folder, e.g. `resource('config', 'dvrk.yaml')`.

    Raises FileFormatError, listing what the folder does hold, where it does not exist.
    """
    path = share_dir(package_dir=package_dir).joinpath(*parts)
    if path.exists():
        return path
    listing = ''
    if path.parent.is_dir():
        known = ', '.join(sorted(entry.name for entry in path.parent.iterdir())) or 'nothing'
        listing = f'; {path.parent} holds: {known}'
    raise FileFormatError(
        f'No shipped file {"/".join(parts)}: expected {path}{listing}. Check the name, or install'
        ' the package again.'
    )
