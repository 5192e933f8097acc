from __future__ import annotations

from pathlib import Path

import pytest

from msdesis_ros.core.errors import FileFormatError
from msdesis_ros.core.resources import resource, share_dir

LAYOUTS = {
    'virtual environment': ('lib/python3.11/site-packages', '.'),
    'user install': ('.local/lib/python3.12/site-packages', '.local'),
    'debian local': ('usr/local/lib/python3.12/dist-packages', 'usr/local'),
    'pip target': ('', '.'),
    'colcon isolated': ('install/msdesis_ros/lib/python3.12/site-packages', 'install/msdesis_ros'),
    'colcon on jammy': (
        'install/msdesis_ros/local/lib/python3.10/dist-packages',
        'install/msdesis_ros',
    ),
    'colcon merged': ('install/lib/python3.12/site-packages', 'install'),
}


def _install(root: Path, *, packages: str, prefix: str) -> tuple[Path, Path]:
    package = root / packages / 'msdesis_ros'
    package.mkdir(parents=True)
    share = root / prefix / 'share' / 'msdesis_ros'
    (share / 'config').mkdir(parents=True)
    (share / 'package.xml').write_text('<package/>')
    (share / 'config' / 'a.yaml').write_text('a: 1')
    return package, share


@pytest.mark.parametrize('layout', LAYOUTS)
def test_an_installed_package_finds_the_share_folder_of_its_own_prefix(tmp_path, layout):
    packages, prefix = LAYOUTS[layout]
    package, share = _install(tmp_path, packages=packages, prefix=prefix)
    assert share_dir(package_dir=package) == share.resolve()
    assert resource('config', 'a.yaml', package_dir=package).read_text() == 'a: 1'


def test_an_overlay_shadows_the_share_folder_of_the_underlay(tmp_path):
    _install(tmp_path, packages='lib/site-packages', prefix='.')
    package, share = _install(tmp_path, packages='overlay/lib/site-packages', prefix='overlay')
    assert share_dir(package_dir=package) == share.resolve()


def test_a_checkout_uses_its_own_files_even_inside_an_install_prefix(tmp_path):
    _install(tmp_path, packages='lib/site-packages', prefix='.')
    checkout = tmp_path / 'src'
    (checkout / 'msdesis_ros').mkdir(parents=True)
    for name in ('package.xml', 'setup.py'):
        (checkout / name).write_text('')
    assert share_dir(package_dir=checkout / 'msdesis_ros') == checkout.resolve()


def test_a_symlinked_package_leads_to_the_checkout(tmp_path):
    checkout = tmp_path / 'src'
    (checkout / 'msdesis_ros').mkdir(parents=True)
    for name in ('package.xml', 'setup.py'):
        (checkout / name).write_text('')
    build = tmp_path / 'build'
    build.mkdir()
    (build / 'msdesis_ros').symlink_to(checkout / 'msdesis_ros')
    assert share_dir(package_dir=build / 'msdesis_ros') == checkout.resolve()


def test_a_stranger_package_xml_beside_the_package_is_not_taken_for_a_checkout(tmp_path):
    package, share = _install(tmp_path, packages='', prefix='.')
    (tmp_path / 'package.xml').write_text('<package/>')
    assert share_dir(package_dir=package) == share.resolve()


def test_missing_shared_files_are_an_error_that_names_the_place_and_the_cure(tmp_path):
    (tmp_path / 'msdesis_ros').mkdir()
    with pytest.raises(FileFormatError, match=r'share/msdesis_ros.*Install the package again'):
        share_dir(package_dir=tmp_path / 'msdesis_ros')


def test_an_unknown_resource_is_an_error_that_lists_the_known_ones(tmp_path):
    package, _ = _install(tmp_path, packages='lib/site-packages', prefix='.')
    with pytest.raises(FileFormatError, match=r'config/b\.yaml.*holds: a\.yaml'):
        resource('config', 'b.yaml', package_dir=package)
    with pytest.raises(FileFormatError, match=r'nowhere/b\.yaml'):
        resource('nowhere', 'b.yaml', package_dir=package)


def test_the_running_installation_has_its_launch_config_and_models_folders():
    for folder in ('launch', 'config', 'models'):
        assert resource(folder).is_dir()
