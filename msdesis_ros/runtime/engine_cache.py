"""Keep compiled engines on disk, and never use one that was made for something else.

An engine depends on the model, the compiler, the GPU and the driver. Two files hold one: the plan,
and beside it a JSON text with the fingerprint of everything it depends on. Whatever does not fit
is deleted, and said so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from msdesis_ros.core.errors import BackendError

# Raise it whenever the meaning of the files changes: engines of other formats are made again.
FORMAT_VERSION = 1
CACHE_VARIABLE = 'MSDESIS_CACHE_DIR'
Engine = TypeVar('Engine')
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EngineFingerprint:
    """Everything an engine depends on.

    `model_sha256`: of the ONNX file; `flavour`: the compiler's package, with its `version`;
    `gpu`: its name, with `compute_capability` such as '9.0'; `cuda`, `driver`: major versions;
    `recipe`: precision and builder, such as 'strongly typed fp16'.
    """

    model_sha256: str
    flavour: str
    version: str
    gpu: str
    compute_capability: str
    cuda: str
    driver: str
    recipe: str
    format_version: int = FORMAT_VERSION

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What is different in a fingerprint read from a file, in words."""
        own = asdict(self)
        return [
            f'{name} {other.get(name)!r} instead of {value!r}'
            for name, value in own.items()
            if other.get(name) != value
        ]


def default_folder() -> Path:
    """Where engines are kept: $MSDESIS_CACHE_DIR, or the cache folder of the user."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named) / 'engines'
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'msdesis_ros/engines'


class EngineCache:
    """The engines in one folder; `say` gets a sentence for whatever is deleted or built."""

    def __init__(
        self, folder: Path | None = None, *, say: Callable[[str], None] = log.warning
    ) -> None:
        self.folder = default_folder() if folder is None else folder
        self._say = say

    def load(
        self, fingerprint: EngineFingerprint, open_engine: Callable[[bytes, Any], Engine]
    ) -> Engine | None:
        """Open the engine of `fingerprint`; None where there is none, or none that can be used.

        `open_engine` makes an engine of a plan and of the interface that was stored with it, and
        raises BackendError where it cannot. What cannot be used is deleted.
        """
        plan_path, note_path = self.paths(fingerprint)
        if not plan_path.exists() and not note_path.exists():
            return None
        try:
            plan, note = plan_path.read_bytes(), json.loads(note_path.read_text(encoding='utf-8'))
            problem = _problem(fingerprint, plan, note)
        except (OSError, ValueError) as error:
            problem = f'it cannot be read ({error})'
        if problem is None:
            try:
                return open_engine(plan, note['interface'])
            except BackendError as error:
                problem = str(error)
        self.delete(fingerprint)
        kept = plan_path.exists() or note_path.exists()
        self._say(f'{"left aside" if kept else "deleted"} the engine {plan_path}: {problem}')
        return None

    def store(self, fingerprint: EngineFingerprint, plan: bytes, interface: Any) -> Path:
        """Keep a plan with its fingerprint; returns its path, raises BackendError if it cannot.

        `interface`: names, shapes and types of inputs and outputs, as JSON holds them.
        """
        plan_path, note_path = self.paths(fingerprint)
        note = {
            'fingerprint': asdict(fingerprint),
            'interface': interface,
            # Two builds of one model never give the same bytes; this finds a damaged file only.
            'plan_sha256': hashlib.sha256(plan).hexdigest(),
        }
        text = json.dumps(note, indent=2, sort_keys=True) + '\n'
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The note last: without it a plan counts for nothing.
            for path, content in ((plan_path, plan), (note_path, text.encode())):
                _write(path, content)
        except OSError as error:
            raise BackendError(
                f'cannot keep an engine in {self.folder}: {error.strerror or error}; set '
                f'{CACHE_VARIABLE} to a folder you may write to, with free space'
            ) from error
        return plan_path

    def load_or_build(
        self,
        fingerprint: EngineFingerprint,
        open_engine: Callable[[bytes, Any], Engine],
        build: Callable[[], tuple[bytes, Any]],
    ) -> Engine:
        """Open the engine of `fingerprint`, which `build` makes (plan, interface) if need be.

        Raises BackendError where the new engine cannot be opened either, and whatever `build`
        raises.
        """
        engine = self.load(fingerprint, open_engine)
        if engine is not None:
            return engine
        self._say(f'building an engine for {fingerprint.gpu}; this can take minutes')
        plan, interface = build()
        engine = open_engine(plan, interface)
        self._say(f'kept the engine {self.store(fingerprint, plan, interface)}')
        return engine

    def holds(self, fingerprint: EngineFingerprint) -> bool:
        """Whether there are files for an engine; only `load` tells whether they can be used."""
        return all(path.exists() for path in self.paths(fingerprint))

    def delete(self, fingerprint: EngineFingerprint) -> None:
        """Delete both files of an engine where they exist and may be deleted."""
        for path in reversed(self.paths(fingerprint)):
            with contextlib.suppress(OSError):
                path.unlink()

    def paths(self, fingerprint: EngineFingerprint) -> tuple[Path, Path]:
        """The plan and the note beside it.

        The name holds what may well exist side by side: models, recipes, compilers and GPUs. A
        new driver or version finds the old engine under this name, and replaces it.
        """
        parts = (
            fingerprint.model_sha256[:16],
            fingerprint.recipe,
            fingerprint.flavour,
            fingerprint.gpu,
        )
        stem = '-'.join(re.sub('[^A-Za-z0-9]+', '_', part) for part in parts)
        return self.folder / f'{stem}.plan', self.folder / f'{stem}.json'


def _problem(fingerprint: EngineFingerprint, plan: bytes, note: Any) -> str | None:
    """Why a plan cannot be used, or None."""
    if not isinstance(note, dict) or not isinstance(note.get('fingerprint'), dict):
        return 'its note holds no fingerprint'
    differences = fingerprint.differences(note['fingerprint'])
    if differences:
        return f'it was made for {", ".join(differences)}'
    if 'interface' not in note or note.get('plan_sha256') != hashlib.sha256(plan).hexdigest():
        return 'the plan is not the one that its note describes'
    return None


def _write(path: Path, content: bytes) -> None:
    """Write a file under another name, flush it, rename it: nobody ever reads half of it."""
    temporary = path.with_name(f'.{path.name}.{os.getpid()}-{secrets.token_hex(4)}')
    try:
        with temporary.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
