"""Tables and figures of an evaluation on SCARED, with the columns and rows that are published."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msdesis_ros.data.images import atomic_write
from msdesis_ros.evaluation.scared_protocols import (
    LOOSE,
    KeyFrameScore,
    Protocol,
    final_mean,
    set_mean,
)
from msdesis_ros.evaluation.scared_tree import DATASETS

Row = dict[str, Any]


def table(
    protocol: Protocol, scores: Sequence[KeyFrameScore]
) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows; a figure that there is none of is None.

    loose: `dataset` is dataset_8_keyframe_0 and so on, then dataset8_mean, dataset9_mean and
    final_mean. paper: `dataset` and `keyframe` are numbers, then `mean` in place of the key frame,
    and a last row final, mean.
    """
    measures = protocol.measures

    def sets(dataset: int) -> Row:
        return {name: set_mean(scores, dataset, name) for name in measures}

    final = {name: final_mean(scores, DATASETS, name) for name in measures}
    each = [(score, {name: score.mean(name) for name in measures}) for score in scores]
    if protocol is LOOSE:
        rows = [{'dataset': score.name.replace('/', '_'), **found} for score, found in each]
        rows += [{'dataset': f'dataset{dataset}_mean', **sets(dataset)} for dataset in DATASETS]
        return ('dataset', *measures), [*rows, {'dataset': 'final_mean', **final}]
    rows = [
        {'dataset': score.dataset, 'keyframe': score.key_frame, **found} for score, found in each
    ]
    rows += [{'dataset': dataset, 'keyframe': 'mean', **sets(dataset)} for dataset in DATASETS]
    rows.append({'dataset': 'final', 'keyframe': 'mean', **final})
    return ('dataset', 'keyframe', *measures), rows


def file_stem(protocol: Protocol) -> str:
    """The name that the published script gives its table."""
    return 'scared_scores' if protocol is LOOSE else f'results_{protocol.domain}'


def write_table(path: Path, protocol: Protocol, scores: Sequence[KeyFrameScore]) -> None:
    """Write the table as CSV; a figure that there is none of is an empty cell."""
    columns, rows = table(protocol, scores)
    with (
        atomic_write(path) as temporary,
        temporary.open('w', encoding='utf-8', newline='') as file,
    ):
        writer = csv.DictWriter(file, columns, restval='', lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def write_report(
    path: Path, protocol: Protocol, scores: Sequence[KeyFrameScore], about: dict[str, Any]
) -> None:
    """Write `about`, the means, and what became of every frame, as JSON; None becomes null."""
    measures = protocol.measures
    content = {
        **about,
        'protocol': {
            'name': protocol.name,
            'domain': protocol.domain,
            'least_coverage': protocol.least_coverage,
            'coverage_of': protocol.coverage_domain,
            'unit': protocol.unit,
        },
        'complete': is_complete(scores),
        'final_mean': {name: final_mean(scores, DATASETS, name) for name in measures},
        'sets': {
            f'dataset_{dataset}': {
                'key_frames': sum(bool(s.frames) for s in scores if s.dataset == dataset),
                **{name: set_mean(scores, dataset, name) for name in measures},
            }
            for dataset in DATASETS
        },
        'frames': count_frames(scores),
        'skipped': dict(count_skipped(scores)),
        'missing_predictions': count_missing(scores),
        'key_frames': [_key_frame(score, measures) for score in scores],
    }
    text = json.dumps(content, indent=2, allow_nan=False)
    with atomic_write(path) as temporary:
        temporary.write_text(text + '\n', encoding='utf-8')


def is_complete(scores: Sequence[KeyFrameScore]) -> bool:
    """True where every key frame has a figure, so that the means are those of the protocol."""
    return all(score.frames for score in scores)


def count_frames(scores: Sequence[KeyFrameScore]) -> int:
    """How many frames were counted."""
    return sum(len(score.frames) for score in scores)


def count_missing(scores: Sequence[KeyFrameScore]) -> int:
    """How many of them had no prediction and count as unknown everywhere."""
    return sum(len(score.missing) for score in scores)


def count_skipped(scores: Sequence[KeyFrameScore]) -> Counter[str]:
    """How many were left out, by reason."""
    found: Counter[str] = Counter()
    for score in scores:
        found.update({reason: len(names) for reason, names in score.skipped.items()})
    return found


def warnings(scores: Sequence[KeyFrameScore]) -> list[str]:
    """What a user must know before quoting the means, a sentence each."""
    found = [note for score in scores for note in score.notes]
    for score in scores:
        if score.missing:
            some = ', '.join(score.missing[:3]) + (', ...' if len(score.missing) > 3 else '')
            found.append(
                f'{score.name}: {len(score.missing)} of {len(score.frames)} frames have no '
                f'prediction ({some}) and count as unknown everywhere'
            )
    if not is_complete(scores):
        without = [score.name for score in scores if not score.frames]
        found.append(
            f'{len(without)} of {len(scores)} key frames have no figure ({", ".join(without)}); '
            'the means are of the others and not comparable with published ones'
        )
    return found


def _key_frame(score: KeyFrameScore, measures: Sequence[str]) -> dict[str, Any]:
    return {
        'name': score.name,
        'frames': len(score.frames),
        **{name: score.mean(name) for name in measures},
        'skipped': {reason: len(names) for reason, names in score.skipped.items()},
        'skipped_frames': score.skipped,
        'missing_predictions': score.missing,
        'notes': score.notes,
        'each_frame': [
            {
                'frame': frame.name,
                'coverage': frame.coverage,
                'answered': frame.answered,
                **frame.measures,
            }
            for frame in score.frames
        ],
    }
