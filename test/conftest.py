"""Fixtures and checks shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope='session')
def project_root() -> Path:
    """Return the folder of the checkout."""
    return ROOT


@pytest.fixture(scope='session')
def test_data() -> Path:
    """Return the folder of real pictures named by MSDESIS_TEST_DATA; skip where there is none."""
    named = os.environ.get('MSDESIS_TEST_DATA', '')
    if not named:
        pytest.skip('MSDESIS_TEST_DATA is not set: no real pictures to test with')
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f'MSDESIS_TEST_DATA names {folder}, which is no folder')
    return folder
