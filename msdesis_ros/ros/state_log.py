"""What is wrong now, in sentences: logged at each transition, kept for the diagnostics."""

from __future__ import annotations

import re
import threading
from typing import Any

# "missing for 1.8 s" and "missing for 2.8 s" are one state.
FIGURES = re.compile(r'[-+]?\d+(\.\d+)?')


class StateLog:
    """One sentence a subject; an empty one means that all is well. Safe for threads."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._sentences: dict[str, str] = {}

    def note(self, subject: str, sentence: str) -> None:
        """Keep the sentence; log it where the state has changed, not where a figure has."""
        with self._lock:
            before = self._sentences.get(subject, '')
            self._sentences[subject] = sentence
        if FIGURES.sub('', before) == FIGURES.sub('', sentence):
            return
        if sentence:
            self._logger.error(sentence)
        else:
            self._logger.info(f'{subject}: good again')

    def sentences(self) -> list[str]:
        """What is wrong now."""
        with self._lock:
            return [sentence for sentence in self._sentences.values() if sentence]

    def clear(self, **known: str) -> None:
        """Forget every state, and take `known` (subject=sentence) as logged already."""
        with self._lock:
            self._sentences = dict(known)
