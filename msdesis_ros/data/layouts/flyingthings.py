"""FlyingThings3D, in the form of its subset for DispNet and FlowNet 2.

root/{train,val}/image_clean/{left,right}/0000000.png   and, or instead, image_final
root/{train,val}/disparity/left/0000000.pfm             of either sign, see `read_disparity`

The full set's pictures fit as well, where its folders TRAIN lie in a folder train:
root/train/{frames_cleanpass,disparity}/A/0000/left/0006.{png,pfm}. What else is published beside
them (flow, boundaries, occlusions, segmentations) is not looked at.
"""

from __future__ import annotations

from pathlib import Path

from msdesis_ros.data.layouts.samples import SampleFiles, Split
from msdesis_ros.data.layouts.survey import Listing, planes_below

_SPLITS: dict[str, Split] = {'train': 'train', 'val': 'validation'}
_PASSES = {'image_clean', 'image_final', 'frames_cleanpass', 'frames_finalpass'}
_DISPARITY = 'disparity'
# Some of these hold files that end like pictures or disparities.
_OTHER_KINDS = {
    'depth_boundaries',
    'disparity_change',
    'disparity_occlusions',
    'flow',
    'flow_occlusions',
    'material_index',
    'motion_boundaries',
    'object_ids',
    'object_index',
    'object_segmentation',
    'optical_flow',
}
_SIDES = ('left', 'right')


def list_flyingthings(root: Path) -> Listing:
    """List by names. Only folders below the root tell the side: its own name means nothing."""
    listing = Listing(root)
    if listing.folders_are_there(*(root / name for name in _SPLITS)):
        for name, split in _SPLITS.items():
            _list_split(listing, root / name, split)
    return listing


def _list_split(listing: Listing, folder: Path, split: Split) -> None:
    lefts: dict[Path, None] = {}
    disparities: dict[tuple[str, ...], Path] = {}
    for path in planes_below(folder):
        parts = path.relative_to(folder).parts
        suffix = path.suffix.lower()
        if _OTHER_KINDS.intersection(parts[:-1]) or suffix not in ('.png', '.pfm'):
            continue
        sides = [part for part in parts[:-1] if part in _SIDES]
        if len(sides) != 1:
            listing.wrong(path, f'wrong place; expected one folder left or right in {folder.name}')
        elif suffix == '.png' and _DISPARITY in parts:
            listing.wrong(path, 'a picture among the disparities; expected .pfm')
        elif suffix == '.png':
            lefts[folder.joinpath(*('left' if part in _SIDES else part for part in parts))] = None
        elif sides == ['left'] and (first := disparities.setdefault(_key(parts), path)) != path:
            listing.wrong(path, f'a second disparity for the picture of {first}')
    for left in lefts:
        parts = left.relative_to(folder).parts
        below = [part for part in parts[:-1] if part not in _PASSES]
        expected = folder.joinpath(_DISPARITY, *below, f'{left.stem}.pfm')
        listing.files.append(
            SampleFiles(
                name='/'.join((folder.name, *(p for p in parts[:-1] if p != 'left'), left.stem)),
                split=split,
                left=left,
                right=folder.joinpath(*('right' if part == 'left' else part for part in parts)),
                disparity=disparities.get(_key(parts), expected),
            )
        )
    used = {_key(left.relative_to(folder).parts) for left in lefts}
    for key in sorted(set(disparities) - used):
        listing.wrong(disparities[key], 'no picture belongs to this disparity')


def _key(parts: tuple[str, ...]) -> tuple[str, ...]:
    """What a picture and its disparity have in common below the folder of the split."""
    kinds = _PASSES | {_DISPARITY, *_SIDES}
    return (*(part for part in parts[:-1] if part not in kinds), Path(parts[-1]).stem)
