"""A lab's own rectified stereo frames, without truth, in any folders.

The word left or right in the path below the root tells the side, as a folder (`left/0001.png`),
in the name (`0001_left.png`, `left0001.jpg`), or both; where a path has neither word, a lone L or
R does (`0001_L.png`). Two pictures are a pair where their paths agree in everything else but the
suffix. Never by their order: one lost frame would pair all later ones wrongly.
"""

from __future__ import annotations

import re
from pathlib import Path

from msdesis_ros.data.layouts.samples import SampleFiles
from msdesis_ros.data.layouts.survey import Listing, planes_below
from msdesis_ros.data.picture_pairs import SUFFIXES

_WORD = re.compile(r'(?<![a-z])(left|right)(?![a-z])', re.IGNORECASE)
_LETTER = re.compile(r'(?<![a-z])([lr])(?![a-z])', re.IGNORECASE)
_SIDES = {'left': 'left', 'l': 'left', 'right': 'right', 'r': 'right'}
_OTHER = {'left': 'right', 'l': 'r', 'right': 'left', 'r': 'l'}


def list_own_frames(root: Path) -> Listing:
    """List pairs by their names; they have neither a split nor truth."""
    listing = Listing(root)
    pairs: dict[str, dict[str, Path]] = {}
    for path in planes_below(root):
        if path.suffix.lower() not in SUFFIXES:
            continue
        text = path.relative_to(root).with_suffix('').as_posix()
        pattern = _WORD if _WORD.search(text) else _LETTER
        sides = {_SIDES[word.lower()] for word in pattern.findall(text)}
        if len(sides) != 1:
            named = 'both left and right' if sides else 'neither left nor right'
            listing.wrong(path, f'its name says {named}; expected one of them')
            continue
        (side,) = sides
        pair = pairs.setdefault(pattern.sub('*', text), {})
        if side in pair:
            listing.wrong(path, f'the same name as {pair[side].name} but for the suffix')
        else:
            pair[side] = path
    for pair in pairs.values():
        left, right = (pair.get(side) or _partner(root, pair) for side in ('left', 'right'))
        name = left.relative_to(root).with_suffix('').as_posix()
        listing.files.append(SampleFiles(name=name, split=None, left=left, right=right))
    return listing


def _partner(root: Path, pair: dict[str, Path]) -> Path:
    """Where the missing picture of a pair should be."""
    (present,) = pair.values()
    text = present.relative_to(root).with_suffix('').as_posix()
    pattern = _WORD if _WORD.search(text) else _LETTER
    return root / (pattern.sub(_other_side, text) + present.suffix)


def _other_side(word: re.Match[str]) -> str:
    other = _OTHER[word[0].lower()]
    if word[0].isupper():
        return other.upper()
    return other.capitalize() if word[0][0].isupper() else other
