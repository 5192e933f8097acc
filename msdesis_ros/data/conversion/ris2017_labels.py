"""What the labels of RIS 2017 mean: parts by their values, types by the names of the folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from msdesis_ros.core.errors import FileFormatError, UsageError
from msdesis_ros.data.images import read_plane

PARTS = ('shaft', 'wrist', 'jaws')
# The values of the published labels, for sets whose mappings.json does not say others.
PUBLISHED_PARTS = {10: 1, 20: 2, 30: 3}
_PART_WORDS = (('shaft', 1), ('wrist', 2), ('clasper', 3), ('jaw', 3))
# Numbers and names of the challenge, and the word by which the name of a folder tells each.
TYPES = (
    'bipolar_forceps',
    'prograsp_forceps',
    'large_needle_driver',
    'vessel_sealer',
    'grasping_retractor',
    'monopolar_curved_scissors',
    'other',
)
_TYPE_WORDS = (
    ('bipolar', 1),
    ('prograsp', 2),
    ('needle_driver', 3),
    ('vessel_sealer', 4),
    ('retractor', 5),
    ('scissors', 6),
    ('other', 7),
)


def read_part_values(path: Path) -> dict[int, int]:
    """From the values of the labels to 1 shaft, 2 wrist, 3 jaws, as a `mappings.json` says.

    It names a part for each value, either way around, at any depth. What it does not name keeps
    the published value (10, 20, 30); without the file all do. Raises FileFormatError for a file
    that is no JSON, or where a part has several values.
    """
    if not path.is_file():
        return dict(PUBLISHED_PARTS)
    try:
        tree = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise FileFormatError(f'{path} cannot be read as JSON: {error}') from error
    told: dict[int, int] = {}
    for name, value in _pairs(tree):
        part = next((number for word, number in _PART_WORDS if word in name.lower()), None)
        if part is None:
            continue
        if told.setdefault(part, value) != value:
            raise FileFormatError(
                f'{path} gives {PARTS[part - 1]} the values {told[part]} and {value}'
            )
    kept = {part: value for value, part in PUBLISHED_PARTS.items()} | told
    if len(set(kept.values())) < len(kept):
        raise FileFormatError(f'{path} gives two parts one value: {kept}')
    return {value: part for part, value in kept.items()}


def type_of_label(name: str) -> int:
    """The number of an instrument's type, from the name of its folder of labels.

    `Left_Prograsp_Forceps_labels` is 2. Raises FileFormatError for a name of no known type.
    """
    spelled = name.lower().replace(' ', '_').replace('-', '_')
    for word, number in _TYPE_WORDS:
        if word in spelled:
            return number
    raise FileFormatError(
        f'{name} names no known type of instrument; known are {", ".join(TYPES)}'
    )


def read_truth_classes(
    labels: Mapping[str, Path], *, what: str, part_values: Mapping[int, int]
) -> np.ndarray:
    """One plane of classes from all labels of a frame, H x W uint8, 0 where there is none.

    labels: files by the names of their folders. what: `parts` (1 to 3, by `part_values`) or
    `types` (1 to 7). Where labels overlap, the last one by name counts. Raises FileFormatError for
    a file that is missing or damaged, has colours, or has another size than the others.
    """
    if what not in ('parts', 'types'):
        raise UsageError(f'no classes are called {what!r}; known are parts, types')
    plane: np.ndarray | None = None
    for name in sorted(labels):
        values = read_plane(labels[name])
        if values.ndim != 2 or values.dtype != np.uint8:
            raise FileFormatError(f'{labels[name]} holds no labels: expected grey, 8 bits')
        if plane is None:
            plane = np.zeros(values.shape, np.uint8)
        elif plane.shape != values.shape:
            raise FileFormatError(f'{labels[name]} has another size than the labels beside it')
        if what == 'types':
            plane[values > 0] = type_of_label(name)
        else:
            for value, part in part_values.items():
                plane[values == value] = part
    if plane is None:
        raise FileFormatError(f'there are no labels to tell {what} by')
    return plane


def _pairs(tree: object) -> list[tuple[str, int]]:
    """Every name with its whole number in a JSON tree, whichever of the two is the key."""
    if not isinstance(tree, dict):
        return []
    pairs = []
    for key, value in tree.items():
        if isinstance(value, dict):
            pairs += _pairs(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            pairs.append((key, value))
        elif isinstance(value, str) and key.isdecimal():
            pairs.append((value, int(key)))
    return pairs
