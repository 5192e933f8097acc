"""What a recipe opens in the tests."""

from __future__ import annotations


class Target:
    """Remembers what it was made with."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
