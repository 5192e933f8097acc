"""From the files that a layout should have to samples, and to problems named file by file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from msdesis_ros.core.errors import CalibrationError, FileFormatError
from msdesis_ros.data.layouts.headers import PictureHeader, read_header
from msdesis_ros.data.layouts.samples import Sample, SampleFiles, load
from msdesis_ros.data.picture_pairs import SUFFIXES, natural_order
from msdesis_ros.data.stereo_fields import read_stereo_fields

Check = Literal['headers', 'content']
CHECKS: tuple[Check, ...] = ('headers', 'content')
MAX_PROBLEM_LINES = 20
_PLANE_SUFFIXES = (*SUFFIXES, '.exr', '.npy', '.pfm', '.webp')
_SHOWN_NAMES = 8
# Opening many files waits for the disk, decoding gives up Python's lock.
_THREADS = 8


@dataclass(frozen=True)
class Problem:
    """A file or folder of a data set, and what is wrong with it in half a sentence."""

    path: Path
    what: str


@dataclass
class Listing:
    """What a layout found by names alone: samples to check, and problems so far."""

    root: Path
    files: list[SampleFiles] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, path: Path, what: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, what))

    def folders_are_there(self, *folders: Path) -> bool:
        """Whether all are there; each missing one is noted, with what lies in its place."""
        missing = [folder for folder in folders if not folder.is_dir()]
        for folder in missing:
            self.wrong(folder, f'no such folder{_names_beside(folder)}')
        return not missing

    def names_in(self, *folders: Path, expected: Iterable[str], rule: str) -> None:
        """Note the pictures in `folders` whose name is not expected; `rule` says which are."""
        known = set(expected)
        for folder in folders:
            for path in planes_in(folder):
                if path.name not in known:
                    self.wrong(path, f'wrong name; expected {rule}')


@dataclass(frozen=True)
class Survey:
    """A whole data set: samples that may be used, sorted by name, and what is wrong otherwise.

    A sample with a problem is not among the samples.
    """

    root: Path
    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]

    def report(self, *, most: int = MAX_PROBLEM_LINES) -> str:
        """One line for each problem, at most `most`, then a count."""
        lines = [
            f'{_below(self.root, problem.path)}: {problem.what}'
            for problem in self.problems[:most]
        ]
        if len(self.problems) > most:
            lines.append(f'... and {len(self.problems) - most} more')
        return '\n'.join(lines)


def planes_in(folder: Path) -> list[Path]:
    """The pictures and float pictures directly in a folder, sorted; hidden files are none."""
    if not folder.is_dir():
        return []
    paths = (path for path in folder.iterdir() if _is_plane(path.name) and path.is_file())
    return sorted(paths, key=lambda path: natural_order(path.name))


def planes_below(folder: Path) -> Iterator[Path]:
    """The pictures and float pictures in a folder and all folders in it, links followed once.

    Raises OSError for a folder that cannot be opened.
    """

    def refuse(error: OSError) -> None:
        raise error

    entered = {os.path.realpath(folder)}
    for at, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        inside = [name for name in sorted(folders) if not name.startswith('.')]
        places = {name: os.path.realpath(os.path.join(at, name)) for name in inside}
        folders[:] = [name for name, place in places.items() if place not in entered]
        entered.update(places.values())
        yield from (Path(at, name) for name in sorted(files, key=natural_order) if _is_plane(name))


def examine(listing: Listing, *, check: Check = 'headers') -> Survey:
    """Check the files of a listing.

    check: `headers` reads what tells size, sample type and a file's end; `content` loads every
    sample as well.
    """
    calibrations = {files.calibration for files in listing.files if files.calibration is not None}
    bad_calibrations = {path: what for path in calibrations if (what := _calibration_fault(path))}

    def checked(files: SampleFiles) -> Sample | list[Problem]:
        return _checked(listing.root, files, bad_calibrations, check)

    with ThreadPoolExecutor(_THREADS) as threads:
        results = list(threads.map(checked, listing.files))
    samples = [result for result in results if isinstance(result, Sample)]
    problems = [problem for result in results if isinstance(result, list) for problem in result]
    # A calibration is that of many samples, and named once.
    unique = dict.fromkeys([*listing.problems, *problems])
    samples.sort(key=lambda sample: natural_order(sample.name))
    return Survey(listing.root, tuple(samples), tuple(unique))


def _checked(
    root: Path, files: SampleFiles, bad_calibrations: dict[Path, str], check: Check
) -> Sample | list[Problem]:
    missing = [path for path in files.pictures if not path.is_file()]
    if missing:
        if len(missing) == len(files.pictures):
            others = ', like all other files of this sample' if len(missing) > 1 else ''
            return [Problem(missing[0], f'missing{others}')]
        partner = next(path for path in files.pictures if path not in missing)
        return [Problem(path, f'missing; {_below(root, partner)} is there') for path in missing]
    problems = [
        Problem(path, what) for path, what in bad_calibrations.items() if path == files.calibration
    ]
    sizes: dict[Path, tuple[int, int]] = {}
    for path in files.pictures:
        try:
            header = read_header(path)
        except FileFormatError as error:
            problems.append(Problem(path, _without_path(error, path)))
            continue
        sizes[path] = header.image_size
        if what := _unfit(files, path, header):
            problems.append(Problem(path, what))
    first = sizes.get(files.left)
    for path, size in sizes.items():
        if first is not None and size != first:
            what = f'{_px(size)}; {_below(root, files.left)} is {_px(first)}'
            problems.append(Problem(path, what))
    if problems or first is None:
        return problems
    fields = {item.name: getattr(files, item.name) for item in dataclasses.fields(files)}
    sample = Sample(**fields, image_size=first)
    return _loaded(sample) if check == 'content' else sample


def _loaded(sample: Sample) -> Sample | list[Problem]:
    try:
        load(sample)
    except FileFormatError as error:
        named = next((path for path in sample.pictures if str(path) in str(error)), sample.left)
        return [Problem(named, _without_path(error, named))]
    return sample


def _unfit(files: SampleFiles, path: Path, header: PictureHeader) -> str:
    """What keeps a file from its use, or nothing."""
    if path == files.disparity:
        wanted = (
            'floats in one channel (Pf)'
            if path.suffix == '.pfm'
            else '16 bits in one grey channel'
        )
        fits = header.grey and (header.floating or header.bits == 16)
    elif path == files.instrument_mask:
        wanted, fits = '8 bits in one grey channel', header.grey and header.bits <= 8
    else:
        wanted, fits = '8 bits per channel', header.bits <= 8
    has = f'{header.bits} bits' + (' in one grey channel' if header.grey else ' in colour')
    return '' if fits else f'{has}; expected {wanted}'


def _calibration_fault(path: Path) -> str:
    try:
        read_stereo_fields(path)
    except (FileFormatError, CalibrationError) as error:
        return _without_path(error, path)
    return ''


def _names_beside(folder: Path) -> str:
    """Which folders there are instead, for a message."""
    try:
        names = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
    except OSError:
        return ''
    names = [name for name in names if not name.startswith('.')]
    shown = ', '.join(names[:_SHOWN_NAMES]) + (', ...' if len(names) > _SHOWN_NAMES else '')
    return f'; beside it are {shown}' if names else ''


def _without_path(error: Exception, path: Path) -> str:
    """The message less the path before it, which the line of a report begins with."""
    return str(error).removeprefix(str(path)).lstrip(': ')


def _below(root: Path, path: Path) -> str:
    return str(path.relative_to(root)) if path != root and path.is_relative_to(root) else str(path)


def _is_plane(name: str) -> bool:
    return not name.startswith('.') and name.lower().endswith(_PLANE_SUFFIXES)


def _px(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]} px'
