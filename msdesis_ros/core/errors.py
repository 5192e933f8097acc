"""The one tree of errors this package raises on purpose.

Every message says what was wrong, what was expected and what to do. The command line turns any of
these into one sentence and an exit code; the node logs it and stays alive.
"""

from __future__ import annotations


class MsdesisError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(MsdesisError, ValueError):
    """An argument, option or parameter is unknown, missing, contradictory or out of range."""


class CalibrationError(MsdesisError, ValueError):
    """A calibration cannot be trusted (the calibration gate refused it)."""


class ImageError(MsdesisError, ValueError):
    """A picture has an unsupported encoding, a wrong size, or too few bytes."""


class FileFormatError(MsdesisError, ValueError):
    """A file is missing, truncated, or not of the format its use requires."""


class ModelError(MsdesisError):
    """A model card or weights file is unknown, damaged, or does not fit the request."""


class BackendError(MsdesisError, RuntimeError):
    """An inference backend failed while loading or running."""


class PictureSizeError(BackendError):
    """A model does not take pictures of this size; the backend itself is well."""


class MissingExtraError(MsdesisError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""


def shown(value: object, *, limit: int = 60) -> str:
    """A value that came from outside, as a message may show it: quoted, on one line, not long.

    Longer than `limit` characters it is cut and ends in three dots.
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        # An integer of thousands of digits, or lists in lists in lists.
        text = f'<{type(value).__name__}>'
    return text if len(text) <= limit else f'{text[: limit - 3]}...'
