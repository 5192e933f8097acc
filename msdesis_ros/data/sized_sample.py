"""The bundled sample at any picture size, for measuring: enlarged or reduced, never cropped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from msdesis_ros.data.images import read_rgb, write_image
from msdesis_ros.data.sample import sample_loop

SAMPLE_SIZE = (640, 512)
# What pixels of a picture are multiplied with when it is resized.
_SCALED = ('K1', 'K2', 'P1', 'P2')


@contextlib.contextmanager
def sized_sample(image_size: tuple[int, int]) -> Iterator[Path]:
    """As `sample_loop`, with pictures of (width, height) px, and a calibration that fits them.

    Pictures of another size than the sample's show no more than those; they are PNG files.
    """
    with sample_loop() as folder:
        if image_size != SAMPLE_SIZE:
            smaller = image_size[0] < SAMPLE_SIZE[0]
            how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
            for path in sorted((folder / 'left').iterdir()) + sorted((folder / 'right').iterdir()):
                picture = cv2.resize(read_rgb(path), image_size, interpolation=how)
                path.unlink()
                write_image(path.with_suffix('.png'), picture)
            _resize_calibration(folder / 'calibration.json', image_size)
        yield folder


def _resize_calibration(path: Path, image_size: tuple[int, int]) -> None:
    """Replace the calibration (OpenCV, JSON) of the sample's size by that of another one."""
    tree = json.loads(path.read_text(encoding='utf-8'))
    # Pixel centres lie at whole numbers.
    across, down = (new / old for new, old in zip(image_size, SAMPLE_SIZE, strict=True))
    to_new = np.array(
        [[across, 0.0, (across - 1.0) / 2], [0.0, down, (down - 1.0) / 2], [0.0, 0.0, 1.0]]
    )
    for name in _SCALED:
        entry = tree[name]
        matrix = np.reshape(entry['data'], (entry['rows'], entry['cols']))
        entry['data'] = (to_new @ matrix).ravel().tolist()
    tree['image_size'] = list(image_size)
    # It was a link to the package's own.
    path.unlink()
    path.write_text(json.dumps(tree), encoding='utf-8')
