"""What a run over a list tells of itself: a JSON file beside the results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msdesis_ros.data.images import atomic_write
from msdesis_ros.offline.pair_list import BadRow
from msdesis_ros.offline.run import Summary


def write_report(
    path: Path, summary: Summary, bad: Sequence[BadRow], settings: Mapping[str, Any]
) -> None:
    """Write counts, the rows without results, and the settings, among them the scale factors.

    Raises MsdesisError where the file cannot be written.
    """
    failed = [(row.line, row.text, row.reason) for row in bad]
    failed += [(f.row.line, str(f.row.left), f.reason) for f in summary.failed]
    report = {
        'rows': summary.done + summary.finished_before + len(failed),
        'done': summary.done,
        'finished_before': summary.finished_before,
        'failed': [
            {'line': line, 'row': row, 'reason': reason} for line, row, reason in sorted(failed)
        ],
        'verdicts': dict(sorted(summary.verdicts.items())),
        'reasons': dict(sorted(summary.reasons.items())),
        'rows_with_values_too_large': summary.too_large,
        'settings': settings,
    }
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
