"""Compare synthetic pictures with real ones by numbers, and draw the comparison.

    python test/data/synth/measure_realism.py --shards FOLDER --real FOLDER --out docs/results

Writes `realism.png` (each statistic's spread over the synthetic pictures, and the real ones as
dots) and `realism.json`. Real pictures are all those below the folders; masks are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.core.errors import ImageError
from msdesis_ros.data.images import read_rgb
from msdesis_ros.data.synth.shards import ShardReader
from msdesis_ros.evaluation.picture_statistics import PictureStatistics, picture_statistics

NAMES = [field.name for field in fields(PictureStatistics)]
SPREAD = (1, 25, 50, 75, 99)
ROW_PX, LEFT_PX, PLOT_PX = 34, 210, 560
COLOURS = [(40, 110, 40), (200, 90, 20), (150, 40, 150)]  # BGR, one a folder


def synthetic(reader: ShardReader, first: int, step: int) -> list[dict[str, float]]:
    """Statistics of every `step`-th frame."""
    cv2.setNumThreads(1)
    found = []
    for index in range(first, len(reader), step):
        try:
            found.append(asdict(picture_statistics(reader.frame(index).left)))
        except ImageError as error:
            sys.stderr.write(f'frame {index}: {error}\n')
    return found


def real(folder: Path) -> list[dict[str, float]]:
    pictures = sorted(
        path for path in folder.rglob('*.png') if 'mask' not in path.as_posix().lower()
    )
    return [asdict(picture_statistics(read_rgb(path))) for path in pictures]


def draw(made: dict[str, np.ndarray], seen: dict[str, list[dict[str, float]]]) -> np.ndarray:
    """A row a statistic: 1..99 % as a line, 25..75 % as a bar, the median; real ones as dots."""
    canvas = np.full((ROW_PX * (len(NAMES) + 1), LEFT_PX + PLOT_PX + 150, 3), 255, np.uint8)
    for row, name in enumerate(NAMES):
        y = ROW_PX * row + ROW_PX // 2
        dots = {folder: [one[name] for one in all_] for folder, all_ in seen.items()}
        every = np.concatenate([made[name], *dots.values()])
        low, high = float(every.min()), float(every.max())
        scale = PLOT_PX / max(high - low, 1e-9)

        def at(value: float, low: float = low, scale: float = scale) -> int:
            return LEFT_PX + round((value - low) * scale)

        p1, p25, p50, p75, p99 = np.percentile(made[name], SPREAD)
        cv2.line(canvas, (at(p1), y), (at(p99), y), (160, 160, 160), 2)
        cv2.rectangle(canvas, (at(p25), y - 6), (at(p75), y + 6), (200, 200, 200), -1)
        cv2.line(canvas, (at(p50), y - 8), (at(p50), y + 8), (0, 0, 0), 2)
        for colour, values in zip(COLOURS, dots.values(), strict=False):
            for value in values:
                cv2.circle(canvas, (at(value), y), 4, colour, -1, cv2.LINE_AA)
        write(canvas, name, (8, y + 4), (0, 0, 0))
        write(canvas, f'{low:.3g} .. {high:.3g}', (LEFT_PX + PLOT_PX + 12, y + 4), (90, 90, 90))
    y = ROW_PX * len(NAMES) + ROW_PX // 2
    write(canvas, 'synthetic: 1-99 %, 25-75 %, median', (8, y), (90, 90, 90))
    for number, folder in enumerate(seen):
        write(canvas, folder, (330 + 200 * number, y), COLOURS[number])
    return canvas


def write(canvas: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, ...]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shards', type=Path, required=True)
    parser.add_argument('--workers', type=int, default=2)
    parser.add_argument('--real', type=Path, action='append', required=True)
    parser.add_argument('--out', type=Path, required=True)
    options = parser.parse_args()
    reader, count = ShardReader(options.shards), options.workers
    with ProcessPoolExecutor(count) as workers:
        parts = workers.map(synthetic, [reader] * count, range(count), [count] * count)
        all_ = [one for part in parts for one in part]
    made = {name: np.array([one[name] for one in all_]) for name in NAMES}
    seen = {folder.name: real(folder) for folder in options.real}
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out / 'realism.png'), draw(made, seen))
    report = {
        'synthetic': {
            name: dict(zip(map(str, SPREAD), np.percentile(made[name], SPREAD), strict=True))
            for name in NAMES
        },
        'real': seen,
        'inside_of_all': {
            folder: {
                name: float(
                    np.mean([made[name].min() <= one[name] <= made[name].max() for one in ones])
                )
                for name in NAMES
            }
            for folder, ones in seen.items()
        },
        'frames': len(all_),
    }
    (options.out / 'realism.json').write_text(json.dumps(report, indent=2) + '\n')
    for name in NAMES:
        low, high = np.percentile(made[name], (1, 99))
        outside = {
            folder: sum(not low <= one[name] <= high for one in ones)
            for folder, ones in seen.items()
        }
        sys.stdout.write(f'{name:18s} {low:9.3g} .. {high:9.3g}  outside: {outside}\n')


if __name__ == '__main__':
    main()
