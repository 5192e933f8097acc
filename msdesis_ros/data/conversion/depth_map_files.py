"""Folders of disparities into folders of depth maps and back, every file by itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import MsdesisError, UsageError
from msdesis_ros.core.original_view import OriginalView
from msdesis_ros.data.conversion.depth_maps import FORMATS, Conversion
from msdesis_ros.data.picture_pairs import natural_order
from msdesis_ros.data.value_files import (
    ABOUT_FILE,
    SUFFIXES,
    read_about,
    read_values,
    write_about,
    write_values,
)


@dataclass
class Converted:
    """What became of the files of a run.

    too_large: values that 16 bits could not hold, by file. failed: reasons, by file.
    """

    files: int = 0
    too_large: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def list_planes(source: Path) -> list[Path]:
    """The planes of a folder in natural order, or the one file; hidden files are none.

    Raises UsageError where there is nothing, or where two files would become one.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UsageError(f'{source} does not exist; give a file or a folder of planes')
    paths = sorted(_planes_in(source), key=lambda path: natural_order(path.name))
    if not paths:
        raise UsageError(f'{source} holds no file that ends in {", ".join(SUFFIXES)}')
    by_stem: dict[str, Path] = {}
    for path in paths:
        if (other := by_stem.setdefault(path.stem, path)) is not path:
            raise UsageError(f'{other} and {path} would both become {path.stem}; move one away')
    return paths


def first_plane(planes: list[Path], conversion: Conversion) -> np.ndarray:
    """The first plane that can be read; raises as `read_values` where none can."""
    for path in planes[:-1]:
        with contextlib.suppress(MsdesisError):
            return _read(path, conversion)
    return _read(planes[-1], conversion)


def plan_outputs(
    planes: list[Path], out: Path, conversion: Conversion, *, overwrite: bool
) -> dict[Path, Path]:
    """Where each plane goes; UsageError where that would destroy or mix up what is there."""
    suffix = FORMATS[conversion.form]
    targets = {path: out / f'{path.stem}{suffix}' for path in planes}
    if out.resolve() == planes[0].parent.resolve():
        raise UsageError(f'{out} holds the files to convert; write into another folder')
    there = sorted(path for path in targets.values() if path.exists())
    if there and not overwrite:
        raise UsageError(
            f'{len(there)} of {len(targets)} files are in {out} already, the first is '
            f'{there[0].name}; give --overwrite to replace them, or another folder'
        )
    if set(_planes_in(out)) - set(targets.values()):
        about = read_about(out)
        if (about.get('quantity'), about.get('scale')) != (
            conversion.quantity,
            conversion.out_scale,
        ):
            raise UsageError(
                f'{out} holds files that would stay, and its {ABOUT_FILE} does not say that they '
                f'are {conversion.quantity} of the scale {conversion.out_scale:g}; write into '
                'another folder'
            )
    return targets


def convert_planes(
    targets: dict[Path, Path],
    view: OriginalView,
    conversion: Conversion,
    out: Path,
    *,
    jobs: int,
    about: dict[str, object],
    progress: Callable[[], None] = lambda: None,
) -> Converted:
    """Convert every file; one that cannot be read is noted, and the others go on.

    jobs: threads. about: what `values.json` says beside scale and quantity. Raises MsdesisError
    where nothing can be written.
    """

    def convert(path: Path) -> tuple[Path, int, str]:
        try:
            made = conversion.apply(_read(path, conversion), view)
        except MsdesisError as error:
            # What an earlier run left there is not the result of this one.
            targets[path].unlink(missing_ok=True)
            text = str(error)
            return path, 0, text if str(path) in text else f'{path}: {text}'
        return path, write_values(targets[path], made, conversion.out_scale), ''

    def describe(done: Converted | None = None) -> None:
        counts = {} if done is None else vars(done)
        write_about(
            out,
            quantity=conversion.quantity,
            scale=conversion.out_scale,
            fill=conversion.fill,
            source_scale=conversion.scale,
            **about,
            **counts,
        )

    done = Converted()
    describe()  # before the first file: a run that was cut short leaves its scale as well
    view.prepare(to_depth=conversion.to == 'depth')
    for path, too_large, fault in _in_threads(convert, list(targets), jobs):
        if fault:
            done.failed[path.name] = fault
        else:
            done.files += 1
        if too_large:
            done.too_large[path.name] = too_large
        progress()
    describe(done)
    return done


def _read(path: Path, conversion: Conversion) -> np.ndarray:
    return read_values(path, conversion.scale, conversion.source_quantity)


def _in_threads(
    work: Callable[[Path], tuple[Path, int, str]], paths: list[Path], jobs: int
) -> Iterator[tuple[Path, int, str]]:
    with ThreadPoolExecutor(jobs) as threads:
        try:
            yield from threads.map(work, paths)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _planes_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix.lower() in SUFFIXES and not path.name.startswith('.'):
                yield path
