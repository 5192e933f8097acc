"""The layouts by their names, and the one way from a folder to a list of samples."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msdesis_ros.core.errors import FileFormatError, UsageError, shown
from msdesis_ros.data.layouts.flyingthings import list_flyingthings
from msdesis_ros.data.layouts.own_frames import list_own_frames
from msdesis_ros.data.layouts.ris2017 import (
    RIS17,
    RIS17_124,
    RIS17_EVAL_MONOCULAR,
    RIS17_TRAIN_MONOCULAR,
    RisForm,
    list_ris2017,
)
from msdesis_ros.data.layouts.samples import SPLITS, Sample, Split
from msdesis_ros.data.layouts.scared import list_scared, list_scared_test
from msdesis_ros.data.layouts.survey import CHECKS, Check, Listing, Survey, examine

log = logging.getLogger(__name__)

OnBroken = Literal['stop', 'skip']
_ON_BROKEN: tuple[OnBroken, ...] = ('stop', 'skip')


@dataclass(frozen=True)
class Layout:
    """What is known of a layout without looking at a folder.

    list: finds the samples of a root by names. splits: that it has; none where the data set
    defines none. truth: as in `SampleFiles.truth`. monocular: there are no right views.
    """

    list: Callable[[Path], Listing]
    splits: tuple[Split, ...] = ()
    truth: tuple[str, ...] = ()
    monocular: bool = False


def _ris2017(form: RisForm) -> Layout:
    splits = tuple(split for split in SPLITS if split in form.splits.values())
    listed = functools.partial(list_ris2017, form=form)
    return Layout(listed, splits, ('instrument_mask',), monocular=not form.stereo)


LAYOUTS: dict[str, Layout] = {
    'flyingthings3d': Layout(list_flyingthings, ('train', 'validation'), ('disparity',)),
    'scared': Layout(list_scared, ('train', 'validation'), ('disparity',)),
    'scared_test': Layout(list_scared_test, ('test',), ('disparity',)),
    'ris17': _ris2017(RIS17),
    'ris17_124': _ris2017(RIS17_124),
    'ris17_train_monocular': _ris2017(RIS17_TRAIN_MONOCULAR),
    'ris17_eval_monocular': _ris2017(RIS17_EVAL_MONOCULAR),
    'own_frames': Layout(list_own_frames),
}


def survey(layout: str, root: str | os.PathLike[str], *, check: Check = 'headers') -> Survey:
    """Look through a whole data set, and raise nothing for what is wrong inside of it.

    Args:
        layout: a name of `LAYOUTS`.
        root: the folder that its layout begins in.
        check: `headers` finds missing, misnamed, cut and unfit files and sizes that differ;
            `content` decodes every file as well, which takes as long as one epoch of reading.

    Raises:
        UsageError: the layout or the check is unknown.
        FileFormatError: the root is no folder, or a folder cannot be opened.
    """
    _require_known('layout', layout, tuple(LAYOUTS))
    _require_known('check', check, CHECKS)
    root = Path(root).expanduser()
    if not root.is_dir():
        raise FileFormatError(f'{root} is no folder; give the root of a {layout} data set')
    try:
        return examine(LAYOUTS[layout].list(root), check=check)
    except OSError as error:
        raise FileFormatError(
            f'cannot look through {error.filename or root}: {error.strerror or error}; make the '
            'folder readable'
        ) from error


def scan(
    layout: str,
    root: str | os.PathLike[str],
    *,
    on_broken: OnBroken = 'stop',
    check: Check = 'headers',
) -> list[Sample]:
    """List the samples of a data set, sorted by name.

    Args:
        layout, root, check: as in `survey`.
        on_broken: `stop` raises where anything is wrong, `skip` logs it and goes on with the
            samples that are whole.

    Raises:
        UsageError: an argument is unknown.
        FileFormatError: something is wrong (`stop`), or no sample is whole; the message names
            the files, at most 20 of them.
    """
    _require_known('on_broken', on_broken, _ON_BROKEN)
    found = survey(layout, root, check=check)
    if not found.problems and found.samples:
        return list(found.samples)
    count = len(found.problems)
    faults = f'{count} problem{"" if count == 1 else "s"}'
    if not found.samples:
        raise FileFormatError(
            f'{found.root} holds no whole sample of the layout {layout} ({faults}); '
            f'docs/datasets.md shows the layout\n{found.report()}'.rstrip()
        )
    head = f'{found.root} is not a whole {layout} data set: {faults}'
    if on_broken == 'stop':
        raise FileFormatError(
            f'{head}; copy these files again, or ask to skip them\n{found.report()}'
        )
    log.warning('%s; %d samples are whole\n%s', head, len(found.samples), found.report())
    return list(found.samples)


def _require_known(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f'the {what} {shown(value)} is unknown; known are {", ".join(known)}')
