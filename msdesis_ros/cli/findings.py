"""What the doctor finds: one state, one sentence and one cure for each thing it looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class State(str, Enum):
    """`fail`: what the product is for does not work. `warn`: it works, less well than it could."""

    OK = 'ok'
    WARN = 'warn'
    FAIL = 'fail'


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    check: its short name. sentence: what was found. fix: the command that mends it, '' where there
    is nothing to mend. figures: the numbers of the sentence, for the JSON file.
    """

    check: str
    state: State
    sentence: str
    fix: str = ''
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self) | {'state': self.state.value}


def ok(check: str, sentence: str, **figures: Any) -> Finding:
    """A finding with nothing to mend."""
    return Finding(check, State.OK, sentence, figures=figures)


def worst(findings: Sequence[Finding]) -> State:
    """The state of all together."""
    states = {finding.state for finding in findings}
    return next((state for state in (State.FAIL, State.WARN) if state in states), State.OK)


def one_line(error: BaseException) -> str:
    """What an exception says, in one line; its type where it says nothing."""
    return ' '.join(str(error).split()) or type(error).__name__
