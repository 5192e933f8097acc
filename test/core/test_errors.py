"""What messages show of values that came from outside."""

from __future__ import annotations

import functools

import pytest

from msdesis_ros.core.errors import shown

DIGITS = 1 << 100_000
NESTED = functools.reduce(lambda inner, _: [inner], range(100_000), 0)


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        ('rgb8', "'rgb8'"),
        ('a\nb', r"'a\nb'"),
        (12.5, '12.5'),
        ('x' * 100, "'" + 'x' * 56 + '...'),
    ],
)
def test_a_value_is_shown_on_one_line_and_not_at_length(value, text):
    assert shown(value) == text


def test_a_value_that_python_does_not_write_out_is_shown_by_its_type():
    assert shown(NESTED) == '<list>'
    # Pythons before 3.10.7 write any number of digits.
    assert shown(DIGITS).startswith(('<int>', '99'))
    assert len(shown(DIGITS)) <= 60


def test_the_length_can_be_chosen():
    assert shown('abcdefgh', limit=6) == "'ab..."
