"""Options that several commands share, declared once, as the fields of a dataclass.

A command takes the dataclass as one parameter; its users see an option for each field.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter whose type is a dataclass by its fields, in its place.

    The fields are annotated as Typer options and have defaults. The command is then called with
    the values made, so that what their constructor raises is raised before it begins.
    """
    signature = inspect.signature(command, eval_str=True)
    groups = {
        parameter.name: parameter.annotation
        for parameter in signature.parameters.values()
        if is_dataclass(parameter.annotation)
    }
    shown = [
        each
        for parameter in signature.parameters.values()
        for each in (
            _options_of(groups[parameter.name]) if parameter.name in groups else [parameter]
        )
    ]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        values = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        command(**given, **values)

    # Keyword-only, because a parameter without a default may follow one with.
    shown = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in shown]
    called.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in shown}
    return called


def _options_of(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
