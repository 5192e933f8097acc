"""Picture sizes as a user writes them."""

from __future__ import annotations

import re

from msdesis_ros.core.errors import UsageError


def parse_size(text: str) -> tuple[int, int]:
    """'1280x1024' -> (width, height), from 1 to 99999 px; UsageError for anything else."""
    found = re.fullmatch(r'([1-9][0-9]{0,4})x([1-9][0-9]{0,4})', text)
    if not found:
        raise UsageError(f'--size is {text!r}; expected width x height in px, such as 1280x1024')
    return int(found.group(1)), int(found.group(2))
