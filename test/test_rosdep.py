"""The names in package.xml are ones that `rosdep install` can resolve on every distribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from catkin_pkg.package import Package, parse_package

NAMES = Path(__file__).parent / 'rosdep_names.yaml'
KINDS = ('buildtool', 'build', 'build_export', 'exec', 'test')


@pytest.fixture(scope='module')
def published() -> dict[str, Any]:
    """The facts of rosdep_names.yaml."""
    return yaml.safe_load(NAMES.read_text(encoding='utf-8'))


@pytest.fixture
def package(project_root) -> Package:
    return parse_package(str(project_root / 'package.xml'))


def names(package: Package) -> set[str]:
    return {depend.name for kind in KINDS for depend in getattr(package, f'{kind}_depends')}


def unresolved(wanted: set[str], published: dict[str, Any]) -> set[tuple[str, str]]:
    """Every (name, distribution) for which rosdep would find nothing."""
    return {
        (name, distribution)
        for name in wanted
        for distribution, ubuntu in published['distributions'].items()
        if distribution not in published['ros'].get(name, ())
        and ubuntu not in published['system'].get(name, ())
    }


def test_every_dependency_is_published_for_every_distribution(package, published):
    assert unresolved(names(package), published) == set()


def test_a_name_that_is_not_published_would_be_found(published):
    # It is a name of pip; and this one is no longer released.
    published = {**published, 'ros': {**published['ros'], 'rclpy': ['humble']}}
    wrong = unresolved({'onnxruntime', 'rclpy'}, published)
    assert ('onnxruntime', 'humble') in wrong
    assert {where for name, where in wrong if name == 'rclpy'} == {'jazzy', 'kilted', 'lyrical'}


def test_no_fact_is_kept_that_nobody_needs(package, published):
    assert {*published['ros'], *published['system']} == names(package)


def test_the_distributions_are_those_of_the_readme(project_root, published):
    text = (project_root / 'README.md').read_text(encoding='utf-8')
    listed = [name.capitalize() for name in published['distributions']]
    assert f'ROS 2 {", ".join(listed[:-1])} or {listed[-1]}' in text
