"""Robotic Instrument Segmentation 2017 (EndoVis) as `ris2017_toolkit` writes it.

root/instrument_dataset_{n}/left_frame/frameNNN.png
root/instrument_dataset_{n}/right_frame/frameNNN.png            in the stereo forms
root/instrument_dataset_{n}/ground_truth/binary/frameNNN.png    0, 255 = instrument

The training data are the sets 1 to 8 with the frames 000 to 224. The test data go on with the
frames 225 to 299 of these, and have the sets 9 and 10 with 000 to 299.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from msdesis_ros.data.layouts.samples import SampleFiles, Split
from msdesis_ros.data.layouts.survey import Listing

_TRAIN_FRAMES, _TEST_FRAMES, _ALL_FRAMES = range(225), range(225, 300), range(300)
_SET = re.compile(r'instrument_dataset_(\d+)')


@dataclass(frozen=True)
class RisForm:
    """One use of the data: the split of each set that it takes, and the form of the files.

    splits: by the number of the set; a set is in one split as a whole, since its frames are
    neighbours in one video. allowed: sets that may be there without being used.
    """

    splits: dict[int, Split]
    stereo: bool
    allowed: range
    test_frames: bool = False

    def frames(self, number: int) -> range:
        """The published numbers of the frames of a set."""
        if not self.test_frames:
            return _TRAIN_FRAMES
        return _TEST_FRAMES if number <= 8 else _ALL_FRAMES


def _held_out(*train: int, validation: int) -> dict[int, Split]:
    splits: dict[int, Split] = dict.fromkeys(train, 'train')
    return {**splits, validation: 'validation'}


# The rows of 3 and 6 are off by 20 px, those of 5, 7 and 8 by 5 px, those of 1, 2 and 4 fit.
RIS17 = RisForm(_held_out(1, 2, 4, 5, 7, validation=8), stereo=True, allowed=range(1, 9))
RIS17_124 = RisForm(_held_out(1, 2, validation=4), stereo=True, allowed=range(1, 9))
RIS17_TRAIN_MONOCULAR = RisForm(
    _held_out(1, 2, 3, 4, 5, 6, 7, validation=8), stereo=False, allowed=range(1, 9)
)
RIS17_EVAL_MONOCULAR = RisForm(
    dict.fromkeys(range(1, 11), 'test'), stereo=False, allowed=range(1, 11), test_frames=True
)


def list_ris2017(root: Path, form: RisForm) -> Listing:
    """List the frames of the sets that a form uses, each set in one split by its own name."""
    listing = Listing(root)
    for path in sorted(root.glob('instrument_dataset_*')):
        found = _SET.fullmatch(path.name)
        if path.is_dir() and (found is None or int(found[1]) not in form.allowed):
            listing.wrong(
                path,
                f'not expected here; this data set has instrument_dataset_{form.allowed[0]} to '
                f'instrument_dataset_{form.allowed[-1]}',
            )
    for number, split in form.splits.items():
        _list_set(listing, root / f'instrument_dataset_{number}', form, number, split)
    return listing


def _list_set(listing: Listing, folder: Path, form: RisForm, number: int, split: Split) -> None:
    left, right = folder / 'left_frame', folder / 'right_frame'
    masks = folder / 'ground_truth' / 'binary'
    folders = [left, right, masks] if form.stereo else [left, masks]
    if not listing.folders_are_there(*(folders if folder.is_dir() else [folder])):
        return
    frames = form.frames(number)
    names = [f'frame{frame:03d}' for frame in frames]
    listing.names_in(
        *folders,
        expected=[f'{name}.png' for name in names],
        rule=f'{names[0]}.png to {names[-1]}.png',
    )
    for name in names:
        listing.files.append(
            SampleFiles(
                name=f'{folder.name}/{name}',
                split=split,
                left=left / f'{name}.png',
                right=right / f'{name}.png' if form.stereo else None,
                instrument_mask=masks / f'{name}.png',
            )
        )
